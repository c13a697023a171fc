//! A queue that is a plain Redis list: which one, and how it is read.

use std::time::Duration;

/// `[queues.NAME.list]`, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// The list. Its companions stand beside it, in the same slot of a cluster.
    pub key: String,
    /// The end elements are taken from.
    pub take: Side,
    pub mode: ListMode,
    pub payload: Payload,
    /// JSON pointer to the job's id in an element; JSON elements alone have one.
    pub id: Option<String>,
    /// JSON pointer to the job's name in an element; else it is the queue's.
    pub name: Option<String>,
    /// How long elements are ours without renewal.
    pub lease: Duration,
    /// Longest wait in the server for an element.
    pub block: Duration,
}

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    Left,
    /// For producers that `LPUSH`.
    #[default]
    Right,
}

/// What becomes of elements in hand when their process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListMode {
    /// They are in Redis until they are done, and go back to the list.
    #[default]
    Reliable,
    /// They are gone: a plain pop.
    AtMostOnce,
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// The job's id; its data is null.
    #[default]
    Id,
    /// The job's data.
    Json,
    /// A text that is the job's data.
    Text,
    /// Any bytes; the job's data is a text that holds them in base64.
    Base64,
}

impl List {
    /// Of this key, with every default.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            take: Side::default(),
            mode: ListMode::default(),
            payload: Payload::default(),
            id: None,
            name: None,
            lease: Duration::from_secs(30),
            block: Duration::from_secs(5),
        }
    }
}

impl Side {
    pub(crate) const WORDS: [(&'static str, Self); 2] = [("right", Self::Right), ("left", Self::Left)];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

impl ListMode {
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("reliable", Self::Reliable), ("at-most-once", Self::AtMostOnce)];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

impl Payload {
    pub(crate) const WORDS: [(&'static str, Self); 4] =
        [("id", Self::Id), ("json", Self::Json), ("text", Self::Text), ("base64", Self::Base64)];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], of: T) -> &'static str {
    words.iter().find(|(_, meaning)| *meaning == of).map_or("", |(word, _)| word)
}

/// The part of a key that a cluster chooses its slot by: between the first `{` and the next `}`, if there is anything.
#[must_use]
pub fn hash_tag(key: &str) -> Option<&str> {
    let rest = &key[key.find('{')? + 1..];
    rest.find('}').map(|end| &rest[..end]).filter(|tag| !tag.is_empty())
}
