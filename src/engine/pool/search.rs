//! Finds the jobs of a take whose answer was lost on the way: they are ours, and nobody else knows.

use std::time::{Duration, Instant};

use super::{Pool, Start};
use crate::engine::phase::Phase;
use crate::job::{Job, JobId};
use crate::store::{Error, Token};

/// How often is looked.
const ADOPT: Duration = Duration::from_secs(1);

/// A take that was never answered.
pub(super) struct Unanswered {
    pub(super) token: Token,
    /// Jobs found so far.
    pub(super) known: Vec<JobId>,
    /// When its locks would have run out.
    pub(super) until: Instant,
    /// When to look next; `None` while looking.
    pub(super) next: Option<Instant>,
    /// Redis was asked at least once and has answered.
    pub(super) looked: bool,
}

impl Pool {
    /// Starts what a search has found. The search goes on until the locks of the take would have
    /// run out, for it may still be on its way to Redis.
    pub(super) fn searched(&mut self, token: &Token, result: Result<Vec<Job>, Error>) {
        let now = Instant::now();
        let (found, looked) = match result {
            Ok(found) => (found, true),
            Err(error) => {
                tracing::debug!(%error, "cannot look for the jobs of an unanswered take");
                (Vec::new(), false)
            }
        };
        if let Some(lost) = self.unanswered.iter_mut().find(|lost| lost.token == *token) {
            lost.looked |= looked;
            lost.known.extend(found.iter().map(|job| job.id.clone()));
            lost.next = Some(now + ADOPT);
        }
        // an end must not wait for what may never come
        let stopping = self.phase >= Phase::Draining;
        self.unanswered.retain(|lost| lost.until > now && !(stopping && lost.looked));
        for job in found {
            tracing::info!(queue = %job.queue, job = %job.id, "found a job whose take was never answered");
            self.start(job, token.clone(), Start { may_be_parent: true, ..Start::default() });
        }
    }
}
