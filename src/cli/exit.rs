//! The exit codes, here and nowhere else.

use std::process::ExitCode;

/// How the process ends. Scripts and service managers rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or stopped as asked.
    Done = 0,
    /// The answer is no: nothing by that name, not healthy, a job failed for good.
    No = 1,
    /// Wrong arguments.
    Usage = 2,
    /// The data given cannot be used.
    BadInput = 65,
    /// Redis cannot be reached and waiting is not allowed.
    Unreachable = 69,
    /// Something that should not happen.
    Internal = 70,
    /// Stopped after the bound, with jobs handed back.
    HandedBack = 75,
    /// The operating system or Redis says that we may not.
    NoPermission = 77,
    /// The configuration is refused.
    Refused = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
