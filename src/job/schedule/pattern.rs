//! The text of a cron pattern, read as BullMQ 6 reads it (protocol notes, appendix A).
//!
//! Classic cron: one to six fields, missing ones filled in from the left, Sunday is 0 or 7, and
//! the last day (`L`, `5L`) and the n-th weekday (`1#2`) as extras. Called by
//! [`super::Schedule`] alone.

use super::ScheduleError;

/// Longer texts are refused unread, as BullMQ does.
const LONGEST: usize = 1024;

/// What a word stands for.
const WORDS: [(&str, &str); 10] = [
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
    ("@monthly", "0 0 0 1 * *"),
    ("@weekly", "0 0 0 * * 0"),
    ("@daily", "0 0 0 * * *"),
    ("@hourly", "0 0 * * * *"),
    ("@minutely", "0 * * * * *"),
    ("@secondly", "* * * * * *"),
    ("@weekdays", "0 0 0 * * 1-5"),
    ("@weekends", "0 0 0 * * 0,6"),
];

/// What stands in front of a pattern with fewer than six fields.
const MISSING: [&str; 6] = ["0", "*", "*", "*", "*", "*"];

/// The values a field may take; each is below 64, so a set of them is one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Values(u64);

impl Values {
    pub(super) fn range(first: u32, last: u32) -> Self {
        Self::stepped(first, last, 1)
    }

    fn stepped(first: u32, last: u32, step: u32) -> Self {
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        Self((first..=last).step_by(step).fold(0, |set, value| set | 1 << value))
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |value| self.0 & (1 << value) != 0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Sunday written as 7 is Sunday written as 0.
    fn with_one_sunday(self) -> Self {
        if self.0 & (1 << 7) == 0 { self } else { Self((self.0 & !(1 << 7)) | 1) }
    }
}

/// Days of the month, as far as the pattern restricts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Days {
    pub(super) listed: Values,
    /// `L`: the last day of the month too.
    pub(super) last: bool,
}

/// Weekdays, Sunday 0, as far as the pattern restricts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weekdays {
    pub(super) every: Values,
    /// `5L`: the last Friday of the month.
    pub(super) last: Values,
    /// `1#2`: the n-th of these weekdays in the month, n from 1 to 5.
    pub(super) nth: Option<(Values, u32)>,
}

/// A pattern with every field expanded to its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) seconds: Values,
    pub(super) minutes: Values,
    pub(super) hours: Values,
    /// `None` when written `*` or `?`: then only the weekday counts.
    pub(super) days: Option<Days>,
    pub(super) months: Values,
    /// `None` when written `*` or `?`: then only the day of the month counts.
    pub(super) weekdays: Option<Weekdays>,
}

impl Pattern {
    /// Reads a pattern. `repeats` allows a list to hold a value twice.
    pub(super) fn read(text: &str, repeats: bool) -> Result<Self, ScheduleError> {
        if text.chars().count() > LONGEST {
            return Err(ScheduleError::TooLong(LONGEST));
        }
        let word = WORDS.iter().find(|(word, _)| *word == text);
        if word.is_none() && text.trim_start().starts_with('@') {
            let known: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
            return Err(ScheduleError::UnknownWord { word: text.to_owned(), known: known.join(", ") });
        }
        let written = pieces(word.map_or(text, |(_, fields)| fields));
        if let Some((column, value)) = written.get(MISSING.len()) {
            return Err(ScheduleError::TooManyFields {
                count: written.len(),
                value: (*value).to_owned(),
                column: *column,
            });
        }
        let mut fields: Vec<(usize, &str)> = MISSING.iter().map(|field| (1, *field)).collect();
        let filled = MISSING.len() - written.len();
        fields[filled..].copy_from_slice(&written);

        let read = |at: usize| FIELDS[at].read(fields[at].0, fields[at].1, repeats);
        let seconds = read(0)?.every;
        let minutes = read(1)?.every;
        let hours = read(2)?.every;
        let days = read(3)?;
        let months = read(4)?.every;
        let weekdays = read(5)?;
        let restricts = |at: usize| !matches!(fields[at].1, "*" | "?");
        Ok(Self {
            seconds,
            minutes,
            hours,
            days: restricts(3).then_some(Days { listed: days.every, last: !days.last.is_empty() }),
            months,
            weekdays: restricts(5).then_some(weekdays),
        })
    }

    /// Whether the clock's hour plays no part: such schedules keep their spacing over a clock change.
    pub(super) fn is_every_hour(&self) -> bool {
        self.hours == Values::range(0, 23)
    }
}

/// The fields of a text, each with its column, counted in characters from 1.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let mut pieces = Vec::new();
    let mut column = 1;
    for piece in text.split(char::is_whitespace) {
        if !piece.is_empty() {
            pieces.push((column, piece));
        }
        column += piece.chars().count() + 1;
    }
    pieces
}

