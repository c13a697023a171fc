//! What a job is sent with: its headers, the configured ones beside ours.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::signature::Signer;
use crate::config::HttpHandler;
use crate::handler::error::Refused;
use crate::handler::{JobContext, wire};
use crate::job::Job;

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
        headers.insert("oxherd-queue", header_value("queue name", job.queue.as_str())?);
        headers.insert("oxherd-job-id", header_value("job id", job.id.as_str())?);
        headers.insert("oxherd-job-name", header_value("job name", &job.name)?);
        headers.insert("oxherd-attempt", HeaderValue::from(job.attempt()));
        headers.insert("oxherd-deadline", HeaderValue::from(ctx.deadline_ms()));
        if let Some(parent) = traceparent(job) {
            headers.insert("traceparent", header_value("traceparent", &parent)?);
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
        headers.insert("oxherd-queue", header_value("queue name", queue)?);
        headers.insert("oxherd-batch", HeaderValue::from(jobs));
        headers.insert("oxherd-deadline", HeaderValue::from(deadline));
        Ok(headers)
    }

    /// What every request has.
    fn signed(&self, id: &str, body: &[u8]) -> Result<HeaderMap, String> {
        let mut headers = self.fixed.clone();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if let Some(signatures) = self.signer.sign(id, seconds, body) {
            headers.insert("webhook-signature", signatures);
        }
        let key = header_value("idempotency key", id)?;
        headers.insert("webhook-id", key.clone());
        headers.insert("idempotency-key", key);
        headers.insert("webhook-timestamp", HeaderValue::from(seconds));
        Ok(headers)
    }
}

/// The producer's trace. Protocol: §8, `opts.tm` is a carrier as JSON in a string.
fn traceparent(job: &Job) -> Option<String> {
    let carrier: serde_json::Value = serde_json::from_str(job.opts.extra.get("tm")?.as_str()?).ok()?;
    carrier.get("traceparent")?.as_str().map(str::to_owned)
}

/// Any text as a header value: all but visible ASCII, and the percent sign itself, is
/// percent-encoded; control characters have no business in a name and fail the job.
fn header_value(what: &str, text: &str) -> Result<HeaderValue, String> {
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Err(format!("{what} {text:?} holds the control character {c:?}, which no header can carry"));
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes every write");
        }
    }
    Ok(HeaderValue::try_from(encoded).expect("visible ASCII is a header value"))
}

/// The configured headers, after a check that they are valid and not ours.
fn fixed(config: &HttpHandler) -> Result<HeaderMap, Refused> {
    const OURS: [&str; 7] = [
        "content-length",
        "content-type",
        "connection",
        "idempotency-key",
        "traceparent",
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
