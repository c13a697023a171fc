//! The one request and answer format the http and command handlers share: the envelope, the
//! idempotency key, return values, failure texts.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::JobContext;
use crate::job::Job;

/// Deferral when nobody says how long.
pub(crate) const DEFER: std::time::Duration = std::time::Duration::from_secs(30);

/// Names our idempotency keys; any fixed value does, but changing it changes every key.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f78_6865_7264_4b65_8c1f_2d5e_97a3_b604);

/// `{"job":{…},"data":…}`, in the documented order of members.
#[derive(Serialize)]
struct Envelope<'a> {
    job: Head<'a>,
    data: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    id: &'a str,
    queue: &'a str,
    name: &'a str,
    attempt: u32,
    max_attempts: u32,
    created_at: i64,
    deadline: i64,
    priority: u32,
    tenant: Option<String>,
    schedule: Option<&'a str>,
    scheduled_at: Option<i64>,
}

/// The request body: what a handler is told of a job. The data goes in byte for byte.
pub(crate) fn envelope(job: &Job, ctx: &JobContext) -> Vec<u8> {
    let schedule = job.scheduler.as_ref().map(|iteration| iteration.scheduler.as_str());
    let head = Head {
        id: job.id.as_str(),
        queue: job.queue.as_str(),
        name: &job.name,
        attempt: job.attempt(),
        max_attempts: ctx.max_attempts(),
        created_at: job.timestamp.0,
        deadline: ctx.deadline_ms(),
        priority: job.priority,
        tenant: tenant(job, ctx),
        schedule,
        // Protocol: §5.13.1, an iteration's id ends in the moment it is due
        scheduled_at: schedule.and_then(|_| job.id.as_str().rsplit(':').next()?.parse().ok()),
    };
    let mut body = Vec::with_capacity(job.data.get().len() + 512);
    serde_json::to_writer(&mut body, &Envelope { job: head, data: &job.data })
        .expect("strings, numbers and JSON text always serialize, and a Vec takes every write");
    body
}

/// The tenant a job's data names: text, or a number as text.
fn tenant(job: &Job, ctx: &JobContext) -> Option<String> {
    let (pointer, data) = (ctx.tenant_pointer(), job.data.get());
    // most data names none: a look for the word spares the parsing
    let word = pointer.rsplit('/').next().filter(|word| !word.is_empty())?;
    if !word.contains('~') && !data.contains(word) {
        return None;
    }
    match serde_json::from_str::<serde_json::Value>(data).ok()?.pointer(pointer)? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// One value for all attempts of a job, and for that job alone: an id reused later or in
/// another queue or prefix has another key.
pub(crate) fn idempotency_key(job: &Job, ctx: &JobContext) -> String {
    // lengths first, so that no two tuples read the same
    let (prefix, queue) = (ctx.prefix(), job.queue.as_str());
    let name = format!("{}:{prefix}{}:{queue}{}:{}", prefix.len(), queue.len(), job.timestamp, job.id);
    format!("msg_{}", Uuid::new_v5(&NAMESPACE, name.as_bytes()).simple())
}

/// Output as a return value: one JSON document as it is, nothing as `null`, anything else as a
/// JSON string with invalid UTF-8 replaced.
pub(crate) fn value(output: Vec<u8>) -> Box<RawValue> {
    let text = match String::from_utf8(output) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    if text.trim().is_empty() {
        return RawValue::NULL.to_owned();
    }
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(document) => document.to_owned(),
        Err(_) => serde_json::value::to_raw_value(&text).expect("text is always JSON"),
    }
}

/// Foreign bytes made fit for a reason or a log line: one line, control characters escaped, at
/// most `limit` characters.
pub(crate) fn snippet(bytes: &[u8], limit: usize) -> String {
    // no character is longer than four bytes, so the rest cannot show
    let tame = tame(&bytes[..bytes.len().min(limit * 4 + 4)]);
    match tame.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &tame[..end]),
        None => tame,
    }
}

