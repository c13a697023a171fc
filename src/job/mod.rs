//! What is a job? Plain values and arithmetic: no I/O, no clock, no Redis.
//!
//! Every other room builds on the types in here. A moment is [`UnixMillis`] and is always
//! passed in; nothing in this room asks what time it is.

pub mod backoff;
mod flow;
pub(crate) mod glob;
pub mod name;
pub mod options;
pub mod outcome;
pub mod schedule;
pub mod series;
pub mod state;
mod strict;
mod times;
mod trace;
pub mod verdict;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use backoff::{Backoff, BackoffKind};
pub use flow::{ChildFailure, Deduplication, Flow, FlowError, ParentRef};
pub use name::{JobId, NameError, QueueName};
pub use options::{JobOptions, Keep, OptionsError};
pub use outcome::{Failure, Outcome};
pub use schedule::{Schedule, ScheduleError};
pub use series::{Iteration, SchedulerSpec, SpecError, Template};
pub use state::State;
pub use times::Times;
pub use trace::TraceContext;
pub use verdict::{Policy, Verdict};

/// A moment as it stands on the wire: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The moment `by` later, never overflowing.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whole milliseconds of a duration, as the wire wants them.
#[must_use]
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// One job as a handler is given it: what the producer wrote, plus how often it was tried.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: JobId,
    pub queue: QueueName,
    /// Empty when the producer stored none.
    pub name: String,
    /// The JSON text exactly as stored; `null` when the hash holds none.
    pub data: Box<RawValue>,
    pub opts: JobOptions,
    /// When the job was added.
    pub timestamp: UnixMillis,
    /// When this attempt was taken from the queue.
    pub processed_on: UnixMillis,
    /// 0 is none; else lower runs first.
    pub priority: u32,
    /// Attempts charged so far (`atm`), this one not included.
    pub attempts_made: u32,
    /// Times a worker took the job (`ats`), this one included.
    pub attempts_started: u32,
    /// Times the job was found abandoned (`stc`).
    pub stalled: u32,
    /// A failure decided before the job was taken (`defa`): fail it without running it.
    pub deferred_failure: Option<String>,
    /// Full key of the parent in a flow.
    pub parent_key: Option<String>,
    /// The job scheduler this job is an iteration of.
    pub scheduler: Option<Iteration>,
    /// Stack traces of earlier attempts, a JSON array of strings as stored.
    pub stacktrace: Option<String>,
    /// When it was first deferred since an attempt was charged.
    pub deferred_since: Option<UnixMillis>,
    /// What it was made of, where its queue is a list.
    pub element: Option<Element>,
}

/// An element of a list that is in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its number in the take that brought it, from 0.
    pub index: u32,
    /// It has waited for this attempt, with a note of what is known about it.
    pub noted: bool,
    /// Its bytes, where nobody but this process holds them.
    pub bytes: Option<Bytes>,
}

impl Job {
    /// Number of this attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempts_made.saturating_add(1)
    }
}

/// What a producer hands in: [`crate::store::Queue::add`] writes it as BullMQ would.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub name: String,
    /// JSON text, stored byte for byte.
    pub data: Box<RawValue>,
    pub opts: JobOptions,
}
