//! Settings of a handler that is an endpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{AllowedHost, Answer, PemFile};
use crate::config::Secret;
#[cfg(feature = "http")]
use crate::config::invalid::Invalid;

/// `[handlers.NAME.http]`: the job is POSTed to an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpHandler {
    /// `{queue}`, `{name}`, `{id}` and `{data.path}` in path and query are filled in, percent-encoded; in the host only
    /// with `allow`.
    pub url: String,
    /// What a host that placeholders fill in may become.
    pub allow: Vec<AllowedHost>,
    /// The endpoint listens on this unix socket; the host of `url` is only what the `Host` header says.
    pub socket: Option<PathBuf>,
    /// Only these vouch for an endpoint that speaks TLS; `None`: those the system trusts.
    pub ca: Option<PemFile>,
    /// Speak HTTP/2 and nothing else, in clear text too; otherwise it is spoken where TLS offers it.
    pub http2: bool,
    /// Sent with every request, beside our own.
    pub headers: BTreeMap<String, String>,
    /// Keys of the signatures, `whsec_` and base64 or 24 to 64 bytes of text; each signs every request.
    pub signing_secrets: Vec<Secret>,
    /// Longest wait for the connection.
    pub connect_timeout: Duration,
    /// Longest wait for status and headers of the answer; `None`: the attempt's own limit.
    pub response_timeout: Option<Duration>,
    /// Bytes per second an answer has to come with, once it has begun; `None`: any number.
    pub min_rate: Option<usize>,
    /// Answer bytes read; the rest is dropped.
    pub max_response: usize,
    /// Longest deferral a `Retry-After` can ask for.
    pub max_defer: Duration,
    /// Leaves an endpoint alone that does not answer; `None`: every job tries.
    pub breaker: Option<Breaker>,
    /// What a 410 does beside failing its job.
    pub gone: Gone,
    /// A 202 means that the endpoint calls back when it is done.
    pub callback: bool,
    /// Several jobs in one call; `None`: each has its own.
    pub batch: Option<Batch>,
    /// Status code → answer, over the built-in table.
    pub status: BTreeMap<u16, Answer>,
}

impl HttpHandler {
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            allow: Vec::new(),
            socket: None,
            ca: None,
            http2: false,
            headers: BTreeMap::new(),
            signing_secrets: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: None,
            min_rate: Some(16),
            max_response: 1024 * 1024,
            max_defer: Duration::from_secs(3600),
            breaker: Some(Breaker::default()),
            gone: Gone::default(),
            callback: false,
            batch: None,
            status: BTreeMap::new(),
        }
    }

    /// The bytes a signature is made with: those behind `whsec_` from base64, or the text itself.
    #[cfg(feature = "http")]
    pub(crate) fn signing_key(secret: &Secret) -> Result<Vec<u8>, Invalid> {
        use base64::Engine as _;
        use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
        // some generators of secrets leave the padding out
        const BASE64: GeneralPurpose = GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let refuse = |why: &str, help: &str| Invalid::new(format!("a signing secret cannot be used: {why}"), help);
        let key = match secret.reveal().strip_prefix("whsec_") {
            Some(encoded) => BASE64
                .decode(encoded)
                .map_err(|_| refuse("what follows whsec_ is not base64", "write it as it was generated"))?,
            None => secret.reveal().as_bytes().to_vec(),
        };
        let bytes = match key.len() {
            24..=64 => return Ok(key),
            0 => "it is empty".to_owned(),
            bytes => format!("it has {bytes} bytes, expected 24 to 64"),
        };
        Err(refuse(&bytes, "make one with: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\""))
    }
}

/// `[handlers.NAME.http.batch]`: jobs of one queue that go to one url in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Jobs in one call at most.
    pub max: usize,
    /// How long the first one waits for others; zero: for those that are ready with it.
    pub wait: Duration,
    /// Bytes of all envelopes; one that is longer goes alone.
    pub max_body: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { max: 50, wait: Duration::from_millis(20), max_body: 1024 * 1024 }
    }
}

/// `[handlers.NAME.http.breaker]`: when an endpoint is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Attempts in a row without a usable answer.
    pub failures: u32,
    /// The first time; each further one is twice as long.
    pub cool_down: Duration,
    /// The longest time.
    pub max: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, cool_down: Duration::from_secs(10), max: Duration::from_secs(300) }
    }
}

/// What a 410 does beside failing its job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gone {
    /// Nothing.
    #[default]
    Fail,
    /// No jobs are taken for the endpoint until the next reload or start.
    Stop,
}
