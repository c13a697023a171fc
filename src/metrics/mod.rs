//! What do the numbers say? [`Metrics`] counts what happens to jobs, as an observer of the engine, and what is asked of Redis,
//! as its meter; at a scrape it writes them down beside the figures of that moment ([`Figures`]). The admin server serves the
//! page.
//!
//! It runs along with every job, some 200,000 times a second: what an event costs is one look-up of its queue, without a
//! lock, and a few atomic additions.

mod count;
mod figures;
mod page;
mod process;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::engine::{Event, Observer};
use crate::handler::Notice;
use crate::job::{Job, QueueName};
use crate::store::Meter;
use count::{Count, Histogram, OF_CALLS, OF_JOBS};
pub use figures::{Figures, Reloaded};
pub use page::CONTENT_TYPE;
use page::MOST;

/// What becomes of jobs, in the words of the page.
const OUTCOMES: [&str; 10] = [
    "completed",
    "discarded",
    "failed",
    "expired",
    "cancelled",
    "retrying",
    "deferred",
    "put_off",
    "waiting_children",
    "handed_back",
];

/// Why a process was lost.
const CAUSES: [&str; 2] = ["memory", "other"];

/// Everything that is counted in this process.
pub struct Metrics {
    queues: ArcSwap<HashMap<QueueName, Arc<OfQueue>>>,
    /// How often a handler's gate was shut.
    shut: Mutex<BTreeMap<String, u64>>,
    /// Processes that were lost, by handler and cause.
    lost: Mutex<BTreeMap<(String, &'static str), u64>>,
    calls: Mutex<BTreeMap<&'static str, Arc<OfOperation>>>,
    reconnects: Mutex<BTreeMap<&'static str, u64>>,
    started: SystemTime,
}

/// What is counted of one queue.
struct OfQueue {
    started: Count,
    outcomes: [Count; OUTCOMES.len()],
    stalled: Count,
    lost: Count,
    ghosts: Count,
    stuck: Count,
    /// Attempts whose program was killed for memory.
    out_of_memory: Count,
    wait: Histogram,
    run: Histogram,
}

/// What is counted of one kind of call to Redis.
struct OfOperation {
    took: Histogram,
    /// Calls that wait in the server.
    waits: Count,
    failed: Count,
}

impl Default for OfQueue {
    fn default() -> Self {
        Self {
            started: Count::default(),
            outcomes: Default::default(),
            stalled: Count::default(),
            lost: Count::default(),
            ghosts: Count::default(),
            stuck: Count::default(),
            out_of_memory: Count::default(),
            wait: Histogram::new(&OF_JOBS),
            run: Histogram::new(&OF_JOBS),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            queues: ArcSwap::default(),
            shut: Mutex::default(),
            lost: Mutex::default(),
            calls: Mutex::default(),
            reconnects: Mutex::default(),
            started: SystemTime::now(),
        }
    }
}

impl Metrics {
    fn of(&self, queue: &QueueName, count: impl FnOnce(&OfQueue)) {
        let queues = self.queues.load();
        if let Some(of) = queues.get(queue) {
            return count(of);
        }
        if queues.len() < MOST {
            self.queues.rcu(|queues| {
                let mut queues = HashMap::clone(queues);
                queues.entry(queue.clone()).or_default();
                queues
            });
            if let Some(of) = self.queues.load().get(queue) {
                count(of);
            }
        }
    }

    /// An attempt has come to an end.
    fn ended(&self, job: &Job, outcome: &str, took: Option<Duration>) {
        self.of(&job.queue, |of| {
            if let Some(place) = OUTCOMES.iter().position(|known| *known == outcome) {
                of.outcomes[place].one();
            }
            if let Some(took) = took {
                of.run.note(took);
            }
        });
    }

    fn failed(&self, job: &Job, outcome: &str, reason: &str, took: Duration) {
        self.ended(job, outcome, Some(took));
        if reason.starts_with("out of memory: killed") {
            self.of(&job.queue, |of| of.out_of_memory.one());
        }
    }
}

impl Observer for Metrics {
    fn observe(&self, event: &Event) {
        match event {
            Event::Started { job } => self.of(&job.queue, |of| {
                of.started.one();
                if let Some(waited) = waited(job) {
                    of.wait.note(waited);
                }
            }),
            Event::Completed { job, took } => self.ended(job, "completed", Some(*took)),
            Event::Discarded { job, took } => self.ended(job, "discarded", Some(*took)),
            Event::Failed { job, reason, took } => self.failed(job, "failed", reason, *took),
            Event::Retrying { job, reason, took, .. } => self.failed(job, "retrying", reason, *took),
            Event::Expired { job } => self.ended(job, "expired", None),
            Event::Cancelled { job, .. } => self.ended(job, "cancelled", None),
            Event::Deferred { job, .. } => self.ended(job, "deferred", None),
            Event::PutOff { job, .. } => self.ended(job, "put_off", None),
            Event::WaitingForChildren { job } => self.ended(job, "waiting_children", None),
            Event::HandedBack { job } => self.ended(job, "handed_back", None),
            Event::Lost { job, .. } => self.of(&job.queue, |of| of.lost.one()),
            Event::Stuck { job, .. } => self.of(&job.queue, |of| of.stuck.one()),
            Event::Stalled { queue, .. } => self.of(queue, |of| of.stalled.one()),
            Event::Ghost { queue, .. } => self.of(queue, |of| of.ghosts.one()),
            Event::Notice(Notice::ProcessLost { handler, why, .. }) => {
                let cause = CAUSES[usize::from(!why.contains("out of memory"))];
                *held(&self.lost).entry((handler.clone(), cause)).or_default() += 1;
            }
            Event::GateShut { handler, .. } => *held(&self.shut).entry(handler.clone()).or_default() += 1,
            Event::GateHalfOpen { .. } | Event::GateOpened { .. } => {}
        }
    }
}

impl Meter for Metrics {
    fn called(&self, operation: &'static str, took: Option<Duration>, failed: bool) {
        let of = Arc::clone(held(&self.calls).entry(operation).or_insert_with(|| {
            let took = Histogram::new(&OF_CALLS);
            Arc::new(OfOperation { took, waits: Count::default(), failed: Count::default() })
        }));
        match took {
            Some(took) => of.took.note(took),
            None if !failed => of.waits.one(),
            None => {}
        }
        if failed {
            of.failed.one();
        }
    }

    fn reconnected(&self, link: &'static str) {
        *held(&self.reconnects).entry(link).or_default() += 1;
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while holding this lock")
}

/// How long a job has waited for its first attempt, since it could have been taken. Later ones wait for what they were put
/// off for, and elements of lists do not say when they came.
fn waited(job: &Job) -> Option<Duration> {
    let is_first = job.attempts_started <= 1 && job.stalled == 0 && job.element.is_none();
    is_first.then(|| job.processed_on.since(job.timestamp.after(job.opts.delay.unwrap_or_default())))
}

#[cfg(test)]
mod tests;
