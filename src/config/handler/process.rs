//! Settings of a handler that is a pool of processes.

use std::time::Duration;

use super::Program;
use crate::config::AppPart;

/// `[handlers.NAME.process]`: processes that stay do the jobs, told of them over descriptors.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessHandler {
    /// Run once per process; a job fills in nothing.
    pub program: Program,
    pub workers: Workers,
    pub transport: Transport,
    /// Jobs at once in one process, whatever it offers.
    pub slots: u32,
    /// From its start until a process must be ready.
    pub start_timeout: Duration,
    /// Without a job for this long, processes above the least number are stopped.
    pub idle: Option<Duration>,
    /// Jobs after which a process is replaced.
    pub max_jobs: Option<u64>,
    /// Age at which a process is replaced.
    pub max_age: Option<Duration>,
    /// Resident bytes at which a process is replaced.
    pub max_memory: Option<usize>,
    /// How often a process must show that it is alive, and how long it may take.
    pub ping: Option<Duration>,
    /// Longest line a process may write, in bytes.
    pub max_frame: usize,
    /// What its jobs may use of what stands beside the queues.
    pub app: Vec<AppPart>,
}

/// How many processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Always there.
    pub min: u32,
    /// While jobs wait.
    pub max: u32,
}

/// What carries the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Descriptors 3 and 4; standard output is free for what a program likes to print.
    Fds,
    /// Standard input and output.
    Stdio,
}

impl Transport {
    pub const NAMES: [(&'static str, Self); 2] = [("fds", Self::Fds), ("stdio", Self::Stdio)];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fds => "fds",
            Self::Stdio => "stdio",
        }
    }
}

impl ProcessHandler {
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            program: Program::new(argv),
            workers: Workers { min: 1, max: 1 },
            transport: Transport::Fds,
            slots: 100,
            start_timeout: Duration::from_secs(10),
            idle: Some(Duration::from_secs(300)),
            max_jobs: None,
            max_age: None,
            max_memory: None,
            ping: Some(Duration::from_secs(10)),
            max_frame: 8 * 1024 * 1024,
            app: Vec::new(),
        }
    }
}
