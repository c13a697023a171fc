//! One queue as the engine works it, whichever way Redis holds it: as BullMQ does, or as a plain list.
//!
//! The engine knows this type alone. What a layout cannot do is answered here, so that nobody above has to ask which it is.

use std::sync::Arc;
use std::time::Duration;

use super::admin::Neighbours;
use super::claim::{Renewal, Take, Taken};
use super::finish::Finish;
use super::gates::{Posted, StoredGate};
use super::list::{Bell, ListQueue};
use super::reply::{Code, Recorded};
use super::report::JobReport;
use super::schedule::NextIteration;
use super::upkeep::Rescued;
use super::work::{BullQueue, Held, Token};
use super::{Error, Store};
use crate::config;
use crate::job::{Job, JobId, QueueName};

/// A worker's hold on one queue. Cheap to clone.
#[derive(Clone)]
pub(crate) enum WorkQueue {
    Bull(Arc<BullQueue>),
    List(Arc<ListQueue>),
}

use WorkQueue::{Bull, List};

impl WorkQueue {
    /// `worker` is stored with each job taken; `always` publishes status messages also when
    /// nobody listens on this server, as somebody may on a replica.
    pub(crate) fn new(
        store: &Store,
        settings: &config::Queue,
        status: &config::Status,
        worker: Option<&str>,
        always: bool,
    ) -> Self {
        match &settings.list {
            Some(list) => List(ListQueue::new(store, settings, list, status, always).into()),
            None => Bull(BullQueue::new(store, settings, status, worker, always).into()),
        }
    }

    /// The same queue, whose takes tell which jobs have or had children when `told`.
    pub(crate) fn telling_parents(self, told: bool) -> Self {
        match self {
            Bull(queue) => Bull(BullQueue::clone(&queue).telling_parents(told).into()),
            list @ List(_) => list,
        }
    }

    /// Whether jobs are told apart that have children; elements of a list have none.
    pub(crate) fn tells_parents(&self) -> bool {
        match self {
            Bull(queue) => queue.tells_parents(),
            List(_) => true,
        }
    }

