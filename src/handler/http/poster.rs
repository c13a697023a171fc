//! Posts what is no job, for others in this process that have something to send: one endpoint, one content type, a bound
//! on the time. `daemon/traces` uses it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};

use super::address::{Address, Target};
use super::body::{Body, Pace};
use super::client::{Client, client};
use super::failure;
use crate::config::HttpHandler;
use crate::handler::error::Refused;

/// Bytes kept of an answer.
const ANSWER: usize = 64 * 1024;

/// One endpoint. It has to be used on one runtime, where its connections are.
pub(crate) struct Poster {
    client: Client,
    target: Target,
    headers: HeaderMap,
    timeout: Duration,
}

/// What the endpoint said.
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    /// The seconds it wants to be left alone for.
    pub(crate) retry_after: Option<u64>,
    /// The beginning of it.
    pub(crate) body: Bytes,
}

impl Poster {
    /// Checks the settings and sets up the client. Opens no connection. Of the settings url, headers, ca and the time-out
    /// of the connection count.
    pub(crate) fn new(config: &HttpHandler, content: &'static str, timeout: Duration) -> Result<Self, Refused> {
        let address = Address::new(config)?;
        let client = client(config, &address)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        for (text, value) in &config.headers {
            let refused = || Refused::Header(text.clone());
            let name = HeaderName::try_from(text).map_err(|_| refused())?;
            let mut value = HeaderValue::try_from(value).map_err(|_| refused())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let Address::Fixed(target) = address else {
            return Err(Refused::Url("expected one without placeholders".to_owned()));
        };
        Ok(Self { client, target, headers, timeout })
    }

    /// `host:port`, for messages.
    pub(crate) fn authority(&self) -> &str {
        &self.target.authority
    }

    /// Sends once; the error says why there was no answer. Cancel safe as far as we are concerned.
    pub(crate) async fn post(&self, body: Bytes) -> Result<Said, String> {
        let to = self.authority();
        let exchange = async {
            let sent = self.client.send(Method::POST, &self.target, self.headers.clone(), body).await;
            let answer = sent.map_err(|error| failure::describe(&error, to))?;
            let retry_after =
                answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let status = answer.status();
            let mut text = BytesMut::new();
            let mut body = Body::new(answer, to, Pace::new(None));
            // to its end where that is near: else the connection is lost
            while let Some(chunk) = body.next().await? {
                text.extend_from_slice(&chunk);
                if text.len() >= ANSWER {
                    text.truncate(ANSWER);
                    break;
                }
            }
            Ok(Said { status, retry_after, body: text.freeze() })
        };
        let late = |_| Err(format!("no answer from {to} within {:?}", self.timeout));
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(late)
    }
}
