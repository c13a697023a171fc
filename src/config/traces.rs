//! `[traces]`: where the spans of attempts go.

use std::collections::BTreeMap;
use std::time::Duration;

use super::PemFile;

/// `[traces]`
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Spans are posted to this url, as OTLP in binary form.
    pub endpoint: String,
    /// Sent with every request.
    pub headers: BTreeMap<String, String>,
    /// Only these vouch for a collector that speaks TLS; `None`: those the system trusts.
    pub ca: Option<PemFile>,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Which share of the traces that begin here is kept, from 0 to 1.
    pub sample: f64,
    /// Whether a trace that comes with its job is kept is for its producer to say.
    pub parent_based: bool,
    /// What this process is called there.
    pub service: String,
    /// What else is said of this process.
    pub attributes: BTreeMap<String, String>,
}

impl Traces {
    /// Of a collector on the same host.
    pub const ENDPOINT: &str = "http://localhost:4318";
    /// What follows the address of a collector that takes other things too.
    pub const PATH: &str = "/v1/traces";
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: format!("{}{}", Self::ENDPOINT, Self::PATH),
            headers: BTreeMap::new(),
            ca: None,
            timeout: Duration::from_secs(10),
            sample: 1.0,
            parent_based: true,
            service: "oxherd".into(),
            attributes: BTreeMap::new(),
        }
    }
}
