//! A text that is not what it should be. The readers of durations, sizes and URLs answer with
//! it; they do not know which key the text was for.

/// What is wrong with a text, and how to write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct Invalid {
    /// What is wrong, naming the text, secrets covered.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Invalid {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// A message in two: what is wrong, and the remedy behind its last `; `.
#[cfg(feature = "daemon")]
pub(super) fn split(text: &str) -> (String, Option<String>) {
    match text.rsplit_once("; ") {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (text.to_owned(), None),
    }
}
