//! Waits for work in all queues over one blocking connection and rings the pools' doors.
//!
//! A BullMQ queue has a marker, a sorted set that every producer writes to when it adds a job. The
//! fetcher pops from the markers of those queues whose doors are open: pools with free slots that
//! know of no work. A popped marker is gone for everybody, so no marker is waited on that nobody
//! here would answer. When a door opens while a wait is under way, the wait is ended and begun anew
//! with one marker more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::pool::Message;
use crate::job::UnixMillis;
use crate::store::{Error, Store};

/// Longest wait in the server. Each end is also a look at all queues waited on, for work that came
/// without a marker. Protocol: §5.6.
const WAIT: Duration = Duration::from_secs(5);
/// Pause after a wait that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Between the fetcher and one pool.
pub(crate) struct Door {
    /// Key of the queue's marker; `None` where producers ring nothing, see [`super::bell`].
    pub(crate) marker: Option<String>,
    pub(crate) pool: mpsc::UnboundedSender<Message>,
    open: watch::Sender<bool>,
    /// Rung, and its take is not answered yet.
    looking: AtomicBool,
    idle: AtomicBool,
    /// Shared by all doors: one has opened or closed.
    moved: Arc<Notify>,
}

impl Door {
    pub(crate) fn new(marker: Option<String>, pool: mpsc::UnboundedSender<Message>, moved: Arc<Notify>) -> Self {
        Self {
            marker,
            pool,
            open: watch::Sender::new(false),
            looking: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            moved,
        }
    }

    /// By the pool: whether it would answer a ring, and whether it is about to answer one.
    pub(crate) fn set(&self, open: bool, looking: bool) {
        let moved = self.set_open(open);
        if self.looking.swap(looking, Ordering::AcqRel) != looking || moved {
            self.moved.notify_one();
        }
    }

    /// By the pool: whether it has nothing to do and knows of nothing.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Release);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Acquire)
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Returns when it is open. Cancellation safe.
    pub(crate) async fn opened(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    /// Whether it was not so before.
    fn set_open(&self, open: bool) -> bool {
        self.open.send_if_modified(|before| std::mem::replace(before, open) != open)
    }

    /// Tells the pool to look. Closed at once, so that no wait includes it until it has.
    pub(crate) fn ring(&self) {
        self.set_open(false);
        self.looking.store(true, Ordering::Release);
        if self.pool.send(Message::Ring).is_err() {
            self.looking.store(false, Ordering::Release);
        }
    }
}

/// The doors of all pools; they come and go with reloads.
#[derive(Clone, Default)]
pub(crate) struct Doors {
    doors: Arc<Mutex<Vec<Arc<Door>>>>,
    moved: Arc<Notify>,
}

impl Doors {
    pub(crate) fn add(&self, marker: Option<String>, pool: mpsc::UnboundedSender<Message>) -> Arc<Door> {
        let door = Arc::new(Door::new(marker, pool, Arc::clone(&self.moved)));
        self.doors.lock().expect("no code panics while holding this lock").push(Arc::clone(&door));
        door
    }

    pub(crate) fn remove(&self, door: &Arc<Door>) {
        self.doors.lock().expect("no code panics while holding this lock").retain(|other| !Arc::ptr_eq(other, door));
        self.moved.notify_one();
    }

    pub(crate) fn all(&self) -> Vec<Arc<Door>> {
        self.doors.lock().expect("no code panics while holding this lock").clone()
    }

    /// The open ones that have a marker to wait on.
    fn open(&self) -> Vec<Arc<Door>> {
        self.all().into_iter().filter(|door| door.marker.is_some() && door.is_open()).collect()
    }
}

/// Waits and rings until dropped. Dropping it in the middle of a wait can swallow one marker; the
/// pools are told to stop taking first.
pub(crate) async fn fetch(store: Store, doors: Doors) -> Result<(), Error> {
    let blocking = store.blocking().await?.clone();
    loop {
        let open = doors.open();
        if open.is_empty() {
            doors.moved.notified().await;
            continue;
        }
        let keys: Vec<String> = open.iter().filter_map(|door| door.marker.clone()).collect();
        let wait = blocking.wait(&keys, WAIT);
        tokio::pin!(wait);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut wait => break answer,
                () = doors.moved.notified() => {
                    let missing = doors.open().iter().any(|door| !open.iter().any(|known| Arc::ptr_eq(known, door)));
                    if missing {
                        let (answer, ()) = tokio::join!(&mut wait, blocking.interrupt(store.command()));
                        break answer;
                    }
                }
            }
        };
        match answer {
            Ok(Some((key, member, score))) => {
                if let Some(door) = open.iter().find(|door| door.marker.as_deref() == Some(&*key)) {
                    popped(&store, door, &member, score);
                    // the next wait can include this queue again when its take is answered; a wait
                    // begun without it would have to be ended for that
                    while door.looking.load(Ordering::Acquire) {
                        doors.moved.notified().await;
                    }
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "waiting for work failed");
                tokio::time::sleep(PAUSE).await;
                // what took this link may have taken the other: a take over it would be long in noticing
                if let Err(error) = store.command().probe().await {
                    tracing::debug!(%error, "redis does not answer");
                }
                // whatever was rung meanwhile is lost
                for door in &open {
                    door.ring();
                }
            }
        }
    }
}

/// Member "0" says that work is there; "1" when the next delayed job is due.
fn popped(store: &Store, door: &Door, member: &str, score: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds, far below 2^53; a fraction is part of a tie-break"
    )]
    let due = UnixMillis(score as i64);
    if member == "1" && due > store.now() {
        let _ = door.pool.send(Message::Due(due));
    } else {
        door.ring();
    }
}
