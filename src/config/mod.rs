//! What did the operator ask for? Settled values, whoever wrote them down.
//!
//! A program that embeds oxherd fills these in by hand; the daemon reads them from TOML
//! (`load`, behind the cargo feature `daemon`).

pub mod daemon;
pub mod diff;
pub mod handler;
pub mod invalid;
pub mod queue;
pub mod redis;
pub mod status;
pub mod units;
mod url;

use std::collections::BTreeMap;

pub use daemon::{Daemon, Log, LogFormat, Shutdown};
pub use diff::Diff;
pub use handler::{CommandHandler, Handler, HttpHandler, LogHandler};
pub use invalid::Invalid;
pub use queue::{Queue, RateLimit, Unmatched};
pub use redis::{AtStart, Endpoint, Redis, Secret};
pub use status::{Status, StatusFormat};

/// Everything one process needs to know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    pub redis: Redis,
    /// By name; defaults already filled in.
    pub queues: BTreeMap<String, Queue>,
    pub handlers: BTreeMap<String, Handler>,
    pub status: Status,
    pub daemon: Daemon,
    pub shutdown: Shutdown,
    pub log: Log,
}
