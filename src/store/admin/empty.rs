//! Deletes many jobs of a queue: those that wait, those that are old, or all. Protocol: §5.16.2 to §5.16.4.

use std::time::Duration;

use super::super::script::{CLEAN, DRAIN, OBLITERATE};
use super::super::{Error, Queue, Value, reply};
use crate::job::{JobId, State, millis};

/// Jobs deleted in one call, which takes about five milliseconds.
const BATCH: usize = 500;
/// Jobs looked at in one call.
const LOOK: i64 = 1000;

impl Queue {
    /// Deletes the jobs that wait and the prioritized ones, with `delayed` also those; returns how many. The current
    /// iterations of schedulers stay.
    ///
    /// A parent in the same queue that waited for nothing else is deleted too, one in another queue goes on.
    pub async fn drain(&self, delayed: bool) -> Result<u64, Error> {
        let mut gone = 0;
        loop {
            let args = vec![
                self.keys.base().into(),
                self.store.now().0.into(),
                batch(BATCH),
                if delayed { "1" } else { "0" }.into(),
            ];
            let answer = self.store.command().script(&DRAIN, &self.keys.meta(), args).await?;
            let (step, more) = pair(DRAIN.name, answer)?;
            gone += u64::try_from(step).unwrap_or(0);
            if more == 0 {
                return Ok(gone);
            }
        }
    }

    /// Deletes jobs of one state that are older than `grace`, the oldest first and at most `limit`, 0 for all; returns
    /// their ids. Finished jobs are as old as their end, others as their last start or else their creation.
    ///
    /// Neither a running job nor the current iteration of a scheduler is deleted; parents fare as in [`Queue::drain`].
    /// States are those of BullMQ's `clean`: all but waiting-children.
    pub async fn clean(&self, grace: Duration, limit: usize, state: State) -> Result<Vec<JobId>, Error> {
        let collections: &[&str] = match state {
            State::Waiting => &["wait", "paused"],
            State::Active | State::Delayed | State::Prioritized | State::Completed | State::Failed => &[state.as_str()],
            State::WaitingChildren | State::Unknown => {
                let text = format!("cannot clean {state} jobs; remove them one by one, with their children");
                return Err(Error::Setup(text));
            }
        };
        let limit = if limit == 0 { usize::MAX } else { limit };
        let now = self.store.now();
        let oldest = now.0 - millis(grace);
        let mut gone = Vec::new();
        for collection in collections {
            let mut cursor = String::new();
            while gone.len() < limit {
                let args = vec![
                    self.keys.base().into(),
                    now.0.into(),
                    oldest.into(),
                    (*collection).into(),
                    batch((limit - gone.len()).min(BATCH)),
                    LOOK.into(),
                    cursor.into(),
                ];
                let answer = self.store.command().script(&CLEAN, &self.keys.meta(), args).await?;
                let mut parts = reply::texts(CLEAN.name, answer)?.into_iter();
                let more = parts.next().is_some_and(|more| more == "1");
                cursor = parts.next().unwrap_or_default();
                gone.extend(parts.map(|id| JobId::stored(&id)));
                if !more {
                    break;
                }
            }
        }
        Ok(gone)
    }

    /// Pauses the queue and deletes all of it: jobs in every state, schedulers, settings, events. Returns how many jobs
    /// there were. Parents in other queues that waited for its jobs go on.
    ///
    /// While jobs are active it is refused with [`Error::JobsActive`], unless by `force`; the queue stays paused then,
    /// as with BullMQ. Reads the whole key space in small steps.
    pub async fn obliterate(&self, force: bool) -> Result<u64, Error> {
        self.pause().await?;
        let jobs = self.obliterate_jobs(force, false).await?;
        // keys of deduplication live on without their job, and only their names tell them
        for pattern in self.keys.deduplication_patterns() {
            self.store.unlink(&pattern).await?;
        }
        Ok(jobs + self.obliterate_jobs(force, true).await?)
    }

    async fn obliterate_jobs(&self, force: bool, queue_too: bool) -> Result<u64, Error> {
        let flag = |set| Value::from(if set { "1" } else { "0" });
        let mut gone = 0;
        loop {
            let now = self.store.now().0.into();
            let args = vec![self.keys.base().into(), now, batch(BATCH), flag(force), flag(queue_too)];
            let answer = self.store.command().script(&OBLITERATE, &self.keys.meta(), args).await?;
            let (code, number) = pair(OBLITERATE.name, answer)?;
            let number = u64::try_from(number).unwrap_or(0);
            match code {
                0 => return Ok(gone + number),
                // somebody has resumed it meanwhile
                -1 => self.pause().await?,
                -2 => return Err(Error::JobsActive { queue: self.name.clone(), active: number }),
                _ => gone += number,
            }
        }
    }
}

fn batch(size: usize) -> Value {
    i64::try_from(size).unwrap_or(i64::MAX).into()
}

fn pair(what: &'static str, answer: Value) -> Result<(i64, i64), Error> {
    let parts = reply::array(what, answer)?;
    match parts.as_slice() {
        [first, second] => Ok((reply::integer(what, first)?, reply::integer(what, second)?)),
        _ => Err(Error::Reply { what, expected: "two numbers", got: format!("{} parts", parts.len()) }),
    }
}
