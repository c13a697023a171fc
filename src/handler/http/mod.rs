//! A job as a POST to an endpoint: one request per attempt, the answer table of the
//! documentation (`docs/handlers.md`), connections kept alive between jobs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response};
use serde_json::value::RawValue;

use super::error::Refused;
use super::shortage::Shortage;
use super::wire::{self, Heard, Lines, Listener};
use super::{Gate, Handler, JobContext, Running};
use crate::config::Answer;
use crate::config::HttpHandler;
use crate::job::{Failure, Job, Outcome};

pub(super) mod address;
mod answer;
mod breaker;
pub(super) mod client;
pub(super) mod failure;
mod request;
mod signature;

use address::Address;
use answer::Reply;
use breaker::{Attempt, Breaker};
use request::Headers;

/// What is read of a body that only explains a failure.
const EXPLANATION: usize = 64 * 1024;

/// `[handlers.NAME.http]`
pub struct Http {
    endpoint: Arc<Endpoint>,
}

struct Endpoint {
    client: Client,
    address: Address,
    /// `host:port` or the path of the socket, for messages.
    authority: String,
    breaker: Breaker,
    shortage: Shortage,
    config: HttpHandler,
    headers: Headers,
    /// How long a body that only explains a failure may take.
    explain_within: Duration,
}

impl Http {
    /// Checks the settings and sets up the connection pool. Opens no connection.
    ///
    /// Installs `ring` as the process's TLS provider unless the program has chosen one.
    pub fn new(config: HttpHandler) -> Result<Self, Refused> {
        let address = Address::parse(&config.url)?;
        let headers = Headers::new(&config)?;
        let client = client::client(&config, &address)?;
        let authority = match &config.socket {
            Some(path) => path.display().to_string(),
            None => address.authority(),
        };
        let breaker = Breaker::new(&config, true);
        Ok(Self {
            endpoint: Arc::new(Endpoint {
                client,
                address,
                authority,
                shortage: Shortage::new(breaker.gate().clone()),
                breaker,
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

    fn gate(&self) -> Option<&Gate> {
        Some(self.endpoint.breaker.gate())
    }

    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        let endpoint = Arc::clone(&self.endpoint);
        Box::pin(async move {
            let mut attempt = match endpoint.breaker.enter(&endpoint.authority) {
                Ok(attempt) => attempt,
                Err(outcome) => return outcome,
            };
            // dropping the exchange closes its connection or resets its stream
            tokio::select! {
                biased;
                outcome = endpoint.exchange(&mut attempt, &job, &ctx) => outcome,
                reason = ctx.cancelled() => {
                    attempt.cancelled(reason);
                    ctx.stopped(reason)
                }
            }
        })
    }
}

impl Endpoint {
    async fn exchange(&self, attempt: &mut Attempt<'_>, job: &Job, ctx: &JobContext) -> Outcome {
        let url = match self.address.fill(job) {
            Ok(url) => url,
            Err(reason) => return Outcome::fail(reason),
        };
        let children = match wire::children_of(ctx).await {
            Ok(children) => children,
            Err(outcome) => return outcome,
        };
        let body = wire::envelope(job, ctx, children.as_ref());
        let headers = match self.headers.of(job, ctx, &body) {
            Ok(headers) => headers,
            Err(reason) => return Outcome::fail(reason),
        };
        // lets the runtime look at its sockets first: a kept connection that the server has closed
        // meanwhile leaves the pool before we could pick it (without this line the test of f100
        // lost one run in twenty on a busy machine)
        tokio::task::yield_now().await;
        // the client repeats a request by itself only where none of it can have been accepted:
        // a kept connection found closed before the first byte, an HTTP/2 stream refused
        let request = self.client.post(url).headers(headers).body(body);
        attempt.sent();
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                if let Some(of) = failure::shortage(&error) {
                    return self.shortage.met(of);
                }
                let why = failure::describe(&error, &self.authority, &self.config);
                attempt.unanswered(&why);
                return Outcome::retry(why);
            }
        };
        self.shortage.is_over();
        let reply = Reply::read(response.status(), response.headers(), &self.config, SystemTime::now());
        attempt.answered(&reply);
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
}

/// Whether the answer is given line by line.
fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-ndjson"))
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
