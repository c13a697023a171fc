//! `oxherd queue limit`: what the queue allows all its workers together.

use clap::Args;
use serde_json::json;

use super::super::audit::Verb;
use super::super::consent::DryRun;
use super::super::print::Out;
use super::super::session::Session;
use super::super::time::age;
use super::super::value::{self, Bound};
use super::super::{Error, Exit};
use super::known;
use crate::config::RateLimit;
use crate::job::{QueueName, millis};

/// Set how much all workers of a queue may do together
///
/// Stored in the queue, and obeyed by BullMQ workers too. What global_concurrency and rate_limit say in the file is
/// set again whenever a daemon starts with it.
#[derive(Args)]
#[group(id = "bounds", multiple = true, required = true, args = ["global_concurrency", "rate_limit"])]
pub struct Limits {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Jobs active at once
    #[arg(long, value_name = "N|none", value_parser = value::concurrency)]
    global_concurrency: Option<Bound<u32>>,
    /// Jobs started in any window, as in 100/60s
    #[arg(long, value_name = "MAX/TIME|none", value_parser = value::rate)]
    rate_limit: Option<Bound<RateLimit>>,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Limits {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let why = "set global_concurrency and rate_limit in its section of the configuration, and reload";
        session.is_no_list(&self.queue, why)?;
        let mut out = Out::new(session.global.json);
        let dry_run = self.dry_run.dry_run;
        session.with_store(|store, _| async move {
            known(&store, &self.queue).await?;
            let queue = store.queue(&self.queue);
            let mut said = json!({"queue": self.queue});
            if dry_run {
                said["dryRun"] = true.into();
            }
            let mut lines = Vec::new();
            if let Some(Bound(bound)) = self.global_concurrency {
                if !dry_run {
                    queue.set_global_concurrency(bound).await?;
                }
                said["concurrency"] = bound.into();
                lines.push(format!("global concurrency {}", bound.map_or("none".into(), |n| n.to_string())));
            }
            if let Some(Bound(bound)) = self.rate_limit {
                if !dry_run {
                    queue.set_global_rate_limit(bound).await?;
                }
                said["rateLimit"] = match bound {
                    Some(RateLimit { max, per }) => json!({"max": max, "duration": millis(per)}),
                    None => serde_json::Value::Null,
                };
                let text = |limit: RateLimit| format!("{} per {}", limit.max, age(millis(limit.per)));
                lines.push(format!("rate limit {}", bound.map_or("none".into(), text)));
            }
            if !dry_run {
                Verb::new("limit", &self.queue).done(&store, 1, lines.join(", ")).await;
            }
            if out.is_json() {
                out.json(&said)?;
            } else {
                let would = if dry_run { "would be " } else { "" };
                out.line(format_args!("{}: {would}{}", self.queue, lines.join(", ")))?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }
}
