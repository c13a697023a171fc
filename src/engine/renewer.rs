//! Extends the locks of running jobs until their end is recorded, on a thread and a connection of
//! its own: neither busy handlers nor a busy command connection may cost a lock.
//!
//! A lock is renewed when a third of its life has passed. When it cannot be renewed in time the
//! job counts as lost by our own monotonic clock, before it lapses in Redis: its handler is told to
//! stop and nothing is recorded, because somebody else may be running it by then.
//!
//! Where handlers keep busy the threads that would tell them that their time is up, this thread does.
//!
//! A renewal also says which jobs are to be cancelled. So that nobody waits for the next one, the renewer listens to
//! orders while jobs run, on a connection of its own, and renews a lock at once whose job it hears of: what is published
//! is a hint and may get lost, what stands in Redis counts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::event::Event;
use super::shared::Shared;
use super::slots::Slots;
use crate::job::{JobId, QueueName};
use crate::store::{Held, Order, Renewal, Store, Token, WorkQueue};

/// One queue's locks.
pub(crate) struct Locks {
    pub(crate) queue: WorkQueue,
    pub(crate) slots: Arc<Slots>,
}

/// The queues whose locks are renewed; pools come and go with reloads.
pub(crate) type Register = Arc<Mutex<Vec<Arc<Locks>>>>;

/// Pause after a renewal that failed, and before the first queue has come.
const RETRY: Duration = Duration::from_millis(200);
/// Longest pause between two rounds.
const LONGEST: Duration = Duration::from_secs(1);
/// How long a job is looked for that an order names: the answer to its take may be on its way.
const LOOKED_FOR: Duration = Duration::from_secs(3);
/// Pause before listening is tried again.
const LISTEN: Duration = Duration::from_secs(5);
/// How long it is listened on when no job runs any more. A connection costs some 300 KiB, which at rest is to be had back.
const LISTENED_ON: Duration = Duration::from_secs(60);

