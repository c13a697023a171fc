//! What a handler outside of this process is told of a job: the envelope and the idempotency key.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::handler::{ActionError, JobContext};
use crate::job::{Job, Outcome, TraceContext};
use crate::store::Dependencies;

/// Names our idempotency keys; any fixed value does, but changing it changes every key.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f78_6865_7264_4b65_8c1f_2d5e_97a3_b604);

/// `{"job":{…},"data":…}` and, for a parent, `"children":{…}`, in the documented order of members.
#[derive(Serialize)]
struct Envelope<'a> {
    job: Head<'a>,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<Children<'a>>,
}

/// The envelope as a frame for a process of a pool, and what a handler needs that stands in for one of BullMQ's.
#[cfg(feature = "command")]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    t: &'static str,
    #[serde(rename = "ref")]
    reference: &'a str,
    #[serde(flatten)]
    envelope: Envelope<'a>,
    deadline: i64,
    idempotency_key: String,
    bullmq: Bullmq<'a>,
}

/// What BullMQ tells of a job and the head does not, by BullMQ's names. `opts` is as stored, so with stored names.
#[cfg(feature = "command")]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bullmq<'a> {
    prefix: &'a str,
    token: &'a str,
    opts: Box<RawValue>,
    attempts_made: u32,
    attempts_started: u32,
    stalled_counter: u32,
    processed_on: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stacktrace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_job_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplication_id: Option<&'a str>,
}

#[cfg(feature = "command")]
impl<'a> Bullmq<'a> {
    fn of(job: &'a Job, ctx: &'a JobContext) -> Self {
        Self {
            prefix: ctx.prefix(),
            token: ctx.token(),
            opts: RawValue::from_string(job.opts.encode()).expect("options are written as JSON"),
            attempts_made: job.attempts_made,
            attempts_started: job.attempts_started,
            stalled_counter: job.stalled,
            processed_on: job.processed_on.0,
            stacktrace: job.stacktrace.as_deref(),
            parent_key: job.parent_key.as_deref(),
            repeat_job_key: job.scheduler.as_ref().map(|iteration| iteration.scheduler.as_str()),
            deduplication_id: job.opts.deduplication.as_ref().map(|deduplication| deduplication.id.as_str()),
        }
    }
}

/// What became of a job's children, each under its key.
#[derive(Serialize)]
struct Children<'a> {
    processed: BTreeMap<&'a str, Box<RawValue>>,
    ignored: &'a BTreeMap<String, String>,
    failed: &'a [String],
    unprocessed: &'a [String],
}

