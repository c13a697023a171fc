//! A job scheduler: when its jobs come, what they are, and which of them one job is. Protocol: §5.13.
//!
//! The store writes and reads schedulers as this says, the engine has each iteration followed by the next. Moments
//! are passed in.

use std::time::Duration;

use chrono::DateTime;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::options::{clamp_u64, number};
use super::{JobOptions, Schedule, ScheduleError, UnixMillis, millis};

/// One job's place in a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iteration {
    /// Id of the job scheduler (`rjk`).
    pub scheduler: String,
    /// The job's options as stored: the next iteration copies them. Empty when the hash holds none.
    pub opts: String,
}

/// When the jobs of a scheduler come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulerSpec {
    /// A cron pattern; this or `every`.
    pub pattern: Option<String>,
    /// The time zone of the pattern; `None` is that of whichever process computes the next time.
    pub timezone: Option<String>,
    /// An interval of at least a millisecond; this or `pattern`.
    pub every: Option<Duration>,
    /// How far the times of an interval lie behind whole multiples of it. `None` lets the first time decide.
    pub offset: Option<Duration>,
    /// Most iterations.
    pub limit: Option<u64>,
    /// No iteration before.
    pub start: Option<UnixMillis>,
    /// No next iteration once this is past.
    pub end: Option<UnixMillis>,
    /// The first iteration of a pattern comes at once. Not stored.
    pub immediately: bool,
    /// A note of our own that is stored with the scheduler; see `store/schedule.rs` for who keeps it.
    pub mark: Option<String>,
}

/// What the jobs of a scheduler are.
#[derive(Debug, Clone)]
pub struct Template {
    pub name: String,
    /// JSON text, stored byte for byte.
    pub data: Box<RawValue>,
    /// Without an id, a delay, a parent or a deduplication: those are not a template's.
    pub opts: JobOptions,
}