/// The thread. Ends when dropped.
pub(crate) struct Renewer {
    stop: tokio_util::sync::CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Renewer {
    pub(crate) fn start(register: Register, store: Store, shared: Arc<Shared>) -> std::io::Result<Self> {
        let stop = tokio_util::sync::CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("renewer".into()).spawn(move || {
            runtime.block_on(async move {
                let (heard, orders) = mpsc::unbounded_channel();
                let (works, working) = watch::channel(false);
                tokio::select! {
                    () = renew_for_ever(&register, &shared, orders, &works) => {}
                    () = listen(&store, &heard, working) => {}
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

/// What comes to the renewer's ears.
enum Heard {
    /// It is listened from now on. What was said before is lost.
    Listening,
    Order(Order),
}

/// Hands orders on while jobs run. Where they cannot be listened to, renewals find out all the same.
async fn listen(store: &Store, heard: &mpsc::UnboundedSender<Heard>, mut working: watch::Receiver<bool>) {
    while working.wait_for(|working| *working).await.is_ok() {
        match store.orders().await {
            Ok(mut orders) => {
                let _ = heard.send(Heard::Listening);
                loop {
                    tokio::select! {
                        order = orders.next() => match order {
                            Some(order) => drop(heard.send(Heard::Order(order))),
                            None => break,
                        },
                        _ = working.wait_for(|working| !working) => break,
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot listen to orders");
                tokio::time::sleep(LISTEN).await;
            }
        }
    }
}

async fn renew_for_ever(
    register: &Register,
    shared: &Shared,
    mut heard: mpsc::UnboundedReceiver<Heard>,
    works: &watch::Sender<bool>,
) {
    let mut calls = FuturesUnordered::new();
    let mut busy: Vec<Arc<Locks>> = Vec::new();
    let mut wanted = Wanted::default();
    let mut worked = None;
    let mut all_at_once = false;
    loop {
        let queues: Vec<Arc<Locks>> = register.lock().expect("no code panics while holding this lock").clone();
        if queues.iter().any(|locks| locks.slots.occupied() > 0) {
            worked = Some(Instant::now());
        }
        let recently = worked.is_some_and(|worked| worked.elapsed() < LISTENED_ON);
        works.send_if_modified(|works| std::mem::replace(works, recently) != recently);
        for (locks, held) in wanted.found(&queues) {
            calls.push(renew(locks, vec![held], Instant::now()));
        }
        let mut pause = if queues.is_empty() { RETRY } else { LONGEST };
        for locks in queues {
            let now = Instant::now();
            pause = pause.min(locks.queue.lock_life() / 12);
            give_up_lapsed(&locks, now);
            for (job, over) in locks.slots.overdue(now) {
                shared.tell(&Event::Stuck { job, over });
            }
            // a call that is not answered keeps no lapsed lock from being noticed, here or in another queue
            if !busy.iter().any(|other| Arc::ptr_eq(other, &locks)) {
                // rounds come at twelfths: what is older than a quarter would be older than a third at the next
                let age = if all_at_once { Duration::ZERO } else { locks.queue.lock_life() / 4 };
                let due = locks.slots.due_for_renewal(now, age);
                if !due.is_empty() {
                    busy.push(Arc::clone(&locks));
                    calls.push(renew(locks, due, now));
                }
            }
        }
        all_at_once = false;
        let mut next = Instant::now() + pause;
        loop {
            tokio::select! {
                Some((locks, answered)) = calls.next(), if !calls.is_empty() => {
                    busy.retain(|other| !Arc::ptr_eq(other, &locks));
                    if !answered {
                        next = next.min(Instant::now() + RETRY);
                    }
                }
                Some(heard) = heard.recv() => {
                    match heard {
                        Heard::Listening => all_at_once = true,
                        Heard::Order(order) => wanted.hear(order),
                    }
                    break;
                }
                () = tokio::time::sleep_until(next.into()) => break,
            }
        }
    }
}

/// Jobs that orders have named and that are not found yet.
#[derive(Default)]
struct Wanted(Vec<(QueueName, JobId, Instant)>);

impl Wanted {
    fn hear(&mut self, order: Order) {
        let Order::Cancel { queue, id } = order;
        self.0.push((queue, id, Instant::now()));
    }

    /// Those that run here by now.
    fn found(&mut self, queues: &[Arc<Locks>]) -> Vec<(Arc<Locks>, Held)> {
        let mut found = Vec::new();
        self.0.retain(|(queue, id, since)| {
            let Some(locks) = queues.iter().find(|locks| locks.queue.name() == queue) else { return false };
            let held = locks.slots.held(id);
            let looked_for = held.is_none() && since.elapsed() < LOOKED_FOR;
            found.extend(held.map(|held| (Arc::clone(locks), held)));
            looked_for
        });
        found
    }
}

/// Gives a lock up a tenth of its life early, so that the handler stops before others start.
fn give_up_lapsed(locks: &Locks, now: Instant) {
    let life = locks.queue.lock_life();
    for id in locks.slots.lost(|job| now.duration_since(job.renewed) > life.mul_f64(0.9)) {
        tracing::warn!(queue = %locks.queue.name(), job = %id, "lock could not be renewed in time; the job is stopped");
    }
}

/// Renews these locks of one queue. Answers the queue again, and whether Redis has answered.
async fn renew(locks: Arc<Locks>, due: Vec<Held>, now: Instant) -> (Arc<Locks>, bool) {
    let (lost, ended, cancelled) = match locks.queue.extend_locks(&due).await {
        Ok(Renewal { lost, ended, cancelled }) => {
            (lost.into_iter().collect::<HashSet<_>>(), ended.into_iter().collect::<HashSet<_>>(), cancelled)
        }
        Err(error) => {
            tracing::debug!(queue = %locks.queue.name(), %error, "renewal failed");
            return (locks, false);
        }
    };
    let is_lost = |id: &JobId, token: &Token| lost.contains(id) || ended.contains(token);
    let held: Vec<_> = due.into_iter().filter(|held| !is_lost(&held.id, &held.token)).collect();
    // counted from before the call: when it arrived is not known
    locks.slots.renewed(&held, now);
    if !lost.is_empty() || !ended.is_empty() {
        for id in locks.slots.lost(|job| is_lost(&job.job.id, &job.token)) {
            tracing::warn!(queue = %locks.queue.name(), job = %id, "lock is gone; the job is stopped");
        }
    }
    if !cancelled.is_empty() {
        for id in locks.slots.unwanted(&cancelled) {
            tracing::info!(queue = %locks.queue.name(), job = %id, "cancelled on request; the job is stopped");
        }
    }
    (locks, true)
}
