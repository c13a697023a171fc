//! Which times of a schedule are due, and which of those missed are made up for.

use std::time::Duration;

use crate::config::{CatchUp, Overlap, Schedule};
use crate::job::{Times, UnixMillis, millis};

/// A time is not missed before this much later: instances need a moment to notice each other's end, or Redis's.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// Most jobs of one schedule in one go; the rest come in the next.
const MOST: usize = 50;

/// What is to be done about a schedule whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// The times a job is to come for, in order.
    pub(super) slots: Vec<UnixMillis>,
    /// Its next time from then on, which may have come already; `None` when there is none.
    pub(super) next: Option<UnixMillis>,
}

impl Due {
    /// `first` is the schedule's next time as it stands in Redis: nothing before it counts.
    ///
    /// Times of the last few seconds are on time, whatever the schedule says of those missed: what is late by a moment
    /// was not missed, and of a schedule for every second each is wanted.
    pub(super) fn of(schedule: &Schedule, times: &Times, first: UnixMillis, now: UnixMillis) -> Self {
        let back = |by: Duration| UnixMillis(now.0.saturating_sub(millis(by)));
        // each waits for the end of the one before: the others stay due
        let is_one_by_one = (schedule.overlap, schedule.catch_up) == (Overlap::Queue, CatchUp::All);
        let most = if is_one_by_one { 1 } else { MOST };
        let from = match schedule.catch_up {
            CatchUp::All => back(schedule.catch_up_window.max(GRACE)),
            CatchUp::None | CatchUp::Last => back(GRACE),
        };
        let mut slots = Vec::new();
        let mut next = Some(first).filter(|first| *first >= from);
        next = next.or_else(|| times.next_after(UnixMillis(first.max(from).0 - 1)));
        while let Some(slot) = next.filter(|slot| *slot <= now && slots.len() < most) {
            slots.push(slot);
            next = times.next_after(slot);
        }
        if slots.is_empty() && schedule.catch_up == CatchUp::Last {
            let after = UnixMillis(first.max(back(schedule.catch_up_window)).0 - 1);
            slots.extend(times.latest(after, now));
        }
        Self { slots, next }
    }
}

/// The time of a series that follows `first`, once that has come. It may have come as well, but none that was missed.
pub(super) fn after(times: &Times, first: UnixMillis, now: UnixMillis) -> Option<UnixMillis> {
    times.next_after(first.max(UnixMillis(now.0.saturating_sub(millis(GRACE)))))
}

/// How much later than its time a schedule's job may be taken: always the same for one schedule, so that those of a
/// fleet spread and none of them wanders.
pub(super) fn delay(schedule: &Schedule) -> Duration {
    if schedule.jitter.is_zero() {
        return Duration::ZERO;
    }
    let digest = sha1_smol::Sha1::from(schedule.name.as_bytes()).digest().bytes();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let width = u64::try_from(millis(schedule.jitter)).unwrap_or(0).saturating_add(1);
    Duration::from_millis(number % width)
}

#[cfg(test)]
mod tests {
    use super::super::tests::every;
    use super::*;
    use crate::config::Overlap;

    fn due(catch_up: CatchUp, window: u64, first: i64, now: i64) -> (Vec<i64>, Option<i64>) {
        let mut schedule = every("s", 1000);
        schedule.catch_up = catch_up;
        schedule.catch_up_window = Duration::from_millis(window);
        let times = Times::of(&schedule.spec, "UTC").unwrap();
        let due = Due::of(&schedule, &times, UnixMillis(first), UnixMillis(now));
        (due.slots.iter().map(|slot| slot.0).collect(), due.next.map(|next| next.0))
    }

    #[test]
    fn what_is_on_time_comes_whatever_the_policy() {
        for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
            assert_eq!(due(catch_up, 0, 60_000, 60_001), (vec![60_000], Some(61_000)), "{catch_up:?}");
            assert_eq!(due(catch_up, 0, 60_000, 62_999), (vec![60_000, 61_000, 62_000], Some(63_000)), "{catch_up:?}");
            assert_eq!(due(catch_up, 0, 60_000, 59_999), (vec![], Some(60_000)), "{catch_up:?}");
        }
    }

    #[test]
    fn f121_what_was_missed_follows_the_policy() {
        let day = 86_400_000;
        let mut schedule = every("s", 3_600_000);
        let times = Times::of(&schedule.spec, "UTC").unwrap();
        let mut missed = |catch_up, window| {
            schedule.catch_up = catch_up;
            schedule.catch_up_window = Duration::from_secs(window);
            let due = Due::of(&schedule, &times, UnixMillis(day), UnixMillis(day + 9_000_000));
            assert_eq!(due.next, Some(UnixMillis(day + 10_800_000)));
            due.slots.iter().map(|slot| (slot.0 - day) / 3_600_000).collect::<Vec<_>>()
        };
        assert_eq!(missed(CatchUp::None, 86_400), [0; 0]);
        assert_eq!(missed(CatchUp::Last, 86_400), [2]);
        assert_eq!(missed(CatchUp::All, 86_400), [0, 1, 2]);
        // the window: an hour and a half, and a quarter
        assert_eq!(missed(CatchUp::All, 5400), [1, 2]);
        assert_eq!(missed(CatchUp::Last, 5400), [2]);
        assert_eq!(missed(CatchUp::Last, 900), [0; 0]);
    }

    #[test]
    fn f121_many_missed_times_come_in_steps() {
        let (slots, next) = due(CatchUp::All, 86_400_000, 1_000_000, 2_000_000);
        assert_eq!((slots[0], slots.len(), next), (1_000_000, MOST, Some(1_050_000)));
        let (slots, next) = due(CatchUp::Last, 86_400_000, 1_000_000, 86_000_500);
        assert_eq!((slots[0], slots.len(), next), (85_996_000, 5, Some(86_001_000)));
    }

    #[test]
    fn jitter_is_each_schedules_own_and_always_the_same() {
        let mut delays = std::collections::BTreeSet::new();
        for n in 0..100 {
            let mut schedule = every(&format!("s{n}"), 1000);
            assert_eq!(delay(&schedule), Duration::ZERO);
            schedule.jitter = Duration::from_secs(120);
            schedule.overlap = Overlap::Allow;
            let once = delay(&schedule);
            assert!(once <= Duration::from_secs(120));
            assert_eq!(delay(&schedule.clone()), once);
            delays.insert(once);
        }
        assert!(delays.len() > 95 && delays.last().unwrap().as_secs() > 100, "{delays:?}");
    }
}
