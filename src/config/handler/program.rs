//! What all handlers that run programs have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A program and what it is given, whatever the job.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<String>,
    pub directory: Option<PathBuf>,
    /// Set for the child.
    pub env: BTreeMap<String, String>,
    /// Names passed on from our own environment, beside PATH, HOME and LANG.
    pub env_allow: Vec<String>,
    /// From being told to stop to KILL.
    pub kill_after: Duration,
    /// Name or number of the user it runs as; ours without it.
    pub user: Option<String>,
    /// Name or number of its group; the user's own without it.
    pub group: Option<String>,
    pub limits: Limits,
}

/// What each of a handler's processes may take, as the kernel counts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory it may write to.
    pub memory: Option<usize>,
    /// Processor time, in whole seconds.
    pub cpu: Option<Duration>,
    /// Open files.
    pub files: Option<u64>,
    /// Processes of its user, whoever started them.
    pub processes: Option<u64>,
    /// Bytes of a file it writes.
    pub file_size: Option<usize>,
}

impl Program {
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            argv,
            directory: None,
            env: BTreeMap::new(),
            env_allow: Vec::new(),
            kill_after: Duration::from_secs(5),
            user: None,
            group: None,
            limits: Limits::default(),
        }
    }
}
