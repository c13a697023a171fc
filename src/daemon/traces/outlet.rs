//! Where records wait to be sent: bounded, and filled without waking anybody but once per batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use super::span::Record;

/// Records kept while they cannot be sent: some two megabytes.
pub(super) const CAPACITY: usize = 8192;
/// Spans in one request.
pub(super) const BATCH: usize = 512;

#[derive(Default)]
pub(super) struct Outlet {
    waiting: Mutex<Vec<Record>>,
    /// There is a first one, or a whole batch.
    pub(super) filled: Notify,
    dropped: AtomicU64,
}

impl Outlet {
    fn waiting(&self) -> MutexGuard<'_, Vec<Record>> {
        self.waiting.lock().expect("no code panics while holding this lock")
    }

    /// Never waits; counted and dropped where there is no room.
    pub(super) fn put(&self, record: Record) {
        let count = {
            let mut waiting = self.waiting();
            if waiting.len() >= CAPACITY {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            waiting.push(record);
            waiting.len()
        };
        if count == 1 || count == BATCH {
            self.filled.notify_one();
        }
    }

    /// The next batch, oldest first.
    pub(super) fn take(&self) -> Vec<Record> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH);
        let rest = waiting.split_off(count);
        std::mem::replace(&mut *waiting, rest)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// How many were dropped since this was asked last.
    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}
