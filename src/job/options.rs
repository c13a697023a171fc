//! A job's options as producers store them, read tolerantly.
//!
//! Protocol: §3.2 and the aliases of §1.4. Numbers arrive as anything JSON can hold and are
//! clamped; an option we must understand to treat the job right (`attempts`, `backoff`) makes
//! the whole text unreadable when its type is wrong; any other falls back to its default and is
//! reported as a warning.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Backoff, BackoffKind, ChildFailure, Deduplication, ParentRef, UnixMillis, millis};

/// BullMQ's highest (least urgent) priority.
pub const MAX_PRIORITY: u32 = 2_097_151;

/// What stays of a finished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Every finished job stays.
    All,
    /// The job is deleted the moment it ends.
    Nothing,
    /// Only the newest `count`, only those younger than `age`; at most `limit` are deleted at
    /// one finish because of their age.
    Some { count: Option<u64>, age: Option<Duration>, limit: Option<u64> },
}

/// Options of one job. `Default` is a job without any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobOptions {
    /// Total tries. `None` when unset; a stored 0 counts as unset.
    pub attempts: Option<u32>,
    pub backoff: Option<Backoff>,
    pub delay: Option<Duration>,
    /// 0 is none.
    pub priority: u32,
    pub lifo: bool,
    pub job_id: Option<String>,
    pub timestamp: Option<UnixMillis>,
    pub remove_on_complete: Option<Keep>,
    pub remove_on_fail: Option<Keep>,
    pub keep_logs: Option<u32>,
    pub stack_trace_limit: Option<u32>,
    pub max_started_attempts: Option<u32>,
    pub deduplication: Option<Deduplication>,
    /// The parent that waits for this job.
    pub parent: Option<ParentRef>,
    /// What the job's failure does to its parent.
    pub on_failure: Option<ChildFailure>,
    /// Members this build has no use for, kept as they are.
    pub extra: Map<String, Value>,
}

