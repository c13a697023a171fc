//! Reads `[schedules.NAME]`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::queue::{keep, kind_and_delay};
use super::unknown_placeholder;
use crate::config::invalid::split;
use crate::config::read::Item;
use crate::config::{CatchUp, Overlap, Queue, Schedule};
use crate::job::options::MAX_PRIORITY;
use crate::job::schedule::{check_zone, day};
use crate::job::{self, Backoff, JobOptions, Keep, QueueName, ScheduleError, SchedulerSpec, UnixMillis};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const MOST: i128 = u32::MAX as i128;

/// What schedules take from elsewhere.
pub struct Around<'a> {
    /// The zone of `[daemon]`, if that names one.
    pub zone: Option<&'a str>,
    /// The zone of those that name none, where `[daemon]` does not either.
    pub host: &'a str,
    pub queues: &'a BTreeMap<String, Queue>,
    pub defaults: &'a Queue,
}

/// A schedule, or nothing when it cannot be made one; the reasons are noted.
pub fn schedule(name: &str, item: &Item, around: &Around) -> Option<Schedule> {
    item.expect_table();
    check_name(name, item);
    let own = item.child("timezone");
    let own = own.text().filter(|text| zone_is_known(&own, text));
    let zone = own.as_deref().or(around.zone);
    let data = item.child("data");
    if data.is_given() {
        check_placeholders(&data);
    }
    let data = to_raw_value(&data.json().unwrap_or_else(|| Value::Object(serde_json::Map::new())));
    let queue = queue(name, &item.child("queue"), item)?;
    let policy = &around.queues.get(queue.as_str()).unwrap_or(around.defaults).policy;
    let schedule = Schedule {
        name: name.to_owned(),
        spec: spec(name, item, zone.unwrap_or(around.host))?,
        job_name: item.child("name").text().unwrap_or_else(|| name.to_owned()),
        data: data.expect("JSON is JSON"),
        opts: JobOptions {
            attempts: item.child("attempts").optional_whole(1..=MOST, None),
            backoff: backoff(&item.child("backoff"), &policy.backoff),
            priority: item.child("priority").whole(0..=MAX_PRIORITY.into(), 0),
            remove_on_complete: optional_keep(&item.child("keep_completed")),
            remove_on_fail: optional_keep(&item.child("keep_failed")),
            ..JobOptions::default()
        },
        overlap: item.child("overlap").word(&Overlap::WORDS, Overlap::default()),
        catch_up: item.child("catch_up").word(&CatchUp::WORDS, CatchUp::default()),
        catch_up_window: item.child("catch_up_window").duration(SECOND..=YEAR, Schedule::CATCH_UP_WINDOW),
        jitter: item.child("jitter").duration(Duration::ZERO..=DAY, Duration::ZERO),
        description: item.child("description").text(),
        enabled: item.child("enabled").flag(true),
        revision: item.child("revision").whole(0..=MOST, 0),
        queue,
    };
    // an interval does not ask what the clock shows, so that a host's zone would only make one instance's differ
    let needs_zone = schedule.spec.pattern.is_some() || schedule.has_placeholders();
    let timezone = zone.or(needs_zone.then_some(around.host)).map(str::to_owned);
    Some(Schedule { spec: SchedulerSpec { timezone, ..schedule.spec }, ..schedule })
}

/// Whether this is a zone; what is wrong with it is noted.
pub fn zone_is_known(item: &Item, text: &str) -> bool {
    let checked = check_zone(text);
    if let Err(error) = &checked {
        let (message, help) = split(&error.to_string());
        item.error(message, help.unwrap_or_default());
    }
    checked.is_ok()
}

fn check_name(name: &str, item: &Item) {
    if !Schedule::is_name(name) {
        let longest = Schedule::LONGEST_NAME;
        let message = format!(
            "a schedule's name must be 1 to {longest} characters long, without ':' and control characters, got {name:?}"
        );
        item.wrong_name(message, "it is part of the ids of the jobs; use letters, digits and '-'");
    }
}

fn queue(name: &str, item: &Item, schedule: &Item) -> Option<QueueName> {
    if !item.is_given() {
        // torn files may have swallowed it
        if schedule.is_table() {
            item.missing(format!("schedule {name:?} has no queue"), "write queue = \"NAME\"");
        }
        return None;
    }
    match QueueName::new(&item.text()?) {
        Ok(queue) => Some(queue),
        Err(error) => {
            let (message, help) = split(&error.to_string());
            item.error(message, help.unwrap_or_default());
            None
        }
    }
}

