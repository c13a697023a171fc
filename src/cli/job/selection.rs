//! Which jobs a verb is about: ids as they are typed, or whatever a filter lets through.

use std::time::Duration;

use clap::Args;

use super::super::{Error, value};
use crate::config::units::show_duration;
use crate::job::{JobId, QueueName, State, UnixMillis, millis};
use crate::store::{self, Cursor, JobRecord, MAX_PAGE, Queue, Selected, Selection, Store};

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

/// Ids, or a filter.
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
    /// At most this many jobs, of finished ones the oldest
    #[arg(long, value_name = "N", conflicts_with = "ids")]
    pub limit: Option<usize>,
    /// The states that are meant where none is named; all of them when empty.
    #[arg(skip)]
    pub states: &'static [State],
}

impl Filter {
    /// As the store understands it, at this moment.
    pub fn selection(&self, now: UnixMillis) -> Selection {
        Selection {
            states: self.state.map_or_else(|| State::ALL.to_vec(), |state| vec![state]),
            name: self.name.clone(),
            // at least that old
            before: self.older.map(|age| UnixMillis(now.0.saturating_sub(millis(age)).saturating_add(1))),
            reason: self.reason.clone(),
        }
    }

    /// Nothing is asked but the state.
    pub fn is_plain(&self) -> bool {
        self.name.is_none() && self.older.is_none() && self.reason.is_none()
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

    /// As it was said, for who reads of it later.
    pub fn in_words(&self) -> String {
        if !self.ids.is_empty() {
            let first: Vec<&str> = self.ids.iter().take(10).map(JobId::as_str).collect();
            let more = if self.ids.len() > first.len() { " …" } else { "" };
            return format!("{}{more}", first.join(" "));
        }
        let Filter { state, name, older, reason } = &self.filter;
        let said = [
            state.map(|state| format!("--state {state}")),
            name.as_ref().map(|name| format!("--name {name:?}")),
            older.map(|older| format!("--older {}", show_duration(older))),
            reason.as_ref().map(|reason| format!("--reason {reason:?}")),
            self.limit.map(|limit| format!("--limit {limit}")),
        ];
        said.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// What the filter lets through; none where ids are given.
    pub fn chosen(&self, store: &Store) -> Option<Chosen> {
        let mut chosen = self.ids.is_empty().then(|| Chosen::new(store, &self.queue, &self.filter, self.limit))?;
        if self.filter.state.is_none() && !self.states.is_empty() {
            chosen.selection.states = self.states.to_vec();
        }
        Some(chosen)
    }

    /// The ids of all of them. The whole list comes before the first of them is changed: a job that has got another
    /// delay, say, would be met once more.
    pub async fn collect(&self, store: &Store) -> Result<Vec<JobId>, store::Error> {
        let Some(mut chosen) = self.chosen(store) else { return Ok(self.ids.clone()) };
        let mut ids = Vec::new();
        while let Some(jobs) = chosen.next().await? {
            ids.extend(jobs.into_iter().map(|job| job.id));
        }
        Ok(ids)
    }
}

/// The jobs a filter lets through, as far as is needed to choose them: those served first in front, of finished ones the
/// oldest.
pub struct Chosen {
    queue: Queue,
    selection: Selection,
    /// Where to go on; `None` before the beginning.
    after: Option<Cursor>,
    left: usize,
}

impl Chosen {
    /// All of them, or at most `limit`.
    pub fn new(store: &Store, queue: &QueueName, filter: &Filter, limit: Option<usize>) -> Self {
        let left = limit.unwrap_or(usize::MAX);
        Self { queue: store.queue(queue), selection: filter.selection(store.now()), after: None, left }
    }

    /// The next ones; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Selected>>, store::Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let (jobs, next) = self.queue.select(&self.selection, self.after.take(), self.left.min(MAX_PAGE)).await?;
        self.left = if next.is_some() { self.left - jobs.len() } else { 0 };
        self.after = next;
        Ok(Some(jobs))
    }
}

/// Whole jobs in the order people look at them: those served first in front, of finished ones the newest. What leaves
/// a state or comes into it meanwhile may be missed or met twice.
pub struct Pages<'a> {
    queue: Queue,
    filter: &'a Filter,
    selection: Selection,
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
    pub fn new(store: &Store, queue: &QueueName, filter: &'a Filter, skip: usize, limit: usize) -> Self {
        let selection = filter.selection(store.now());
        let states = selection.states.iter().rev().copied().collect();
        Self { queue: store.queue(queue), filter, selection, states, reading: None, skip, left: limit }
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
        jobs.retain(|job| self.selection.covers(&job.fields));
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
