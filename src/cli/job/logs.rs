//! `oxherd job logs`: what a job has logged.

use clap::Args;
use serde_json::json;

use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit, value};
use super::show::existing;
use crate::daemon::escape;
use crate::job::{JobId, QueueName};

/// Rows read at once.
const PAGE: i64 = 1000;

/// Print the newest rows of a job's log, the oldest of them first
#[derive(Args)]
pub struct Logs {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Id of the job
    #[arg(value_parser = value::id)]
    id: JobId,
    /// At most this many rows
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
}

impl Logs {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        session.is_no_list(&self.queue, "no log is kept of its elements; what handlers log is in the daemon's log")?;
        let mut out = Out::new(session.global.json);
        session.with_store(|store, _| async move {
            existing(&store, &self.queue, &self.id).await?;
            let queue = store.queue(&self.queue);
            let (_, total) = queue.logs(&self.id, 0, 0, true).await?;
            let total = i64::try_from(total).unwrap_or(i64::MAX);
            let mut rows = Vec::new();
            let mut at = (total - i64::from(self.limit)).max(0);
            while at < total {
                let end = (at + PAGE).min(total) - 1;
                let (page, _) = queue.logs(&self.id, at, end, true).await?;
                at = end + 1;
                if out.is_json() {
                    rows.extend(page);
                } else {
                    page.iter().try_for_each(|row| out.line(escape::block(row)))?;
                }
            }
            if out.is_json() {
                out.json(&json!({"queue": self.queue, "id": self.id, "count": total, "logs": rows}))?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }
}