    pub(crate) fn name(&self) -> &QueueName {
        match self {
            Bull(queue) => queue.name(),
            List(queue) => queue.name(),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        match self {
            Bull(queue) => queue.store(),
            List(queue) => queue.store(),
        }
    }

    /// The key producers ring, where there is one.
    pub(crate) fn marker(&self) -> Option<String> {
        match self {
            Bull(queue) => Some(queue.marker()),
            List(_) => None,
        }
    }

    /// What tells of work where producers ring nothing.
    pub(crate) fn bell(&self) -> Option<Bell> {
        match self {
            Bull(_) => None,
            List(queue) => Some(queue.bell()),
        }
    }

    /// Length of a lock's life.
    pub(crate) fn lock_life(&self) -> Duration {
        match self {
            Bull(queue) => queue.lock_life(),
            List(queue) => queue.lease(),
        }
    }

    /// Takes up to `take.want` jobs.
    ///
    /// Not to be repeated after an ambiguous error: the jobs may be ours already, see
    /// [`WorkQueue::adopt_jobs`]. Not cancel safe for the same reason.
    pub(crate) async fn move_to_active(&self, take: &Take) -> Result<Taken, Error> {
        match self {
            Bull(queue) => queue.move_to_active(take).await,
            List(queue) => queue.take(take).await,
        }
    }

    /// Records outcomes and, in the same step, takes jobs for free slots. The first list answers each outcome in order.
    ///
    /// Repeating it after an ambiguous error is safe for the outcomes: one recorded before answers that its job is
    /// elsewhere. The take needs a token of its own each time.
    pub(crate) async fn finish_jobs(
        &self,
        outcomes: impl ExactSizeIterator<Item = &Finish>,
        take: Option<&Take>,
    ) -> Result<(Vec<Recorded>, Taken), Error> {
        match self {
            Bull(queue) => queue.finish_jobs(outcomes, take).await,
            List(queue) => queue.finish(outcomes, take).await,
        }
    }

    /// Renews locks; says which jobs are not ours any more, and which are to be cancelled. Safe to repeat.
    pub(crate) async fn extend_locks(&self, held: &[Held]) -> Result<Renewal, Error> {
        match self {
            Bull(queue) => queue.extend_locks(held).await,
            List(queue) => queue.renew(held).await,
        }
    }

    /// Locks one job again whose lock ran out, if it is still ours. Safe to repeat.
    pub(crate) async fn relock(&self, held: &Held) -> Result<bool, Error> {
        match self {
            Bull(queue) => queue.relock(held).await,
            List(queue) => Ok(queue.renew(std::slice::from_ref(held)).await?.ended.is_empty()),
        }
    }

    /// The jobs an unanswered take has brought, `known` ones left out. Safe to repeat.
    pub(crate) async fn adopt_jobs(&self, token: &Token, known: &[JobId]) -> Result<Vec<Job>, Error> {
        match self {
            Bull(queue) => queue.adopt_jobs(token, known).await,
            List(queue) => queue.adopt(token, known).await,
        }
    }

    /// Puts back what earlier incarnations of this worker held. Safe to repeat.
    pub(crate) async fn release_locks(&self, incarnations: &[String]) -> Result<Vec<JobId>, Error> {
        match self {
            Bull(queue) => queue.release_locks(incarnations).await,
            List(queue) => queue.release(incarnations).await,
        }
    }

    /// Rings again, for a ring that was heard and not answered.
    pub(crate) async fn ring(&self) -> Result<(), Error> {
        match self {
            Bull(queue) => queue.ring().await,
            List(queue) => queue.ring().await,
        }
    }

    /// Fails with [`Error::WrongType`] when a key of the queue is not what it should be.
    pub(crate) async fn check_queue(&self) -> Result<(), Error> {
        match self {
            Bull(queue) => queue.check_queue().await,
            List(queue) => queue.check().await,
        }
    }

    /// Stores the fleet's limits in the queue. What the file does not name stays as it is, but for what the settings
    /// `before` these named.
    pub(crate) async fn apply_limits(&self, before: Option<&config::Queue>) -> Result<(), Error> {
        match self {
            Bull(queue) => queue.apply_limits(before).await,
            List(queue) => queue.apply_limits(before).await,
        }
    }

    /// Stores what others are to see of how the queue is worked. Safe to repeat.
    pub(crate) async fn open_queue(&self) -> Result<(), Error> {
        match self {
            Bull(queue) => queue.open_queue().await,
            List(_) => Ok(()),
        }
    }

    /// Who else is there; `None` where that cannot be seen.
    pub(crate) async fn neighbours(&self) -> Result<Option<Neighbours>, Error> {
        match self {
            Bull(queue) => queue.store().queue(queue.name()).neighbours().await.map(Some),
            List(_) => Ok(None),
        }
    }

    /// Whether nothing is left to be done, but for what a job scheduler has ready for a later time: another one would
    /// follow it.
    pub(crate) async fn is_drained(&self) -> Result<bool, Error> {
        match self {
            Bull(queue) => {
                let queue = queue.store().queue(queue.name());
                let counts = queue.counts().await?;
                Ok(counts.unfinished() == counts.delayed
                    && (counts.delayed == 0 || queue.iterations_ahead().await? == counts.delayed))
            }
            List(queue) => Ok(queue.counts().await?.unfinished() == 0),
        }
    }

    /// Shows these gates in place of what was shown before; it counts for `life`. The instance is filled in.
    ///
    /// Repeating it after an error is safe.
    pub(crate) async fn post_gates(
        &self,
        posted: &mut Posted,
        gates: Vec<StoredGate>,
        life: Duration,
    ) -> Result<(), Error> {
        match self {
            Bull(queue) => queue.post_gates(posted, gates, life).await,
            List(queue) => queue.post_gates(posted, gates, life).await,
        }
    }

    /// Writes reports and answers each. Safe to repeat when the rows that may be there already are counted.
    pub(crate) async fn report_jobs(&self, reports: &[JobReport<'_>]) -> Result<Vec<Result<(), Code>>, Error> {
        match self {
            Bull(queue) => queue.report_jobs(reports).await,
            List(queue) => queue.report(reports).await,
        }
    }

    /// Publishes that these jobs run, those that are still held; answers how many. Safe to repeat.
    pub(crate) async fn tell_running(&self, jobs: &[(Arc<Job>, Token)]) -> Result<u64, Error> {
        match self {
            Bull(queue) => queue.tell_running(jobs).await,
            List(queue) => queue.tell_running(jobs).await,
        }
    }

    /// Has an iteration that was taken followed by the next one; see [`BullQueue::add_next_iteration`].
    pub(crate) async fn add_next_iteration(&self, job: &Job, zone: &str) -> Result<NextIteration, Error> {
        match self {
            Bull(queue) => queue.add_next_iteration(job, zone).await,
            List(_) => Ok(NextIteration::Removed),
        }
    }

    /// Puts jobs of these queues back whose worker has gone; an answer per queue, in order. Safe to repeat, and to be
    /// repeated for queues that have more to be put back.
    pub(crate) async fn move_stalled_jobs_to_wait(queues: &[&Self]) -> Result<Vec<Result<Rescued, Error>>, Error> {
        let bulls: Vec<&BullQueue> =
            queues.iter().filter_map(|queue| if let Bull(bull) = queue { Some(&**bull) } else { None }).collect();
        let mut rescued = BullQueue::move_stalled_jobs_to_wait(&bulls).await?.into_iter();
        let mut answers = Vec::with_capacity(queues.len());
        for queue in queues {
            match queue {
                Bull(_) => answers.extend(rescued.next()),
                List(list) => answers.push(list.recover().await),
            }
        }
        Ok(answers)
    }

    /// Whether there may be a job in any of these queues, which a check found empty.
    pub(crate) async fn any_jobs(queues: &[&Self]) -> Result<bool, Error> {
        let bulls: Vec<&BullQueue> =
            queues.iter().filter_map(|queue| if let Bull(bull) = queue { Some(&**bull) } else { None }).collect();
        Ok(bulls.len() < queues.len() || BullQueue::any_jobs(&bulls).await?)
    }

    /// Deletes finished jobs past the queue's keeping, in bounded steps; returns how many went. Safe to repeat.
    pub(crate) async fn prune_finished(&self) -> Result<u64, Error> {
        match self {
            Bull(queue) => queue.prune_finished().await,
            List(queue) => queue.prune().await,
        }
    }
}
