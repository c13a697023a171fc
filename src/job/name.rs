//! Which strings are legal names of queues and ids of jobs.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a name or id was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a queue name must not be empty")]
    EmptyQueue,
    #[error("queue name {0:?} holds a ':', which BullMQ uses to separate keys; use '-' or '.' instead")]
    QueueColon(String),
    #[error("{kind} {name:?} holds a control character at byte {at}")]
    Control { kind: &'static str, name: String, at: usize },
    #[error(
        "job id {0:?} is refused: BullMQ keeps plain integers for the ids it makes itself; prefix it, as in \"job-{0}\""
    )]
    IntegerId(String),
    #[error("job id {0:?} is refused: ids must not be empty, \"0\" or start with \"0:\"")]
    MarkerId(String),
    #[error("job id {0:?} holds a ':', which BullMQ keeps for the iterations of job schedulers; use '-' instead")]
    IdColon(String),
}

/// The name of a queue: not empty, no `:`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// Checks the text against BullMQ's rule (protocol notes §2.3).
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::EmptyQueue);
        }
        if text.contains(':') {
            return Err(NameError::QueueColon(text.to_owned()));
        }
        refuse_control("queue name", text)?;
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a job, in whatever form it stands in Redis. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Arc<str>);

impl JobId {
    /// An id as it was read from Redis: taken as it is.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// An id chosen by a user for a new job.
    ///
    /// Stricter than BullMQ, which lets ids with exactly two colons through by accident
    /// (protocol notes §4.1).
    pub fn custom(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text == "0" || text.starts_with("0:") {
            return Err(NameError::MarkerId(text.to_owned()));
        }
        if text.contains(':') {
            return Err(NameError::IdColon(text.to_owned()));
        }
        if text.parse::<i128>().is_ok_and(|number| number.to_string() == text) {
            return Err(NameError::IntegerId(text.to_owned()));
        }
        refuse_control("job id", text)?;
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn refuse_control(kind: &'static str, text: &str) -> Result<(), NameError> {
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(NameError::Control { kind, name: text.to_owned(), at }),
        None => Ok(()),
    }
}

macro_rules! text_like {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}
text_like!(QueueName);
text_like!(JobId);

impl<'de> Deserialize<'de> for QueueName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Taken as it is: an id that was stored once.
impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::stored(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names_follow_bullmq() {
        assert!(QueueName::new("email").is_ok());
        assert!(QueueName::new("{tenant}.mail").is_ok());
        assert_eq!(QueueName::new(""), Err(NameError::EmptyQueue));
        assert_eq!(QueueName::new("a:b"), Err(NameError::QueueColon("a:b".into())));
        assert!(matches!(QueueName::new("a\nb"), Err(NameError::Control { at: 1, .. })));
    }

    #[test]
    fn custom_ids_refuse_what_bullmq_refuses() {
        for bad in ["", "0", "0:x", "12", "-7", "a:b", "a:b:c", "a\0"] {
            assert!(JobId::custom(bad).is_err(), "{bad:?}");
        }
        for good in ["custom-1", "007", "1e3", "ümlaut", "12 "] {
            assert!(JobId::custom(good).is_ok(), "{good:?}");
        }
    }
}
