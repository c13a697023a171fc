//! Puts back stalled jobs, whose worker has gone, and prunes finished ones by the clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::event::Event;
use super::fetcher::Door;
use super::lookout::Lookout;
use super::shared::Shared;
use super::slots::Slots;
use crate::config;
use crate::handler::Gate;
use crate::job::Keep;
use crate::store::{Error, Work, WorkQueue};

/// How often finished jobs past their keeping are looked for, at most and at least: they also go at each finish.
const PRUNE: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(3600)];
/// Longest time between two checks, which also look for work that came without a marker.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);
/// Queues in one stalled check: each costs Redis about 10 µs when nothing is amiss.
const CHUNK: usize = 64;

/// A queue that is kept in order.
pub(crate) struct Kept {
    pub(crate) queue: WorkQueue,
    pub(crate) interval: Duration,
    pub(crate) prune_interval: Duration,
    pub(crate) door: Arc<Door>,
    pub(crate) slots: Arc<Slots>,
    /// How many of them there are.
    pub(crate) concurrency: usize,
    /// Those of the handlers, where each of them has one: when all are shut nothing is taken.
    pub(crate) gates: Vec<Gate>,
    pub(crate) lookout: Arc<Lookout>,
    /// Without any job when it was checked last.
    empty: AtomicBool,
}

/// What a queue's pool and its checks have in common.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) door: Arc<Door>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) lookout: Arc<Lookout>,
}

impl Kept {
    /// `gates` are those without one of which nothing is taken.
    pub(crate) fn new(queue: WorkQueue, config: &config::Queue, bound: Bound, gates: Vec<Gate>) -> Self {
        let interval = config.stalled_interval.min(LONGEST);
        let prune_interval = prune_interval([config.policy.keep_completed, config.policy.keep_failed]);
        let concurrency = config.concurrency as usize;
        let Bound { door, slots, lookout } = bound;
        let empty = AtomicBool::new(false);
        Self { queue, interval, prune_interval, door, slots, concurrency, gates, lookout, empty }
    }

    /// Whether a job could be taken here, for all the pool knows.
    fn has_room(&self, shared: &Shared) -> bool {
        self.slots.occupied() < self.concurrency
            && (self.gates.is_empty() || self.gates.iter().any(Gate::admits))
            && shared.budget_left()
    }
}

/// A job may stay a twenty-fourth of its keeping longer.
fn prune_interval(keeps: [Keep; 2]) -> Duration {
    let ages = keeps.iter().filter_map(|keep| if let Keep::Some { age, .. } = keep { *age } else { None });
    let [shortest, longest] = PRUNE;
    ages.min().map_or(longest, |age| (age / 24).clamp(shortest, longest))
}

/// The queues; they come and go with reloads.
pub(crate) type Keeping = Arc<Mutex<Vec<Arc<Kept>>>>;

/// Looks after all queues for ever. The first stalled check comes at once: it marks what is
/// active, so that the second can tell what nobody renews.
pub(crate) async fn rescue(shared: Arc<Shared>, keeping: Keeping) -> Result<(), Error> {
    let mut checked: Vec<(Arc<Kept>, Instant)> = Vec::new();
    loop {
        let now = Instant::now();
        let queues: Vec<Arc<Kept>> = keeping.lock().expect("no code panics while holding this lock").clone();
        checked.retain(|(kept, _)| queues.iter().any(|other| Arc::ptr_eq(kept, other)));
        for kept in &queues {
            if !checked.iter().any(|(known, _)| Arc::ptr_eq(known, kept)) {
                checked.push((Arc::clone(kept), now));
            }
        }
        let due: Vec<Arc<Kept>> =
            checked.iter().filter(|(_, at)| *at <= now).map(|(kept, _)| Arc::clone(kept)).collect();
        for some in due.chunks(CHUNK) {
            tick(&shared, some).await;
        }
        for (kept, at) in &mut checked {
            if *at <= now {
                *at = now + kept.interval;
            }
        }
        let next = checked.iter().map(|(_, at)| *at).min().unwrap_or(now + Duration::from_secs(1));
        tokio::time::sleep_until(next.min(now + Duration::from_secs(5)).into()).await;
    }
}