/// One of the six places of a pattern.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// Names of the values from `first` on.
    names: &'static [&'static str],
}

const MONTH: usize = 4;
const WEEKDAY: usize = 5;
const DAY: usize = 3;

const FIELDS: [Field; 6] = [
    Field { name: "second", first: 0, last: 59, names: &[] },
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day of month", first: 1, last: 31, names: &[] },
    Field {
        name: "month",
        first: 1,
        last: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { name: "weekday", first: 0, last: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

impl Field {
    fn is(&self, place: usize) -> bool {
        self.name == FIELDS[place].name
    }

    /// Reads the field's list. The last days of the month are kept as weekdays, or as day 0 in
    /// the field of the days.
    fn read(&self, column: usize, text: &str, repeats: bool) -> Result<Weekdays, ScheduleError> {
        let mut all = Weekdays::default();
        let mut column = column;
        for item in text.split(',') {
            let wrong =
                |problem: String| ScheduleError::Field { field: self.name, value: item.to_owned(), column, problem };
            let found = self.item(item).map_err(wrong)?;
            if found.nth.is_some() && text.contains(',') {
                return Err(wrong("the n-th weekday cannot stand in a list; make it a schedule of its own".into()));
            }
            let twice = all.every.and(found.every).iter().chain(all.last.and(found.last).iter()).next();
            if let (Some(value), false) = (twice, repeats) {
                let value = if self.is(DAY) && value == 0 { "L".to_owned() } else { value.to_string() };
                return Err(wrong(format!("the list holds {value} twice; name each value once")));
            }
            all.every = all.every.or(found.every);
            all.last = all.last.or(found.last);
            all.nth = found.nth;
            column += item.chars().count() + 1;
        }
        Ok(all)
    }

    /// Reads one item of the list: what it stands for, or what is wrong with it.
    fn item(&self, text: &str) -> Result<Weekdays, String> {
        if text.is_empty() {
            return Err("an item of the list is empty; remove the comma".into());
        }
        if text.starts_with('H') {
            return Err("H picks a time at random; write the time".into());
        }
        if self.is(DAY) && text == "L" {
            return Ok(Weekdays { last: Values::range(0, 0), ..Weekdays::default() });
        }
        if self.is(WEEKDAY) {
            if text == "L" {
                return Err("L needs a weekday in front; write 5L for the last Friday".into());
            }
            if let Some(day) = text.strip_suffix('L') {
                let day = self.value(day)?;
                return Ok(Weekdays { last: Values::range(day, day).with_one_sunday(), ..Weekdays::default() });
            }
            if let Some((day, nth)) = text.split_once('#') {
                let day = self.value(day)?;
                let nth = number(nth).filter(|nth| (1..=5).contains(nth));
                let nth = nth.ok_or("expected 1 to 5 after #; write 1#2 for the second Monday")?;
                return Ok(Weekdays {
                    nth: Some((Values::range(day, day).with_one_sunday(), nth)),
                    ..Weekdays::default()
                });
            }
        }
        let (range, step) = match text.split_once('/') {
            Some((_, step)) if step.contains('/') => return Err("more than one /; a step is written once".into()),
            Some((range, step)) => {
                let step = number(step).filter(|step| *step > 0);
                (range, Some(step.ok_or("a step is at least 1; write */15 for every fifteenth")?))
            }
            None => (text, None),
        };
        let (first, last) = if let "*" | "?" = range {
            (self.first, self.last)
        } else if let Some((first, last)) = range.split_once('-') {
            (self.value(first)?, self.value(last)?)
        } else {
            let value = self.value(range)?;
            (value, if step.is_some() { self.last } else { value })
        };
        if first > last {
            return Err(format!("the range ends before it begins ({first} to {last}); write it as two, with a comma"));
        }
        let every = Values::stepped(first, last, step.unwrap_or(1));
        Ok(Weekdays { every: if self.is(WEEKDAY) { every.with_one_sunday() } else { every }, ..Weekdays::default() })
    }

    /// A number or name of this field.
    fn value(&self, text: &str) -> Result<u32, String> {
        let (first, last) = (self.first, self.last);
        let expected = match (self.is(MONTH), self.is(WEEKDAY)) {
            (true, _) => format!("expected {first} to {last} or jan to dec"),
            (_, true) => format!("expected {first} to {last} or sun to sat"),
            _ => format!("expected {first} to {last}"),
        };
        let named = self.names.iter().zip(first..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        if let Some((_, value)) = named {
            return Ok(value);
        }
        let value = number(text).ok_or_else(|| format!("{text:?} is not a value of this field; {expected}"))?;
        if (first..=last).contains(&value) { Ok(value) } else { Err(format!("{text} is out of range; {expected}")) }
    }
}

/// Digits and nothing else; too many of them are a number that is too large everywhere.
fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}
