//! A job as a POST to an endpoint: one request per attempt, the answer table of the
//! documentation (`docs/handlers.md`), connections kept alive between jobs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http::{Method, Response};
use hyper::body::Incoming;
use serde_json::value::RawValue;

use super::error::Refused;
use super::shortage::Shortage;
use super::wire::{self, Heard, Lines, Listener};
use super::{Gate, Handler, JobContext, Running};
use crate::config::{self, Answer, HttpHandler};
use crate::job::{Failure, Job, Outcome};

pub(super) mod address;
mod answer;
mod batch;
pub(super) mod body;
mod breaker;
pub(super) mod callback;
pub(super) mod client;
pub(super) mod failure;
mod guard;
#[cfg(feature = "daemon")]
pub(super) mod poster;
mod request;
mod signature;

use address::{Address, Target};
use answer::Reply;
use batch::Batches;
use body::{Body, Pace};
use breaker::{Attempt, Breaker};
use callback::Callbacks;
use client::Client;
use guard::Lookup;
use request::Headers;

/// What is read of a body that only explains a failure.
const EXPLANATION: usize = 64 * 1024;

/// Where an endpoint that answers 202 is to call.
const CALLBACK: HeaderName = HeaderName::from_static("oxherd-callback");

/// `[handlers.NAME.http]`
pub struct Http {
    endpoint: Arc<Endpoint>,
}

struct Endpoint {
    client: Client,
    address: Address,
    /// The path of the socket it listens on, for messages.
    socket: Option<String>,
    breaker: Breaker,
    shortage: Shortage,
    config: HttpHandler,
    headers: Headers,
    /// Several jobs in one call; `None`: each has its own.
    batches: Option<Batches>,
    /// Where it calls back; `None`: its answers are the end.
    callback: Option<callback::Address>,
    /// How long a body that only explains a failure may take.
    explain_within: Duration,
    /// How fast an answer has to come.
    pace: Pace,
}

impl Http {
    /// Checks the settings and sets up the connection pool. Opens no connection.
    ///
    /// Installs `ring` as the process's TLS provider unless the program has chosen one.
    pub fn new(config: HttpHandler) -> Result<Self, Refused> {
        Self::with_lookup(config, guard::system())
    }

    /// Endpoints that answer 202 call back at this address, if the handler is set to it.
    pub(super) fn calling_back(mut self, to: &config::Callbacks, callbacks: &Callbacks) -> Result<Self, Refused> {
        let endpoint = Arc::get_mut(&mut self.endpoint).expect("nobody shares a handler that is being built");
        if endpoint.config.callback {
            endpoint.callback = Some(callback::Address::new(callbacks.clone(), &to.url)?);
        }
        Ok(self)
    }

