//! What did the operator ask for? Settled values, whoever wrote them down.
//!
//! A program that embeds oxherd fills these in by hand; the daemon reads them from TOML
//! (`load`, behind the cargo feature `daemon`).

pub mod admin;
pub mod app;
pub mod callbacks;
pub mod daemon;
pub mod diff;
pub mod handler;
pub mod invalid;
mod kept;
pub mod list;
pub mod queue;
pub mod redis;
pub mod schedule;
pub mod status;
pub mod traces;
pub mod units;
mod url;
mod zone;

#[cfg(feature = "daemon")]
mod crowd;
#[cfg(feature = "daemon")]
pub mod error;
#[cfg(feature = "daemon")]
mod expand;
#[cfg(feature = "daemon")]
mod files;
#[cfg(feature = "daemon")]
mod layer;
#[cfg(feature = "daemon")]
pub mod load;
#[cfg(feature = "daemon")]
mod locate;
#[cfg(feature = "daemon")]
pub mod manual;
#[cfg(feature = "daemon")]
mod origin;
#[cfg(feature = "daemon")]
mod path;
#[cfg(feature = "daemon")]
mod programs;
#[cfg(feature = "daemon")]
mod read;
#[cfg(feature = "daemon")]
mod schema;
#[cfg(feature = "daemon")]
mod secrets;
#[cfg(feature = "daemon")]
mod section;
#[cfg(feature = "daemon")]
mod seen;
#[cfg(feature = "daemon")]
mod settled;
#[cfg(feature = "daemon")]
pub mod show;
#[cfg(feature = "daemon")]
mod validate;

use std::collections::BTreeMap;

pub use admin::{Admin, AdminEvents};
pub use app::{App, AppPart};
pub use callbacks::Callbacks;
pub use daemon::{Daemon, Log, LogFormat, Shutdown};
pub use diff::Diff;
#[cfg(feature = "daemon")]
pub use error::{Error, Place, Position, Problem, Severity};
pub use handler::{
    AllowedHost, Answer, Batch, Breaker, Busy, CommandHandler, End, ExitMeaning, Gone, Handler, Housekeeping,
    HttpHandler, KeyType, LITERAL, Limits, LogHandler, MailTemplates, MailTls, OWN_ROOT, OnAmbiguous, OnPartial,
    PemFile, ProcessHandler, Program, RedisHandler, ScoreUnit, SmtpHandler, Transport, Warm, Workers,
};
pub use invalid::Invalid;
pub(crate) use kept::keep;
pub use list::{List, ListMode, Payload, Side};
#[cfg(feature = "daemon")]
pub use load::{LoadOptions, files, load, load_with_origins, process_env};
#[cfg(feature = "daemon")]
pub use origin::Origins;
#[cfg(feature = "daemon")]
pub use programs::missing as missing_programs;
pub use queue::{Placement, Queue, RateLimit, Unmatched};
pub use redis::{AtStart, Endpoint, Redis, Secret};
pub use schedule::{CatchUp, Overlap, Schedule};
#[cfg(feature = "daemon")]
pub use schema::json_schema;
#[cfg(feature = "daemon")]
pub use settled::load_settled;
#[cfg(feature = "daemon")]
pub use show::{show, show_json, show_origins, show_origins_json, show_schedule};
pub use status::{Status, StatusFormat, StatusStream};
pub use traces::Traces;
pub use zone::local_zone;

/// Everything one process needs to know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    pub redis: Redis,
    /// By name; defaults already filled in.
    pub queues: BTreeMap<String, Queue>,
    pub handlers: BTreeMap<String, Handler>,
    /// By name.
    pub schedules: BTreeMap<String, Schedule>,
    pub status: Status,
    /// Where endpoints call back; `None`: they cannot.
    pub callbacks: Option<Callbacks>,
    pub app: App,
    /// What is served over HTTP; `None`: nothing.
    pub admin: Option<Admin>,
    /// Where spans go; `None`: none are made.
    pub traces: Option<Traces>,
    pub daemon: Daemon,
    pub shutdown: Shutdown,
    pub log: Log,
    /// Texts of all this that are never to be shown, as far as reading it has found them.
    pub secrets: Vec<Secret>,
}

impl Config {
    /// The keys of the lists that are queues, sorted.
    #[must_use]
    pub fn list_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            self.queues.values().filter_map(|queue| queue.list.as_ref()).map(|list| list.key.clone()).collect();
        keys.sort();
        keys
    }
}
