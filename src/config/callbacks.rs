//! `[callbacks]`: where endpoints report what they were given and answered 202 for.

use std::net::SocketAddr;

/// `[callbacks]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callbacks {
    pub listen: SocketAddr,
    /// What endpoints are told to call: scheme, host and port as they see us, without a path's last slash.
    pub url: String,
}