/// When its jobs come; `zone` is that of dates and of the pattern, and is filled in by the caller.
fn spec(name: &str, item: &Item, zone: &str) -> Option<SchedulerSpec> {
    let (cron, every) = (item.child("cron"), item.child("every"));
    match (cron.is_given(), every.is_given()) {
        (true, true) => every.error("a schedule has cron or every, not both", "remove one of them"),
        (false, false) => {
            let help = "write cron = \"0 3 * * *\" or every = \"30m\"";
            item.missing(format!("schedule {name:?} has neither cron nor every"), help);
        }
        _ => {}
    }
    let limit = item.child("limit");
    let spec = SchedulerSpec {
        pattern: cron.text().filter(|text| pattern_is_right(&cron, text)),
        every: every.optional_duration(Schedule::SHORTEST..=Schedule::LONGEST, None),
        start: moment(&item.child("starts"), zone, |(first, _)| {
            // a pattern's times lie behind the start, and the day's first is one of them
            if cron.is_given() { UnixMillis(first.0 - 1) } else { first }
        }),
        end: moment(&item.child("ends"), zone, |(_, last)| last),
        limit: limit.optional_whole(1..=1 << 53, None),
        ..SchedulerSpec::default()
    };
    if spec.every.is_some_and(|every| every < SECOND) {
        every.warn("jobs that come more than once a second are a load on Redis", "write at least \"1s\"");
    }
    check_bounds(item, &spec, zone);
    // without a rhythm it is none; what is wrong has been noted
    (spec.pattern.is_some() != spec.every.is_some()).then_some(spec)
}

fn pattern_is_right(item: &Item, text: &str) -> bool {
    if text.trim().is_empty() {
        item.error("cron must not be empty", "write five fields such as \"0 3 * * *\"");
        return false;
    }
    // the zone has been looked at for itself
    match job::Schedule::parse(text, None) {
        Ok(_) => {
            let fields = text.split_whitespace().count();
            if fields < 5 && !text.starts_with('@') {
                let missing = ["0", "*", "*", "*", "*"][..6 - fields].join(" ");
                let whole = format!("{missing} {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
                item.warn(
                    format!("cron has {fields} of 5 fields and is read as {whole:?}, with seconds first"),
                    "write all five: minute, hour, day of month, month, weekday",
                );
            }
            true
        }
        Err(error) => {
            let (message, help) = split(&error.to_string());
            let help = help.unwrap_or_default();
            match error {
                ScheduleError::Field { column, .. } | ScheduleError::TooManyFields { column, .. } => {
                    item.error_within(text, column, message, help);
                }
                _ => item.error(message, help),
            }
            false
        }
    }
}

/// A moment, or a day as far as it is wanted.
fn moment(item: &Item, zone: &str, of_day: impl Fn((UnixMillis, UnixMillis)) -> UnixMillis) -> Option<UnixMillis> {
    let text = item.text()?;
    if let Some(day) = day(&text, zone) {
        return Some(of_day(day));
    }
    let wrong = |help: String| item.wrong("a date or a time with its offset", &help);
    match DateTime::parse_from_rfc3339(&text) {
        Ok(moment) => Some(UnixMillis(moment.timestamp_millis())),
        Err(_) if DateTime::parse_from_rfc3339(&format!("{text}Z")).is_ok() => {
            wrong(format!("say how far the clock is from UTC: \"{text}Z\" or \"{text}+01:00\""))
        }
        Err(_) => wrong("write \"2027-03-28\" or \"2027-03-28T03:00:00+02:00\"".into()),
    }
}

fn check_bounds(item: &Item, spec: &SchedulerSpec, zone: &str) {
    let (Some(start), Some(end)) = (spec.start, spec.end) else { return };
    let ends = item.child("ends");
    if start.cmp(&end) != Ordering::Less {
        ends.error("the schedule ends before it starts", "give an end that lies behind the start");
    } else if spec.pattern.is_some() && spec.first_time(UnixMillis(i64::MIN), zone) == Ok(None) {
        ends.error("no time of the schedule lies between its start and its end", "give an end that lies further ahead");
    }
}

fn backoff(item: &Item, base: &Backoff) -> Option<Backoff> {
    if !item.is_given() {
        return None;
    }
    let (kind, delay) = kind_and_delay(item, base);
    let jitter = item.child("jitter");
    Some(Backoff { kind, delay, jitter: jitter.is_given().then(|| jitter.share(0.0)) })
}

fn optional_keep(item: &Item) -> Option<Keep> {
    item.is_given().then(|| keep(item, Keep::All))
}

/// Notes what looks like a placeholder and is none, in any text of the data.
fn check_placeholders(item: &Item) {
    for element in item.elements() {
        check_placeholders(&element);
    }
    if item.is_table() {
        for (_, below) in item.entries() {
            check_placeholders(&below);
        }
    }
    let Some(text) = item.is_text().then(|| item.any_text()).flatten() else { return };
    for name in Schedule::unknown_placeholders(&text) {
        let wrong = unknown_placeholder(name, &Schedule::PLACEHOLDERS);
        item.error(wrong.message, wrong.help);
    }
}
