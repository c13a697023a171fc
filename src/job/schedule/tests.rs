//! The dialect against Node's parser, the changes of the clocks, and what is refused.

mod golden;

use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _};
use proptest::prelude::*;

use super::*;

pub(super) fn at(text: &str) -> UnixMillis {
    UnixMillis(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

/// The next times as UTC, each found from the one before.
#[track_caller]
fn next(pattern: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(pattern, Some(zone)).unwrap();
    let mut last = at(from);
    let mut times = Vec::new();
    for _ in 0..count {
        last = schedule.next_after(last).unwrap();
        let time = DateTime::from_timestamp_millis(last.0).unwrap();
        times.push(time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    times
}

#[track_caller]
fn refusal(pattern: &str, zone: Option<&str>) -> String {
    Schedule::parse(pattern, zone).unwrap_err().to_string()
}

#[test]
fn f115_a_skipped_time_runs_once() {
    // 02:30 does not exist on the 31st: 03:30 in summer time is 01:30 UTC
    assert_eq!(
        next("30 2 * * *", "Europe/Berlin", "2024-03-30T12:00:00Z", 2),
        ["2024-03-31T01:30:00Z", "2024-04-01T00:30:00Z"]
    );
    // 03:15 is in the pattern as well, and one run serves both
    assert_eq!(
        next("15 2,3 * * *", "Europe/Berlin", "2024-03-31T00:30:00Z", 2),
        ["2024-03-31T01:15:00Z", "2024-04-01T00:15:00Z"]
    );
    // clocks changed at midnight
    assert_eq!(
        next("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 2),
        ["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"]
    );
    // by half an hour: 02:20 becomes 02:50, after 02:40, which exists
    assert_eq!(
        next("20,40 2 * * *", "Australia/Lord_Howe", "2024-10-05T12:00:00Z", 3),
        ["2024-10-05T15:40:00Z", "2024-10-05T15:50:00Z", "2024-10-06T15:20:00Z"]
    );
    // by a day: Samoa had no 30 December 2011
    assert_eq!(
        next("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3),
        ["2011-12-29T19:00:00Z", "2011-12-30T19:00:00Z", "2011-12-31T19:00:00Z"]
    );
}

#[test]
fn f115_every_hour_keeps_its_spacing() {
    assert_eq!(
        next("*/30 * * * *", "Europe/Berlin", "2024-03-31T00:20:00Z", 4),
        ["2024-03-31T00:30:00Z", "2024-03-31T01:00:00Z", "2024-03-31T01:30:00Z", "2024-03-31T02:00:00Z"]
    );
}

#[test]
fn f116_a_repeated_time_runs_the_first_time_only() {
    assert_eq!(
        next("*/30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00Z", 3),
        ["2024-10-27T00:00:00Z", "2024-10-27T00:30:00Z", "2024-10-28T01:00:00Z"]
    );
    // also when asked in the middle of the repeated hour
    assert_eq!(next("30 2 * * *", "Europe/Berlin", "2024-10-27T01:10:00Z", 1), ["2024-10-28T01:30:00Z"]);
    assert_eq!(next("* * 1-3 * * *", "Europe/Berlin", "2024-10-27T01:10:00Z", 1), ["2024-10-27T02:00:00Z"]);
}

#[test]
fn f116_every_hour_runs_both_times() {
    assert_eq!(
        next("30 * * * *", "Europe/Berlin", "2024-10-26T23:40:00Z", 3),
        ["2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z", "2024-10-27T02:30:00Z"]
    );
    // the clocks go back over midnight: the last hour of the day comes twice
    assert_eq!(
        next("30 * 17 2 *", "America/Sao_Paulo", "2018-02-18T01:00:00Z", 3),
        ["2018-02-18T01:30:00Z", "2018-02-18T02:30:00Z", "2019-02-17T03:30:00Z"]
    );
}

#[test]
fn f117_mistakes_are_named_with_field_value_and_column() {
    for (pattern, field, value, column) in [
        ("60 * * * *", "minute", "60", 1),
        ("0  24 * * *", "hour", "24", 4),
        ("0 0 1,32 * *", "day of month", "32", 7),
        ("0 0 * foo *", "month", "foo", 7),
        ("0 0 * * fri-sun", "weekday", "fri-sun", 9),
        ("0 0 * * 1#6", "weekday", "1#6", 9),
        ("0 0 * * L", "weekday", "L", 9),
        ("61 * * * * *", "second", "61", 1),
        ("H * * * *", "minute", "H", 1),
        ("*/0 * * * *", "minute", "*/0", 1),
        ("1,,2 * * * *", "minute", "", 3),
        ("1,2,1 * * * *", "minute", "1", 5),
    ] {
        let error = Schedule::parse(pattern, None).unwrap_err();
        let ScheduleError::Field { field: f, value: v, column: c, .. } = &error else { panic!("{error}") };
        assert_eq!((*f, v.as_str(), *c), (field, value, column), "{pattern}: {error}");
    }
    assert_eq!(
        refusal("60 * * * *", None),
        "minute \"60\" at column 1 of the cron pattern: 60 is out of range; expected 0 to 59"
    );
    assert!(refusal("H * * * *", None).contains("random"));
    assert!(refusal("* * * * * * *", None).contains("column 13"));
    assert!(refusal("@midnight", None).contains("@daily"));
    assert!(refusal(&"*".repeat(1025), None).contains("1024"));
}

#[test]
fn f117_stored_patterns_may_repeat_a_value() {
    for pattern in ["5,4-6 * * * *", "0 9 * * 0,7", "0 0 L,L * *", "0 0 * * 5L,5L"] {
        assert!(refusal(pattern, None).contains("twice"), "{pattern}");
        Schedule::parse_stored(pattern, None).unwrap();
    }
    assert!(Schedule::parse_stored("H * * * *", None).is_err());
}

#[test]
fn f118_patterns_that_never_come_are_found_at_once() {
    let patterns = ["0 0 30 2 *", "0 0 31 4,6 *", "0 0 30,31 2 *", "0 0 31 2,4,6,9,11 *"];
    for pattern in patterns {
        // the best of five: the bound is ours, not that of a busy host
        let took = |_| {
            let started = Instant::now();
            assert_eq!(Schedule::parse(pattern, None).unwrap_err(), ScheduleError::Never(pattern.into()));
            started.elapsed()
        };
        let best = (0..5).map(took).min().unwrap();
        assert!(best < Duration::from_millis(10), "{pattern}: {best:?}");
    }
    Schedule::parse("0 0 29 2 *", None).unwrap();
    // a day that never comes takes nothing from the weekday
    assert_eq!(next("0 0 30 2 1", "UTC", "2024-01-01T00:00:00Z", 1), ["2024-02-05T00:00:00Z"]);
    Schedule::parse("0 0 * 2 5#5", None).unwrap();
}

#[test]
#[expect(clippy::print_stderr, reason = "the measurements are for people to read")]
fn next_times_are_found_quickly() {
    // 50 us is a defect in a release build; an unoptimized one is ten times as slow
    let bound = Duration::from_micros(if cfg!(debug_assertions) { 500 } else { 50 });
    let patterns = ["0 3 * * *", "*/5 * * * *", "* * * * * *", "0 5 * * 0", "0 0 1 1 *", "0 0 29 2 *", "0 0 * * 5L"];
    for zone in ["UTC", "Europe/Berlin", "Australia/Lord_Howe"] {
        for pattern in patterns {
            let schedule = Schedule::parse(pattern, Some(zone)).unwrap();
            let took = |_| {
                let started = Instant::now();
                let mut last = at("2024-01-01T00:00:00Z");
                for _ in 0..20 {
                    last = schedule.next_after(last).unwrap_or(UnixMillis(0));
                }
                started.elapsed() / 20
            };
            // the best of some: the bound is ours, not that of a busy host
            let best = (0..10).map(took).min().unwrap();
            eprintln!("{pattern:12} in {zone:19}: {best:?}");
            assert!(best < bound, "{pattern} in {zone}: {best:?}");
        }
    }
}

#[test]
fn f119_unknown_zones_are_refused_with_near_names() {
    for (zone, advice) in [
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("Berlin", "did you mean Europe/Berlin"),
        ("America/New York", "did you mean America/New_York?"),
        ("Not/AZone", "Europe/Berlin, or UTC+3"),
        ("+03:00", "UTC+3"),
        ("", "UTC+3"),
        ("EST", "UTC-5"),
        ("CEST", "name the place"),
    ] {
        let error = refusal("* * * * *", Some(zone));
        assert!(error.contains(advice), "{zone}: {error}");
    }
    // BullMQ takes it, so a scheduler may hold it
    Schedule::parse_stored("* * * * *", Some("EST")).unwrap();
    for zone in ["UTC", "GMT", "Etc/UTC", "UTC-5", "utc+05:30", "Asia/Kathmandu"] {
        Schedule::parse("* * * * *", Some(zone)).unwrap();
    }
    assert_eq!(next("0 12 * * *", "utc-05:30", "2024-01-01T00:00:00Z", 1), ["2024-01-01T17:30:00Z"]);
}

#[test]
fn f122_the_calendar_as_it_is() {
    let leap = next("0 0 29 2 *", "UTC", "2096-02-28T12:00:00Z", 1);
    assert_eq!(leap, ["2096-02-29T00:00:00Z"]);
    // 2000 was a leap year, 2100 is none
    assert_eq!(next("0 0 L 2 *", "UTC", "2000-01-01T00:00:00Z", 1), ["2000-02-29T00:00:00Z"]);
    assert_eq!(next("0 0 L 2 *", "UTC", "2100-01-01T00:00:00Z", 1), ["2100-02-28T00:00:00Z"]);
    assert_eq!(
        next("59 59 23 31 12 *", "UTC", "2016-01-01T00:00:00Z", 2),
        ["2016-12-31T23:59:59Z", "2017-12-31T23:59:59Z"]
    );
    assert_eq!(next("0 0 * 2 5L", "UTC", "2024-01-01T00:00:00Z", 2), ["2024-02-23T00:00:00Z", "2025-02-28T00:00:00Z"]);
}

#[test]
fn times_that_a_change_of_the_clocks_touches_are_told() {
    use ClockChange::{Repeated, Skipped};
    let told = |pattern: &str, zone: &str, from: &str, count: usize| {
        let schedule = Schedule::parse(pattern, Some(zone)).unwrap();
        let times = next(pattern, zone, from, count);
        times.iter().map(|time| schedule.clock_change(at(time))).collect::<Vec<_>>()
    };
    let (spring, autumn) = ("2024-03-30T12:00:00Z", "2024-10-26T23:40:00Z");
    assert_eq!(told("30 2 * * *", "Europe/Berlin", spring, 2), [Some(Skipped), None]);
    let both = told("15,45 2,3 * * *", "Europe/Berlin", "2024-03-31T00:30:00Z", 3);
    assert_eq!(both, [Some(Skipped), Some(Skipped), None]);
    // 03:30 exists, and nothing is made up for there
    assert_eq!(told("30 3 * * *", "Europe/Berlin", spring, 1), [None]);
    assert_eq!(told("30 * * * *", "Europe/Berlin", "2024-03-31T00:00:00Z", 2), [None, None]);
    assert_eq!(told("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3), [None, Some(Skipped), None]);
    assert_eq!(told("20,40 2 * * *", "Australia/Lord_Howe", "2024-10-05T12:00:00Z", 2), [None, Some(Skipped)]);
    // the first of the two is the one that runs; a pattern for every hour runs in both
    assert_eq!(told("30 2 * * *", "Europe/Berlin", autumn, 2), [Some(Repeated), None]);
    let twice = told("0,30 * * * *", "Europe/Berlin", autumn, 5);
    assert_eq!(twice, [Some(Repeated), Some(Repeated), Some(Repeated), Some(Repeated), None]);
    assert_eq!(told("30 1,3 * * *", "Europe/Berlin", "2024-10-26T22:00:00Z", 2), [None, None]);
    assert_eq!(told("* * * * *", "UTC", spring, 1), [None]);
}

#[test]
fn days_begin_and_end_with_their_zone() {
    for (date, zone, first, last) in [
        ("2024-03-31", "Europe/Oslo", "2024-03-30T23:00:00Z", "2024-03-31T21:59:59.999Z"),
        ("2024-10-27", "Europe/Oslo", "2024-10-26T22:00:00Z", "2024-10-27T22:59:59.999Z"),
        // midnight is skipped; midnight comes twice
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T01:59:59.999Z"),
        ("2018-02-18", "America/Sao_Paulo", "2018-02-18T03:00:00Z", "2018-02-19T02:59:59.999Z"),
        ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31T09:59:59.999Z"),
        ("1970-01-01", "UTC-5", "1970-01-01T05:00:00Z", "1970-01-02T04:59:59.999Z"),
    ] {
        assert_eq!(day(date, zone), Some((at(first), at(last))), "{date} in {zone}");
    }
    assert_eq!((day("2023-02-29", "UTC"), day("2023-02-28", "Nowhere")), (None, None));
}

#[test]
fn times_end_where_the_calendar_does() {
    let schedule = Schedule::parse("0 0 1 1 *", None).unwrap();
    assert_eq!(schedule.next_after(UnixMillis(i64::MIN)), Some(UnixMillis(0)));
    assert_eq!(schedule.next_after(UnixMillis(-1)), Some(UnixMillis(0)));
    assert_eq!(schedule.next_after(at("2100-01-01T00:00:00Z")), None);
    assert_eq!(schedule.next_after(UnixMillis(i64::MAX)), None);
}

#[test]
fn intervals_follow_their_slots() {
    let (ms, every) = (UnixMillis, Duration::from_secs(1));
    let slot = |at, offset| Slot { at: ms(at), offset };
    // the first one: now, at the start, or where the offset puts it
    assert_eq!(next_every(None, every, ms(5300), 0, None), slot(5300, 300));
    assert_eq!(next_every(None, every, ms(5300), 0, Some(ms(7250))), slot(7250, 250));
    assert_eq!(next_every(None, every, ms(5300), 0, Some(ms(1250))), slot(5300, 300));
    assert_eq!(next_every(None, every, ms(5300), 400, None), slot(5400, 400));
    assert_eq!(next_every(None, every, ms(5300), 300, None), slot(6300, 300));
    // the one after: also when it is due now
    assert_eq!(next_every(Some(ms(5300)), every, ms(5310), 300, None), slot(6300, 300));
    assert_eq!(next_every(Some(ms(5300)), every, ms(6300), 300, None), slot(6300, 300));
    // slots that were missed are not made up for
    assert_eq!(next_every(Some(ms(5300)), every, ms(9350), 300, None), slot(10300, 300));
    assert_eq!(next_every(Some(ms(5300)), every, ms(9250), 300, None), slot(9300, 300));
    assert_eq!(next_every(Some(ms(5300)), every, ms(9250), 0, None), slot(10000, 0));
    // and nothing overflows
    let _ = next_every(Some(ms(i64::MAX)), Duration::MAX, ms(i64::MAX), i64::MAX, None);
    let _ = next_every(None, Duration::ZERO, ms(i64::MIN), i64::MIN, None);
}

/// A field as people write them.
fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        2 => (first..=last).prop_map(|value| value.to_string()),
        1 => (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (1u32..40).prop_map(|step| format!("*/{step}")),
        1 => (first..=last, 1u32..20).prop_map(|(from, step)| format!("{from}/{step}")),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let days = prop_oneof![4 => field(1, 28), 1 => Just("L".to_owned()), 1 => Just("15,L".to_owned())];
    let weekdays = prop_oneof![4 => field(0, 7), 1 => Just("5L".to_owned()), 1 => Just("1#2".to_owned())];
    (field(0, 59), field(0, 59), field(0, 23), days, field(1, 12), weekdays)
        .prop_map(|(s, m, h, d, mo, w)| [s, m, h, d, mo, w].join(" "))
}

/// Moments near changes of the clocks as well as anywhere.
fn moment() -> impl Strategy<Value = i64> {
    const HOUR: i64 = 3_600_000;
    prop_oneof![
        (0i64..3_900_000_000_000).boxed(),
        // 2018-11-04, 2024-03-31, 2024-10-05, 2024-10-27, 2011-12-30
        (
            prop::sample::select(vec![
                1_541_300_400_000,
                1_711_846_800_000,
                1_728_140_400_000,
                1_729_990_800_000i64,
                1_325_239_200_000
            ]),
            -30 * HOUR..30 * HOUR
        )
            .prop_map(|(change, near)| change + near)
            .boxed(),
    ]
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"])
}

/// The rules of the dialect once more, told of one second instead of searched for.
fn matches(pattern: &Pattern, wall: DateTime<chrono::Utc>) -> bool {
    let is_in = |values: pattern::Values, value: u32| values.iter().any(|known| known == value);
    let (day, weekday) = (wall.day(), wall.weekday().num_days_from_sunday());
    let next_month = NaiveDate::from_ymd_opt(wall.year() + i32::from(wall.month() == 12), wall.month() % 12 + 1, 1);
    let length = next_month.unwrap().pred_opt().unwrap().day();
    let by_day = pattern.days.map(|days| is_in(days.listed, day) || (days.last && day == length));
    let by_weekday = pattern.weekdays.map(|weekdays| {
        is_in(weekdays.every, weekday)
            || (is_in(weekdays.last, weekday) && day + 7 > length)
            || weekdays.nth.is_some_and(|(days, nth)| is_in(days, weekday) && day.div_ceil(7) == nth)
    });
    is_in(pattern.seconds, wall.second())
        && is_in(pattern.minutes, wall.minute())
        && is_in(pattern.hours, wall.hour())
        && is_in(pattern.months, wall.month())
        && match (by_day, by_weekday) {
            (None, None) => true,
            (Some(is_day), None) | (None, Some(is_day)) => is_day,
            (Some(one), Some(other)) => one || other,
        }
}

proptest! {
    #[test]
    fn the_calendar_leaves_no_time_out(text in pattern(), from in 0i64..4_000_000_000) {
        let pattern = Pattern::read(&text, false).unwrap();
        let found = Calendar::of(&pattern).at_or_after(from).unwrap();
        let wall = |at| DateTime::from_timestamp(at, 0).unwrap();
        prop_assert!(matches(&pattern, wall(found)), "{} does not match", wall(found));
        // every second after the start, and the time found on every day before
        let seconds = (from..found).take(1000);
        let same_time = (1..800).map(|days| found - days * DAY).take_while(|at| *at >= from);
        let missed = seconds.chain(same_time).find(|at| matches(&pattern, wall(*at)));
        prop_assert_eq!(missed, None);
    }

    #[test]
    fn the_next_time_lies_ahead_and_never_goes_back(
        pattern in pattern(), zone in zone(), from in moment(), later in 0i64..100_000_000
    ) {
        let schedule = Schedule::parse(&pattern, Some(zone)).unwrap();
        let next = schedule.next_after(UnixMillis(from)).unwrap();
        prop_assert!(next > UnixMillis(from));
        prop_assert_eq!(next.0 % 1000, 0);
        let after = schedule.next_after(UnixMillis(from + later)).unwrap();
        prop_assert!(after >= next, "{} is followed by {}", next, after);
        // no time lies between: asked just before it, the answer is the same
        prop_assert_eq!(schedule.next_after(UnixMillis(next.0 - 1)), Some(next));
        if from + later < next.0 {
            prop_assert_eq!(after, next);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9*?,/#L H@a-z-]{0,20}", zone in "\\PC{0,8}") {
        let _ = Schedule::parse(&text, Some(&zone));
        if let Ok(schedule) = Schedule::parse_stored(&text, None) {
            prop_assert!(schedule.next_after(UnixMillis(0)).is_some());
        }
    }
}
