//! `[redis]`: where Redis is and how the queues are named there.

use std::path::PathBuf;

/// `[redis]`
#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    pub endpoint: Endpoint,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub database: u8,
    /// First segment of every key.
    pub prefix: String,
    pub at_start: AtStart,
    /// One idle connection per queue that carries BullMQ's worker name, so that dashboards
    /// count this process as a worker.
    pub announce_workers: bool,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Tcp {
        host: String,
        port: u16,
        tls: bool,
    },
    Unix(PathBuf),
    /// A private redis-server of our own, its data and socket in this directory.
    Embedded(PathBuf),
}

/// When Redis is not there at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtStart {
    /// Wait for it, saying so once.
    #[default]
    Wait,
    /// Exit with 69.
    Fail,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port: 6379, tls: false },
            username: None,
            password: None,
            database: 0,
            prefix: "bull".into(),
            at_start: AtStart::default(),
            announce_workers: true,
        }
    }
}

/// A value that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The value itself, for the one who has to send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
