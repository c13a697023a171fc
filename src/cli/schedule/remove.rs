//! `oxherd schedule remove`: schedules that are to come no more.

use clap::Args;
use serde_json::json;

use super::super::audit::Verb;
use super::super::consent::Consent;
use super::super::print::{self, Out};
use super::super::session::Session;
use super::super::{Error, Exit};
use super::find::{Found, Targets};
use crate::daemon::escape;
use crate::store::Origin;

/// Remove schedules, each with the job that waits for its next time
///
/// A job that is ready or running stays, and is the last. A schedule that still stands in a file
/// comes back when a daemon starts with that file or reloads it.
#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    targets: Targets,
    /// Also those that oxherd did not make
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Remove {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        self.consent.can_be_had()?;
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let found = self.targets.find(&store, &config).await?;
            for found in &found {
                if !self.force {
                    found.own()?;
                }
                warn(found);
            }
            if !self.consent.dry_run {
                let names: Vec<_> =
                    found.iter().map(|found| format!("{} in {}", found.stored.id, found.queue)).collect();
                let what = if names.len() == 1 { "schedule" } else { "schedules" };
                self.consent.ask(format!("remove {what} {}", names.join(", "))).await?;
            }
            let mut told = Vec::new();
            for Found { queue, stored } in &found {
                let name = &stored.id;
                if !self.consent.dry_run && !store.queue(queue).remove_found(stored).await? {
                    return Err(Error::No(format!(
                        "schedule {name} in {queue} was changed or removed meanwhile; look again"
                    )));
                }
                if !self.consent.dry_run {
                    Verb::new("schedule remove", queue).done(&store, 1, name).await;
                }
                if out.is_json() {
                    told.push(if self.consent.dry_run {
                        json!({"schedule": name, "queue": queue, "dryRun": true, "wouldBeRemoved": true})
                    } else {
                        json!({"schedule": name, "queue": queue, "removed": true})
                    });
                } else {
                    let word = if self.consent.dry_run { "would remove" } else { "removed" };
                    out.line(format_args!("{word} {} from {queue}", escape::text(name)))?;
                }
            }
            if out.is_json() {
                out.json(&told)?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }
}

/// Says that a file will bring it back.
fn warn(found: &Found) {
    let Some(Origin::File(daemon)) = found.stored.own.as_ref().map(|own| &own.mark.origin) else { return };
    print::note(format_args!(
        "schedule {} in {} came from the file of daemon {daemon:?}, which brings it back at the next start or reload; \
         take it out of the file, or set enabled = false there",
        found.stored.id, found.queue
    ));
}
