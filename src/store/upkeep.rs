//! Work that no single job asks for: rescue stalled jobs, prune finished ones.

use super::Value;

use super::Error;
use super::finish::keep_argument;
use super::reply;
use super::script::{MOVE_STALLED_JOBS_TO_WAIT, PRUNE_FINISHED};
use super::work::BullQueue;
use crate::job::{JobId, Keep, State, millis};

/// Jobs put back in one call. Each is looked for in the active list, from the end it is nearer to: among 20,000 that
/// takes some 50 µs.
pub(super) const PUT_BACK: i64 = 100;

/// What a stalled check found.
#[derive(Debug, Default)]
pub(crate) struct Rescued {
    pub(crate) recovered: Vec<JobId>,
    /// Ids in active without a job behind them.
    pub(crate) dropped: Vec<JobId>,
    /// Something may be there to be taken: a look for work that came without a marker.
    pub(crate) work: bool,
    /// Not all was put back: the check is to go on.
    pub(crate) more: bool,
}

impl Rescued {
    fn read(answer: Value) -> Result<Self, Error> {
        let what = "move_stalled_jobs_to_wait";
        if let Value::String(message) = answer {
            return Err(Error::Script { script: what, message: message.to_string() });
        }
        let mut lists = reply::array(what, answer)?.into_iter();
        let mut next = || lists.next().unwrap_or(Value::Null);
        Ok(Self {
            recovered: reply::ids(what, next())?,
            dropped: reply::ids(what, next())?,
            work: reply::integer(what, &next())? == 1,
            more: reply::integer(what, &next())? == 1,
        })
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

    /// Deletes finished jobs past the queue's keeping, in bounded steps; returns how many went.
    /// Safe to repeat.
    pub(crate) async fn prune_finished(&self) -> Result<u64, Error> {
        let mut gone = 0;
        for (state, keep) in
            [(State::Completed, self.settings.policy.keep_completed), (State::Failed, self.settings.policy.keep_failed)]
        {
            if !matches!(keep, Keep::Some { .. }) {
                continue;
            }
            loop {
                let args = vec![self.base.clone(), self.now(), state.as_str().into(), keep_argument(keep)];
                let reply = self.store.command().script(&PRUNE_FINISHED, &self.slot_key, args).await?;
                let step = reply::integer("prune_finished", &reply)?;
                gone += u64::try_from(step).unwrap_or(0);
                if step == 0 {
                    break;
                }
            }
        }
        Ok(gone)
    }
}
