//! Which jobs a verb is about: ids as they are typed, or whatever a filter lets through.

use std::time::Duration;

use clap::Args;

use super::super::{Error, value};
use crate::handler::glob_matches;
use crate::job::{JobId, QueueName, State, UnixMillis};
use crate::store::{self, JobRecord, MAX_PAGE, Queue, Store};

/// What a job must be like. All conditions hold together; without any, every job is meant.
#[derive(Args, Clone, Default)]
pub struct Filter {
    /// Only this state: waiting, active, delayed, prioritized, completed, failed, waiting-children
    #[arg(long, value_parser = value::state)]
    pub state: Option<State>,
    /// Only names this covers, as in 'send-*'
    #[arg(long, value_name = "GLOB")]
    pub name: Option<String>,
    /// Only jobs that ended, or else started, or else were added at least this long ago, as in 24h
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub older: Option<Duration>,
    /// Only jobs whose failure reason contains this
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Ids, or a filter; one of the two.
#[derive(Args)]
pub struct Targets {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    pub queue: QueueName,
    /// Ids of the jobs; or describe them with the options below
    #[arg(value_name = "ID", value_parser = value::id, conflicts_with = "Filter")]
    pub ids: Vec<JobId>,
    #[command(flatten)]
    pub filter: Filter,
    /// At most this many jobs
    #[arg(long, value_name = "N", conflicts_with = "ids")]
    pub limit: Option<usize>,
}

impl Filter {
    /// The states to look through, in the order jobs are listed.
    fn states(&self) -> &[State] {
        self.state.as_ref().map_or(&State::ALL[..], std::slice::from_ref)
    }

    /// Nothing is asked but the state, so that a page of the store is a page of the answer.
    fn is_plain(&self) -> bool {
        self.name.is_none() && self.older.is_none() && self.reason.is_none()
    }

    fn covers(&self, job: &JobRecord, now: UnixMillis) -> bool {
        let has_name = self.name.as_ref().is_none_or(|glob| glob_matches(glob, job.name()));
        let is_old = self.older.is_none_or(|age| since(job).is_some_and(|at| now.since(at) >= age));
        let has_reason =
            self.reason.as_ref().is_none_or(|text| job.failed_reason().is_some_and(|reason| reason.contains(text)));
        has_name && is_old && has_reason
    }
}

/// The moment a job's age is counted from. Protocol: §5.16.3, as `clean` has it.
fn since(job: &JobRecord) -> Option<UnixMillis> {
    job.finished_on().or(job.processed_on()).or(job.timestamp())
}

/// The jobs a filter lets through, page by page. What leaves a state or comes into it meanwhile may be missed or met
/// twice; who wants to change jobs collects their ids first.
pub struct Pages<'a> {
    store: &'a Store,
    queue: Queue,
    filter: &'a Filter,
    /// States not begun yet, the next one last.
    states: Vec<State>,
    /// The state being read, the next place in it, and its end as it was in the beginning.
    reading: Option<(State, usize, usize)>,
    /// Matching jobs still to be passed over.
    skip: usize,
    /// Matching jobs still wanted.
    left: usize,
}

impl<'a> Pages<'a> {
    pub fn new(store: &'a Store, queue: &QueueName, filter: &'a Filter, skip: usize, limit: usize) -> Self {
        let states = filter.states().iter().rev().copied().collect();
        Self { store, queue: store.queue(queue), filter, states, reading: None, skip, left: limit }
    }

    /// The next jobs, maybe none on this page; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<JobRecord>>, store::Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some((state, offset, end)) = self.place().await? else { return Ok(None) };
        let page = if self.filter.is_plain() { self.left.min(MAX_PAGE) } else { MAX_PAGE };
        let mut jobs = self.queue.jobs(state, offset, page).await?;
        self.reading = Some((state, offset + page, end));
        let now = self.store.now();
        jobs.retain(|job| self.filter.covers(job, now));
        let skipped = self.skip.min(jobs.len());
        self.skip -= skipped;
        jobs.drain(..skipped);
        jobs.truncate(self.left);
        self.left -= jobs.len();
        Ok(Some(jobs))
    }

    /// Where to read on.
    async fn place(&mut self) -> Result<Option<(State, usize, usize)>, store::Error> {
        loop {
            if let Some(place) = self.reading
                && place.1 < place.2
            {
                return Ok(Some(place));
            }
            let Some(state) = self.states.pop() else { return Ok(None) };
            let end = usize::try_from(self.queue.counts().await?.of(state)).unwrap_or(usize::MAX);
            // without a condition on them jobs can be passed over unread
            let unread = if self.filter.is_plain() { self.skip.min(end) } else { 0 };
            self.skip -= unread;
            self.reading = Some((state, unread, end));
        }
    }
}

impl Targets {
    /// Nothing said is not everything meant.
    pub fn require(&self) -> Result<(), Error> {
        if self.ids.is_empty() && self.filter.state.is_none() && self.filter.is_plain() {
            let what = "which jobs? give their ids, or describe them with --state, --name, --older or --reason";
            return Err(Error::Usage(what.into()));
        }
        Ok(())
    }

    /// The jobs to be listed or changed by their filter, where there is one.
    pub fn pages<'a>(&'a self, store: &'a Store) -> Option<Pages<'a>> {
        self.ids.is_empty().then(|| Pages::new(store, &self.queue, &self.filter, 0, self.limit.unwrap_or(usize::MAX)))
    }

    /// The ids of all of them, in the order they are to be changed: of finished jobs the oldest first.
    pub async fn collect(&self, store: &Store) -> Result<Vec<JobId>, store::Error> {
        let Some(mut pages) = self.pages(store) else { return Ok(self.ids.clone()) };
        let mut ids = Vec::new();
        while let Some(jobs) = pages.next().await? {
            ids.extend(jobs.into_iter().map(|job| job.id));
        }
        if matches!(self.filter.state, Some(State::Completed | State::Failed)) {
            ids.reverse();
        }
        Ok(ids)
    }
}
