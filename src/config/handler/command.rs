//! Settings of a handler that is a program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

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
