//! Settings of a handler that is a program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Answer, Program};

/// `[handlers.NAME.command]`: a program is run per job, without a shell.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandHandler {
    /// A placeholder fills exactly one argument.
    pub program: Program,
    /// Bytes of stdout, and of stderr, kept; the rest is read and dropped.
    pub max_output: usize,
    /// Where each attempt gets a directory of its own, which is removed after it.
    pub work_dir: Option<PathBuf>,
    /// What exit codes mean, over the built-in table.
    pub exit: BTreeMap<u8, ExitMeaning>,
}

/// What an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitMeaning {
    pub answer: Answer,
    /// How long a retry or a deferral waits.
    pub after: Option<Duration>,
}

impl CommandHandler {
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self { program: Program::new(argv), max_output: 256 * 1024, work_dir: None, exit: BTreeMap::new() }
    }
}
