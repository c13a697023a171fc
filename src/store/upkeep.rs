//! Work that no single job asks for: rescue stalled jobs, prune finished ones.

use super::Value;

use super::Error;
use super::error::{ServerError, sort};
use super::finish::keep_argument;
use super::reply;
use super::script::{MOVE_STALLED_JOBS_TO_WAIT, PRUNE_FINISHED};
use super::work::BullQueue;
use crate::job::{JobId, Keep, millis};

/// Jobs put back in one call. Each is looked for in the active list, from the end it is nearer to: among 20,000 that
/// takes some 50 µs.
pub(super) const PUT_BACK: i64 = 100;

/// What a stalled check found.
#[derive(Debug, Default)]
pub(crate) struct Rescued {
    pub(crate) recovered: Vec<JobId>,
    /// Ids in active without a job behind them.
    pub(crate) dropped: Vec<JobId>,
    /// A look for work that came without a marker.
    pub(crate) work: Work,
    /// Not all was put back: the check is to go on.
    pub(crate) more: bool,
    /// No job waits, is delayed or active.
    pub(crate) empty: bool,
}

/// What waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd)]
pub(crate) enum Work {
    #[default]
    None,
    /// Something that must not be taken now: the queue is paused, or one of its limits is reached.
    Held,
    /// Something that may be taken.
    Free,
}

impl Work {
    /// From the number a script answers.
    pub(super) fn read(number: i64) -> Self {
        match number {
            ..=0 => Self::None,
            1 => Self::Held,
            _ => Self::Free,
        }
    }
}

impl Rescued {
    fn read(answer: Value) -> Result<Self, Error> {
        let what = "move_stalled_jobs_to_wait";
        if let Value::String(message) = answer {
            // older servers put the place in the script before the word
            let (kind, text) = sort(message.rsplit_once(": -").map_or(&message, |(_, text)| text));
            return Err(match kind {
                ServerError::Passing | ServerError::ReadOnly => Error::Refused { command: what, message: text.into() },
                _ => Error::Script { script: what, message: message.to_string() },
            });
        }
        let mut lists = reply::array(what, answer)?.into_iter();
        let mut next = || lists.next().unwrap_or(Value::Null);
        let (recovered, dropped) = (reply::ids(what, next())?, reply::ids(what, next())?);
        let work = Work::read(reply::integer(what, &next())?);
        let (more, empty) = (reply::integer(what, &next())? == 1, reply::integer(what, &next())? == 1);
        Ok(Self { recovered, dropped, work, more, empty })
    }
}

impl BullQueue {
    /// Puts jobs of these queues back whose worker has gone, in one call; an answer per queue, in
    /// order. Safe to repeat, and to be repeated for queues that have more to be put back; only looks for
    /// work where another worker's check is younger than the interval.
    pub(crate) async fn move_stalled_jobs_to_wait(queues: &[&Self]) -> Result<Vec<Result<Rescued, Error>>, Error> {
        let Some(first) = queues.first() else { return Ok(Vec::new()) };
        let mut args = Vec::with_capacity(2 + 5 * queues.len());
        args.extend([first.now(), PUT_BACK.into()]);
        for queue in queues {
            args.extend([
                queue.base.clone(),
                millis(queue.settings.stalled_interval).into(),
                i64::from(queue.settings.max_stalled).into(),
                queue.status[0].clone(),
                queue.status[1].clone(),
            ]);
        }
        let reply = first.store.command().script(&MOVE_STALLED_JOBS_TO_WAIT, &first.slot_key, args).await?;
        Ok(reply::array("move_stalled_jobs_to_wait", reply)?.into_iter().map(Rescued::read).collect())
    }

    /// Whether a job waits, is delayed or active in any of these queues, which a stalled check found empty. One command,
    /// however many there are: a check of each would cost Redis more than all else at rest.
    pub(crate) async fn any_jobs(queues: &[&Self]) -> Result<bool, Error> {
        let Some(first) = queues.first() else { return Ok(false) };
        let keys = queues.iter().flat_map(|queue| queue.keys.unfinished()).map(Value::from).collect();
        let answer = first.store.command().call("EXISTS", keys).await?;
        Ok(reply::integer("EXISTS", &answer)? > 0)
    }

    /// Deletes finished jobs past the queue's keeping, in bounded steps; returns how many went.
    /// Safe to repeat.
    pub(crate) async fn prune_finished(&self) -> Result<u64, Error> {
        let mut gone = 0;
        let keeps = [self.settings.policy.keep_completed, self.settings.policy.keep_failed];
        if !keeps.iter().any(|keep| matches!(keep, Keep::Some { .. })) {
            return Ok(gone);
        }
        // what is kept for ever, or never, is nothing to look for
        let [completed, failed] =
            keeps.map(|keep| if matches!(keep, Keep::Some { .. }) { keep_argument(keep) } else { "".into() });
        loop {
            let args = vec![self.base.clone(), self.now(), completed.clone(), failed.clone()];
            let reply = self.store.command().script(&PRUNE_FINISHED, &self.slot_key, args).await?;
            match reply::count("prune_finished", &reply)? {
                0 => return Ok(gone),
                step => gone += step,
            }
        }
    }
}
