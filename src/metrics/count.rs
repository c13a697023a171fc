//! What is counted while jobs run: plain atomics, which cost a few nanoseconds each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts up.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// For how long jobs wait and run, in microseconds: from a millisecond to ten minutes.
pub(super) static OF_JOBS: [u64; 17] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
];

/// For how long calls to Redis take: from a tenth of a millisecond to five seconds, when they are given up.
pub(super) static OF_CALLS: [u64; 13] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// Durations by how long they were.
#[derive(Debug)]
pub(super) struct Histogram {
    /// Upper ends, in microseconds.
    bounds: &'static [u64],
    /// How many fell between one and the one before; behind the last those beyond.
    counts: Box<[AtomicU64]>,
    /// Of all of them, in microseconds.
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(super) fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = self.bounds.partition_point(|bound| *bound < micros);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// The upper end of each bucket in seconds and how many are not above it, then the sum in seconds and the count.
    pub(super) fn read(&self) -> (Vec<(f64, u64)>, f64, u64) {
        let mut below = 0;
        let buckets = self.bounds.iter().zip(&self.counts).map(|(bound, count)| {
            below += count.load(Ordering::Relaxed);
            (seconds(*bound), below)
        });
        let buckets = buckets.collect();
        // not counted apart: so the last bucket and the count are always the same
        let all = below + self.counts[self.bounds.len()].load(Ordering::Relaxed);
        (buckets, seconds(self.sum.load(Ordering::Relaxed)), all)
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds lose their last digits after 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_that_ends_with_them() {
        let histogram = Histogram::new(&OF_JOBS);
        for micros in [0, 1000, 1001, 600_000_000, 600_000_001] {
            histogram.note(Duration::from_micros(micros));
        }
        let (buckets, sum, all) = histogram.read();
        assert_eq!((buckets[0], buckets[1], buckets[16]), ((0.001, 2), (0.0025, 3), (600.0, 4)));
        assert_eq!(all, 5);
        assert!((sum - 1_200.002_002).abs() < 1e-9, "{sum}");
    }
}
