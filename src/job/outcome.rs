//! What may come back from a handler: one vocabulary for every kind (contract §4).

use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Why an attempt did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stored as the job's `failedReason`.
    pub message: String,
    /// Appended to the job's `stacktrace`; the message stands in when there is none.
    pub stack: Option<String>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), stack: None }
    }
}

/// What a handler answers. Failing a job is ordinary, so this is a value, never an error.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Done; the JSON text becomes the return value, byte for byte.
    Complete(Box<RawValue>),
    /// Failed, worth another attempt. `after` overrides the job's backoff.
    Retry { failure: Failure, after: Option<Duration> },
    /// Failed, worth another attempt by the job's backoff, but no sooner than after `least`.
    RetryLater { failure: Failure, least: Duration },
    /// Not now: delayed without charging an attempt, bounded in count and age.
    Defer { reason: String, after: Duration },
    /// Not begun at all, since what does such jobs can do nothing for now: delayed, for a second at least, as if it had never
    /// been taken. Neither attempts nor the bounds of deferrals count it.
    PutOff { reason: String, after: Duration },
    /// Failed for good, whatever attempts are left.
    Fail(Failure),
    /// Not wanted any more: completed, counted apart.
    Discard { reason: String },
    /// Waited longer than the queue allows; never started.
    Expired,
    /// Stopped because somebody asked for it.
    Cancelled { reason: String },
    /// Stopped because the daemon stops: back to the head of the queue, no attempt charged.
    Interrupted,
    /// To go on when the job's children have ended: put away until then without charging an attempt, and run again from
    /// its beginning. At once when none is pending; failed for good when one has failed it.
    WaitForChildren,
    /// The thing that ran the job died under it.
    Crashed(Failure),
}

impl Outcome {
    /// Completed with `null`.
    #[must_use]
    pub fn done() -> Self {
        Self::Complete(RawValue::NULL.to_owned())
    }

    /// Completed with a value, which becomes JSON; one that cannot, a map whose keys are no texts for one, fails the job.
    pub fn complete(value: impl Serialize) -> Self {
        match to_raw_value(&value) {
            Ok(value) => Self::Complete(value),
            Err(error) => Self::fail(format!("the return value cannot be written as JSON: {error}")),
        }
    }

    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry { failure: Failure::new(message), after: None }
    }

    pub fn fail(message: impl Into<String>) -> Self {
        Self::Fail(Failure::new(message))
    }

    /// The contract's word for the outcome.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Complete(_) => "complete",
            Self::Retry { .. } | Self::RetryLater { .. } => "retry",
            Self::Defer { .. } => "defer",
            Self::PutOff { .. } => "put-off",
            Self::Fail(_) => "fail",
            Self::Discard { .. } => "discard",
            Self::Expired => "expired",
            Self::Cancelled { .. } => "cancelled",
            Self::Interrupted => "interrupted",
            Self::WaitForChildren => "waiting-children",
            Self::Crashed(_) => "crashed",
        }
    }
}

/// The end of a function that uses `?`: what is done completes the job, and each error says what it means for the job, as an
/// `Outcome` does itself.
impl<T: Serialize, E: Into<Outcome>> From<Result<T, E>> for Outcome {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::complete(value),
            Err(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_an_outcome() {
        let pages: Result<u32, Outcome> = Ok(3);
        assert!(matches!(pages.into(), Outcome::Complete(value) if value.get() == "3"));
        let read = || -> Result<u32, Outcome> { "x".parse().map_err(|error| Outcome::fail(format!("pages: {error}"))) };
        let Outcome::Fail(failure) = read().into() else { panic!() };
        assert_eq!(failure.message, "pages: invalid digit found in string");
        let no_json = std::collections::HashMap::from([((1, 2), 3)]);
        let Outcome::Fail(failure) = Outcome::complete(no_json) else { panic!() };
        assert_eq!(failure.message, "the return value cannot be written as JSON: key must be a string");
    }
}
