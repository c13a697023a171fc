//! What is kept of an attempt until it is sent, and the span that is made of it.
//!
//! Names are those of OpenTelemetry's conventions for messaging, beside them those of BullMQ's own add-on, so that one
//! board shows both kinds of workers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::config;
use crate::daemon::Masks;
use crate::engine::Event;
use crate::job::{Job, JobId, QueueName, TraceContext};

/// Characters sent of a name and of a reason.
const NAME: usize = 256;
const REASON: usize = 1024;

/// An attempt that has ended, without the job's data.
pub(super) struct Record {
    context: TraceContext,
    parent_span: Option<u64>,
    began: SystemTime,
    took: Duration,
    queue: QueueName,
    id: JobId,
    name: String,
    attempt: u32,
    /// From the moment it could have been taken, for a first attempt.
    waited: Option<Duration>,
    bytes: usize,
    told: Told,
}

/// What has come of an attempt.
pub(super) struct Told {
    outcome: &'static str,
    is_error: bool,
    reason: Option<String>,
    /// Until it is run again.
    wait: Option<Duration>,
}

impl Told {
    /// `None` where there was no attempt.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let told = |outcome, is_error| Self { outcome, is_error, reason: None, wait: None };
        let failed = |outcome, reason: &str| Self { reason: Some(cut(reason, REASON)), ..told(outcome, true) };
        Some(match event {
            Event::Completed { .. } => told("completed", false),
            Event::Discarded { .. } => told("discarded", false),
            Event::WaitingForChildren { .. } => told("waiting-children", false),
            Event::HandedBack { .. } => told("handed-back", false),
            Event::Deferred { reason, wait, .. } => {
                Self { is_error: false, wait: Some(*wait), ..failed("deferred", reason) }
            }
            Event::Retrying { reason, wait, .. } => Self { wait: Some(*wait), ..failed("retrying", reason) },
            Event::Failed { reason, .. } => failed("failed", reason),
            Event::Cancelled { reason, .. } => failed("cancelled", reason),
            Event::Lost { why, .. } => failed("lost", why),
            Event::Expired { .. } => failed("expired", "waited longer than expires_after"),
            _ => return None,
        })
    }
}

impl Record {
    pub(super) fn of(
        job: &Job,
        context: TraceContext,
        parent_span: Option<u64>,
        began: SystemTime,
        took: Duration,
        told: Told,
    ) -> Self {
        let due = job.timestamp.after(job.opts.delay.unwrap_or_default());
        Self {
            context,
            parent_span,
            began,
            took,
            queue: job.queue.clone(),
            id: job.id.clone(),
            name: cut(&job.name, NAME),
            attempt: job.attempt(),
            waited: (job.attempts_started <= 1).then(|| job.processed_on.since(due)),
            bytes: job.data.get().len(),
            told,
        }
    }

    fn span(self, worker: Option<&str>, masks: &Masks) -> Span {
        let Told { outcome, is_error, reason, wait } = self.told;
        let reason = reason.map(|reason| masks.cover(&reason).into_owned());
        let mut attributes = vec![
            text("messaging.system", "bullmq"),
            text("messaging.operation.name", "process"),
            text("messaging.operation.type", "process"),
            text("messaging.destination.name", self.queue.as_str()),
            text("messaging.message.id", self.id.as_str()),
            whole("messaging.message.body.size", self.bytes as u64),
            text("bullmq.queue.name", self.queue.as_str()),
            text("bullmq.job.id", self.id.as_str()),
            text("bullmq.job.name", &self.name),
            whole("bullmq.job.attempts.made", u64::from(self.attempt)),
            text("oxherd.outcome", outcome),
        ];
        attributes.extend(worker.map(|worker| text("bullmq.worker.name", worker)));
        attributes.extend(self.waited.map(|waited| milliseconds("oxherd.waited_ms", waited)));
        attributes.extend(wait.map(|wait| milliseconds("oxherd.again_after_ms", wait)));
        if let Some(reason) = &reason {
            attributes.push(text(if is_error { "bullmq.job.failed.reason" } else { "oxherd.reason" }, reason));
        }
        let status = is_error.then(|| {
            attributes.push(text("error.type", outcome));
            Status { code: StatusCode::Error.into(), message: reason.unwrap_or_default() }
        });
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        Span {
            trace_id: self.context.trace_id.to_be_bytes().into(),
            span_id: self.context.span_id.to_be_bytes().into(),
            parent_span_id: self.parent_span.map_or_else(Vec::new, |span| span.to_be_bytes().into()),
            trace_state: self.context.state.map_or_else(String::new, |state| state.to_string()),
            // sampled; whether the parent is remote is known, and it is
            flags: 0x101 | (u32::from(self.parent_span.is_some()) << 9),
            name: format!("process {}", self.queue),
            kind: SpanKind::Consumer.into(),
            start_time_unix_nano: nanoseconds(began),
            end_time_unix_nano: nanoseconds(began + self.took),
            attributes,
            status,
            ..Span::default()
        }
    }
}

/// Who sends.
pub(super) fn resource(config: &config::Traces, instance: &str) -> Resource {
    let mut attributes = vec![
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", instance),
        whole("process.pid", u64::from(std::process::id())),
    ];
    if let Some(host) = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()) {
        attributes.push(text("host.name", &host));
    }
    // what the operator says goes before what is known
    attributes.retain(|known| !config.attributes.contains_key(&known.key));
    attributes.extend(config.attributes.iter().map(|(name, value)| text(name, value)));
    attributes.retain(|known| known.key != "service.name");
    attributes.insert(0, text("service.name", &config.service));
    Resource { attributes, ..Resource::default() }
}

/// One request's body.
pub(super) fn request(
    records: Vec<Record>,
    resource: &Resource,
    worker: Option<&str>,
    masks: &Masks,
) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "oxherd".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    let spans = ScopeSpans {
        scope: Some(scope),
        spans: records.into_iter().map(|record| record.span(worker, masks)).collect(),
        ..ScopeSpans::default()
    };
    let resource_spans =
        ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(name: &str, value: &str) -> KeyValue {
    attribute(name, Value::StringValue(value.to_owned()))
}

fn whole(name: &str, value: u64) -> KeyValue {
    attribute(name, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn milliseconds(name: &str, duration: Duration) -> KeyValue {
    attribute(name, Value::IntValue(crate::job::millis(duration)))
}

fn nanoseconds(since: Duration) -> u64 {
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}
