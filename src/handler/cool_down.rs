//! How long what has failed is left alone: longer each time it fails again. Used by handlers that shut their gate.

use std::time::Duration;

/// The times after failures that follow each other, each about twice as long as the one before.
#[derive(Debug)]
pub(crate) struct CoolDown {
    first: Duration,
    max: Duration,
    /// Handed out since the last success.
    times: u32,
}

impl CoolDown {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, times: 0 }
    }

    /// How long to leave it alone now: with jitter, so that not all processes try at the same moment, and never longer than
    /// the longest time.
    pub(crate) fn next(&mut self) -> Duration {
        let plain = self.first.saturating_mul(2u32.saturating_pow(self.times)).min(self.max);
        self.times = self.times.saturating_add(1);
        plain.mul_f64(0.8 + 0.4 * fastrand::f64()).min(self.max)
    }

    /// It works again.
    pub(crate) fn reset(&mut self) {
        self.times = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut cool_down = CoolDown::new(Duration::from_secs(10), Duration::from_secs(300));
        let mut near = |plain: f64| {
            let wait = cool_down.next().as_secs_f64();
            assert!((plain * 0.8..=(plain * 1.2).min(300.0)).contains(&wait), "{wait} for {plain}");
        };
        for plain in [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0] {
            near(plain);
        }
        (0..100).for_each(|_| near(300.0));
        cool_down.reset();
        assert!(cool_down.next() <= Duration::from_secs(12));
    }
}
