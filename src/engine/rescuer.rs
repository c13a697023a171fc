//! Puts back stalled jobs, whose worker has gone, and prunes finished ones by the clock.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::event::Event;
use super::fetcher::Door;
use super::shared::Shared;
use crate::store::{Error, WorkQueue};

/// How often finished jobs past their keeping are looked for: they also go at each finish.
const PRUNE: Duration = Duration::from_secs(60);
/// Queues in one stalled check: each costs Redis about 10 µs when nothing is amiss.
const CHUNK: usize = 64;

/// A queue that is kept in order.
pub(crate) struct Kept {
    pub(crate) queue: WorkQueue,
    pub(crate) interval: Duration,
    pub(crate) door: Arc<Door>,
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

/// One check of some queues, in as many calls as it takes.
async fn tick(shared: &Shared, due: &[Arc<Kept>]) {
    let mut due = due.to_vec();
    while !due.is_empty() {
        due = check(shared, &due).await;
    }
}

/// One call; answers the queues where the check is to go on.
async fn check(shared: &Shared, due: &[Arc<Kept>]) -> Vec<Arc<Kept>> {
    let queues: Vec<&WorkQueue> = due.iter().map(|kept| &kept.queue).collect();
    let answers = match WorkQueue::move_stalled_jobs_to_wait(&queues).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::debug!(%error, "stalled check failed");
            return Vec::new();
        }
    };
    let mut more = Vec::new();
    for (kept, answer) in due.iter().zip(answers) {
        let queue = kept.queue.name();
        match answer {
            Ok(rescued) => {
                for id in rescued.recovered {
                    shared.tell(&Event::Stalled { queue: queue.clone(), id });
                }
                for id in rescued.dropped {
                    shared.tell(&Event::Ghost { queue: queue.clone(), id });
                }
                if rescued.work {
                    kept.door.ring();
                }
                if rescued.more {
                    more.push(Arc::clone(kept));
                }
            }
            Err(error) => tracing::warn!(%queue, %error, "stalled check failed"),
        }
    }
    more
}

/// Deletes finished jobs past their keeping for ever, also on queues where nothing finishes.
pub(crate) async fn prune(keeping: Keeping) -> Result<(), Error> {
    loop {
        tokio::time::sleep(PRUNE).await;
        let queues: Vec<Arc<Kept>> = keeping.lock().expect("no code panics while holding this lock").clone();
        for kept in queues {
            match kept.queue.prune_finished().await {
                Ok(0) => {}
                Ok(gone) => tracing::debug!(queue = %kept.queue.name(), gone, "pruned finished jobs"),
                Err(error) => tracing::debug!(queue = %kept.queue.name(), %error, "pruning failed"),
            }
        }
    }
}
