//! `oxherd queue pause` and `resume`: whether workers take jobs.

use clap::Args;
use serde_json::json;

use super::super::audit::Verb;
use super::super::consent::DryRun;
use super::super::list;
use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit, value};
use super::known;
use crate::config::Config;
use crate::job::QueueName;
use crate::store::Store;

/// The queues and whether to really do it.
#[derive(Args)]
pub struct Pause {
    /// Names of the queues
    #[arg(value_name = "QUEUE", value_parser = value::queue, required = true)]
    queues: Vec<QueueName>,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Pause {
    /// `pauses`, or else resumes. Nothing is done where one of the queues is not there.
    pub fn execute(self, pauses: bool, session: &mut Session) -> Result<Exit, Error> {
        let mut out = Out::new(session.global.json);
        let dry_run = self.dry_run.dry_run;
        session.with_store(|store, config| async move {
            let mut were_paused = Vec::new();
            for name in &self.queues {
                were_paused.push(match list::find(&store, &config, name) {
                    Some(list) => list.is_paused().await?,
                    None => known(&store, name).await?.paused,
                });
            }
            let mut told = Vec::new();
            for (name, was_paused) in self.queues.iter().zip(were_paused) {
                if !dry_run {
                    set(&store, &config, name, pauses).await?;
                    Verb::new(if pauses { "pause" } else { "resume" }, name).done(&store, 1, "").await;
                }
                if out.is_json() {
                    let mut line = json!({"queue": name, "paused": pauses, "wasPaused": was_paused});
                    if dry_run {
                        line = json!({"queue": name, "dryRun": true, "paused": was_paused, "wouldBePaused": pauses});
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
                out.line(format_args!("{word} {name}{unchanged}"))?;
            }
            if out.is_json() {
                out.json(&told)?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }
}

async fn set(store: &Store, config: &Config, name: &QueueName, pauses: bool) -> Result<(), Error> {
    let queue = store.queue(name);
    // also where nothing seems to change: a resume collects what an interrupted one left behind
    match (list::find(store, config, name), pauses) {
        (Some(list), true) => list.pause().await.map(drop)?,
        (Some(list), false) => list.resume().await.map(drop)?,
        (None, true) => queue.pause().await?,
        (None, false) => queue.resume().await?,
    }
    Ok(())
}