/// The options cannot be used; the job fails for good with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("job options are not JSON: {0}")]
    Syntax(String),
    #[error("job options must be a JSON object, got {0}")]
    NotAnObject(&'static str),
    #[error("job option {option} must be {expected}, got {got}")]
    Type { option: &'static str, expected: &'static str, got: &'static str },
}

impl JobOptions {
    /// Reads the stored text. The second value names options that were replaced by their
    /// default because their type is wrong and that does no harm.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), OptionsError> {
        // what Node stores for a job without options: worth a shortcut, it is most jobs
        if text == r#"{"attempts":0}"# || text == "{}" {
            return Ok((Self::default(), Vec::new()));
        }
        let value: Value = serde_json::from_str(text).map_err(|e| OptionsError::Syntax(e.to_string()))?;
        match value {
            Value::Object(members) => Self::from_members(members),
            other => Err(OptionsError::NotAnObject(type_name(&other))),
        }
    }

    /// As [`JobOptions::parse`], from members already read.
    pub fn from_members(mut members: Map<String, Value>) -> Result<(Self, Vec<String>), OptionsError> {
        let mut reader = Reader { members: &mut members, warnings: Vec::new() };
        let attempts = match reader.take(&["attempts", "at"]) {
            None => None,
            Some(value) => match number(&value) {
                Some(n) => Some(clamp_u32(n)).filter(|n| *n > 0),
                None => return Err(wrong("attempts", "a number", &value)),
            },
        };
        let backoff = match reader.take(&["backoff", "bo"]) {
            None => None,
            Some(value) => read_backoff(&value)?,
        };
        let options = Self {
            attempts,
            backoff,
            delay: reader.number(&["delay", "del"]).map(duration_ms).filter(|d| !d.is_zero()),
            priority: reader.number(&["priority"]).map_or(0, clamp_u32).min(MAX_PRIORITY),
            lifo: reader.flag("lifo"),
            job_id: reader.text("jobId"),
            timestamp: reader.number(&["timestamp"]).map(|n| UnixMillis(clamp_i64(n))),
            remove_on_complete: reader.keep(&["removeOnComplete", "remove_on_complete", "ro"]),
            remove_on_fail: reader.keep(&["removeOnFail", "remove_on_fail", "rof"]),
            keep_logs: reader.number(&["kl", "keepLogs"]).map(clamp_u32),
            stack_trace_limit: reader.number(&["stackTraceLimit"]).map(clamp_u32),
            max_started_attempts: reader.number(&["maxStartedAttempts"]).map(clamp_u32),
            deduplication: reader.deduplication(),
            parent: reader.parent(),
            on_failure: reader.on_failure(),
            extra: Map::new(),
        };
        let warnings = reader.warnings;
        members.retain(|_, value| !value.is_null());
        Ok((Self { extra: members, ..options }, warnings))
    }

    /// These, and of `defaults` what is not set here. An id and a moment of its own are never a default.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        let mut extra = defaults.extra.clone();
        extra.extend(self.extra);
        Self {
            attempts: self.attempts.or(defaults.attempts),
            backoff: self.backoff.or_else(|| defaults.backoff.clone()),
            delay: self.delay.or(defaults.delay),
            priority: if self.priority == 0 { defaults.priority } else { self.priority },
            lifo: self.lifo || defaults.lifo,
            job_id: self.job_id,
            timestamp: self.timestamp,
            remove_on_complete: self.remove_on_complete.or(defaults.remove_on_complete),
            remove_on_fail: self.remove_on_fail.or(defaults.remove_on_fail),
            keep_logs: self.keep_logs.or(defaults.keep_logs),
            stack_trace_limit: self.stack_trace_limit.or(defaults.stack_trace_limit),
            max_started_attempts: self.max_started_attempts.or(defaults.max_started_attempts),
            deduplication: self.deduplication.or_else(|| defaults.deduplication.clone()),
            parent: self.parent.or_else(|| defaults.parent.clone()),
            on_failure: self.on_failure.or(defaults.on_failure),
            extra,
        }
    }

    /// The JSON text BullMQ would store. `attempts` is always there, as in Node.
    #[must_use]
    pub fn encode(&self) -> String {
        Value::Object(self.members(Some(self.attempts.unwrap_or(0)))).to_string()
    }

    /// As [`JobOptions::encode`], with nothing but what is set: the options of a template.
    #[must_use]
    pub fn encode_set(&self) -> String {
        Value::Object(self.members(self.attempts)).to_string()
    }

    fn members(&self, attempts: Option<u32>) -> Map<String, Value> {
        let mut members = self.extra.clone();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        if let Some(attempts) = attempts {
            put("attempts", attempts.into());
        }
        if let Some(backoff) = &self.backoff {
            let mut inner = Map::new();
            let kind = match &backoff.kind {
                BackoffKind::Fixed => "fixed",
                BackoffKind::Exponential => "exponential",
                BackoffKind::Other(name) => name,
            };
            inner.insert("type".into(), kind.into());
            // BullMQ writes the delay of its own kinds always: none at all is another wish than none given
            if !backoff.delay.is_zero() || !matches!(backoff.kind, BackoffKind::Other(_)) {
                inner.insert("delay".into(), millis(backoff.delay).into());
            }
            if let Some(jitter) = backoff.jitter {
                inner.insert("jitter".into(), jitter.into());
            }
            put("backoff", inner.into());
        }
        if let Some(delay) = self.delay {
            put("delay", millis(delay).into());
        }
        if self.priority > 0 {
            put("priority", self.priority.into());
        }
        if self.lifo {
            put("lifo", true.into());
        }
        if let Some(id) = &self.job_id {
            put("jobId", id.as_str().into());
        }
        if let Some(timestamp) = self.timestamp {
            put("timestamp", timestamp.0.into());
        }
        if let Some(keep) = self.remove_on_complete {
            put("removeOnComplete", keep_value(keep));
        }
        if let Some(keep) = self.remove_on_fail {
            put("removeOnFail", keep_value(keep));
        }
        if let Some(rows) = self.keep_logs {
            put("kl", rows.into());
        }
        if let Some(limit) = self.stack_trace_limit {
            put("stackTraceLimit", limit.into());
        }
        if let Some(limit) = self.max_started_attempts {
            put("maxStartedAttempts", limit.into());
        }
        if let Some(deduplication) = &self.deduplication {
            put("de", deduplication.value());
        }
        if let Some(ParentRef { id, queue }) = &self.parent {
            put("parent", serde_json::json!({ "id": id, "queue": queue }));
        }
        if let Some(failure) = self.on_failure {
            put(failure.stored_name(), true.into());
        }
        members
    }
}

