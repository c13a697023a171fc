//! How single arguments are read. Each function is a clap value parser.

use std::time::Duration;

use chrono::DateTime;

use crate::config::units::show_duration;
use crate::config::{CatchUp, Overlap, RateLimit, Schedule};
use crate::job::schedule::{check_zone, day};
use crate::job::{
    self, Backoff, BackoffKind, Deduplication, JobId, NameError, QueueName, ScheduleError, State, UnixMillis,
    state::UnknownState,
};

/// `KEY=VALUE`.
pub fn assignment(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("expected KEY=VALUE, as in queues.email.concurrency=20".into()),
    }
}

/// `500ms`, `30s`, `10m`, `24h`, `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; expected a time with its unit, such as 30s or 10m"))
}

/// Where times begin to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    Moment(UnixMillis),
    /// A day, in whichever time zone; checked to be one.
    Day(String),
}

/// `2027-03-28T03:00:00+02:00`, `2027-03-28`.
pub fn since(text: &str) -> Result<Since, String> {
    if day(text, "UTC").is_some() {
        return Ok(Since::Day(text.to_owned()));
    }
    let moment = DateTime::parse_from_rfc3339(text).map_err(|error| {
        format!("{error}; expected a day or a time with its offset, as in 2027-03-28 or 2027-03-28T03:00:00+02:00")
    })?;
    Ok(Since::Moment(UnixMillis(moment.timestamp_millis())))
}

/// A moment that lies behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    Ago(Duration),
    At(Since),
}

/// `10m`, `2027-03-28T03:00:00+02:00`, `2027-03-28`.
pub fn past(text: &str) -> Result<Past, String> {
    if let Ok(ago) = duration(text) {
        return Ok(Past::Ago(ago));
    }
    since(text).map(Past::At).map_err(|error| format!("{error}, or how long ago, as in 10m"))
}

/// A name for a new schedule.
pub fn new_schedule(text: &str) -> Result<String, String> {
    if Schedule::is_name(text) {
        return Ok(text.to_owned());
    }
    let longest = Schedule::LONGEST_NAME;
    Err(format!("expected 1 to {longest} characters without ':' and control characters, got {text:?}"))
}

/// `0 3 * * *`, `@daily`.
pub fn pattern(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("expected five fields, as in \"0 3 * * *\", got none".into());
    }
    job::Schedule::parse(text, None).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// `30m`.
pub fn interval(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    if every < Schedule::SHORTEST || every > Schedule::LONGEST {
        let (shortest, longest) = (show_duration(Schedule::SHORTEST), show_duration(Schedule::LONGEST));
        return Err(format!("expected {shortest} to {longest}, got {text}"));
    }
    // redis keeps whole milliseconds
    Ok(Duration::from_millis(u64::try_from(every.as_millis()).unwrap_or(u64::MAX)))
}

/// `Europe/Oslo`, `UTC+3`.
pub fn zone(text: &str) -> Result<String, ScheduleError> {
    check_zone(text).map(|()| text.to_owned())
}

pub fn overlap(text: &str) -> Result<Overlap, String> {
    word(text, &Overlap::WORDS)
}

pub fn catch_up(text: &str) -> Result<CatchUp, String> {
    word(text, &CatchUp::WORDS)
}

fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        format!("expected {}", known.join(", "))
    })
}

/// `exponential:2s`, `fixed:500ms`; a bare time is fixed.
pub fn backoff(text: &str) -> Result<Backoff, String> {
    let (kind, delay) = text.split_once(':').unwrap_or(("fixed", text));
    let kind = match kind {
        "fixed" => BackoffKind::Fixed,
        "exponential" => BackoffKind::Exponential,
        other => return Err(format!("unknown kind {other:?}; expected fixed:TIME or exponential:TIME")),
    };
    Ok(Backoff { kind, delay: duration(delay)?, jitter: None })
}

pub fn queue(text: &str) -> Result<QueueName, NameError> {
    QueueName::new(text)
}

/// `ID` or `ID:TIME`, a window of deduplication.
pub fn deduplication(text: &str) -> Result<Deduplication, String> {
    let timed = text.rsplit_once(':').and_then(|(id, ttl)| Some((id, duration(ttl).ok()?)));
    let (id, ttl) = timed.map_or((text, None), |(id, ttl)| (id, Some(ttl)));
    if id.is_empty() {
        return Err("expected ID or ID:TIME, as in digest-7:10m".into());
    }
    let ttl = ttl.and_then(|ttl| u64::try_from(ttl.as_millis()).ok()).filter(|ttl| *ttl > 0);
    Ok(Deduplication { id: id.to_owned(), ttl, ..Deduplication::default() })
}

