//! What can go wrong beside the queues.

use crate::config::Invalid;
use crate::store;

/// A failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is stored does not read as what was asked for.
    #[error("the value of {key} does not read as what was asked for: {source}; delete it, or ask for what was stored")]
    Unreadable { key: String, source: serde_json::Error },
    #[error("the value for {key} is not JSON: {source}; pass what serializes")]
    NotJson { key: String, source: serde_json::Error },
    #[error(
        "the value for {key} has {size} bytes, more than max_size, {limit}; raise it in [app.cache], or store less"
    )]
    TooLarge { key: String, size: usize, limit: usize },
    /// Settings or names that make no sense; the text says which and what would.
    #[error("{0}")]
    Senseless(String),
    /// A pattern that may cover what nobody had in mind.
    #[error(transparent)]
    Pattern(Invalid),
}

impl Error {
    /// The same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_temporary())
    }
}
