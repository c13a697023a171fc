//! `oxherd job ls`: the jobs of a queue, page by page.

use clap::Args;

use super::super::queue::known;
use super::super::session::Session;
use super::super::time::age;
use super::super::{Error, Exit, value};
use crate::handler::glob_matches;
use crate::job::{QueueName, State, UnixMillis};
use crate::store::{self, JobRecord, Queue};

/// List jobs, of each state what is served first, of finished ones the newest first
#[derive(Args)]
pub struct List {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Only this state: waiting, active, delayed, prioritized, completed, failed, waiting-children
    #[arg(long, value_parser = value::state)]
    state: Option<State>,
    /// Only names this covers, as in 'send-*'
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Skip this many
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
}

impl List {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (jobs, now) = session.with_store(|store, _| async move {
            known(&store, &self.queue).await?;
            let jobs = self.read(&store.queue(&self.queue)).await?;
            Ok::<_, Error>((jobs, store.now()))
        })??;
        if session.out.is_json() {
            session.out.json(&jobs)?;
            return Ok(Exit::Done);
        }
        let rows: Vec<_> = jobs.iter().map(|job| row(job, now)).collect();
        session.out.table(&["ID", "NAME", "STATE", "ATTEMPTS", "AGE", "REASON"], &rows)?;
        Ok(Exit::Done)
    }

    /// Page by page, until there are enough: a name is only known once its job is read.
    async fn read(&self, queue: &Queue) -> Result<Vec<JobRecord>, store::Error> {
        let states = self.state.as_ref().map_or(&State::ALL[..], std::slice::from_ref);
        let mut skip = self.offset;
        let mut found: Vec<JobRecord> = Vec::new();
        for state in states {
            let total = usize::try_from(queue.counts().await?.of(*state)).unwrap_or(usize::MAX);
            let mut offset = 0;
            // without a filter whole jobs can be skipped unread
            if self.name.is_none() {
                offset = skip.min(total);
                skip -= offset;
            }
            while offset < total && found.len() < self.limit {
                let page = match self.name {
                    Some(_) => store::MAX_PAGE,
                    None => (self.limit - found.len()).min(store::MAX_PAGE),
                };
                let jobs = queue.jobs(*state, offset, page).await?;
                offset += page;
                let matching = jobs.into_iter().filter(|job| match &self.name {
                    Some(glob) => glob_matches(glob, job.name()),
                    None => true,
                });
                for job in matching {
                    if self.name.is_some() && skip > 0 {
                        skip -= 1;
                    } else if found.len() < self.limit {
                        found.push(job);
                    }
                }
            }
        }
        Ok(found)
    }
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
