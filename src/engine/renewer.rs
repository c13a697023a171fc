//! Extends the locks of running jobs until their end is recorded, on a thread and a connection of
//! its own: neither busy handlers nor a busy command connection may cost a lock.
//!
//! A lock is renewed when a third of its life has passed. When it cannot be renewed in time the
//! job counts as lost by our own monotonic clock, before it lapses in Redis: its handler is told to
//! stop and nothing is recorded, because somebody else may be running it by then.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::slots::Slots;
use crate::store::WorkQueue;

/// One queue's locks.
pub(crate) struct Locks {
    pub(crate) queue: WorkQueue,
    pub(crate) slots: Arc<Slots>,
}

/// The queues whose locks are renewed; pools come and go with reloads.
pub(crate) type Register = Arc<Mutex<Vec<Arc<Locks>>>>;

/// Pause after a renewal that failed.
const RETRY: Duration = Duration::from_millis(200);

/// The thread. Ends when dropped.
pub(crate) struct Renewer {
    stop: tokio_util::sync::CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Renewer {
    pub(crate) fn start(register: Register) -> std::io::Result<Self> {
        let stop = tokio_util::sync::CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("renewer".into()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = renew_for_ever(&register) => {}
                    () = stopped.cancelled() => {}
                }
            });
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Renewer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // the thread ends at its next await; nothing is owed to it
            drop(thread);
        }
    }
}

async fn renew_for_ever(register: &Register) {
    loop {
        let queues: Vec<Arc<Locks>> = register.lock().expect("no code panics while holding this lock").clone();
        let mut pause = Duration::from_secs(1);
        for locks in &queues {
            pause = pause.min(locks.queue.lock_life() / 12);
            if let Err(error) = tick(locks, Instant::now()).await {
                pause = pause.min(RETRY);
                tracing::debug!(queue = %locks.queue.name(), %error, "renewal failed");
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// One round for one queue. Returns how many locks were renewed and how many are lost.
async fn tick(locks: &Locks, now: Instant) -> Result<(usize, usize), crate::store::Error> {
    let life = locks.queue.lock_life();
    // a lock is given up a tenth of its life early, so that the handler stops before others start
    let lapsed = locks.slots.lost(|job| now.duration_since(job.renewed) > life.mul_f64(0.9));
    for id in &lapsed {
        tracing::warn!(queue = %locks.queue.name(), job = %id, "lock could not be renewed in time; the job is stopped");
    }
    // rounds come at twelfths: what is older than a quarter would be older than a third at the next
    let due = locks.slots.due_for_renewal(now, life / 4);
    if due.is_empty() {
        return Ok((0, lapsed.len()));
    }
    let lost = locks.queue.extend_locks(&due).await?;
    let held: Vec<_> = due.into_iter().filter(|held| !lost.contains(&held.id)).collect();
    // counted from before the call: when it arrived is not known
    locks.slots.renewed(&held, now);
    if !lost.is_empty() {
        let gone = locks.slots.lost(|job| lost.contains(&job.job.id));
        for id in &gone {
            tracing::warn!(queue = %locks.queue.name(), job = %id, "lock is gone; the job is stopped");
        }
    }
    Ok((held.len(), lapsed.len() + lost.len()))
}
