//! Settings of a handler that is an endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Answer;

/// `[handlers.NAME.http]`: the job is POSTed to an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpHandler {
    /// `{queue}`, `{name}`, `{id}` and `{data.path}` in path and query are filled in, percent-encoded.
    pub url: String,
    /// Sent with every request, beside our own.
    pub headers: BTreeMap<String, String>,
    /// Longest wait for the connection.
    pub connect_timeout: Duration,
    /// Answer bytes read; the rest is dropped.
    pub max_response: usize,
    /// Longest deferral a `Retry-After` can ask for.
    pub max_defer: Duration,
    /// Status code → answer, over the built-in table.
    pub status: BTreeMap<u16, Answer>,
}

impl HttpHandler {
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            headers: BTreeMap::new(),
            connect_timeout: Duration::from_secs(5),
            max_response: 1024 * 1024,
            max_defer: Duration::from_secs(3600),
            status: BTreeMap::new(),
        }
    }
}
