//! What a running job can have done for it. The engine does it; a [`JobContext`](super::JobContext) asks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{CancelReason, JobContext};
#[cfg(feature = "app")]
use crate::app::App;
use crate::job::{Flow, Job};
use crate::store::{self, AddedFlow, Dependencies, Token};

/// Why something was not done for a running job.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// Told to stop, a job may still say how it ended, and nothing else.
    #[error("the attempt was told to stop ({}); nothing more is done for it", .0.as_str())]
    Stopping(CancelReason),
    /// The job was removed, ran out of its lock, or is another worker's.
    #[error("the job is not ours any more: {0}")]
    Lost(store::Code),
    #[error("the attempt has ended")]
    Ended,
    #[error("a value is not JSON: {0}; pass what serializes")]
    NotJson(#[source] serde_json::Error),
    /// The context belongs to no engine, as in tests of a handler.
    #[error("no engine runs this job")]
    NoEngine,
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for ActionError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Rejected {
                code: code @ (store::Code::Missing | store::Code::NoLock | store::Code::OtherLock),
                ..
            } => Self::Lost(code),
            other => Self::Store(other),
        }
    }
}

/// An action under way. Dropping it stops repeating it; what Redis was asked may still be done.
pub(crate) type Doing<T> = Pin<Box<dyn Future<Output = Result<T, ActionError>> + Send>>;

/// Implemented by the engine for the jobs of one queue. None of the methods waits; errors that pass by themselves
/// are outlasted.
pub(crate) trait Actions: Send + Sync {
    /// The job has told something that Redis is to know.
    fn report(&self, ctx: JobContext);

    /// Replaces the job's stored data, while its lock is held with the token.
    fn update_data(&self, job: &Arc<Job>, token: &Token, data: Box<RawValue>) -> Doing<()>;

    /// Adds trees whose roots have the job as parent.
    fn add_children(&self, job: &Arc<Job>, children: Vec<Flow>) -> Doing<Vec<AddedFlow>>;

    /// What became of the job's children.
    fn children(&self, job: &Arc<Job>) -> Doing<Dependencies>;

    /// What the application keeps beside its queues, where there is any.
    #[cfg(feature = "app")]
    fn app(&self) -> Option<&App> {
        None
    }
}
