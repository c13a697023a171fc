//! `oxherd job ls`: the jobs of a queue, page by page.

use clap::Args;

use super::super::print::{JsonList, Out, Table};
use super::super::queue::known;
use super::super::session::Session;
use super::super::time::age;
use super::super::{Error, Exit, value};
use super::selection::{Filter, Pages};
use crate::job::{QueueName, UnixMillis};
use crate::store::JobRecord;

/// The columns of a list of jobs.
pub const HEAD: [&str; 6] = ["ID", "NAME", "STATE", "ATTEMPTS", "AGE", "REASON"];

/// List jobs, of each state what is served first, of finished ones the newest first
#[derive(Args)]
pub struct List {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    #[command(flatten)]
    filter: Filter,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Skip this many
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
}

impl List {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let mut out = Out::new(session.global.json);
        session.with_store(|store, _| async move {
            known(&store, &self.queue).await?;
            let mut pages = Pages::new(&store, &self.queue, &self.filter, self.offset, self.limit);
            let (mut list, mut table) = (JsonList::default(), Table::new(&HEAD));
            while let Some(jobs) = pages.next().await? {
                if out.is_json() {
                    jobs.iter().try_for_each(|job| list.item(&mut out, job))?;
                } else {
                    print(&mut out, &mut table, &jobs, store.now())?;
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

/// A page of jobs as rows under [`HEAD`].
pub fn print(out: &mut Out, table: &mut Table, jobs: &[JobRecord], now: UnixMillis) -> Result<(), Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = jobs.iter().map(|job| row(job, now)).collect();
    Ok(table.page(out, &rows)?)
}

fn row(job: &JobRecord, now: UnixMillis) -> Vec<String> {
    const REASON: usize = 80;
    let reason = job.failed_reason().unwrap_or_default();
    let mut shown: String = reason.chars().take(REASON).collect();
    if shown.len() < reason.len() {
        shown.push('…');
    }
    vec![
        job.id.to_string(),
        job.name().to_owned(),
        job.state.to_string(),
        job.attempts_made().to_string(),
        job.timestamp().map(|at| age(crate::job::millis(now.since(at)))).unwrap_or_default(),
        shown,
    ]
}
