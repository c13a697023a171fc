//! One value per fact. The log, counters and whoever else wants to know listen to the same ones.

use std::sync::Arc;
use std::time::Duration;

use crate::handler::Notice;
use crate::job::{Backoff, BackoffKind, Job, JobId, QueueName};

/// Something that happened to a job or a queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// An attempt begins.
    Started {
        job: Arc<Job>,
    },
    Completed {
        job: Arc<Job>,
        took: Duration,
    },
    /// Completed although not wanted any more.
    Discarded {
        job: Arc<Job>,
        took: Duration,
    },
    /// Failed for good.
    Failed {
        job: Arc<Job>,
        reason: String,
        /// Of this attempt.
        took: Duration,
    },
    Expired {
        job: Arc<Job>,
    },
    Cancelled {
        job: Arc<Job>,
        reason: String,
    },
    /// The attempt failed, another follows after `wait`.
    Retrying {
        job: Arc<Job>,
        reason: String,
        wait: Duration,
        /// Of this attempt.
        took: Duration,
    },
    /// Put off without an attempt being charged.
    Deferred {
        job: Arc<Job>,
        reason: String,
        wait: Duration,
    },
    /// Put off without having been begun: what does such jobs can do nothing for now.
    PutOff {
        job: Arc<Job>,
        reason: String,
        wait: Duration,
    },
    /// Goes on when its children have ended; no attempt was charged.
    WaitingForChildren {
        job: Arc<Job>,
    },
    /// Given back to the head of its queue.
    HandedBack {
        job: Arc<Job>,
    },
    /// The job is not ours any more; whatever the handler answered is dropped.
    Lost {
        job: Arc<Job>,
        why: String,
    },
    /// Its time is up, and so is that to stop, and its handler does not return: the slot is of no use until it does.
    Stuck {
        job: Arc<Job>,
        /// Since its time was up.
        over: Duration,
    },
    /// Put back by us because its worker had gone.
    Stalled {
        queue: QueueName,
        id: JobId,
    },
    /// An id in the queue without a job behind it, taken out.
    Ghost {
        queue: QueueName,
        id: JobId,
    },
    /// A handler tells something of itself.
    Notice(Notice),
    /// A handler can do nothing for now: no jobs are taken for it.
    GateShut {
        handler: String,
        why: String,
        /// When one job is let through to try; `None`: when the handler says so.
        lasts: Option<Duration>,
        /// The same was told within the last minute.
        again: bool,
    },
    /// One job is let through to try.
    GateHalfOpen {
        handler: String,
        why: String,
    },
    /// Jobs are taken again.
    GateOpened {
        handler: String,
        /// Since it was shut first.
        after: Duration,
        /// It was told within the last minute that the gate was shut, and why, and so was the end of that.
        again: bool,
    },
}

/// Told of every event, on the engine's own tasks: be quick.
pub trait Observer: Send + Sync + 'static {
    fn observe(&self, event: &Event);
}

/// Writes events to the log: what needs attention as warnings, the rest as debug.
pub(crate) struct LogObserver;

impl Observer for LogObserver {
    fn observe(&self, event: &Event) {
        match event {
            Event::Started { job } => {
                tracing::debug!(queue = %job.queue, job = %job.id, name = %job.name, attempt = job.attempt(), "started");
            }
            Event::Completed { job, took } => {
                tracing::debug!(queue = %job.queue, job = %job.id, name = %job.name, ms = took.as_millis(), "completed");
            }
            Event::Discarded { job, took } => {
                tracing::debug!(queue = %job.queue, job = %job.id, name = %job.name, ms = took.as_millis(), "discarded");
            }
            Event::Failed { job, reason, .. } => {
                tracing::warn!(queue = %job.queue, job = %job.id, name = %job.name, attempt = job.attempt(), reason, "failed");
            }
            Event::Expired { job } => tracing::warn!(queue = %job.queue, job = %job.id, name = %job.name, "expired"),
            Event::Cancelled { job, reason } => {
                tracing::warn!(queue = %job.queue, job = %job.id, name = %job.name, reason, "cancelled");
            }
            Event::Retrying { job, reason, wait, .. } => {
                let wait = wait.as_millis();
                tracing::info!(queue = %job.queue, job = %job.id, name = %job.name, attempt = job.attempt(), reason, wait, "retrying");
                if let Some(Backoff { kind: BackoffKind::Other(strategy), .. }) = &job.opts.backoff {
                    tracing::warn!(
                        queue = %job.queue, job = %job.id, strategy,
                        "only the worker that registered this backoff knows it: the delay it names is waited as of a fixed one"
                    );
                }
            }
            Event::Deferred { job, reason, wait } => {
                let wait = wait.as_millis();
                tracing::info!(queue = %job.queue, job = %job.id, name = %job.name, reason, wait, "deferred");
            }
            Event::PutOff { job, reason, wait } => {
                let wait = wait.as_millis();
                tracing::debug!(queue = %job.queue, job = %job.id, name = %job.name, reason, wait, "put off");
            }
            Event::WaitingForChildren { job } => {
                tracing::debug!(queue = %job.queue, job = %job.id, name = %job.name, "waiting for its children");
            }
            Event::HandedBack { job } => {
                tracing::info!(queue = %job.queue, job = %job.id, name = %job.name, "handed back");
            }
            Event::Lost { job, why } => {
                tracing::warn!(queue = %job.queue, job = %job.id, name = %job.name, why, "lost: another worker may run it");
            }
            Event::Stuck { job, over } => {
                let over = over.as_millis();
                tracing::error!(
                    queue = %job.queue, job = %job.id, name = %job.name, over,
                    "stuck: its time is up and its handler does not return; its slot is lost until it does"
                );
            }
            Event::Stalled { queue, id } => tracing::warn!(%queue, job = %id, "stalled: put back, its worker has gone"),
            Event::Ghost { queue, id } => {
                tracing::warn!(%queue, job = %id, "dropped: an id without a readable job behind it");
            }
            // said where it happened, also without an engine
            Event::Notice(_) => {}
            Event::GateShut { handler, why, lasts, again } => {
                let lasts = lasts.map(|lasts| lasts.as_millis());
                if *again {
                    tracing::debug!(handler, why, lasts, "shut: no jobs are taken for it");
                } else {
                    tracing::warn!(handler, why, lasts, "shut: no jobs are taken for it");
                }
            }
            Event::GateHalfOpen { handler, why } => tracing::debug!(handler, why, "half open: one job tries"),
            Event::GateOpened { handler, after, again } => {
                let after = after.as_millis();
                if *again {
                    tracing::debug!(handler, after, "open: jobs are taken for it again");
                } else {
                    tracing::info!(handler, after, "open: jobs are taken for it again");
                }
            }
        }
    }
}

/// Tells all observers.
#[derive(Clone)]
pub(crate) struct Observers(pub(crate) Arc<[Arc<dyn Observer>]>);

impl Observers {
    pub(crate) fn tell(&self, event: &Event) {
        for observer in self.0.iter() {
            observer.observe(event);
        }
    }
}
