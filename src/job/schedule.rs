//! When does a recurring job run next? Cron patterns and intervals, as BullMQ 6 reads them.
//!
//! Config reads patterns with [`Schedule::parse`], the store those of existing schedulers with
//! [`Schedule::parse_stored`]. Moments are passed in; nothing here asks what time it is.
//!
//! When the clocks change: a pattern that names hours runs each of its times exactly once. A time
//! the clocks skip is made up for as much later as the clocks jump (02:30 runs at 03:30), a time
//! that comes twice runs the first time. A pattern for every hour follows the clock as it goes:
//! nothing is made up, and it runs in both of the repeated hours.

mod calendar;
mod pattern;
mod zone;

use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate};

use self::calendar::Calendar;
use self::pattern::Pattern;
use self::zone::{DAY, Zone};
use super::{UnixMillis, millis};

/// Why a pattern or zone was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// `column` counts characters of the pattern from 1.
    #[error("{field} {value:?} at column {column} of the cron pattern: {problem}")]
    Field { field: &'static str, value: String, column: usize, problem: String },
    #[error(
        "the cron pattern has {count} fields, expected at most 6; \
         remove those from {value:?} at column {column} on"
    )]
    TooManyFields { count: usize, value: String, column: usize },
    #[error("the cron pattern is longer than {0} characters; split it into several schedules")]
    TooLong(usize),
    #[error("{word:?} is not a word for a schedule; use one of {known}")]
    UnknownWord { word: String, known: String },
    #[error("the cron pattern {0:?} never comes; check the day of month against the month")]
    Never(String),
    #[error("time zone {name:?} is not known; {advice}")]
    UnknownZone { name: String, advice: String },
    #[error(
        "time zone {0:?} is an abbreviation, which means different things in different places; \
         name the place, as in America/New_York, or use UTC-5 if the clocks are never changed"
    )]
    Abbreviation(String),
}

/// A cron pattern in its time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    calendar: Calendar,
    zone: Zone,
    is_every_hour: bool,
}

impl Schedule {
    /// Reads a pattern somebody has just written. A pattern that never comes is an error, and so
    /// is a list that holds a value twice, which BullMQ 6 cannot work.
    ///
    /// `zone` is a name of the tz database or `UTC+3`. `None` is UTC: a caller that wants the
    /// zone of the host passes its name.
    pub fn parse(pattern: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        Self::read(pattern, zone, false)
    }

    /// Reads the pattern of a scheduler that exists already, perhaps written by BullMQ 5: its
    /// lists may hold a value twice, its zone may be an abbreviation of the tz database.
    pub fn parse_stored(pattern: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        Self::read(pattern, zone, true)
    }

    fn read(text: &str, zone: Option<&str>, stored: bool) -> Result<Self, ScheduleError> {
        let pattern = Pattern::read(text, stored)?;
        let zone = zone.map_or(Ok(Zone::UTC), |name| Zone::named(name, stored))?;
        let calendar = Calendar::of(&pattern);
        // every date falls on every weekday within 28 years: what is not found from 1970 on never is
        if calendar.at_or_after(0).is_none() {
            return Err(ScheduleError::Never(text.to_owned()));
        }
        Ok(Self { calendar, zone, is_every_hour: pattern.is_every_hour() })
    }

    /// The first time strictly after `after`, a whole second. `None` when there is none before
    /// the end of the year 2100; nothing before 1970 is found.
    #[must_use]
    pub fn next_after(&self, after: UnixMillis) -> Option<UnixMillis> {
        // the first second that may be answered
        let from = after.0.div_euclid(1000).saturating_add(1);
        let next = self.at_or_after(from.max(-2 * DAY))?;
        Some(UnixMillis(next * 1000))
    }

    /// What a change of the clocks has to do with this time of the schedule.
    #[must_use]
    pub fn clock_change(&self, at: UnixMillis) -> Option<ClockChange> {
        let at = at.0.div_euclid(1000);
        let jump = |change: i64| self.zone.offset(change) - self.zone.offset(change - 1);
        if let Some(change) = self.zone.change(at - DAY, at) {
            let (jump, before) = (jump(change), self.zone.offset(change - 1));
            let is_skipped = at < change + jump && self.calendar.at_or_after(at + before) == Some(at + before);
            if is_skipped && !self.is_every_hour {
                return Some(ClockChange::Skipped);
            }
            if at < change - jump {
                return Some(ClockChange::Repeated);
            }
        }
        let change = self.zone.change(at, at + DAY)?;
        (at >= change + jump(change)).then_some(ClockChange::Repeated)
    }

