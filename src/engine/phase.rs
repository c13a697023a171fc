//! How far the engine is on its way to the end. It only ever goes forward.

/// One value for everybody; senders stop before receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// Jobs are taken and run.
    #[default]
    Running,
    /// Nothing is taken any more; what runs goes on.
    Quiet,
    /// As quiet, and the end comes when nothing runs.
    Draining,
    /// Handlers are told to stop; what is unfinished goes back to its queue.
    HandingBack,
    Closed,
}

impl Phase {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Quiet => "quiet",
            Self::Draining => "draining",
            Self::HandingBack => "handing back",
            Self::Closed => "closed",
        }
    }
}
