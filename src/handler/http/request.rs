//! What a job is sent with: its headers, the configured ones beside ours.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::signature::Signer;
use crate::config::HttpHandler;
use crate::handler::error::Refused;
use crate::handler::{JobContext, wire};
use crate::job::Job;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const QUEUE: HeaderName = HeaderName::from_static("oxherd-queue");
const JOB_ID: HeaderName = HeaderName::from_static("oxherd-job-id");
const JOB_NAME: HeaderName = HeaderName::from_static("oxherd-job-name");
const ATTEMPT: HeaderName = HeaderName::from_static("oxherd-attempt");
const DEADLINE: HeaderName = HeaderName::from_static("oxherd-deadline");
const BATCH: HeaderName = HeaderName::from_static("oxherd-batch");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// How many headers are ours at most, those that hyper adds included.
const OWN: usize = 14;

/// Makes the headers of every request, checked when the handler is built.
pub(super) struct Headers {
    /// The configured headers and those that never change.
    fixed: HeaderMap,
    signer: Signer,
}

impl Headers {
    pub(super) fn new(config: &HttpHandler) -> Result<Self, Refused> {
        Ok(Self { fixed: fixed(config)?, signer: Signer::new(&config.signing_secrets)? })
    }

    /// The headers for one attempt, signed now. The error is the reason the job fails for good.
    pub(super) fn of(&self, job: &Job, ctx: &JobContext, body: &[u8]) -> Result<HeaderMap, String> {
        let mut headers = self.signed(&wire::idempotency_key(job, ctx), body)?;
        headers.insert(QUEUE, header_value("queue name", job.queue.as_str())?);
        headers.insert(JOB_ID, header_value("job id", job.id.as_str())?);
        headers.insert(JOB_NAME, header_value("job name", &job.name)?);
        headers.insert(ATTEMPT, HeaderValue::from(job.attempt()));
        headers.insert(DEADLINE, HeaderValue::from(ctx.deadline_ms()));
        if let Some(trace) = ctx.trace() {
            headers.insert(TRACEPARENT, header_value("traceparent", &trace.traceparent())?);
            headers.extend(trace.state.and_then(|state| Some((TRACESTATE, HeaderValue::from_str(&state).ok()?))));
        }
        Ok(headers)
    }

    /// The headers for a batch of so many jobs of one queue, the first of which has this deadline in Unix ms.
    pub(super) fn of_batch(
        &self,
        id: &str,
        queue: &str,
        jobs: usize,
        deadline: i64,
        body: &[u8],
    ) -> Result<HeaderMap, String> {
        let mut headers = self.signed(id, body)?;
        headers.insert(QUEUE, header_value("queue name", queue)?);
        headers.insert(BATCH, HeaderValue::from(jobs));
        headers.insert(DEADLINE, HeaderValue::from(deadline));
        Ok(headers)
    }

    /// What every request has.
    fn signed(&self, id: &str, body: &[u8]) -> Result<HeaderMap, String> {
        // room for all: a map that grows is copied
        let mut headers = HeaderMap::with_capacity(self.fixed.len() + OWN);
        headers.extend(self.fixed.iter().map(|(name, value)| (name.clone(), value.clone())));
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if let Some(signatures) = self.signer.sign(id, seconds, body) {
            headers.insert(WEBHOOK_SIGNATURE, signatures);
        }
        let key = header_value("idempotency key", id)?;
        headers.insert(WEBHOOK_ID, key.clone());
        headers.insert(IDEMPOTENCY_KEY, key);
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
        Ok(headers)
    }
}

/// Any text as a header value: all but visible ASCII, and the percent sign itself, is
/// percent-encoded; control characters have no business in a name and fail the job.
fn header_value(what: &str, text: &str) -> Result<HeaderValue, String> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'%';
    if text.as_bytes().iter().all(is_plain) {
        return Ok(HeaderValue::from_str(text).expect("visible ASCII is a header value"));
    }
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Err(format!("{what} {text:?} holds the control character {c:?}, which no header can carry"));
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes every write");
        }
    }
    Ok(HeaderValue::try_from(encoded).expect("visible ASCII is a header value"))
}

/// The configured headers, after a check that they are valid and not ours.
fn fixed(config: &HttpHandler) -> Result<HeaderMap, Refused> {
    const OURS: [&str; 8] = [
        "content-length",
        "content-type",
        "connection",
        "idempotency-key",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
    ];
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (text, value) in &config.headers {
        let name = HeaderName::try_from(text).map_err(|_| Refused::Header(text.clone()))?;
        let own = name.as_str();
        if OURS.contains(&own) || own.starts_with("webhook-") || own.starts_with("oxherd-") {
            return Err(Refused::OwnHeader(text.clone()));
        }
        let mut value = HeaderValue::try_from(value).map_err(|_| Refused::Header(text.clone()))?;
        // most of what people set here is a token: kept out of debug output
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
