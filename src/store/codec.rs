//! Job hash ⇄ [`Job`], tolerant of whatever is found there.
//!
//! What cannot be read makes a job with a deferred failure: it is failed with the reason,
//! without being run, by the same road as every other job (faults F64 to F70).

use super::Value;
use serde_json::value::RawValue;

use super::Error;
use crate::job::{Iteration, Job, JobId, JobOptions, QueueName, UnixMillis};

/// Values of one job in the reply of a take, in the order of `fragments/read_job.lua`.
pub(super) const FIELDS: usize = 14;

/// Deepest nesting of `data` that is handed on. Handlers in other languages parse it too, and
/// many stop at about a hundred levels more.
const MAX_DEPTH: usize = 512;

/// Reads the jobs of a take. `now` stands in for moments that are missing.
pub(super) fn read_jobs(queue: &QueueName, values: Vec<Value>, now: UnixMillis) -> Result<Vec<Job>, Error> {
    if !values.len().is_multiple_of(FIELDS) {
        return Err(Error::Reply {
            what: "a take",
            expected: "14 values a job",
            got: format!("{} values", values.len()),
        });
    }
    let mut jobs = Vec::with_capacity(values.len() / FIELDS);
    let mut values = values.into_iter();
    while values.len() > 0 {
        jobs.push(read_job(queue, &mut values, now));
    }
    Ok(jobs)
}

fn read_job(queue: &QueueName, values: &mut impl Iterator<Item = Value>, now: UnixMillis) -> Job {
    let mut next = || values.next().unwrap_or(Value::Null);
    let mut broken = None;
    let id = text(next()).unwrap_or_default();
    let name = text(next()).unwrap_or_default();
    let data = read_data(next()).unwrap_or_else(|reason| {
        broken = Some(reason);
        RawValue::NULL.to_owned()
    });
    let stored_opts = text(next());
    let opts = match &stored_opts {
        None => JobOptions::default(),
        Some(stored) => match JobOptions::parse(stored) {
            Ok((opts, warnings)) => {
                for warning in warnings {
                    tracing::warn!(%queue, job = %id, "{warning}");
                }
                opts
            }
            Err(error) => {
                broken.get_or_insert(error.to_string());
                JobOptions::default()
            }
        },
    };
    let timestamp = integer(&next()).map_or(now, UnixMillis);
    let priority = count(&next()).min(crate::job::options::MAX_PRIORITY);
    let attempts_made = count(&next());
    let attempts_started = count(&next());
    let stalled = count(&next());
    let deferred_failure = text(next()).or(broken);
    Job {
        id: JobId::stored(&id),
        queue: queue.clone(),
        name,
        data,
        opts,
        timestamp,
        processed_on: now,
        priority,
        attempts_made,
        attempts_started,
        stalled,
        deferred_failure,
        parent_key: text(next()),
        scheduler: text(next()).map(|scheduler| Iteration { scheduler, opts: stored_opts.unwrap_or_default() }),
        stacktrace: text(next()),
        deferred_since: integer(&next()).map(UnixMillis),
        element: None,
    }
}

pub(super) fn read_data(value: Value) -> Result<Box<RawValue>, String> {
    let stored = match value {
        Value::Null => return Ok(RawValue::NULL.to_owned()),
        // the script sends the length instead of what is too long
        Value::Integer(bytes) => return Err(format!("data is {bytes} bytes long, longer than max_payload allows")),
        Value::Bytes(bytes) => {
            let at = std::str::from_utf8(&bytes).map_or_else(|e| e.valid_up_to(), str::len);
            return Err(format!("data is not UTF-8: byte {at} is the first that cannot be read"));
        }
        other => text(other).unwrap_or_default(),
    };
    if too_deep(&stored) {
        return Err(format!("data is nested deeper than {MAX_DEPTH} levels"));
    }
    // place and kind of the mistake, never the content
    RawValue::from_string(stored).map_err(|e| {
        format!("data is not JSON: {:?} error at line {} column {}", e.classify(), e.line(), e.column())
            .to_lowercase()
            .replacen("json", "JSON", 1)
    })
}

