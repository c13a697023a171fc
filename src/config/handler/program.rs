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
}

impl Program {
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self { argv, directory: None, env: BTreeMap::new(), env_allow: Vec::new(), kill_after: Duration::from_secs(5) }
    }
}