    /// With another way to ask for the addresses of hosts that jobs choose.
    fn with_lookup(config: HttpHandler, lookup: Lookup) -> Result<Self, Refused> {
        let address = Address::new(&config)?;
        let headers = Headers::new(&config)?;
        let client = client::client_with(&config, &address, lookup)?;
        let breaker = Breaker::new(&config, address.guard().is_none());
        Ok(Self {
            endpoint: Arc::new(Endpoint {
                client,
                address,
                socket: config.socket.as_ref().map(|path| path.display().to_string()),
                shortage: Shortage::new(breaker.gate().clone()),
                breaker,
                pace: Pace::new(config.min_rate),
                batches: config.batch.map(Batches::new),
                config,
                headers,
                callback: None,
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
            if let Some(batches) = &endpoint.batches {
                return batch::run(&endpoint, batches, job, ctx).await;
            }
            let target = match endpoint.address.fill(&job) {
                Ok(target) => target,
                Err(reason) => return Outcome::fail(reason),
            };
            let mut attempt = match endpoint.breaker.enter(endpoint.named(&target)) {
                Ok(attempt) => attempt,
                Err(outcome) => return outcome,
            };
            // dropping the exchange closes its connection or resets its stream
            tokio::select! {
                biased;
                outcome = endpoint.exchange(&target, &mut attempt, &job, &ctx) => outcome,
                reason = ctx.cancelled() => {
                    attempt.cancelled(reason);
                    ctx.stopped(reason)
                }
            }
        })
    }
}

impl Endpoint {
    async fn exchange(&self, target: &Target, attempt: &mut Attempt<'_>, job: &Job, ctx: &JobContext) -> Outcome {
        let children = match wire::children_of(ctx).await {
            Ok(children) => children,
            Err(outcome) => return outcome,
        };
        let body = wire::envelope(job, ctx, children.as_ref());
        let mut headers = match self.headers.of(job, ctx, &body) {
            Ok(headers) => headers,
            Err(reason) => return Outcome::fail(reason),
        };
        // before the request: the call may come before the answer
        let awaited = self.callback.as_ref().map(|address| address.begin(&job.queue, self.config.max_response));
        headers.extend(awaited.iter().map(|awaited| (CALLBACK, awaited.url.clone())));
        let response = match self.post(target, headers, body, attempt).await {
            Ok(response) => response,
            Err(outcome) => return outcome,
        };
        let reply = Reply::read(response.status(), response.headers(), &self.config, SystemTime::now());
        attempt.answered(&reply);
        let is_stream = response.status().is_success() && is_stream(response.headers());
        let mut answer = Body::new(response, attempt.to(), self.pace);
        if is_stream {
            return self.listen(answer, &reply, ctx).await;
        }
        let mut body = Vec::new();
        if let Some(awaited) = awaited.filter(|_| reply.is_accepted()) {
            // whatever it says: read, so that the connection can be kept
            let _ = tokio::time::timeout(self.explain_within, answer.read(&mut body, EXPLANATION)).await;
            return awaited.outcome(self.config.max_defer, ctx).await;
        }
        if reply.answer != Answer::Complete {
            // the status has decided: an explanation that is long or slow in coming is cut
            let _ = tokio::time::timeout(self.explain_within, answer.read(&mut body, EXPLANATION)).await;
            return reply.outcome(Some(body));
        }
        match answer.read(&mut body, self.config.max_response).await {
            Ok(true) => reply.outcome(Some(body)),
            Ok(false) => {
                ctx.log(format!("answer longer than {} bytes, not kept as return value", self.config.max_response));
                reply.outcome(None)
            }
            Err(why) => Outcome::retry(why),
        }
    }

    /// Sends one request, and waits for status and headers of the answer.
    async fn post(
        &self,
        target: &Target,
        headers: HeaderMap,
        body: Vec<u8>,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response<Incoming>, Outcome> {
        // lets the runtime look at its sockets first: a kept connection that the server has closed
        // meanwhile leaves the pool before we could pick it (without this line the test of f100
        // lost one run in twenty on a busy machine)
        tokio::task::yield_now().await;
        let answer = self.client.send(Method::POST, target, headers, body.into());
        attempt.sent();
        let answer = match self.config.response_timeout {
            None => answer.await,
            Some(limit) => {
                let Ok(answer) = tokio::time::timeout(limit, answer).await else {
                    let why = format!("no answer from {} within {limit:?} (response_timeout)", attempt.to());
                    attempt.unanswered(&why);
                    return Err(Outcome::retry(why));
                };
                answer
            }
        };
        match answer {
            Ok(response) => {
                self.shortage.is_over();
                Ok(response)
            }
            Err(error) => {
                if let Some(forbidden) = failure::forbidden(&error) {
                    return Err(Outcome::fail(forbidden.to_string()));
                }
                if let Some(of) = failure::shortage(&error) {
                    return Err(self.shortage.met(of));
                }
                let why = failure::describe(&error, attempt.to());
                attempt.unanswered(&why);
                Err(Outcome::retry(why))
            }
        }
    }

    /// Whom messages speak of: `host:port` or the path of the socket.
    fn named<'a>(&'a self, target: &'a Target) -> &'a str {
        self.socket.as_deref().unwrap_or(&target.authority)
    }

    /// Hears an answer that is given while the job is done. Its status was sent before that: an answer that breaks off,
    /// or grows beyond the bound, before it has stated an outcome is a failure.
    async fn listen(&self, mut answer: Body<'_>, reply: &Reply, ctx: &JobContext) -> Outcome {
        let limit = self.config.max_response;
        let mut listener = Listener::new("answer");
        let mut lines = Lines::new(limit);
        let mut heard = Vec::new();
        let mut bytes = 0;
        let broken = loop {
            let chunk = answer.next().await;
            let each = |line: &[u8], cut| heard.extend(Heard::parse(line, cut, &ctx.job().queue));
            let end = match chunk {
                Ok(Some(chunk)) => {
                    let kept = &chunk[..chunk.len().min(limit - bytes)];
                    bytes += kept.len();
                    lines.push(kept, each);
                    // between two lines the endpoint works for as long as it likes
                    if lines.is_empty() {
                        answer.pauses();
                    }
                    (kept.len() < chunk.len()).then(|| Some(answer.is_longer_than(limit)))
                }
                Ok(None) => {
                    lines.finish(each);
                    Some(None)
                }
                Err(why) => Some(Some(why)),
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

#[cfg(test)]
mod tests;
