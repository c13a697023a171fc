//! What is done to a queue as a whole, and to jobs that are no worker's: pause, empty, remove. For the command line and
//! dashboards. Protocol: §5.16.
//!
//! Everything here goes in calls of a bounded size and may be repeated after any error: what was done stays done.

mod empty;
mod neighbours;
mod remove;

pub use neighbours::Neighbours;

use super::script::{PAUSE, RESUME};
use super::{Error, Queue, reply};
use crate::job::JobId;

/// List entries moved in one call; a script cannot hand a command more than some 8000 values.
const MOVE: i64 = 7000;

impl Queue {
    /// No job is taken from now on; those that run go on. Adding, promoting and finishing go on as ever.
    ///
    /// In the 5.x placement the jobs that wait are in BullMQ's `paused` list when this returns.
    pub async fn pause(&self) -> Result<(), Error> {
        if self.pause_step(false).await? { self.set_aside().await } else { Ok(()) }
    }

    /// Where the queue is paused in the 5.x placement: moves what waits to the `paused` list.
    async fn set_aside(&self) -> Result<(), Error> {
        while self.pause_step(true).await? {}
        Ok(())
    }

    /// One call; whether more is to be moved.
    async fn pause_step(&self, is_paused: bool) -> Result<bool, Error> {
        let flag = if is_paused { "1" } else { "0" };
        let args = vec![self.keys.base().into(), MOVE.into(), flag.into()];
        let answer = self.store.command().script(&PAUSE, &self.keys.meta(), args).await?;
        Ok(reply::integer(PAUSE.name, &answer)? != 0)
    }

    /// Jobs are taken again: all that waited, in whichever list a client of any release left them, the oldest first.
    pub async fn resume(&self) -> Result<(), Error> {
        loop {
            let args = vec![self.keys.base().into(), MOVE.into()];
            let answer = self.store.command().script(&RESUME, &self.keys.meta(), args).await?;
            if reply::integer(RESUME.name, &answer)? == 0 {
                return Ok(());
            }
        }
    }

    /// Shortens the event stream to about this many entries; returns how many went.
    pub async fn trim_events(&self, keep: u64) -> Result<u64, Error> {
        let args = vec![self.keys.events().into(), "MAXLEN".into(), "~".into(), keep.to_string().into()];
        let mut gone = 0;
        loop {
            // one call leaves off after ten thousand or so
            let step = reply::count("XTRIM", &self.store.command().call("XTRIM", args.clone()).await?)?;
            gone += step;
            if step == 0 {
                return Ok(gone);
            }
        }
    }

    /// Opens the window of a deduplication id for the next job, whatever becomes of its job; false when it was open.
    pub async fn remove_deduplication_key(&self, id: &str) -> Result<bool, Error> {
        let gone = self.store.command().call("DEL", vec![self.keys.deduplication(id).into()]).await?;
        Ok(reply::count("DEL", &gone)? > 0)
    }

    /// The job that holds back others with this deduplication id.
    pub async fn deduplication_owner(&self, id: &str) -> Result<Option<JobId>, Error> {
        let owner = self.store.command().call("GET", vec![self.keys.deduplication(id).into()]).await?;
        Ok(owner.as_string().map(|id| JobId::stored(&id)))
    }
}

#[cfg(test)]
mod tests;