/// As [`snippet`], but the end stays where there is more than `limit`.
#[cfg(feature = "command")]
pub(crate) fn tail(bytes: &[u8], limit: usize) -> String {
    let tame = tame(bytes);
    match tame.char_indices().rev().nth(limit) {
        Some((before, c)) => format!("…{}", &tame[before + c.len_utf8()..]),
        None => tame,
    }
}

fn tame(bytes: &[u8]) -> String {
    let mut line = String::new();
    for c in String::from_utf8_lossy(bytes).trim().chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::{context, job};
    use crate::job::{JobId, UnixMillis};

    #[test]
    fn the_envelope_is_as_documented() {
        let mut job = job(r#"{"to": "a@example.org",  "n": 1.10, "big": 12345678901234567890123}"#);
        job.priority = 7;
        let text = String::from_utf8(envelope(&job, &context())).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"job":{"id":"1042","queue":"email","name":"welcome","attempt":1,"maxAttempts":3,"#,
                r#""createdAt":1788253198120,"deadline":1788253260000,"priority":7,"tenant":null,"schedule":null,"#,
                r#""scheduledAt":null},"data":{"to": "a@example.org",  "n": 1.10, "big": 12345678901234567890123}}"#
            )
        );
    }

    #[test]
    fn a_scheduled_job_says_which_slot_it_fills() {
        let mut job = job("null");
        job.scheduler = Some(crate::job::Iteration { scheduler: "a:b".into(), opts: String::new() });
        job.id = JobId::stored("repeat:a:b:1788253198000");
        let text = String::from_utf8(envelope(&job, &context())).unwrap();
        assert!(text.contains(r#""schedule":"a:b","scheduledAt":1788253198000}"#), "{text}");
    }

    #[test]
    fn the_key_is_one_for_all_attempts_and_differs_between_jobs() {
        let first = job("1");
        let key = idempotency_key(&first, &context());
        assert!(key.len() == 36 && key.starts_with("msg_"), "{key}");
        let mut again = job("1");
        (again.attempts_made, again.attempts_started) = (2, 5);
        assert_eq!(key, idempotency_key(&again, &context()));
        again.timestamp = UnixMillis(again.timestamp.0 + 1);
        assert_ne!(key, idempotency_key(&again, &context()), "an id used again later");
        let mut other = job("1");
        other.id = JobId::stored("1043");
        assert_ne!(key, idempotency_key(&other, &context()));
    }

    #[test]
    fn f86_output_becomes_json_whatever_it_is() {
        for (output, want) in [
            (&b""[..], "null"),
            (b" \r\n", "null"),
            (b" {\"a\": 1.10}\n", "{\"a\": 1.10}"),
            (b"42\n", "42"),
            (b"{} {}", "\"{} {}\""),
            (b"a\x1b[31m\xff\r\n", "\"a\\u001b[31m\u{fffd}\\r\\n\""),
        ] {
            assert_eq!(value(output.to_vec()).get(), want);
        }
    }

    #[test]
    fn f86_snippets_are_short_and_tame() {
        assert_eq!(snippet(b" a\r\nb\x1b[0m\xff\0 ", 50), "a  b\\u{1b}[0m\u{fffd}\\u{0}");
        assert_eq!(snippet("äöü".as_bytes(), 2), "äö…");
        assert_eq!(snippet(&vec![b'x'; 1 << 20], 10), "xxxxxxxxxx…");
        assert_eq!(snippet(b" \n", 10), "");
    }

    #[cfg(feature = "command")]
    #[test]
    fn tails_keep_the_end() {
        assert_eq!(tail("äöü".as_bytes(), 2), "…öü");
        assert_eq!(tail(b"a\nb\n", 3), "a b");
    }

    #[test]
    fn the_tenant_is_read_from_the_data() {
        let ctx = crate::handler::testing::context();
        let cases = [
            (r#"{"tenantId":"t1"}"#, Some("t1")),
            (r#"{"tenantId":7}"#, Some("7")),
            (r#"{"tenantId":{}}"#, None),
            ("3", None),
        ];
        for (data, expected) in cases {
            let job = crate::handler::testing::job(data);
            assert_eq!(tenant(&job, &ctx).as_deref(), expected, "{data}");
        }
    }
}