/// Why a scheduler was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("a job scheduler has a pattern or an interval, not both; remove one of them")]
    Both,
    #[error("a job scheduler needs a pattern or an interval; give one of them")]
    Neither,
    #[error("the interval of a job scheduler must be at least 1 ms, got {0:?}")]
    TooShort(Duration),
    #[error("a job scheduler either starts immediately or at a date, not both; remove one of them")]
    TwoStarts,
    #[error("the end date of the job scheduler is past; give one that lies ahead")]
    Ended,
    #[error("the template of a job scheduler cannot have {0}: each iteration would share it; remove it")]
    Template(&'static str),
    #[error("the id of a job scheduler is empty")]
    NoId,
    #[error(transparent)]
    Pattern(#[from] ScheduleError),
}

impl SchedulerSpec {
    /// Whether a scheduler may be made of this.
    pub fn check(&self, template: &Template, now: UnixMillis) -> Result<(), SpecError> {
        match (&self.pattern, self.every) {
            (Some(_), Some(_)) => return Err(SpecError::Both),
            (None, None) => return Err(SpecError::Neither),
            (None, Some(every)) if millis(every) < 1 => return Err(SpecError::TooShort(every)),
            _ => {}
        }
        if self.immediately && self.start.is_some() {
            return Err(SpecError::TwoStarts);
        }
        if self.has_ended(now) {
            return Err(SpecError::Ended);
        }
        let opts = &template.opts;
        let shared = [
            (opts.job_id.is_some(), "an id"),
            (opts.delay.is_some(), "a delay"),
            (opts.parent.is_some(), "a parent"),
            (opts.deduplication.is_some(), "a deduplication"),
        ];
        match shared.into_iter().find(|(is_there, _)| *is_there) {
            Some((_, what)) => Err(SpecError::Template(what)),
            None => Ok(()),
        }
    }

    /// Whether no next iteration is made any more.
    #[must_use]
    pub fn has_ended(&self, now: UnixMillis) -> bool {
        self.end.is_some_and(|end| now > end)
    }

    /// The next time of the pattern strictly after `after`, as somebody has just written it; `zone` when it names none.
    /// `None` without a pattern, and when no time comes.
    pub fn first_time(&self, after: UnixMillis, zone: &str) -> Result<Option<UnixMillis>, ScheduleError> {
        self.time(after, zone, Schedule::parse)
    }

    /// As [`SchedulerSpec::first_time`], of a scheduler that is there already, perhaps written by BullMQ 5.
    pub fn next_time(&self, after: UnixMillis, zone: &str) -> Result<Option<UnixMillis>, ScheduleError> {
        self.time(after, zone, Schedule::parse_stored)
    }

    fn time(
        &self,
        after: UnixMillis,
        zone: &str,
        parse: fn(&str, Option<&str>) -> Result<Schedule, ScheduleError>,
    ) -> Result<Option<UnixMillis>, ScheduleError> {
        let Some(pattern) = &self.pattern else { return Ok(None) };
        let schedule = parse(pattern, Some(self.timezone.as_deref().unwrap_or(zone)))?;
        let next = schedule.next_after(self.start.map_or(after, |start| start.max(after)));
        Ok(next.filter(|next| self.end.is_none_or(|end| *next <= end)))
    }

    /// Reads what a job's `opts.repeat` or a scheduler's hash says; what is missing or senseless is left out.
    pub fn read(member: impl Fn(&str) -> Option<Value>) -> Self {
        let text = |name: &str| match member(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let positive = |name: &str| member(name).as_ref().and_then(number).filter(|n| *n > 0.0).map(clamp_u64);
        let utc = member("utc") == Some(Value::Bool(true));
        Self {
            // `cron` was its name before
            pattern: text("pattern").or_else(|| text("cron")),
            timezone: text("tz").or_else(|| utc.then(|| "UTC".to_owned())),
            every: positive("every").map(Duration::from_millis),
            offset: positive("offset").map(Duration::from_millis),
            limit: positive("limit"),
            start: member("startDate").as_ref().and_then(moment),
            end: member("endDate").as_ref().and_then(moment),
            immediately: false,
            mark: text("oxherd.mark"),
        }
    }

    /// The fields of the scheduler's hash that say when; all but the offset, which the script knows better.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let ms = |at: UnixMillis| at.0.to_string();
        let fields = [
            ("pattern", self.pattern.clone()),
            ("tz", self.timezone.clone()),
            ("every", self.every.map(|every| millis(every).to_string())),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("startDate", self.start.map(ms)),
            ("endDate", self.end.map(ms)),
            ("oxherd.mark", self.mark.clone()),
        ];
        fields.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
    }

    /// `opts.repeat` of the iteration of this number.
    #[must_use]
    pub fn repeat(&self, count: u64) -> Value {
        let members: [(&str, Option<Value>); 8] = [
            ("pattern", self.pattern.as_deref().map(Value::from)),
            ("tz", self.timezone.as_deref().map(Value::from)),
            ("every", self.every.map(|every| millis(every).into())),
            ("offset", self.offset.map(|offset| millis(offset).into())),
            ("limit", self.limit.map(Value::from)),
            ("startDate", self.start.map(|at| at.0.into())),
            ("endDate", self.end.map(|at| at.0.into())),
            ("count", Some(count.into())),
        ];
        let there = members.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)));
        Value::Object(there.collect::<Map<_, _>>())
    }
}

/// A date as JavaScript takes it: milliseconds, or text.
fn moment(value: &Value) -> Option<UnixMillis> {
    if let Some(ms) = number(value) {
        return i64::try_from(clamp_u64(ms)).ok().map(UnixMillis);
    }
    let text = value.as_str()?;
    DateTime::parse_from_rfc3339(text).ok().map(|date| UnixMillis(date.timestamp_millis()))
}

