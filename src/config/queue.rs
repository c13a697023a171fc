//! One queue's settings, defaults filled in.

use std::collections::BTreeMap;
use std::time::Duration;

use super::List;
use crate::job::{Policy, QueueName};

/// How one queue is worked.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    pub name: QueueName,
    /// Slots in this process; at least 1.
    pub concurrency: u32,
    /// Attempts, backoff and retention where a job's own options are silent.
    pub policy: Policy,
    /// Longest one attempt may take.
    pub timeout: Duration,
    /// How long a lock lives without renewal; renewed at a third of it.
    pub lock: Duration,
    pub stalled_interval: Duration,
    pub max_stalled: u32,
    /// Jobs active at once over all processes; stored in the queue.
    pub global_concurrency: Option<u32>,
    /// Jobs started over all processes; stored in the queue.
    pub rate_limit: Option<RateLimit>,
    /// A job that waited longer is failed as expired instead of started.
    pub expires_after: Option<Duration>,
    /// Longest `data` in bytes; longer ones fail for good.
    pub max_payload: usize,
    /// Data points of the per-minute counts BullMQ dashboards draw; 0 writes none.
    pub metrics: u32,
    /// Handler for every job name without a route of its own.
    pub handler: Option<String>,
    /// Job name or glob → handler: the exact name wins, then the longest glob.
    pub routes: BTreeMap<String, String>,
    pub unmatched: Unmatched,
    /// Where jobs wait while the queue is paused; stored in the queue.
    pub placement: Placement,
    /// The plain list this queue is; `None` for one of BullMQ's. Its lease stands for [`Queue::lock`].
    pub list: Option<List>,
}

/// At most `max` jobs started in any window of `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub max: u32,
    pub per: Duration,
}

/// What becomes of a job no handler is named for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unmatched {
    /// Put back for other workers, in count and age bounded.
    #[default]
    Release,
    Fail,
}

/// Where jobs wait while a queue is paused. Protocol: §5.16.1, §9.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// As the client does that last opened the queue.
    #[default]
    Auto,
    /// In `paused`, as 5.x has it: nothing is lost whichever release resumes the queue.
    V5,
    /// In `wait`, as 6.x has it: lost when a 5.x client resumes the queue.
    V6,
}

impl Placement {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::V5 => "v5",
            Self::V6 => "v6",
        }
    }
}

impl Queue {
    /// A queue with every default of the contract and no handler.
    #[must_use]
    pub fn new(name: QueueName) -> Self {
        Self {
            name,
            concurrency: 5,
            policy: Policy::default(),
            timeout: Duration::from_secs(60),
            lock: Duration::from_secs(15),
            stalled_interval: Duration::from_secs(5),
            max_stalled: 1,
            global_concurrency: None,
            rate_limit: None,
            expires_after: None,
            max_payload: 16 * 1024 * 1024,
            metrics: 0,
            handler: None,
            routes: BTreeMap::new(),
            unmatched: Unmatched::default(),
            placement: Placement::default(),
            list: None,
        }
    }
}
