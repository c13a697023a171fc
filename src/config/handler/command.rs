//! Settings of a handler that is a program.

use super::Program;

/// `[handlers.NAME.command]`: a program is run per job, without a shell.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandHandler {
    /// A placeholder fills exactly one argument.
    pub program: Program,
    /// Bytes of stdout, and of stderr, kept; the rest is read and dropped.
    pub max_output: usize,
}

impl CommandHandler {
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self { program: Program::new(argv), max_output: 256 * 1024 }
    }
}
