//! How long to wait after failure n. Protocol: §5.8, bullmq 5.81.5 and 6.7.0.

use std::time::Duration;

/// The formula of a backoff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackoffKind {
    Fixed,
    Exponential,
    /// A strategy somebody's Node worker has registered under this name. We have no code for
    /// it and treat it as fixed; the log says so at each retry.
    Other(String),
}

/// A backoff as a job or the file asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    pub kind: BackoffKind,
    pub delay: Duration,
    /// 0 to 1: the share of the delay that is random. `None` leaves it to the file.
    pub jitter: Option<f64>,
}

impl Backoff {
    /// The wait after failure `n`, counted from 1. `random` is in `[0, 1)`.
    ///
    /// `ceiling` bounds the result, jitter included. Nothing overflows: a power too big for
    /// the clock is the ceiling, or about 285,000 years without one.
    #[must_use]
    pub fn wait(&self, n: u32, jitter: f64, ceiling: Option<Duration>, random: f64) -> Duration {
        // 2^53 ms: beyond it a delay score could not be told from its neighbours
        const LONGEST: f64 = 9_007_199_254_740_992.0;
        #[expect(clippy::cast_precision_loss, reason = "clamped to 2^53 below")]
        let delay = self.delay.as_millis() as f64;
        let full = match self.kind {
            BackoffKind::Exponential => {
                let exponent = i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX);
                (2f64.powi(exponent) * delay).round()
            }
            BackoffKind::Fixed | BackoffKind::Other(_) => delay,
        };
        let mut full = full.min(LONGEST);
        if let Some(ceiling) = ceiling {
            #[expect(clippy::cast_precision_loss, reason = "a ceiling is far below 2^53 ms")]
            let ceiling = ceiling.as_millis() as f64;
            full = full.min(ceiling);
        }
        let jitter = self.jitter.unwrap_or(jitter).clamp(0.0, 1.0);
        let wait = if jitter > 0.0 { (random * full * jitter + full * (1.0 - jitter)).floor() } else { full };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^53")]
        Duration::from_millis(wait.max(0.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backoff(kind: BackoffKind, ms: u64) -> Backoff {
        Backoff { kind, delay: Duration::from_millis(ms), jitter: None }
    }

    #[test]
    fn exponential_doubles_and_fixed_does_not() {
        let exponential = backoff(BackoffKind::Exponential, 500);
        let waits: Vec<_> = (1..=4).map(|n| exponential.wait(n, 0.0, None, 0.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000]);
        let fixed = backoff(BackoffKind::Fixed, 1000);
        assert_eq!(fixed.wait(7, 0.0, None, 0.9).as_millis(), 1000);
        let other = backoff(BackoffKind::Other("mine".into()), 70);
        assert_eq!(other.wait(3, 0.0, None, 0.9).as_millis(), 70);
    }

    #[test]
    fn jitter_takes_from_the_delay_and_never_adds() {
        let b = Backoff { jitter: Some(0.5), ..backoff(BackoffKind::Fixed, 1000) };
        assert_eq!(b.wait(1, 0.0, None, 0.0).as_millis(), 500);
        assert_eq!(b.wait(1, 0.0, None, 0.999_999).as_millis(), 999);
        // the file's jitter counts where the job names none
        assert_eq!(backoff(BackoffKind::Fixed, 1000).wait(1, 0.2, None, 0.0).as_millis(), 800);
    }

    proptest! {
        #[test]
        fn never_past_the_ceiling_and_never_overflowing(
            n in 0u32.., ms in 0u64.., jitter in -1.0f64..3.0, random in 0.0f64..1.0, ceiling in 0u64..1_000_000_000
        ) {
            let b = backoff(BackoffKind::Exponential, ms);
            let ceiling = Duration::from_millis(ceiling);
            prop_assert!(b.wait(n, jitter, Some(ceiling), random) <= ceiling);
            prop_assert!(b.wait(n, jitter, None, random) <= Duration::from_millis(1 << 53));
        }
    }
}