/// Counts brackets outside strings; cheaper than parsing and without recursion.
fn too_deep(json: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Text of a reply; bytes that are no UTF-8 are replaced where they are not worth a failure.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::Integer(n) => Some(n.to_string()),
        _ => None,
    }
}

/// A number in whatever form it was stored; out of range is clamped to ±2^53.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(n) => Some(*n),
        #[expect(clippy::cast_possible_truncation, reason = "clamped first")]
        Value::String(text) => text.parse().ok().or_else(|| {
            let n = text.parse::<f64>().ok().filter(|n| n.is_finite())?;
            Some(n.clamp(-9_007_199_254_740_992.0, 9_007_199_254_740_992.0) as i64)
        }),
        _ => None,
    }
}

fn count(value: &Value) -> u32 {
    integer(value).map_or(0, |n| u32::try_from(n.max(0)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(data: Value, opts: Value) -> Job {
        let values = vec![
            "7".into(),
            "welcome".into(),
            data,
            opts,
            "1700000000000".into(),
            "3".into(),
            "1".into(),
            Value::Integer(2),
        ];
        let values = values.into_iter().chain(std::iter::repeat(Value::Null)).take(FIELDS).collect();
        read_jobs(&QueueName::new("q").unwrap(), values, UnixMillis(5)).unwrap().remove(0)
    }

    #[test]
    fn a_job_is_read() {
        let job = job(r#"{"a":"\u00e9"}"#.into(), r#"{"attempts":4}"#.into());
        assert_eq!((job.id.as_str(), job.name.as_str(), job.data.get()), ("7", "welcome", r#"{"a":"\u00e9"}"#));
        assert_eq!((job.attempt(), job.attempts_started, job.opts.attempts), (2, 2, Some(4)));
        assert_eq!(job.deferred_failure, None);
    }

    #[test]
    fn f64_missing_fields_have_defaults() {
        let values = vec!["7".into()].into_iter().chain(vec![Value::Null; FIELDS - 1]).collect();
        let job = read_jobs(&QueueName::new("q").unwrap(), values, UnixMillis(5)).unwrap().remove(0);
        assert_eq!((job.name.as_str(), job.data.get(), job.timestamp), ("", "null", UnixMillis(5)));
        assert_eq!(job.deferred_failure, None);
    }

    #[test]
    fn f65_f66_f68_f69_f70_what_cannot_be_read_fails_with_the_reason() {
        let deep = "[".repeat(600);
        let cases: [(Value, Value, &str); 6] = [
            ("{broken".into(), "{}".into(), "data is not JSON: syntax error at line 1 column 2"),
            ("{".into(), "{}".into(), "data is not JSON: eof error"),
            (Value::Integer(99_999_999), "{}".into(), "data is 99999999 bytes long"),
            (deep.into(), "{}".into(), "nested deeper than 512"),
            (Value::Bytes(b"\"\xff\"".as_slice().into()), "{}".into(), "byte 1 is the first"),
            ("1".into(), "[1]".into(), "job options must be a JSON object"),
        ];
        for (data, opts, expected) in cases {
            let reason = job(data, opts).deferred_failure.unwrap();
            assert!(reason.contains(expected), "{reason:?} lacks {expected:?}");
        }
    }

    #[test]
    fn f67_numbers_out_of_range_are_clamped() {
        assert_eq!(integer(&"1e300".into()), Some(1 << 53));
        assert_eq!(integer(&"-1e300".into()), Some(-(1 << 53)));
        assert_eq!(integer(&"nan".into()), None);
        assert_eq!(count(&"-5".into()), 0);
        assert_eq!(count(&"99999999999".into()), u32::MAX);
    }
}