/// One check of some queues, in as many calls as it takes. Those that were empty are asked all at once, in one command,
/// whether they still are: nobody works in most queues most of the time.
async fn tick(shared: &Shared, due: &[Arc<Kept>]) {
    let (empty, mut due): (Vec<_>, Vec<_>) = due.iter().cloned().partition(|kept| kept.empty.load(Ordering::Relaxed));
    let queues: Vec<&WorkQueue> = empty.iter().map(|kept| &kept.queue).collect();
    if !empty.is_empty() {
        match WorkQueue::any_jobs(&queues).await {
            Ok(false) => {
                let now = Instant::now();
                for kept in empty {
                    kept.lookout.checked(now, false, kept.slots.filled());
                }
            }
            _ => due.extend(empty),
        }
    }
    while !due.is_empty() {
        due = check(shared, &due).await;
    }
}

/// One call; answers the queues where the check is to go on.
async fn check(shared: &Shared, due: &[Arc<Kept>]) -> Vec<Arc<Kept>> {
    let queues: Vec<&WorkQueue> = due.iter().map(|kept| &kept.queue).collect();
    // what comes while Redis answers has been taken in time
    let filled: Vec<u64> = due.iter().map(|kept| kept.slots.filled()).collect();
    let answers = WorkQueue::move_stalled_jobs_to_wait(&queues).await;
    let now = Instant::now();
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => {
            tracing::debug!(%error, "stalled check failed");
            for kept in due {
                kept.lookout.check_failed(now, &error);
            }
            return Vec::new();
        }
    };
    let mut more = Vec::new();
    for ((kept, answer), filled) in due.iter().zip(answers).zip(filled) {
        let queue = kept.queue.name();
        match answer {
            Ok(rescued) => {
                kept.empty.store(rescued.empty, Ordering::Relaxed);
                kept.lookout.checked(now, rescued.work == Work::Free && kept.has_room(shared), filled);
                for id in rescued.recovered {
                    shared.tell(&Event::Stalled { queue: queue.clone(), id });
                }
                for id in rescued.dropped {
                    shared.tell(&Event::Ghost { queue: queue.clone(), id });
                }
                if rescued.work > Work::None {
                    kept.door.ring();
                }
                if rescued.more {
                    more.push(Arc::clone(kept));
                }
            }
            Err(error) => {
                if error.is_temporary() {
                    tracing::debug!(%queue, %error, "stalled check failed");
                } else {
                    tracing::warn!(%queue, %error, "stalled check failed");
                }
                kept.lookout.check_failed(now, &error);
            }
        }
    }
    more
}

/// Deletes finished jobs past their keeping for ever, also on queues where nothing finishes.
pub(crate) async fn prune(keeping: Keeping) -> Result<(), Error> {
    let mut pruned: Vec<(Arc<Kept>, Instant)> = Vec::new();
    loop {
        tokio::time::sleep(PRUNE[0]).await;
        let queues: Vec<Arc<Kept>> = keeping.lock().expect("no code panics while holding this lock").clone();
        // those that are new, also because a reload changed them, come first
        pruned.retain(|(kept, at)| {
            at.elapsed() < kept.prune_interval && queues.iter().any(|other| Arc::ptr_eq(kept, other))
        });
        for kept in queues {
            if pruned.iter().any(|(known, _)| Arc::ptr_eq(known, &kept)) {
                continue;
            }
            match kept.queue.prune_finished().await {
                Ok(0) => {}
                Ok(gone) => tracing::debug!(queue = %kept.queue.name(), gone, "pruned finished jobs"),
                Err(error) => {
                    tracing::debug!(queue = %kept.queue.name(), %error, "pruning failed");
                    continue;
                }
            }
            pruned.push((kept, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_long_is_looked_at_seldom() {
        let age = |secs| Keep::Some { count: None, age: Some(Duration::from_secs(secs)), limit: None };
        let count = Keep::Some { count: Some(100), age: None, limit: None };
        let interval = |a, b| prune_interval([a, b]).as_secs();
        assert_eq!(interval(age(10), count), 60);
        assert_eq!(interval(age(7200), age(1_000_000)), 300);
        assert_eq!(interval(age(1_000_000), Keep::All), 3600);
        assert_eq!(interval(count, Keep::Nothing), 3600);
    }
}
