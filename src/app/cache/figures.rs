//! What the cache of this process has been good for.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Values asked for that were there, notes that there is nothing included.
    pub hits: u64,
    /// Values asked for that were not.
    pub misses: u64,
    /// Misses that were given what somebody else made at that moment.
    pub shared: u64,
    /// Values made for all and stored.
    pub filled: u64,
    /// Values that were made and not stored: deleted, stored or taken over by somebody else meanwhile, or too large.
    pub refused: u64,
    /// Values their caller made for itself: another took too long, or Redis was away.
    pub alone: u64,
    /// Values stored without being asked for.
    pub stored: u64,
    /// Values deleted, by key, tag or pattern.
    pub deleted: u64,
}

impl Figures {
    /// Hits of all that was asked for, from 0 to 1; `None` before the first.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact beyond 2^53")]
    pub fn hit_rate(&self) -> Option<f64> {
        let asked = self.hits + self.misses;
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn one(&self) {
        self.add(1);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: Count,
    pub(super) misses: Count,
    pub(super) shared: Count,
    pub(super) filled: Count,
    pub(super) refused: Count,
    pub(super) alone: Count,
    pub(super) stored: Count,
    pub(super) deleted: Count,
}

impl Counts {
    pub(super) fn read(&self) -> Figures {
        Figures {
            hits: self.hits.read(),
            misses: self.misses.read(),
            shared: self.shared.read(),
            filled: self.filled.read(),
            refused: self.refused.read(),
            alone: self.alone.read(),
            stored: self.stored.read(),
            deleted: self.deleted.read(),
        }
    }
}
