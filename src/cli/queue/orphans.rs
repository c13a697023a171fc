//! `oxherd queue orphans`: keys of a queue that nothing will ever come to.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::super::audit::Verb;
use super::super::consent::Consent;
use super::super::print::Out;
use super::super::session::Session;
use super::super::time::age;
use super::super::{Error, Exit, value};
use super::known;
use crate::job::QueueName;
use crate::store::{Orphan, OrphanKind, YOUNGEST};

/// Keys of which no more are listed.
const SHOWN: usize = 1000;

/// Find keys that are left over: jobs in no state, locks and logs without their job, markers of an empty queue
///
/// Reads all keys of the server in small steps. What is younger than an hour is never left over.
#[derive(Args)]
pub struct Orphans {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Only those that nothing has happened to for this long, an hour at least
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "1h")]
    older: Duration,
    /// Delete them
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Orphans {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        session
            .is_no_list(&self.queue, "no keys are left over from it; what a process leaves in hand goes back to it")?;
        if self.older < YOUNGEST {
            return Err(Error::Usage("--older must be at least 1h: what is younger may be on its way".into()));
        }
        let delete = self.delete && !self.consent.dry_run;
        if delete {
            self.consent.can_be_had()?;
        }
        let mut out = Out::new(session.global.json);
        session.with_store(|store, _| async move {
            known(&store, &self.queue).await?;
            let queue = store.queue(&self.queue);
            let mut orphans = queue.orphans(self.older).await?;
            let (mut found, mut count) = (Vec::new(), 0);
            while let Some(mut page) = orphans.next().await? {
                if delete && self.consent.yes {
                    page = queue.delete_orphans(page).await?;
                }
                count += page.len();
                // what is to be asked about is kept whole
                let room = if delete && !self.consent.yes { usize::MAX } else { SHOWN.saturating_sub(found.len()) };
                found.extend(page.into_iter().take(room));
            }
            if delete && !self.consent.yes && count > 0 {
                self.consent.ask(format!("delete {count} keys of {} that are left over", self.queue)).await?;
                found = queue.delete_orphans(found).await?;
                count = found.len();
                found.truncate(SHOWN);
            }
            if delete {
                Verb::new("orphans", &self.queue).done(&store, count as u64, "--delete").await;
            }
            if out.is_json() {
                let deleted = if delete { count } else { 0 };
                out.json(&json!({"queue": self.queue, "found": count, "deleted": deleted, "orphans": found}))?;
            } else {
                let row = |orphan: &Orphan| {
                    vec![
                        kind(orphan.kind).to_owned(),
                        orphan.key.clone(),
                        age(i64::try_from(orphan.age_ms).unwrap_or(i64::MAX)),
                    ]
                };
                if !found.is_empty() {
                    out.table(&["KIND", "KEY", "AGE"], &found.iter().map(row).collect::<Vec<_>>())?;
                }
                let verb = if delete { "deleted" } else { "found" };
                let keys = if count == 1 { "key" } else { "keys" };
                out.line(format_args!("{verb} {count} {keys} of {} that nothing will come to", self.queue))?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }
}

fn kind(kind: OrphanKind) -> &'static str {
    match kind {
        OrphanKind::Job => "job in no state",
        OrphanKind::Part => "job is gone",
        OrphanKind::Marker => "nothing waits",
        OrphanKind::Deduplication => "its job is gone",
    }
}
