//! A job as a POST to an endpoint: one request per attempt, the answer table of the
//! documentation (`docs/handlers.md`), connections kept alive between jobs.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response};
use serde_json::value::RawValue;

use super::error::Refused;
use super::wire::{self, Heard, Lines, Listener};
use super::{Handler, JobContext, Running};
use crate::config::Answer;
use crate::config::HttpHandler;
use crate::job::{Failure, Job, Outcome};

mod address;
mod answer;
mod failure;

use address::Address;
use answer::Reply;

/// Below the idle time of common servers (Node closes after 5 s), so that a connection is
/// rarely closed just as it is used.
const IDLE: Duration = Duration::from_secs(4);
/// What is read of a body that only explains a failure.
const EXPLANATION: usize = 64 * 1024;

/// `[handlers.NAME.http]`
pub struct Http {
    endpoint: Arc<Endpoint>,
}

struct Endpoint {
    client: Client,
    address: Address,
    authority: String,
    config: HttpHandler,
    /// The configured headers and those that never change.
    headers: HeaderMap,
    /// How long a body that only explains a failure may take.
    explain_within: Duration,
}

impl Http {
    /// Checks the settings and sets up the connection pool. Opens no connection.
    ///
    /// Installs `ring` as the process's TLS provider unless the program has chosen one.
    pub fn new(config: HttpHandler) -> Result<Self, Refused> {
        let address = Address::parse(&config.url)?;
        let headers = headers(&config)?;
        // an error means that a provider is there already, and any will do
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .user_agent(concat!("oxherd/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // where a job goes is written in one place, and the environment is not it
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE);
        if !address.is_tls() {
            // a host without any root certificates can still call plain endpoints
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|error| Refused::Client(failure::causes(&error)))?;
        let authority = address.authority();
        Ok(Self {
            endpoint: Arc::new(Endpoint {
                client,
                address,
                authority,
                config,
                headers,
                explain_within: Duration::from_secs(5),
            }),
        })
    }
}

impl Handler for Http {
    fn runs_inline(&self) -> bool {
        true
    }

    fn reads_children(&self) -> bool {
        true
    }

    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        let endpoint = Arc::clone(&self.endpoint);
        Box::pin(async move {
            // dropping the exchange closes its connection or resets its stream
            tokio::select! {
                biased;
                outcome = endpoint.exchange(&job, &ctx) => outcome,
                reason = ctx.cancelled() => ctx.stopped(reason),
            }
        })
    }
}

impl Endpoint {
    async fn exchange(&self, job: &Job, ctx: &JobContext) -> Outcome {
        let (url, headers) = match self.address.fill(job).and_then(|url| Ok((url, self.headers_for(job, ctx)?))) {
            Ok(parts) => parts,
            Err(reason) => return Outcome::fail(reason),
        };
        let children = match wire::children_of(ctx).await {
            Ok(children) => children,
            Err(outcome) => return outcome,
        };
        // lets the runtime look at its sockets first: a kept connection that the server has closed
        // meanwhile leaves the pool before we could pick it (without this line the test of f100
        // lost one run in twenty on a busy machine)
        tokio::task::yield_now().await;
        // the client repeats a request by itself only where none of it can have been accepted:
        // a kept connection found closed before the first byte, an HTTP/2 stream refused
        let request = self.client.post(url).headers(headers).body(wire::envelope(job, ctx, children.as_ref()));
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Outcome::retry(failure::describe(&error, &self.authority, &self.config)),
        };
        let reply = Reply::read(response.status(), response.headers(), &self.config, SystemTime::now());
        if response.status().is_success() && is_stream(response.headers()) {
            return self.listen(response, &reply, ctx).await;
        }
        if reply.answer != Answer::Complete {
            let mut body = Vec::new();
            // the status has decided: an explanation that is long or slow in coming is cut
            let _ = tokio::time::timeout(self.explain_within, read(&mut response, &mut body, EXPLANATION)).await;
            return reply.outcome(Some(body));
        }
        let mut body = Vec::new();
        match read(&mut response, &mut body, self.config.max_response).await {
            Ok(true) => reply.outcome(Some(body)),
            Ok(false) => {
                ctx.log(format!("answer longer than {} bytes, not kept as return value", self.config.max_response));
                reply.outcome(None)
            }
            Err(error) => Outcome::retry(self.broke_off(body.len(), &error)),
        }
    }

    fn broke_off(&self, bytes: usize, error: &reqwest::Error) -> String {
        format!("{} broke off its answer after {bytes} bytes: {}", self.authority, failure::causes(error))
    }

    /// Hears an answer that is given while the job is done. Its status was sent before that: an answer that breaks off,
    /// or grows beyond the bound, before it has stated an outcome is a failure.
    async fn listen(&self, mut response: Response, reply: &Reply, ctx: &JobContext) -> Outcome {
        let limit = self.config.max_response;
        let mut listener = Listener::new("answer");
        let mut lines = Lines::new(limit);
        let mut heard = Vec::new();
        let mut bytes = 0;
        let broken = loop {
            let chunk = response.chunk().await;
            let each = |line: &[u8], cut| heard.extend(Heard::parse(line, cut, &ctx.job().queue));
            let end = match chunk {
                Ok(Some(chunk)) => {
                    let kept = &chunk[..chunk.len().min(limit - bytes)];
                    bytes += kept.len();
                    lines.push(kept, each);
                    (kept.len() < chunk.len())
                        .then(|| Some(format!("{} answered more than {limit} bytes", self.authority)))
                }
                Ok(None) => {
                    lines.finish(each);
                    Some(None)
                }
                Err(error) => Some(Some(self.broke_off(bytes, &error))),
            };
            for heard in heard.drain(..) {
                listener.hear(heard, ctx).await;
            }
            if let Some(end) = end {
                break end;
            }
        };
        match (listener.undone, listener.stated, broken) {
            (Some(undone), _, _) => undone,
            (None, Some(stated), _) => stated
                .bounded(self.config.max_defer)
                .outcome(|asked| Failure::new(format!("the endpoint {asked}")), || RawValue::NULL.to_owned()),
            (None, None, Some(why)) => Outcome::retry(why),
            (None, None, None) => reply.outcome(Some(Vec::new())),
        }
    }

    fn headers_for(&self, job: &Job, ctx: &JobContext) -> Result<HeaderMap, String> {
        let mut headers = self.headers.clone();
        let key = header_value("idempotency key", &wire::idempotency_key(job, ctx))?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        headers.insert("webhook-id", key.clone());
        headers.insert("idempotency-key", key);
        headers.insert("webhook-timestamp", HeaderValue::from(seconds));
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
}

/// The producer's trace. Protocol: §8, `opts.tm` is a carrier as JSON in a string.
fn traceparent(job: &Job) -> Option<String> {
    let carrier: serde_json::Value = serde_json::from_str(job.opts.extra.get("tm")?.as_str()?).ok()?;
    carrier.get("traceparent")?.as_str().map(str::to_owned)
}

/// Whether the answer is given line by line.
fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-ndjson"))
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
fn headers(config: &HttpHandler) -> Result<HeaderMap, Refused> {
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

/// Reads the body up to a bound. `false`: there was more, and the connection is not kept.
async fn read(response: &mut Response, body: &mut Vec<u8>, limit: usize) -> reqwest::Result<bool> {
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
