//! When the next process may be started: a program that cannot start, or dies as soon as it has, is started ever more
//! rarely, and after a few failures in a row the pool is broken. Arithmetic only; the keeper asks.

use std::time::Duration;

use tokio::time::Instant;

/// The wait after the first failure; doubled by each that follows.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// Failures in a row after which the pool is broken, and how often it is tried then.
pub(super) const LIMIT: u32 = 5;
const BROKEN: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Starts {
    /// In a row, without a process that was ready.
    failures: u32,
    /// Processes in a row that died without having done a job, ready or not.
    useless: u32,
    not_before: Option<Instant>,
}

impl Starts {
    /// A process ended before it was ready. `random` is in `[0, 1)`.
    pub(super) fn failed(&mut self, now: Instant, random: f64) {
        self.failures = self.failures.saturating_add(1);
        self.died(now, random);
    }

    /// A process died that has done nothing since it was ready.
    pub(super) fn died(&mut self, now: Instant, random: f64) {
        self.useless = self.useless.saturating_add(1);
        let wait =
            if self.is_broken() { BROKEN } else { FIRST.saturating_mul(1 << (self.useless - 1).min(16)).min(LONGEST) };
        self.not_before = Some(now + wait.mul_f64(0.75 + random / 2.0));
    }

    /// A process is ready.
    pub(super) fn ready(&mut self) {
        self.failures = 0;
    }

    /// A process has done a job.
    pub(super) fn worked(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_broken(&self) -> bool {
        self.failures >= LIMIT
    }

    /// Whether the last start went wrong, so that one process is tried before there are more.
    pub(super) fn is_trying(&self) -> bool {
        self.useless > 0
    }

    /// Nothing is started before then.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f90_each_failure_makes_the_next_wait_longer_until_the_pool_is_broken() {
        let (now, mut starts) = (Instant::now(), Starts::default());
        let mut waits = Vec::new();
        for n in 1..=LIMIT + 1 {
            starts.failed(now, 0.5);
            assert_eq!(starts.is_broken(), n >= LIMIT);
            waits.push((starts.not_before().unwrap() - now).as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800, 30_000, 30_000]);
        starts.ready();
        assert!(!starts.is_broken() && starts.is_trying());
        starts.died(now, 0.999);
        let wait = starts.not_before().unwrap() - now;
        assert!(wait > LONGEST.mul_f64(0.6) && wait < LONGEST.mul_f64(1.25), "died at once again: {wait:?}");
        starts.worked();
        assert!(!starts.is_trying() && starts.not_before().is_none());
    }

    #[test]
    fn f90_waits_are_spread() {
        let (now, mut early, mut late) = (Instant::now(), Starts::default(), Starts::default());
        early.failed(now, 0.0);
        late.failed(now, 0.999);
        assert!(early.not_before().unwrap() < now + FIRST && late.not_before().unwrap() > now + FIRST);
    }
}