struct Reader<'a> {
    members: &'a mut Map<String, Value>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// Takes the first of the names that is there and not null; the later ones are aliases.
    fn take(&mut self, names: &[&str]) -> Option<Value> {
        let mut found = None;
        for name in names {
            if let Some(value) = self.members.shift_remove(*name)
                && found.is_none()
                && !value.is_null()
            {
                found = Some(value);
            }
        }
        found
    }

    fn warn(&mut self, option: &str, expected: &str, got: &Value) {
        self.warnings
            .push(format!("job option {option} must be {expected}, got {}; using the default", type_name(got)));
    }

    fn number(&mut self, names: &[&str]) -> Option<f64> {
        let value = self.take(names)?;
        let n = number(&value);
        if n.is_none() {
            self.warn(names[0], "a number", &value);
        }
        n
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.take(&[name]) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.warn(name, "true or false", &other);
                false
            }
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(&[name])? {
            Value::String(text) => Some(text),
            Value::Number(n) => Some(n.to_string()),
            other => {
                self.warn(name, "text", &other);
                None
            }
        }
    }

    fn deduplication(&mut self) -> Option<Deduplication> {
        let value = self.take(&["de", "deduplication"])?;
        let read = Deduplication::read(&value);
        if read.is_none() {
            self.warn("deduplication", "an object with an id", &value);
        }
        read
    }

    fn parent(&mut self) -> Option<ParentRef> {
        let value = self.take(&["parent"])?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let parent = text("id").zip(text("queue")).map(|(id, queue)| ParentRef { id, queue });
        if parent.is_none() {
            self.warn("parent", "an object with id and queue", &value);
        }
        parent
    }

    /// Of several, the one BullMQ heeds first. The other spellings are those of the ports, §1.4.
    fn on_failure(&mut self) -> Option<ChildFailure> {
        let mut found = None;
        for failure in ChildFailure::ALL {
            let aliases: &[&str] = match failure {
                ChildFailure::FailParent => &["fpof", "failParentOnFailure", "fail_parent_on_failure"],
                ChildFailure::ContinueParent => &["cpof", "continueParentOnFailure", "continue_parent_on_failure"],
                ChildFailure::IgnoreDependency => {
                    &["idof", "ignoreDependencyOnFailure", "ignore_dependency_on_failure"]
                }
                ChildFailure::RemoveDependency => {
                    &["rdof", "removeDependencyOnFailure", "remove_dependency_on_failure"]
                }
            };
            if self.take(aliases).is_some_and(|value| value == true) {
                found = found.or(Some(failure));
            }
        }
        found
    }

    fn keep(&mut self, names: &[&str]) -> Option<Keep> {
        let value = self.take(names)?;
        let keep = match &value {
            Value::Bool(true) => Some(Keep::Nothing),
            Value::Bool(false) => Some(Keep::All),
            Value::Object(members) => {
                let field = |name: &str| members.get(name).and_then(number);
                Some(keep_of(field("count"), field("age"), field("limit")))
            }
            other => number(other).map(|n| keep_of(Some(n), None, None)),
        };
        if keep.is_none() {
            self.warn(names[0], "true, false, a number or an object", &value);
        }
        keep
    }
}

fn keep_of(count: Option<f64>, age: Option<f64>, limit: Option<f64>) -> Keep {
    match (count, age) {
        (Some(0.0), _) => Keep::Nothing,
        // BullMQ writes -1 for "keep all"
        (Some(n), None) if n < 0.0 => Keep::All,
        (None, None) => Keep::All,
        (count, age) => Keep::Some {
            count: count.filter(|n| *n > 0.0).map(clamp_u64),
            age: age.map(|seconds| Duration::from_secs(clamp_u64(seconds))),
            limit: limit.filter(|n| *n > 0.0).map(clamp_u64),
        },
    }
}

fn keep_value(keep: Keep) -> Value {
    match keep {
        Keep::All => false.into(),
        Keep::Nothing => true.into(),
        Keep::Some { count, age, limit } => {
            let mut members = Map::new();
            for (name, value) in [("count", count), ("age", age.map(|a| a.as_secs())), ("limit", limit)] {
                if let Some(value) = value {
                    members.insert(name.into(), value.into());
                }
            }
            members.into()
        }
    }
}

fn read_backoff(value: &Value) -> Result<Option<Backoff>, OptionsError> {
    let Value::Object(members) = value else {
        // a bare number is BullMQ's short form of a fixed backoff
        return match number(value) {
            Some(n) => Ok(Some(Backoff { kind: BackoffKind::Fixed, delay: duration_ms(n), jitter: None })),
            None => Err(wrong("backoff", "a number or an object", value)),
        };
    };
    let kind = match members.get("type") {
        None | Some(Value::Null) => BackoffKind::Fixed,
        Some(Value::String(name)) => match name.as_str() {
            "fixed" => BackoffKind::Fixed,
            "exponential" => BackoffKind::Exponential,
            other => BackoffKind::Other(other.to_owned()),
        },
        Some(other) => return Err(wrong("backoff.type", "text", other)),
    };
    let part = |option: &'static str, name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => number(value).map(Some).ok_or_else(|| wrong(option, "a number", value)),
    };
    Ok(Some(Backoff {
        kind,
        delay: part("backoff.delay", "delay")?.map_or(Duration::ZERO, duration_ms),
        jitter: part("backoff.jitter", "jitter")?.map(|j| j.clamp(0.0, 1.0)),
    }))
}

/// A JSON number, or text that is one, as JavaScript would take it. Not-a-number is none.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|n: &f64| n.is_finite())
}

