//! `oxherd schedule trigger`: one job of a schedule, now.

use clap::Args;
use serde_json::json;

use super::super::session::Session;
use super::super::{Error, Exit, value};
use super::find::Targets;
use crate::daemon::escape;
use crate::job::QueueName;

/// Add one job of a schedule now, beside those of its times, and print its id
///
/// The series does not move, and nothing waits for the extra job: not even overlap = "skip". A
/// paused schedule can be triggered too.
#[derive(Args)]
pub struct Trigger {
    /// Name of the schedule
    name: String,
    /// The queue it feeds; needed where several queues have a schedule of that name
    #[arg(long, value_parser = value::queue)]
    queue: Option<QueueName>,
}

impl Trigger {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let targets = Targets { names: vec![self.name], queue: self.queue };
        let (queue, name, id) = session.with_store(|store, config| async move {
            let found = targets.find(&store, &config).await?.swap_remove(0);
            found.own()?;
            let (queue, name) = (found.queue, found.stored.id);
            match store.queue(&queue).trigger_schedule(&name, &config.status).await? {
                Some(id) => Ok((queue, name, id)),
                None => Err(Error::No(format!("schedule {name} in {queue} was removed meanwhile"))),
            }
        })??;
        if session.out.is_json() {
            session.out.json(&json!({"id": id, "queue": queue, "schedule": name}))?;
        } else {
            session.out.line(escape::text(id.as_str()))?;
        }
        Ok(Exit::Done)
    }
}
