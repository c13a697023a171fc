//! One struct per kind of handler. The kind is the name of its table, never a tag.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// `[handlers.NAME.KIND]`
#[derive(Debug, Clone, PartialEq)]
pub enum Handler {
    Http(HttpHandler),
    Command(CommandHandler),
    Log(LogHandler),
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

/// `[handlers.NAME.command]`: a program is run per job, without a shell.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandHandler {
    /// Program and arguments; a placeholder fills exactly one argument.
    pub argv: Vec<String>,
    pub directory: Option<PathBuf>,
    /// Set for the child.
    pub env: BTreeMap<String, String>,
    /// Names passed on from our own environment, beside PATH, HOME and LANG.
    pub env_allow: Vec<String>,
    /// From TERM to KILL.
    pub kill_after: Duration,
    /// Bytes of stdout, and of stderr, kept; the rest is read and dropped.
    pub max_output: usize,
}

impl CommandHandler {
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            argv,
            directory: None,
            env: BTreeMap::new(),
            env_allow: Vec::new(),
            kill_after: Duration::from_secs(5),
            max_output: 256 * 1024,
        }
    }
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
