//! One struct per kind of handler. The kind is the name of its table, never a tag.

use std::time::Duration;

mod allowed;
mod command;
mod http;
mod process;
mod program;
mod redis;
mod smtp;

pub use allowed::AllowedHost;
#[cfg(feature = "http")]
pub(crate) use allowed::is_within;
pub use command::{CommandHandler, ExitMeaning};
pub use http::{Batch, Breaker, Gone, HttpHandler};
pub use process::{ProcessHandler, Transport, Workers};
pub use program::{Limits, Program};
pub use redis::{Busy, End, Housekeeping, KeyType, LITERAL, OWN_ROOT, RedisHandler, ScoreUnit, Warm};
pub use smtp::{MailTemplates, MailTls, OnAmbiguous, OnPartial, PemFile, SmtpHandler};

/// `[handlers.NAME.KIND]`
#[derive(Debug, Clone, PartialEq)]
pub enum Handler {
    Http(HttpHandler),
    Command(CommandHandler),
    Smtp(Box<SmtpHandler>),
    Process(ProcessHandler),
    Log(LogHandler),
    Redis(Box<RedisHandler>),
}

/// What an HTTP status is to mean, in `[handlers.NAME.http.status]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Complete,
    Retry,
    Defer,
    Fail,
    Discard,
    /// Run again when the job's children have ended.
    WaitingChildren,
}

/// `[handlers.NAME.log]`: the job is written to the log and completed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogHandler {
    /// Pretend to work for this long.
    pub duration: Duration,
}

/// Names as headers and configuration spell them.
impl Answer {
    pub const NAMES: [(&'static str, Self); 6] = [
        ("complete", Self::Complete),
        ("retry", Self::Retry),
        ("defer", Self::Defer),
        ("fail", Self::Fail),
        ("discard", Self::Discard),
        ("waiting-children", Self::WaitingChildren),
    ];

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, answer)| *answer)
    }
}
