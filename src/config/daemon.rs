//! `[daemon]`, `[shutdown]` and `[log]`: how the process behaves.

use std::path::PathBuf;
use std::time::Duration;

/// `[daemon]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Daemon {
    /// First part of the instance id, and the worker name stored with each job (`pb`).
    pub name: Option<String>,
    /// Remembers this incarnation, so that a restart in place releases its own old locks at once.
    pub state_dir: Option<PathBuf>,
    /// Time zone of schedules that name none; without one that of the host.
    pub timezone: Option<String>,
}

impl Daemon {
    /// What a daemon without a name is called where it needs one.
    pub const NAME: &'static str = "oxherd";
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long running jobs may go on after TERM.
    pub drain: Duration,
    /// How long cancelled jobs have to end before they are handed back.
    pub cancel: Duration,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// error, warn, info, debug, trace, or a filter such as `info,oxherd::store=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    #[default]
    Auto,
    Pretty,
    Json,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain: Duration::from_secs(25), cancel: Duration::from_secs(5) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::default() }
    }
}
