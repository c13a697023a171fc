//! Time zones: which one a name means, and how far its clocks are from UTC at any moment.
//!
//! The zone data is built into the binary, so that a host without any behaves the same. Called
//! by [`super::Schedule`] alone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ScheduleError;

pub(super) const DAY: i64 = 24 * 3600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Zone {
    Named(TimeZone),
    /// Seconds ahead of UTC, never changing.
    Fixed(i64),
}

impl Zone {
    pub(super) const UTC: Self = Self::Fixed(0);

    /// Finds a zone by its name in the tz database, or as `UTC+3`. `stored` takes the database's
    /// abbreviations too, which nobody should write anew: `EST` has no summer time.
    pub(super) fn named(name: &str, stored: bool) -> Result<Self, ScheduleError> {
        if let Some(offset) = fixed(name) {
            return Ok(Self::Fixed(offset));
        }
        let is_short = name.len() > 2
            && name.ends_with('T')
            && name != "GMT"
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        match known(name) {
            Some(zone) if stored || !is_short => Ok(Self::Named(zone)),
            _ if is_short => Err(ScheduleError::Abbreviation(name.to_owned())),
            _ => Err(ScheduleError::UnknownZone { name: name.to_owned(), advice: advice(name) }),
        }
    }

    /// Seconds the zone's clocks are ahead of UTC at a moment given in seconds since 1970.
    pub(super) fn offset(&self, at: i64) -> i64 {
        match self {
            Self::Fixed(offset) => *offset,
            Self::Named(zone) => {
                Timestamp::from_second(at).map_or(0, |moment| i64::from(zone.to_offset(moment).seconds()))
            }
        }
    }

    /// The first moment at which the clocks show `wall`; as much later as they jump where they skip it.
    pub(super) fn moment(&self, wall: i64) -> i64 {
        // a day before `wall` is before it in every zone, and no clocks are changed twice in two days
        let before = self.offset(wall - DAY);
        let after = self.offset(wall - before);
        let settled = wall - after;
        if self.offset(settled) == after { settled } else { wall - before }
    }

    /// The first moment after `from` and not after `until` at which the clocks are changed.
    pub(super) fn change(&self, from: i64, until: i64) -> Option<i64> {
        let Self::Named(zone) = self else { return None };
        let mut offset = self.offset(from);
        for transition in zone.following(Timestamp::from_second(from).ok()?) {
            let at = transition.timestamp().as_second();
            if at > until {
                return None;
            }
            // some only change the name of the time
            let after = i64::from(transition.offset().seconds());
            if after != offset {
                return Some(at);
            }
            offset = after;
        }
        None
    }
}

/// A zone of the database, by its name as it is written there.
fn known(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

/// `UTC`, `UTC+3`, `utc-05:30`: what Node takes besides the database's names.
fn fixed(name: &str) -> Option<i64> {
    if !name.get(..3)?.eq_ignore_ascii_case("utc") {
        return None;
    }
    let rest = &name[3..];
    if rest.is_empty() {
        return Some(0);
    }
    let sign = match rest.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = rest[1..].split_once(':').unwrap_or((&rest[1..], "00"));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=2).contains(&hours.len()) || minutes.len() != 2 || !is_number(hours) || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// What to write instead of an unknown name: up to three of the names that are nearest.
fn advice(name: &str) -> String {
    let plain = |text: &str| text.to_lowercase().replace([' ', '-'], "_");
    let written = plain(name);
    let place = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
    let mut near: Vec<(usize, String)> = jiff::tz::db()
        .available()
        .map(|zone| {
            let known = plain(zone.as_str());
            let same_place = usize::from(place(&known) != place(&written));
            let apart = distance(&known, &written).min(same_place * 3 + distance(&place(&known), &place(&written)));
            (apart, zone.as_str().to_owned())
        })
        .filter(|(distance, _)| *distance <= (written.len() / 4).max(1))
        .collect();
    near.sort_unstable();
    let nearest = near.first().map_or(0, |(distance, _)| *distance);
    near.retain(|(distance, _)| *distance == nearest);
    let near: Vec<String> = near.into_iter().take(3).map(|(_, name)| name).collect();
    if near.is_empty() {
        return "use a name of the tz database such as Europe/Berlin, or UTC+3".into();
    }
    format!("did you mean {}?", near.join(" or "))
}

/// Letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            row.push((last[j] + usize::from(from != *to)).min(last[j + 1] + 1).min(row[j] + 1));
        }
        last = row;
    }
    last[b.len()]
}
