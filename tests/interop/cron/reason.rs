//! Where oxherd means to differ from the Node parser, and why.

use oxherd::job::schedule::{ClockChange, Schedule};
use oxherd::job::{ScheduleError, UnixMillis};

use super::ask::Answer;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// 2026-01-01, in ms: before it every release of the zone data says the same.
const SETTLED: i64 = 1_767_225_600_000;

/// A change of the clocks, in seconds.
pub struct Change {
    pub at: i64,
    /// How far the clocks are ahead of UTC before it.
    pub before: i64,
    pub after: i64,
}

impl Change {
    /// By how much the clocks are put forward.
    fn jump(&self) -> i64 {
        self.after - self.before
    }

    /// Whether midnight is among what is skipped or comes twice.
    fn is_about_midnight(&self) -> bool {
        let day = |wall: i64| wall.div_euclid(DAY);
        let (old, new) = (self.at + self.before, self.at + self.after);
        day(old.min(new) - 1) != day(old.max(new) - 1)
    }
}

/// The reason for a difference near a change; `None` when it is not meant.
pub fn reason(
    pattern: &Result<Schedule, ScheduleError>,
    ours: &[Option<i64>],
    theirs: &Answer,
    from: i64,
    change: &Change,
) -> Option<&'static str> {
    let (schedule, theirs) = match (pattern, theirs) {
        (Err(ScheduleError::Never(_)), Answer::Times(times)) if times == &[None] => {
            return Some("never comes: we refuse it, BullMQ schedules nothing and says nothing");
        }
        (Err(ScheduleError::Field { value, .. }), Answer::Times(_)) if is_odd(value) => {
            return Some("a star beside a digit, a name of another field: we refuse it, Node makes some number of it");
        }
        (Ok(schedule), Answer::Times(times)) => (schedule, times),
        _ => return None,
    };
    let parted = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs);
    if parted.is_some_and(|(ours, theirs)| ours.min(theirs).is_some_and(|at| at >= SETTLED)) {
        return Some("a year whose rules governments still change: the zone data of the two is not of one release");
    }
    if change.jump().abs() != HOUR && is_in_its_day(ours, theirs, change) {
        return Some(if change.jump().abs() < HOUR {
            "the clocks move by half an hour: Node loses times of that day, repeats some or gives up"
        } else {
            "the clocks move by two hours: Node makes up for times after one, and runs some twice"
        });
    }
    // but for what is made of the change, the times are the same
    let is_skipped = |at: i64| schedule.clock_change(UnixMillis(at)) == Some(ClockChange::Skipped);
    let repeated = change.at + change.jump()..change.at - change.jump();
    let rest = |times: &[Option<i64>]| -> Vec<i64> {
        let all = times.iter().flatten().copied();
        all.filter(|at| !is_skipped(*at) && !repeated.contains(&(at / 1000))).collect()
    };
    if rest(ours).iter().zip(rest(theirs)).any(|(ours, theirs)| *ours != theirs) {
        return None;
    }
    match (change.jump() > 0, from / 1000 >= change.at) {
        (true, true) => Some("asked right behind skipped time: Node forgets about it, we make up for the rest of it"),
        (false, true) => Some("asked within repeated time: Node runs there again, we have run the first time"),
        (true, false) if change.is_about_midnight() => {
            Some("midnight is skipped: Node drops what was meant for then, we make up for it")
        }
        (false, false) if change.is_about_midnight() => {
            Some("midnight comes twice: Node runs the second time, we the first")
        }
        (_, false) => None,
    }
}

/// What no field has and Node reads all the same.
fn is_odd(value: &str) -> bool {
    value.contains(|c: char| c == '*' || c == '?' || c.is_alphabetic())
}

/// Whether the lists part within a day of the change.
fn is_in_its_day(ours: &[Option<i64>], theirs: &[Option<i64>], change: &Change) -> bool {
    let near = |at: Option<i64>| at.is_some_and(|at| (at / 1000 - change.at).abs() <= DAY);
    let parted = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs);
    parted.is_some_and(|(ours, theirs)| near(*ours) || near(*theirs))
}