/// Whether an id has the shape `name:id:end:zone:pattern` of the first repeatable jobs, which BullMQ does not go on
/// with unless the hash says that it is a scheduler all the same.
#[must_use]
pub fn is_first_shape(id: &str) -> bool {
    let parts: Vec<&str> = id.split(':').collect();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts.as_slice(), [_, _, end, _, when] if digits(end)
        && (when.contains(' ') || (!when.is_empty() && digits(when))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(opts: &str) -> Template {
        let data = RawValue::from_string("{}".into()).unwrap();
        Template { name: "n".into(), data, opts: JobOptions::parse(opts).unwrap().0 }
    }

    fn every(ms: u64) -> SchedulerSpec {
        SchedulerSpec { every: Some(Duration::from_millis(ms)), ..SchedulerSpec::default() }
    }

    fn cron(pattern: &str) -> SchedulerSpec {
        SchedulerSpec { pattern: Some(pattern.into()), ..SchedulerSpec::default() }
    }

    #[test]
    fn contradictions_are_refused() {
        let now = UnixMillis(1000);
        let check = |spec: SchedulerSpec| spec.check(&template("{}"), now);
        assert_eq!(check(SchedulerSpec::default()), Err(SpecError::Neither));
        assert_eq!(check(SchedulerSpec { pattern: Some("* * * * *".into()), ..every(5) }), Err(SpecError::Both));
        assert_eq!(check(every(0)), Err(SpecError::TooShort(Duration::ZERO)));
        assert_eq!(check(SchedulerSpec { immediately: true, start: Some(now), ..every(5) }), Err(SpecError::TwoStarts));
        assert_eq!(check(SchedulerSpec { end: Some(UnixMillis(999)), ..every(5) }), Err(SpecError::Ended));
        assert_eq!(check(SchedulerSpec { end: Some(now), ..every(5) }), Ok(()));
        for opts in [r#"{"delay":5}"#, r#"{"jobId":"x"}"#, r#"{"de":{"id":"x"}}"#] {
            assert!(matches!(every(5).check(&template(opts), now), Err(SpecError::Template(_))), "{opts}");
        }
    }

    #[test]
    fn times_keep_between_start_and_end() {
        let hourly = cron("0 * * * *");
        let hour = 3_600_000;
        let next = |spec: &SchedulerSpec, after| spec.next_time(UnixMillis(after), "UTC").unwrap().map(|at| at.0);
        assert_eq!(next(&hourly, 1), Some(hour));
        // a start that matches is not used itself
        assert_eq!(next(&SchedulerSpec { start: Some(UnixMillis(5 * hour)), ..hourly.clone() }, 1), Some(6 * hour));
        let ending = SchedulerSpec { end: Some(UnixMillis(hour)), ..hourly };
        assert_eq!((next(&ending, 1), next(&ending, hour)), (Some(hour), None));
        assert_eq!(next(&every(5), 1), None);
    }

    #[test]
    fn a_pattern_without_a_zone_follows_the_process() {
        let nine = cron("0 9 * * *");
        let next = |spec: &SchedulerSpec| spec.next_time(UnixMillis(0), "America/New_York").unwrap().unwrap().0;
        assert_eq!(next(&nine), 14 * 3_600_000);
        assert_eq!(next(&SchedulerSpec { timezone: Some("UTC".into()), ..nine }), 9 * 3_600_000);
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let spec = SchedulerSpec {
            timezone: Some("Europe/Berlin".into()),
            limit: Some(3),
            start: Some(UnixMillis(5)),
            end: Some(UnixMillis(7)),
            mark: Some("file".into()),
            ..cron("0 0 * * *")
        };
        let fields = spec.fields();
        let stored = |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, text)| json!(text));
        assert_eq!(SchedulerSpec::read(stored), spec);
        let repeat = spec.repeat(4);
        assert_eq!(repeat["count"], 4);
        assert_eq!(
            SchedulerSpec { mark: Some("file".into()), ..SchedulerSpec::read(|name| repeat.get(name).cloned()) },
            spec
        );
    }

    #[test]
    fn dates_are_read_as_javascript_reads_them() {
        for date in [json!(1_700_000_000_000_i64), json!("1700000000000"), json!("2023-11-14T22:13:20.000Z")] {
            assert_eq!(moment(&date), Some(UnixMillis(1_700_000_000_000)), "{date}");
        }
        assert_eq!(moment(&json!("soon")), None);
    }

    #[test]
    fn the_first_shape_of_ids_is_known() {
        for id in ["name:id:1700000000000:UTC:*/5 * * * *", "name::::1000"] {
            assert!(is_first_shape(id), "{id}");
        }
        for id in ["s", "a:b", "78d739cabd4e870fd28971b85e92272c", "a:b:c:d:e", "a:b::d:", "x:a:b:1:d:12"] {
            assert!(!is_first_shape(id), "{id}");
        }
    }
}
