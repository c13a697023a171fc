//! The times of a schedule, one after the other: its pattern or interval with its bounds, read once.
//!
//! For whoever fires them: `engine/scheduler.rs`, and what shows them beforehand.

use super::{Schedule, SchedulerSpec, SpecError, UnixMillis, millis};

/// When the jobs of a schedule come.
#[derive(Debug, Clone)]
pub struct Times {
    rhythm: Rhythm,
    /// No time before. A pattern's times lie behind it, an interval's begin with it.
    start: Option<UnixMillis>,
    /// No time after.
    end: Option<UnixMillis>,
}

#[derive(Debug, Clone)]
enum Rhythm {
    Pattern(Box<Schedule>),
    Interval { every: i64, offset: i64 },
}

impl Times {
    /// Reads a definition; `zone` is that of a pattern which names none.
    ///
    /// An interval without an offset lies on whole multiples of itself since 1970, or of its start: every instance
    /// that reads it finds the same times.
    pub fn of(spec: &SchedulerSpec, zone: &str) -> Result<Self, SpecError> {
        let rhythm = match (&spec.pattern, spec.every) {
            (Some(_), Some(_)) => return Err(SpecError::Both),
            (None, None) => return Err(SpecError::Neither),
            (Some(pattern), None) => {
                let zone = spec.timezone.as_deref().unwrap_or(zone);
                // what a file says was read more strictly when it was loaded
                Rhythm::Pattern(Box::new(Schedule::parse_stored(pattern, Some(zone))?))
            }
            (None, Some(every)) if millis(every) < 1 => return Err(SpecError::TooShort(every)),
            (None, Some(every)) => {
                let every = millis(every);
                let start = spec.start.map_or(0, |start| start.0);
                Rhythm::Interval { every, offset: spec.offset.map_or(start, millis).rem_euclid(every) }
            }
        };
        Ok(Self { rhythm, start: spec.start, end: spec.end })
    }

    /// How far the times of an interval lie behind whole multiples of it, in ms; 0 for a pattern.
    #[must_use]
    pub fn offset(&self) -> i64 {
        match &self.rhythm {
            Rhythm::Pattern(_) => 0,
            Rhythm::Interval { offset, .. } => *offset,
        }
    }

    /// The first time strictly after `after`; `None` when no further one comes.
    #[must_use]
    pub fn next_after(&self, after: UnixMillis) -> Option<UnixMillis> {
        let next = match &self.rhythm {
            Rhythm::Pattern(schedule) => schedule.next_after(self.start.map_or(after, |start| start.max(after)))?,
            Rhythm::Interval { every, offset } => {
                let from = self.start.map_or(after.0, |start| after.0.max(start.0.saturating_sub(1)));
                let slot = from.saturating_sub(*offset).div_euclid(*every).checked_add(1)?;
                UnixMillis(slot.checked_mul(*every)?.checked_add(*offset)?)
            }
        };
        (self.end.is_none_or(|end| next <= end)).then_some(next)
    }

    /// The latest time after `after` and not after `until`. Looks at few times, however many lie between.
    #[must_use]
    pub fn latest(&self, after: UnixMillis, until: UnixMillis) -> Option<UnixMillis> {
        let found = |from: i64| self.next_after(UnixMillis(from)).filter(|next| *next <= until);
        let mut latest = found(after.0)?;
        // the next time found from `low` is not after `until`, from `high` it is
        let (mut low, mut high) = (latest.0, until.0);
        while low < high {
            let middle = low + (high - low) / 2;
            match found(middle) {
                Some(next) => (latest, low) = (next, next.0),
                None => high = middle,
            }
        }
        Some(latest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn times(spec: &SchedulerSpec) -> Times {
        Times::of(spec, "UTC").unwrap()
    }

    fn every(ms: u64) -> SchedulerSpec {
        SchedulerSpec { every: Some(Duration::from_millis(ms)), ..SchedulerSpec::default() }
    }

    fn cron(pattern: &str) -> SchedulerSpec {
        SchedulerSpec { pattern: Some(pattern.into()), ..SchedulerSpec::default() }
    }

    fn next(spec: &SchedulerSpec, after: i64) -> Option<i64> {
        times(spec).next_after(UnixMillis(after)).map(|at| at.0)
    }

    #[test]
    fn intervals_lie_on_their_multiples() {
        assert_eq!([0, 999, 1000, 1001].map(|after| next(&every(1000), after)), [1000, 1000, 2000, 2000].map(Some));
        let moved = SchedulerSpec { offset: Some(Duration::from_millis(300)), ..every(1000) };
        assert_eq!([299, 300].map(|after| next(&moved, after)), [300, 1300].map(Some));
        let started = SchedulerSpec { start: Some(UnixMillis(5250)), ..every(1000) };
        assert_eq!([0, 5249, 5250].map(|after| next(&started, after)), [5250, 5250, 6250].map(Some));
        assert_eq!(times(&started).offset(), 250);
    }

    #[test]
    fn nothing_comes_after_the_end() {
        let ending = SchedulerSpec { end: Some(UnixMillis(3000)), ..every(1000) };
        assert_eq!([1999, 2000, 3000].map(|after| next(&ending, after)), [Some(2000), Some(3000), None]);
        let ending = SchedulerSpec { end: Some(UnixMillis(3_600_000)), ..cron("0 * * * *") };
        assert_eq!([0, 3_600_000].map(|after| next(&ending, after)), [Some(3_600_000), None]);
    }

    #[test]
    fn the_latest_time_is_found_among_any_number() {
        let hour = 3_600_000;
        for (spec, until, expected) in [
            (every(1000), 86_400_999, Some(86_400_000)),
            (every(1), 86_400_999, Some(86_400_999)),
            (cron("* * * * * *"), 86_400_999, Some(86_400_000)),
            (cron("0 3 * * *"), 30 * hour, Some(27 * hour)),
            (cron("0 3 * * *"), 3 * hour, Some(3 * hour)),
            (cron("0 3 * * *"), 3 * hour - 1, None),
            // every second of one minute a day
            (cron("* 7 3 * * *"), 27 * hour, Some(3 * hour + 7 * 60_000 + 59_000)),
        ] {
            let latest = times(&spec).latest(UnixMillis(0), UnixMillis(until)).map(|at| at.0);
            assert_eq!(latest, expected, "{spec:?}");
        }
        assert_eq!(times(&cron("0 3 * * *")).latest(UnixMillis(3 * hour), UnixMillis(26 * hour)), None);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let zone = "UTC";
        assert_eq!(Times::of(&SchedulerSpec::default(), zone).unwrap_err(), SpecError::Neither);
        assert_eq!(Times::of(&every(0), zone).unwrap_err(), SpecError::TooShort(Duration::ZERO));
        assert!(matches!(Times::of(&cron("61 * * * *"), zone).unwrap_err(), SpecError::Pattern(_)));
    }
}