fn wrong(option: &'static str, expected: &'static str, got: &Value) -> OptionsError {
    OptionsError::Type { option, expected, got: type_name(got) }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

// `as` from float saturates and turns NaN into 0, which is just the clamping wanted here.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating on purpose")]
fn clamp_u32(n: f64) -> u32 {
    n as u32
}
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating on purpose")]
pub(super) fn clamp_u64(n: f64) -> u64 {
    (n as u64).min(1 << 53)
}
#[expect(clippy::cast_possible_truncation, reason = "saturating on purpose")]
fn clamp_i64(n: f64) -> i64 {
    (n as i64).clamp(-(1 << 53), 1 << 53)
}
fn duration_ms(n: f64) -> Duration {
    Duration::from_millis(clamp_u64(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> JobOptions {
        JobOptions::parse(text).unwrap().0
    }

    #[test]
    fn reads_what_every_port_writes() {
        assert_eq!(parse(r#"{"attempts":0}"#), JobOptions::default());
        assert_eq!(parse(r#"{"attempts":3}"#).attempts, Some(3));
        assert_eq!(parse(r#"{"at":4,"bo":{"type":"exponential","delay":10}}"#).attempts, Some(4));
        assert_eq!(parse(r#"{"attempts":0,"delay":0}"#).delay, None);
        let fixed = parse(r#"{"backoff":1500}"#).backoff.unwrap();
        assert_eq!((fixed.kind, fixed.delay), (BackoffKind::Fixed, Duration::from_millis(1500)));
        assert_eq!(parse(r#"{"removeOnComplete":true}"#).remove_on_complete, Some(Keep::Nothing));
        assert_eq!(parse(r#"{"removeOnComplete":false}"#).remove_on_complete, Some(Keep::All));
        assert_eq!(
            parse(r#"{"rof":{"age":5,"limit":2}}"#).remove_on_fail,
            Some(Keep::Some { count: None, age: Some(Duration::from_secs(5)), limit: Some(2) })
        );
        assert_eq!(parse(r#"{"keepLogs":2}"#).keep_logs, Some(2));
    }

    #[test]
    fn numbers_out_of_range_are_clamped() {
        let o = parse(r#"{"attempts":-5,"priority":1e99,"delay":-1,"timestamp":1e300,"stackTraceLimit":2.9}"#);
        assert_eq!((o.attempts, o.priority, o.delay), (None, MAX_PRIORITY, None));
        assert_eq!(o.timestamp, Some(UnixMillis(1 << 53)));
        assert_eq!(o.stack_trace_limit, Some(2));
        assert_eq!(parse(r#"{"delay":1e308}"#).delay, Some(Duration::from_millis(1 << 53)));
    }

    #[test]
    fn a_wrong_type_is_refused_where_it_matters_and_reported_where_not() {
        assert!(JobOptions::parse("[]").is_err());
        assert!(JobOptions::parse("{").is_err());
        assert!(JobOptions::parse(r#"{"attempts":{}}"#).is_err());
        assert!(JobOptions::parse(r#"{"backoff":"soon"}"#).is_err());
        let (options, warnings) = JobOptions::parse(r#"{"lifo":"yes","kl":[]}"#).unwrap();
        assert!(!options.lifo);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }

    #[test]
    fn unknown_members_are_kept_and_nulls_dropped() {
        let o = parse(r#"{"attempts":1,"de":{"id":"x"},"mine":null}"#);
        assert_eq!(o.encode(), r#"{"attempts":1,"de":{"id":"x"}}"#);
        let o = parse(r#"{"tm":"t","failParentOnFailure":true,"parent":{"id":"p","queue":"bull:q"}}"#);
        assert_eq!(o.encode(), r#"{"tm":"t","attempts":0,"parent":{"id":"p","queue":"bull:q"},"fpof":true}"#);
        let named = parse(r#"{"attempts":2,"backoff":{"type":"mine"}}"#);
        assert_eq!(named.encode(), r#"{"attempts":2,"backoff":{"type":"mine"}}"#);
        let at_once = parse(r#"{"attempts":2,"backoff":0}"#);
        assert_eq!(at_once.encode(), r#"{"attempts":2,"backoff":{"type":"fixed","delay":0}}"#);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in ".*") {
            let _ = JobOptions::parse(&text);
        }

        #[test]
        fn what_is_written_reads_the_same(
            attempts in proptest::option::of(1u32..1000), priority in 0u32..=MAX_PRIORITY, lifo: bool,
            delay in proptest::option::of(1u64..1 << 53), count in proptest::option::of(1u64..1000)
        ) {
            let options = JobOptions {
                attempts, priority, lifo,
                delay: delay.map(Duration::from_millis),
                remove_on_fail: count.map(|c| Keep::Some { count: Some(c), age: None, limit: None }),
                ..JobOptions::default()
            };
            prop_assert_eq!(parse(&options.encode()), options);
        }
    }
}