impl<'a> Children<'a> {
    fn of(children: &'a Dependencies) -> Self {
        let value = |text: &String| text.clone().into_bytes();
        Self {
            processed: children.processed.iter().map(|(key, text)| (key.as_str(), super::value(value(text)))).collect(),
            ignored: &children.ignored,
            failed: &children.failed,
            unprocessed: &children.unprocessed,
        }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    /// Where no header can tell it: several jobs in one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
}

/// What the envelope says of the job's children, if it is a parent; else the outcome of an attempt that cannot begin.
pub(crate) async fn children_of(ctx: &JobContext) -> Result<Option<Dependencies>, Outcome> {
    if !ctx.may_be_parent() {
        return Ok(None);
    }
    let children = ctx.children().await.map(|children| Some(children).filter(|some| *some != Dependencies::default()));
    children.map_err(|error| match error {
        ActionError::Stopping(reason) => ctx.stopped(reason),
        error => Outcome::retry(format!("cannot read what became of the job's children: {error}")),
    })
}

/// What became of a job's children as JSON on one line, as the envelope has it.
#[cfg(feature = "command")]
pub(crate) fn children(children: &Dependencies) -> String {
    let text = serde_json::to_string(&Children::of(children)).expect("text and JSON text always serialize");
    text.replace('\n', " ")
}

/// The request body: what a handler is told of a job. The data goes in byte for byte.
pub(crate) fn envelope(job: &Job, ctx: &JobContext, children: Option<&Dependencies>) -> Vec<u8> {
    write(&parts(job, ctx, children), job.data.get().len())
}

/// As [`envelope`], where it is one of several in a request: it holds the idempotency key.
#[cfg(feature = "http")]
pub(crate) fn envelope_in_batch(job: &Job, ctx: &JobContext, children: Option<&Dependencies>) -> Vec<u8> {
    let mut document = parts(job, ctx, children);
    document.job.idempotency_key = Some(idempotency_key(job, ctx));
    write(&document, job.data.get().len())
}

/// What a process of a pool is told of a job, without the end of the line: the members of the envelope, `ref` and
/// more (`docs/handlers/helpers.md`).
#[cfg(feature = "command")]
pub(crate) fn job_frame(reference: &str, job: &Job, ctx: &JobContext, children: Option<&Dependencies>) -> Vec<u8> {
    let document = Frame {
        t: "job",
        reference,
        envelope: parts(job, ctx, children),
        deadline: ctx.deadline_ms(),
        idempotency_key: idempotency_key(job, ctx),
        bullmq: Bullmq::of(job, ctx),
    };
    let mut frame = write(&document, job.data.get().len());
    // a producer may have spread its JSON over lines; inside of its strings there are none
    frame.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
    frame
}

fn write(document: &impl Serialize, data: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(data + 768);
    serde_json::to_writer(&mut body, document)
        .expect("strings, numbers and JSON text always serialize, and a Vec takes every write");
    body
}

fn parts<'a>(job: &'a Job, ctx: &JobContext, children: Option<&'a Dependencies>) -> Envelope<'a> {
    let schedule = job.scheduler.as_ref().map(|iteration| iteration.scheduler.as_str());
    let trace = ctx.trace();
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
        traceparent: trace.as_ref().map(TraceContext::traceparent),
        tracestate: trace.and_then(|trace| trace.state).map(|state| state.to_string()),
        idempotency_key: None,
    };
    Envelope { job: head, data: &job.data, children: children.map(Children::of) }
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

/// One value for a batch of jobs with these keys, in whichever order they are in it.
#[cfg(feature = "http")]
pub(crate) fn batch_key(keys: &[String]) -> String {
    let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.sort_unstable();
    format!("msg_{}", Uuid::new_v5(&NAMESPACE, keys.join(" ").as_bytes()).simple())
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
        let text = String::from_utf8(envelope(&job, &context(), None)).unwrap();
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
    fn the_frame_is_the_envelope_and_more() {
        let mut job = job("{\"n\": 1.10,\n \"s\":\"a\\nb\"}");
        let text = String::from_utf8(job_frame("a1", &job, &context(), None)).unwrap();
        let key = idempotency_key(&job, &context());
        let want = [
            r#"{"t":"job","ref":"a1","job":{"id":"1042","queue":"email","name":"welcome","attempt":1,"maxAttempts":3,"#,
            r#""createdAt":1788253198120,"deadline":1788253260000,"priority":0,"tenant":null,"schedule":null,"#,
            r#""scheduledAt":null},"data":{"n": 1.10,  "s":"a\nb"},"deadline":1788253260000,"#,
            &format!(r#""idempotencyKey":"{key}","bullmq":{{"prefix":"bull","token":"token","opts":{{"attempts":0}},"#),
            r#""attemptsMade":0,"attemptsStarted":1,"stalledCounter":0,"processedOn":1788253200000}}"#,
        ];
        assert_eq!(text, want.concat());
        job.parent_key = Some("bull:q:1".into());
        job.scheduler = Some(crate::job::Iteration { scheduler: "s".into(), opts: String::new() });
        let text = String::from_utf8(job_frame("a1", &job, &context(), None)).unwrap();
        assert!(text.ends_with(r#","parentKey":"bull:q:1","repeatJobKey":"s"}}"#), "{text}");
    }

    #[test]
    fn a_parent_is_told_of_its_children() {
        let children = Dependencies {
            processed: [("bull:q:1".to_owned(), r#"{"n": 1.10}"#.to_owned())].into(),
            ignored: [("bull:q:2".to_owned(), "no".to_owned())].into(),
            failed: vec!["bull:q:3".into()],
            unprocessed: Vec::new(),
        };
        let text = String::from_utf8(envelope(&job("1"), &context(), Some(&children))).unwrap();
        assert!(
            text.ends_with(concat!(
                r#""data":1,"children":{"processed":{"bull:q:1":{"n": 1.10}},"ignored":{"bull:q:2":"no"},"#,
                r#""failed":["bull:q:3"],"unprocessed":[]}}"#
            )),
            "{text}"
        );
    }

    #[test]
    fn a_scheduled_job_says_which_slot_it_fills() {
        let mut job = job("null");
        job.scheduler = Some(crate::job::Iteration { scheduler: "a:b".into(), opts: String::new() });
        job.id = JobId::stored("repeat:a:b:1788253198000");
        let text = String::from_utf8(envelope(&job, &context(), None)).unwrap();
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
