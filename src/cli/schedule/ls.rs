//! `oxherd schedule ls`: every schedule there is, queue by queue.

use clap::Args;

use super::super::print::{JsonList, Out, Table};
use super::super::session::Session;
use super::super::{Error, Exit, value};
use super::find::queues;
use super::shown::{HEAD, Shown};
use crate::config;
use crate::job::QueueName;
use crate::store::MAX_PAGE;

/// List schedules, of each queue the one that comes next first
///
/// Also those that BullMQ clients made, and repeatable jobs of BullMQ 5: they are foreign, and no
/// verb but remove --force touches them. A last job whose outcome is "removed" has been deleted
/// since, as finished jobs are after a while.
#[derive(Args)]
pub struct List {
    /// Only those of this queue
    #[arg(long, value_parser = value::queue)]
    queue: Option<QueueName>,
}

impl List {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let zone = config.daemon.timezone.clone().unwrap_or_else(config::local_zone);
            let (mut list, mut table) = (JsonList::default(), Table::new(&HEAD));
            for name in queues(&store, self.queue.as_ref()).await? {
                let queue = store.queue(&name);
                for ids in queue.scheduler_ids_by_time().await?.chunks(MAX_PAGE) {
                    let found = queue.schedulers_of(ids).await?;
                    let runs = queue.last_runs(&found).await?;
                    let now = store.now();
                    let shown = found.iter().zip(&runs).map(|(stored, last)| Shown {
                        queue: &name,
                        stored,
                        last: last.as_ref(),
                        now,
                        zone: &zone,
                    });
                    if out.is_json() {
                        shown.map(|shown| shown.json()).try_for_each(|shown| list.item(&mut out, &shown))?;
                    } else {
                        table.page(&mut out, &shown.map(|shown| shown.cells()).collect::<Vec<_>>())?;
                    }
                }
            }
            if out.is_json() {
                list.end(&mut out)?;
            } else {
                // an empty list has a head
                table.page(&mut out, &[])?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }
}
