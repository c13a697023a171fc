//! Fetches an answer and stores it, under a lock: of many processes that are told to warm the same key one does it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use serde_json::value::to_raw_value;

use super::line::Line;
use super::sweep::Lifetime;
use super::tally::shown;
use super::text::KeyText;
use crate::config::{Busy, HttpHandler, Warm};
use crate::handler::JobContext;
use crate::handler::error::Refused;
use crate::handler::http::address::{Address, Target};
use crate::handler::http::body::{Body, Pace};
use crate::handler::http::client::{Client, client};
use crate::handler::http::failure::sources;
use crate::job::{Job, Outcome};
use crate::store::{Filled, Guard, Keyspace, Sieve};

/// How long the lock outlives the attempt: whoever lost it in between must not store over somebody newer.
const MARGIN: Duration = Duration::from_secs(5);
/// When to look again at a key that somebody else is fetching.
const BUSY: Duration = Duration::from_secs(2);

pub(super) struct Fetcher {
    client: Client,
    address: Address,
    headers: HeaderMap,
    key: KeyText,
    settings: Warm,
}

/// Why there is nothing to store.
enum Missed {
    /// Another time it may be there.
    Retry(String),
    Fail(String),
}

impl Fetcher {
    /// Checks the settings and sets up the client. Opens no connection.
    ///
    /// Installs `ring` as the process's TLS provider unless the program has chosen one.
    pub(super) fn new(settings: &Warm) -> Result<Self, Refused> {
        let endpoint =
            HttpHandler { connect_timeout: settings.connect_timeout, ..HttpHandler::new(settings.fetch.clone()) };
        let address = Address::new(&endpoint)?;
        let client = client(&endpoint, &address)?;
        let (headers, key) = (headers(settings)?, KeyText::key(&settings.key)?);
        Ok(Self { client, address, headers, key, settings: settings.clone() })
    }

    /// One attempt. What was stored before stays until another answer is there.
    pub(super) async fn run(&self, job: &Job, ctx: &JobContext, line: &Arc<Line>, guard: &Guard) -> Outcome {
        let (target, key) = match self.address.fill(job).and_then(|to| Ok((to, self.key.fill_one(job)?))) {
            Ok(filled) => filled,
            Err(reason) => return Outcome::fail(reason),
        };
        let token = uuid::Uuid::new_v4().to_string();
        let mut keyspace = None;
        let warmed = async {
            let keyspace = keyspace.insert(line.keyspace().await?);
            if Sieve::new(keyspace, guard).sift(vec![key.clone()], |key| key).await?.0.is_empty() {
                return Ok(Outcome::fail(format!("{} is protected", shown(&key))));
            }
            let lasts = ctx.deadline().saturating_duration_since(Instant::now()) + MARGIN;
            if !keyspace.lock(&key, &token, lasts).await? {
                let reason = format!("{} is being warmed by somebody else", shown(&key));
                return Ok(match self.settings.busy {
                    Busy::Discard => Outcome::Discard { reason },
                    Busy::Defer => Outcome::Defer { reason, after: BUSY },
                });
            }
            self.fill(&target, &key, &token, keyspace).await
        };
        let (outcome, is_settled) = tokio::select! {
            biased;
            warmed = warmed => match warmed {
                Ok(outcome) => (outcome, true),
                Err(error) => (Outcome::retry(crate::store::Error::to_string(&error)), false),
            },
            reason = ctx.cancelled() => (ctx.stopped(reason), false),
        };
        // the lock may be ours, and would keep others away for as long as the attempt might have taken
        if let Some(keyspace) = keyspace.filter(|_| !is_settled) {
            let _ = tokio::time::timeout(Duration::from_secs(1), keyspace.unlock(&key, &token)).await;
        }
        outcome
    }

    /// Fetches and stores, the lock being ours, and gives it back.
    async fn fill(
        &self,
        target: &Target,
        key: &Bytes,
        token: &str,
        keyspace: &Keyspace,
    ) -> Result<Outcome, crate::store::Error> {
        let begun = Instant::now();
        let body = match self.fetch(target).await {
            Ok(body) => body,
            Err(missed) => {
                keyspace.unlock(key, token).await?;
                return Ok(match missed {
                    Missed::Retry(reason) => Outcome::retry(reason),
                    Missed::Fail(reason) => Outcome::fail(reason),
                });
            }
        };
        let life = Lifetime { ttl: self.settings.ttl, jitter: self.settings.jitter, always: true }.draw();
        let bytes = body.len();
        Ok(match keyspace.fill(key, token, body, life).await? {
            Filled::Done => {
                let said = json!({"bytes": bytes, "ttlMs": crate::job::millis(life), "durationMs": begun.elapsed().as_millis()});
                Outcome::Complete(to_raw_value(&said).expect("numbers are JSON"))
            }
            Filled::LockLost => Outcome::retry("the answer came after the lock was gone, and is not stored"),
            Filled::Other(kind) => Outcome::fail(format!("{} is a {kind}, expected a string or nothing", shown(key))),
        })
    }

    async fn fetch(&self, target: &Target) -> Result<Bytes, Missed> {
        let to = &*target.authority;
        let answer = self.client.send(Method::GET, target, self.headers.clone(), Bytes::new()).await;
        let response = answer.map_err(|error| Missed::Retry(format!("no answer from {to}: {}", sources(&error))))?;
        if !response.status().is_success() {
            return Err(Missed::Retry(format!("{to} answered {}", response.status())));
        }
        let limit = self.settings.max_size;
        let mut body = BytesMut::new();
        let mut answer = Body::new(response, to, Pace::new(None));
        while let Some(chunk) = answer.next().await.map_err(Missed::Retry)? {
            if body.len() + chunk.len() > limit {
                return Err(Missed::Fail(format!("{to} answered more than max_size, {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

fn headers(settings: &Warm) -> Result<HeaderMap, Refused> {
    let mut headers = HeaderMap::new();
    for (text, value) in &settings.headers {
        let refused = || Refused::Header(text.clone());
        let name = HeaderName::try_from(text).map_err(|_| refused())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| refused())?;
        // most of what people set here is a token: kept out of debug output
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
