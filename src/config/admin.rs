//! `[admin]`: what is served over HTTP, and to whom.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Secret;

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Who has it sees everything. Required where others than this host can connect.
    pub token: Option<Secret>,
    pub events: AdminEvents,
}

/// `[admin.events]`: status messages for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminEvents {
    /// What tokens of tenants are signed with: the first signs, each of them is believed.
    pub secrets: Vec<Secret>,
    /// Origins of pages that may read, beside our own, as browsers send them.
    pub allow_origins: Vec<String>,
    /// Viewers at a time.
    pub max_viewers: u32,
    /// Longest silence towards a viewer.
    pub heartbeat: Duration,
    /// Messages kept for a viewer that does not keep up.
    pub buffer: u32,
}

impl Admin {
    /// Whether only this host can connect.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.listen {
            SocketAddr::V4(listen) => listen.ip().is_loopback(),
            SocketAddr::V6(listen) => {
                listen.ip().is_loopback() || listen.ip().to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 7117).into(), token: None, events: AdminEvents::default() }
    }
}

impl Default for AdminEvents {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            allow_origins: Vec::new(),
            max_viewers: 1000,
            heartbeat: Duration::from_secs(15),
            buffer: 256,
        }
    }
}
