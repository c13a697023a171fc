//! The job file of `oxherd exec`.

use std::path::Path;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::bulk::without_place;
use super::super::{Error, input};
use crate::job::{Iteration, Job, JobId, JobOptions, QueueName, UnixMillis};
use crate::store::ExportedJob;

const EXPECTED: &str = "expected {\"name\": …, \"data\": …, \"opts\": …, \"id\": …} with name or data at least, \
                        or what job show --json or job export prints";

/// A job as somebody wrote it down.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobFile {
    id: Option<String>,
    pub queue: Option<QueueName>,
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    data: Option<Box<RawValue>>,
    opts: Option<Map<String, Value>>,
    timestamp: Option<i64>,
    priority: Option<u32>,
    #[serde(default)]
    attempts_made: u32,
    #[serde(default)]
    attempts_started: u32,
    #[serde(default)]
    stalled_counter: u32,
    parent_key: Option<String>,
    repeat_job_key: Option<String>,
    stacktrace: Option<Value>,
    fields: Option<Value>,
}

/// A member that is there, `null` too.
fn given<'de, D: Deserializer<'de>>(member: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(member).map(Some)
}

/// Reads the one job of a file, or of standard input for `-`.
pub fn read(path: &Path) -> Result<JobFile, Error> {
    let text = input::read_whole(path)?;
    parse(&text).map_err(|problem| Error::Input(format!("{}:{problem}", input::shown(path))))
}

/// The error begins with the place.
fn parse(text: &str) -> Result<JobFile, String> {
    let wrong = |error: &serde_json::Error| {
        format!("{}:{}: {}; {EXPECTED}", error.line(), error.column(), without_place(error))
    };
    if !text.trim_start().starts_with('{') {
        return Err(format!("1:1: {EXPECTED}"));
    }
    let file: JobFile = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    if file.fields.is_some() {
        let exported: ExportedJob = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        return stored(exported);
    }
    if file.name.is_none() && file.data.is_none() {
        return Err(format!("1:1: an object without name and data; {EXPECTED}"));
    }
    Ok(file)
}

/// From the fields of a stored job.
fn stored(mut job: ExportedJob) -> Result<JobFile, String> {
    let broken = |field: &str, error: &serde_json::Error| format!("1:1: field {field} is not JSON: {error}");
    let mut json = |field: &str| -> Result<Option<Box<RawValue>>, String> {
        job.fields.remove(field).map(|text| RawValue::from_string(text).map_err(|e| broken(field, &e))).transpose()
    };
    let data = json("data")?;
    let opts = json("opts")?;
    let opts = opts.map(|opts| serde_json::from_str(opts.get()).map_err(|e| broken("opts", &e))).transpose()?;
    let mut text = |field: &str| job.fields.remove(field);
    let mut count = |field: &str| text(field).and_then(|text| text.parse().ok());
    Ok(JobFile {
        timestamp: count("timestamp"),
        priority: count("priority").and_then(|n| n.try_into().ok()),
        attempts_made: count("atm").and_then(|n| n.try_into().ok()).unwrap_or(0),
        attempts_started: count("ats").and_then(|n| n.try_into().ok()).unwrap_or(0),
        stalled_counter: count("stc").and_then(|n| n.try_into().ok()).unwrap_or(0),
        id: Some(job.id.to_string()),
        queue: Some(job.queue),
        name: text("name"),
        data,
        opts,
        parent_key: text("parentKey"),
        repeat_job_key: text("rjk"),
        stacktrace: text("stacktrace").and_then(|text| serde_json::from_str(&text).ok()),
        fields: None,
    })
}

impl JobFile {
    /// A job for checks, of which nothing is said.
    pub fn sample() -> Self {
        parse(r#"{"name":"conformance","data":{}}"#).expect("the sample is as expected")
    }

    /// The job as it would be taken now from this queue.
    pub fn job(self, queue: QueueName, now: UnixMillis) -> Result<Job, Error> {
        let stored_opts = self.opts.as_ref().map_or_else(String::new, |opts| Value::Object(opts.clone()).to_string());
        let (opts, warnings) = JobOptions::from_members(self.opts.unwrap_or_default())
            .map_err(|error| Error::Input(format!("opts: {error}")))?;
        for warning in warnings {
            super::super::print::note(warning);
        }
        Ok(Job {
            id: JobId::stored(&self.id.unwrap_or_else(|| "1".into())),
            queue,
            name: self.name.unwrap_or_default(),
            data: self.data.unwrap_or_else(|| RawValue::NULL.to_owned()),
            timestamp: self.timestamp.map_or(now, UnixMillis),
            processed_on: now,
            priority: self.priority.unwrap_or(opts.priority),
            opts,
            attempts_made: self.attempts_made,
            attempts_started: self.attempts_started.max(self.attempts_made).saturating_add(1),
            stalled: self.stalled_counter,
            deferred_failure: None,
            deferred_since: None,
            element: None,
            parent_key: self.parent_key,
            scheduler: self.repeat_job_key.map(|scheduler| Iteration { scheduler, opts: stored_opts }),
            stacktrace: self.stacktrace.map(|list| list.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(text: &str) -> Job {
        parse(text).unwrap().job(QueueName::new("q").unwrap(), UnixMillis(7)).unwrap()
    }

    #[test]
    fn what_other_verbs_print_is_a_job_file() {
        let written = job(r#"{"name":"a","data":{"n": 1.10},"opts":{"attempts":4}}"#);
        assert_eq!((written.name.as_str(), written.data.get(), written.id.as_str()), ("a", r#"{"n": 1.10}"#, "1"));
        assert_eq!((written.opts.attempts, written.attempt(), written.timestamp), (Some(4), 1, UnixMillis(7)));
        assert_eq!(job(r#"{"data":null}"#).data.get(), "null");
        let shown = job(r#"{"id":"9","queue":"w","name":"a","state":"failed","data":[1],"opts":{},"attemptsMade":2,
                "attemptsStarted":3,"timestamp":5,"failedReason":null,"stacktrace":["x"],"logs":[]}"#);
        assert_eq!((shown.id.as_str(), shown.attempt(), shown.attempts_started), ("9", 3, 4));
        assert_eq!((shown.timestamp, shown.stacktrace.as_deref()), (UnixMillis(5), Some(r#"["x"]"#)));
        let exported = job(
            r#"{"id":"9","queue":"w","state":"failed","fields":{"name":"a","data":"{\"n\": 1.10}","atm":"2","rjk":"s",
                "opts":"{\"attempts\":4}","timestamp":"5"}}"#,
        );
        assert_eq!((exported.data.get(), exported.attempt()), (r#"{"n": 1.10}"#, 3));
        assert_eq!(exported.scheduler.unwrap().opts, r#"{"attempts":4}"#);
    }

    #[test]
    fn what_is_no_job_is_refused_with_what_was_expected() {
        for (text, why) in [
            ("{\n}", "1:1: an object without name and data; expected {\"name\""),
            (r#"{"to":"a@example.org"}"#, "without name and data"),
            ("[1]", "1:1: expected {"),
            ("{\"name\":\"a\",\n\"opts\":7}", "2:8: invalid type"),
            ("{\"name\":\"a\"}\n{\"name\":\"b\"}", "2:1: trailing characters"),
            (r#"{"id":"1","queue":"q","state":"waiting","fields":{"data":"{"}}"#, "field data is not JSON"),
            (r#"{"fields":{"data":"{}"}}"#, "missing field"),
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.contains(why), "{error}");
        }
    }
}
