//! `oxherd job ls`: the jobs of a queue, page by page.

use clap::Args;

use super::super::list;
use super::super::print::{JsonList, Out, Table};
use super::super::queue::known;
use super::super::session::Session;
use super::super::time::age;
use super::super::{Error, Exit, value};
use super::selection::{Filter, Pages};
use crate::job::{JobId, QueueName, State, UnixMillis, millis};
use crate::store::{JobRecord, Selected};

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
        if let Some(queue) = session.plain_list(&self.queue)? {
            let page = list::look::Page { filter: self.filter, limit: self.limit, offset: self.offset };
            return list::look::job_ls(page, &queue, session);
        }
        let mut out = Out::new(session.global.json);
        session.with_store(|store, _| async move {
            known(&store, &self.queue).await?;
            let mut pages = Pages::new(&store, &self.queue, &self.filter, self.offset, self.limit);
            let (mut list, mut table) = (JsonList::default(), Table::new(&HEAD));
            while let Some(jobs) = pages.next().await? {
                if out.is_json() {
                    jobs.iter().try_for_each(|job| list.item(&mut out, job))?;
                } else {
                    print(&mut out, &mut table, jobs.iter().map(Row::from), store.now())?;
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

/// A job as it stands in a list.
pub struct Row<'a> {
    pub id: &'a JobId,
    name: &'a str,
    state: State,
    attempts_made: u32,
    timestamp: Option<UnixMillis>,
    failed_reason: Option<&'a str>,
}

impl<'a> From<&'a JobRecord> for Row<'a> {
    fn from(job: &'a JobRecord) -> Self {
        Self {
            id: &job.id,
            name: job.name(),
            state: job.state,
            attempts_made: job.attempts_made(),
            timestamp: job.timestamp(),
            failed_reason: job.failed_reason(),
        }
    }
}

impl<'a> From<&'a Selected> for Row<'a> {
    fn from(job: &'a Selected) -> Self {
        Self {
            id: &job.id,
            name: &job.name,
            state: job.state,
            attempts_made: job.attempts_made,
            timestamp: job.timestamp,
            failed_reason: job.failed_reason.as_deref(),
        }
    }
}

/// A page of jobs as rows under [`HEAD`].
pub fn print<'a>(
    out: &mut Out,
    table: &mut Table,
    jobs: impl Iterator<Item = Row<'a>>,
    now: UnixMillis,
) -> Result<(), Error> {
    let rows: Vec<_> = jobs.map(|job| job.cells(now)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    Ok(table.page(out, &rows)?)
}

impl Row<'_> {
    fn cells(&self, now: UnixMillis) -> Vec<String> {
        const REASON: usize = 80;
        let reason = self.failed_reason.unwrap_or_default();
        let mut shown: String = reason.chars().take(REASON).collect();
        if shown.len() < reason.len() {
            shown.push('…');
        }
        vec![
            self.id.to_string(),
            self.name.to_owned(),
            self.state.to_string(),
            self.attempts_made.to_string(),
            self.timestamp.map(|at| age(millis(now.since(at)))).unwrap_or_default(),
            shown,
        ]
    }
}
