//! The days and times of a pattern on a plain wall clock: no zones, no gaps.
//!
//! The `cron` crate does the matching. It wants both day fields to match where BullMQ wants
//! either, counts weekdays from Sunday 1, and knows neither `L` nor `#`; so one pattern becomes
//! one to six of its schedules, and the earliest answer counts. Called by [`super::Schedule`].

use std::fmt::Write as _;
use std::str::FromStr as _;

use chrono::{DateTime, Utc};

use super::pattern::{Pattern, Values};

/// Months by their length; February twice, with the years in which it has that length.
const LENGTHS: [(u32, &[u32], Years); 4] = [
    (31, &[1, 3, 5, 7, 8, 10, 12], Years::All),
    (30, &[4, 6, 9, 11], Years::All),
    (29, &[2], Years::Leap),
    (28, &[2], Years::Common),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Years {
    All,
    Leap,
    Common,
}

impl Years {
    /// As `cron` wants them: it counts from 1970 to 2100.
    fn text(self) -> String {
        if self == Self::All {
            return "*".into();
        }
        let is_leap = |year: &u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        list((1970..=2100).filter(|year| is_leap(year) == (self == Self::Leap)), 0)
    }
}

/// Every moment of a wall clock that a pattern names, from 1970 to 2100.
#[derive(Debug, Clone)]
pub(super) struct Calendar(Vec<cron::Schedule>);

impl Calendar {
    pub(super) fn of(pattern: &Pattern) -> Self {
        let mut calendar = Calendar(Vec::new());
        let (all_days, all_weekdays) = (Values::range(1, 31), Values::range(0, 6));
        if pattern.days.is_none() && pattern.weekdays.is_none() {
            calendar.add(pattern, pattern.months, all_days, all_weekdays, Years::All);
        }
        if let Some(days) = pattern.days {
            calendar.add(pattern, pattern.months, days.listed, all_weekdays, Years::All);
            if days.last {
                calendar.add_ends(pattern, 1, all_weekdays);
            }
        }
        if let Some(weekdays) = pattern.weekdays {
            calendar.add(pattern, pattern.months, all_days, weekdays.every, Years::All);
            calendar.add_ends(pattern, 7, weekdays.last);
            if let Some((weekday, nth)) = weekdays.nth {
                let week = Values::range(7 * nth - 6, (7 * nth).min(31));
                calendar.add(pattern, pattern.months, week, weekday, Years::All);
            }
        }
        calendar
    }

    /// The weekdays among the last `count` days of each month.
    fn add_ends(&mut self, pattern: &Pattern, count: u32, weekdays: Values) {
        for (length, months, years) in LENGTHS {
            let months = months.iter().fold(Values::default(), |all, month| all.or(Values::range(*month, *month)));
            let days = Values::range(length - count + 1, length);
            self.add(pattern, pattern.months.and(months), days, weekdays, years);
        }
    }

    /// Adds what `cron` can say in one line; nothing when a field has no values.
    fn add(&mut self, pattern: &Pattern, months: Values, days: Values, weekdays: Values, years: Years) {
        if [months, days, weekdays].into_iter().any(Values::is_empty) {
            return;
        }
        let text = format!(
            "{} {} {} {} {} {} {}",
            list(pattern.seconds.iter(), 60),
            list(pattern.minutes.iter(), 60),
            list(pattern.hours.iter(), 24),
            list(days.iter(), 31),
            list(months.iter(), 12),
            list(weekdays.iter().map(|weekday| weekday + 1), 7),
            years.text(),
        );
        self.0.push(cron::Schedule::from_str(&text).expect("plain lists of numbers in range"));
    }

    /// The first moment not before `wall`; both count the seconds of a clock that shows the
    /// beginning of 1970 at 0. `None` after 2100.
    pub(super) fn at_or_after(&self, wall: i64) -> Option<i64> {
        // UTC here stands for whatever the clock on the wall shows: it has no changes
        let before: DateTime<Utc> = DateTime::from_timestamp(wall - 1, 0)?;
        self.0.iter().filter_map(|schedule| schedule.after(&before).next()).map(|moment| moment.timestamp()).min()
    }
}

/// The values, or a star where they are `all` there are: `cron` takes ten times as long to read them one by one.
fn list(values: impl Iterator<Item = u32>, all: usize) -> String {
    let mut text = String::new();
    let mut count = 0;
    for value in values {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{value}");
        count += 1;
    }
    if count == all { "*".into() } else { text }
}
