//! What a handler tells of itself beside the outcomes of jobs.

use serde::Serialize;
use tokio::sync::mpsc;

/// Something that happened in a handler and concerns more than one job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A process that does jobs has gone otherwise than it was asked to; another takes its place.
    ProcessLost { handler: String, pid: i32, why: String },
}

/// Where handlers tell it: the engine makes events of it.
pub type Notices = mpsc::UnboundedSender<Notice>;

/// The processes a handler keeps between jobs, as they are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Processes {
    pub ready: usize,
    /// Those of the ready that have a job.
    pub busy: usize,
    pub starting: usize,
    /// On their way to their end.
    pub leaving: usize,
    /// Jobs in them.
    pub jobs: usize,
    /// Jobs that wait for one.
    pub waiting: usize,
    /// Ended otherwise than asked, since the start.
    pub lost: u64,
    /// None can be started for now.
    pub is_broken: bool,
}