    /// Walks from one change of the clocks to the next: in between, the wall is UTC and a constant.
    fn at_or_after(&self, mut from: i64) -> Option<i64> {
        loop {
            let (start, made_up) = self.around_a_change(from);
            let offset = self.zone.offset(start);
            let next = self.calendar.at_or_after(start.checked_add(offset)?)? - offset;
            let next = made_up.map_or(next, |made_up| made_up.min(next));
            match self.zone.change(start, next.min(start + DAY)) {
                Some(change) => from = change,
                // a walk over years is long: the wall shows no time of the pattern until then, and no clock goes back
                // by a day to show one again
                None if next > start + 60 * DAY => from = next - 2 * DAY,
                None => match self.zone.change(start, next) {
                    Some(change) => from = change,
                    None => return Some(next),
                },
            }
        }
    }

    /// What the last change of the clocks means for a pattern that names hours: where to go on
    /// when `from` lies in repeated time, and the next skipped time to be made up.
    fn around_a_change(&self, from: i64) -> (i64, Option<i64>) {
        if self.is_every_hour {
            return (from, None);
        }
        let Some(change) = self.zone.change(from - DAY, from) else { return (from, None) };
        let (before, after) = (self.zone.offset(change - 1), self.zone.offset(change));
        let settled = change + (after - before).abs();
        if after < before {
            return (from.max(settled), None);
        }
        // the clocks that were not put forward show the skipped times now
        let skipped = self.calendar.at_or_after(from + before).map(|wall| wall - before);
        (from, skipped.filter(|moment| *moment < settled))
    }
}

/// How a time and a change of the clocks meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockChange {
    /// The clocks skip the time that was meant: it is made up for now.
    Skipped,
    /// The clocks show this time twice.
    Repeated,
}

/// Whether a name is one that a schedule may have for its zone.
pub fn check_zone(name: &str) -> Result<(), ScheduleError> {
    Zone::named(name, false).map(drop)
}

/// What the clocks of a zone show at a moment; UTC when nobody knows the zone.
pub(crate) fn local(at: UnixMillis, zone: &str) -> DateTime<FixedOffset> {
    let zone = Zone::named(zone, true).unwrap_or(Zone::UTC);
    let offset = i32::try_from(zone.offset(at.0.div_euclid(1000))).ok().and_then(FixedOffset::east_opt);
    let moment = DateTime::from_timestamp_millis(at.0).unwrap_or_default();
    moment.with_timezone(&offset.expect("no clock is a day ahead"))
}

/// The first and the last moment of a day in a zone; `date` as in 2027-03-28. `None` when it is no date, or nobody knows
/// the zone.
#[must_use]
pub fn day(date: &str, zone: &str) -> Option<(UnixMillis, UnixMillis)> {
    let zone = Zone::named(zone, true).ok()?;
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let begins = |day: NaiveDate| zone.moment(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()) * 1000;
    Some((UnixMillis(begins(date)), UnixMillis(begins(date.succ_opt()?) - 1)))
}

/// One time of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub at: UnixMillis,
    /// How far the times lie behind whole multiples of the interval, in milliseconds.
    pub offset: i64,
}

/// The next time of an interval (protocol notes §5.13.2). `prev` is the time before it, `start`
/// where the first one shall lie; an `offset` of 0 counts as none.
///
/// Slots missed since `prev` are skipped. An interval below a millisecond counts as one.
#[must_use]
pub fn next_every(
    prev: Option<UnixMillis>,
    every: Duration,
    now: UnixMillis,
    offset: i64,
    start: Option<UnixMillis>,
) -> Slot {
    let every = millis(every).max(1);
    // the slot at or before now, moved by the offset
    let slot = now.0.saturating_sub(now.0.rem_euclid(every)).saturating_add(offset);
    let future = |slot: i64| if slot > now.0 { slot } else { slot.saturating_add(every) };
    let at = match (prev, start) {
        (None, Some(start)) => start.max(now).0,
        (None, None) if offset > 0 => future(slot),
        (None, None) => now.0,
        (Some(prev), _) => {
            let next = prev.0.saturating_add(every);
            if next < now.0 { future(slot) } else { next }
        }
    };
    let offset = if offset == 0 { at.rem_euclid(every) } else { offset };
    Slot { at: UnixMillis(at), offset }
}

#[cfg(test)]
mod tests;
