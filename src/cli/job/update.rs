//! `oxherd job update`: other data, another priority, another delay for jobs that are there.

use std::time::Duration;

use clap::Args;
use serde_json::value::RawValue;

use super::super::consent::{Consent, DryRun};
use super::super::input;
use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit, value};
use super::each::{Deed, No};
use super::selection::Targets;
use crate::job::options::MAX_PRIORITY;
use crate::job::{JobId, State};
use crate::store::Queue;

const UPDATE: Deed = Deed { verb: "update", done: "updated", at: "in", from: &State::ALL };
const DELAY: Deed = Deed { from: &[State::Delayed], ..UPDATE };

/// Change data, priority or delay of jobs that are there
///
/// What waits for a worker takes its new place at once. Only delayed jobs have a delay to change, so with --delay a
/// filter without --state means those.
#[derive(Args)]
#[group(id = "changes", multiple = true, required = true, args = ["data", "priority", "delay"])]
pub struct Update {
    #[command(flatten)]
    targets: Targets,
    /// Other data: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", conflicts_with = "Filter", allow_hyphen_values = true)]
    data: Option<String>,
    /// From 1, the most urgent, to 2097151; 0 for none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_PRIORITY)))]
    priority: Option<u32>,
    /// Before the other jobs of that priority
    #[arg(long, requires = "priority")]
    lifo: bool,
    /// Start them no earlier than in this time from now, as in 10m
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    delay: Option<Duration>,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Update {
    pub fn execute(mut self, session: &mut Session) -> Result<Exit, Error> {
        self.targets.require()?;
        let why = "its elements are what their producers pushed; remove the element and add another";
        session.is_no_list(&self.targets.queue, why)?;
        let data = self.data.as_deref().map(input::json).transpose()?;
        if self.delay.is_some() {
            let state = *self.targets.filter.state.get_or_insert(State::Delayed);
            if state != State::Delayed {
                return Err(Error::Usage(format!("{state} jobs have no delay: expected --state delayed with --delay")));
            }
        }
        let deed = if self.delay.is_some() { DELAY } else { UPDATE };
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let queue = store.queue(&self.targets.queue).announcing(&config.status);
            let act = |id| update(&queue, id, &self, data.as_deref());
            deed.carry_out(&store, &self.targets, Consent::not_needed(self.dry_run), &mut out, act).await
        })?
    }
}

/// One after the other; what can be refused comes first, so that a refusal changes nothing.
async fn update(queue: &Queue, id: JobId, to: &Update, data: Option<&RawValue>) -> Result<(), No> {
    if let Some(delay) = to.delay {
        queue.change_delay(&id, delay).await?;
    }
    if let Some(priority) = to.priority {
        queue.change_priority(&id, priority, to.lifo).await?;
    }
    if let Some(data) = data {
        queue.update_data(&id, data).await?;
    }
    Ok(())
}
