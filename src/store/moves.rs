//! Moves jobs by hand: runs finished ones again, promotes delayed ones, changes delays and priorities. Protocol: §5.16.5
//! and §5.16.6.
//!
//! Called by the command line and by embedding programs; no worker needs any of it.

use std::time::Duration;

use super::connection::Value;
use super::error::Error;
use super::script::{CHANGE_DELAY, CHANGE_PRIORITY, MOVE_JOBS_TO_WAIT, PROMOTE, RETRY};
use super::{Queue, reply};
use crate::job::options::MAX_PRIORITY;
use crate::job::{JobId, State, UnixMillis, millis};

/// Jobs moved in one call.
const BATCH: i64 = 1000;

/// What a job that is run again forgets of its earlier runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reset {
    /// All its attempts are before it once more.
    pub attempts_made: bool,
    pub attempts_started: bool,
}

impl Queue {
    /// Makes a completed or failed job ready to run again; a parent that has its end on record waits for it once more.
    ///
    /// Rejected where the job is missing or not in `state`. Repeated after an ambiguous error it is rejected when the
    /// first call came through.
    pub async fn retry(&self, id: &JobId, state: State, reset: Reset) -> Result<(), Error> {
        finished(state)?;
        let flag = |set: bool| Value::from(if set { "1" } else { "0" });
        let mut args = vec![
            self.keys.base().into(),
            id.as_str().into(),
            state.as_str().into(),
            flag(reset.attempts_made),
            flag(reset.attempts_started),
            self.store.now().0.into(),
        ];
        args.extend(self.status.clone());
        let answer = self.store.command().script(&RETRY, &self.keys.meta(), args).await?;
        reply::accepted("retry", id, &answer).map(drop)
    }

    /// Makes all completed or failed jobs ready to run again that ended until `before`, or until now; returns how many.
    /// The one that ended first is served first; priorities do not count.
    ///
    /// Moves a thousand in each call, each wholly or not at all. Safe to repeat, and to cancel between calls.
    pub async fn retry_jobs(&self, state: State, before: Option<UnixMillis>) -> Result<u64, Error> {
        finished(state)?;
        let until = before.unwrap_or_else(|| self.store.now());
        self.move_jobs_to_wait(state, until.0.into()).await
    }

    /// Makes a delayed job ready to run now. Rejected where it is missing or not delayed.
    pub async fn promote(&self, id: &JobId) -> Result<(), Error> {
        let mut args = vec![self.keys.base().into(), id.as_str().into(), self.store.now().0.into()];
        args.extend(self.status.clone());
        let answer = self.store.command().script(&PROMOTE, &self.keys.meta(), args).await?;
        reply::accepted("promote", id, &answer).map(drop)
    }

    /// Makes all delayed jobs ready to run now; returns how many. The one due first is served first; priorities do not
    /// count. As [`Queue::retry_jobs`] else.
    pub async fn promote_jobs(&self) -> Result<u64, Error> {
        self.move_jobs_to_wait(State::Delayed, "+inf".into()).await
    }

    async fn move_jobs_to_wait(&self, state: State, highest: Value) -> Result<u64, Error> {
        let mut moved = 0;
        loop {
            let mut args = vec![
                self.keys.base().into(),
                state.as_str().into(),
                highest.clone(),
                BATCH.into(),
                self.store.now().0.into(),
            ];
            args.extend(self.status.clone());
            let answer = self.store.command().script(&MOVE_JOBS_TO_WAIT, &self.keys.meta(), args).await?;
            let parts = reply::array(MOVE_JOBS_TO_WAIT.name, answer)?;
            let number = |at: usize| reply::integer(MOVE_JOBS_TO_WAIT.name, parts.get(at).unwrap_or(&Value::Null));
            moved += u64::try_from(number(0)?).unwrap_or(0);
            if number(1)? == 0 {
                return Ok(moved);
            }
        }
    }

    /// Gives a delayed job another delay, counted from now. Rejected where it is missing or not delayed.
    pub async fn change_delay(&self, id: &JobId, delay: Duration) -> Result<(), Error> {
        let args = vec![self.keys.base().into(), id.as_str().into(), millis(delay).into(), self.store.now().0.into()];
        let answer = self.store.command().script(&CHANGE_DELAY, &self.keys.meta(), args).await?;
        reply::accepted("change the delay of", id, &answer).map(drop)
    }

    /// Gives a job in any state another priority, 0 for none; the lowest number runs first. One that waits for a worker
    /// takes its new place at once, behind the others of that priority, or with `lifo` before them.
    pub async fn change_priority(&self, id: &JobId, priority: u32, lifo: bool) -> Result<(), Error> {
        if priority > MAX_PRIORITY {
            let message = format!("priority {priority} is too high: expected 0 to {MAX_PRIORITY}");
            return Err(Error::Setup(message));
        }
        let lifo = if lifo { "1" } else { "0" };
        let args = vec![self.keys.base().into(), id.as_str().into(), i64::from(priority).into(), lifo.into()];
        let answer = self.store.command().script(&CHANGE_PRIORITY, &self.keys.meta(), args).await?;
        reply::accepted("change the priority of", id, &answer).map(drop)
    }
}

/// Only what has ended can be run again.
fn finished(state: State) -> Result<(), Error> {
    match state {
        State::Completed | State::Failed => Ok(()),
        other => Err(Error::Setup(format!("{other} jobs cannot be retried: expected completed or failed"))),
    }
}

#[cfg(test)]
mod tests;