/// `QUEUE:ID` of a job that can be a parent.
pub fn job(text: &str) -> Result<(QueueName, JobId), String> {
    match text.split_once(':') {
        Some((queue, id)) if !id.is_empty() && !id.contains(':') => {
            Ok((QueueName::new(queue).map_err(|error| error.to_string())?, JobId::stored(id)))
        }
        _ => Err("expected QUEUE:ID, as in email:welcome-1".into()),
    }
}

/// An id for a new job.
pub fn new_id(text: &str) -> Result<JobId, NameError> {
    JobId::custom(text)
}

/// The id of a job that is there already, in whatever form.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a result")]
pub fn id(text: &str) -> Result<JobId, NameError> {
    Ok(JobId::stored(text))
}

pub fn state(text: &str) -> Result<State, UnknownState> {
    text.parse()
}

/// A bound that can be set, or taken away with `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<T>(pub Option<T>);

/// `40` or `none`.
pub fn concurrency(text: &str) -> Result<Bound<u32>, String> {
    match text.parse() {
        _ if text == "none" => Ok(Bound(None)),
        Ok(n) if n > 0 => Ok(Bound(Some(n))),
        _ => Err("expected a number of jobs from 1, or none".into()),
    }
}

/// `100/60s` or `none`.
pub fn rate(text: &str) -> Result<Bound<RateLimit>, String> {
    let expected = || "expected jobs and a time, as in 100/60s, or none".to_owned();
    if text == "none" {
        return Ok(Bound(None));
    }
    let (max, per) = text.split_once('/').ok_or_else(expected)?;
    let max = max.parse().ok().filter(|max| *max > 0).ok_or_else(expected)?;
    let per = duration(per)?;
    if per < Duration::from_millis(1) {
        return Err(expected());
    }
    Ok(Bound(Some(RateLimit { max, per })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_an_id_and_perhaps_a_time() {
        let window = |text| deduplication(text).map(|window| (window.id, window.ttl));
        assert_eq!(window("user:7"), Ok(("user:7".into(), None)));
        assert_eq!(window("user:7:1500ms"), Ok(("user:7".into(), Some(1500))));
        assert!(window("").is_err() && window(":5s").is_err());
    }

    #[test]
    fn a_job_is_named_with_its_queue() {
        let (queue, id) = job("email:welcome-1").unwrap();
        assert_eq!((queue.as_str(), id.as_str()), ("email", "welcome-1"));
        assert!(
            job("email").is_err() && job("email:").is_err() && job(":1").is_err() && job("email:repeat:s:1").is_err()
        );
    }

    #[test]
    fn backoffs_are_a_kind_and_a_time() {
        let exponential = backoff("exponential:2s").unwrap();
        assert_eq!((exponential.kind, exponential.delay), (BackoffKind::Exponential, Duration::from_secs(2)));
        assert_eq!(backoff("500ms").unwrap().kind, BackoffKind::Fixed);
        assert!(backoff("linear:2s").unwrap_err().contains("expected fixed:TIME or exponential:TIME"));
        assert!(backoff("fixed:2").is_err());
    }

    #[test]
    fn what_is_past_is_so_long_ago_or_a_moment() {
        assert_eq!(past("10m"), Ok(Past::Ago(Duration::from_secs(600))));
        assert_eq!(past("2027-03-28"), Ok(Past::At(Since::Day("2027-03-28".into()))));
        assert_eq!(past("1970-01-01T00:00:01Z"), Ok(Past::At(Since::Moment(UnixMillis(1000)))));
        assert!(past("yesterday").unwrap_err().ends_with("or how long ago, as in 10m"));
    }

    #[test]
    fn an_assignment_has_a_key() {
        assert!(assignment("a.b=c=d").is_ok());
        assert!(assignment("=x").is_err());
        assert!(assignment("x").is_err());
    }

    #[test]
    fn bounds_are_numbers_or_none() {
        assert_eq!(concurrency("40"), Ok(Bound(Some(40))));
        assert_eq!(concurrency("none"), Ok(Bound(None)));
        assert_eq!(rate("none"), Ok(Bound(None)));
        assert_eq!(rate("100/60s"), Ok(Bound(Some(RateLimit { max: 100, per: Duration::from_secs(60) }))));
        assert!(concurrency("0").is_err() && concurrency("-1").is_err());
        for wrong in ["100", "0/1s", "100/60", "100/0s", "all/1s", "/1s", "100/"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
