//! `oxherd schedule pause` and `resume`: whether schedules add jobs.

use clap::Args;
use serde_json::json;

use super::super::audit::Verb;
use super::super::consent::DryRun;
use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit};
use super::find::Targets;
use crate::daemon::escape;

/// The schedules and whether to really do it.
#[derive(Args)]
pub struct Pause {
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Pause {
    /// `pauses`, or else resumes. Nothing is done where one of the schedules is not there, or not ours.
    pub fn execute(self, pauses: bool, session: &mut Session) -> Result<Exit, Error> {
        let mut out = Out::new(session.global.json);
        let dry_run = self.dry_run.dry_run;
        session.with_store(|store, config| async move {
            let found = self.targets.find(&store, &config).await?;
            let mut targets = Vec::new();
            for found in &found {
                targets.push((&found.queue, &found.stored.id, found.own()?.is_paused));
            }
            let mut told = Vec::new();
            for (queue_name, name, was_paused) in targets {
                let queue = store.queue(queue_name).announcing(&config.status);
                let is_done = match (dry_run || was_paused == pauses, pauses) {
                    (true, _) => true,
                    (false, true) => queue.pause_schedule(name).await?,
                    (false, false) => queue.resume_schedule(name).await?,
                };
                if !is_done {
                    return Err(Error::No(format!(
                        "schedule {name} in {queue_name} was changed meanwhile; look again"
                    )));
                }
                if !dry_run {
                    let verb = if pauses { "schedule pause" } else { "schedule resume" };
                    Verb::new(verb, queue_name).done(&store, 1, name).await;
                }
                if out.is_json() {
                    let mut line =
                        json!({"schedule": name, "queue": queue_name, "paused": pauses, "wasPaused": was_paused});
                    if dry_run {
                        line = json!({
                            "schedule": name, "queue": queue_name, "dryRun": true, "paused": was_paused,
                            "wouldBePaused": pauses
                        });
                    }
                    told.push(line);
                    continue;
                }
                let unchanged = match (was_paused == pauses, pauses) {
                    (false, _) => "",
                    (true, true) => ", which was paused already",
                    (true, false) => ", which was not paused",
                };
                let word = match (dry_run, pauses) {
                    (false, true) => "paused",
                    (false, false) => "resumed",
                    (true, true) => "would pause",
                    (true, false) => "would resume",
                };
                out.line(format_args!("{word} {} in {queue_name}{unchanged}", escape::text(name)))?;
            }
            if out.is_json() {
                out.json(&told)?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }
}
