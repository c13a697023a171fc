//! One status message, and what else tells of it: its place in the stream, the name of its channel.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::job::UnixMillis;

/// A status message. Those of the simple format have the first four members only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusMessage {
    /// As the job's data has it: a text, a number or a flag, else null.
    pub tenant_id: Value,
    pub job_id: String,
    /// The word for the state, as configured.
    pub status: String,
    /// `None` before the job has ended; then why it has failed, if it has.
    #[serde(default, deserialize_with = "present")]
    pub error: Option<Option<String>>,
    /// In the simple format only known where the channel's name or the stream tells it.
    pub queue: Option<String>,
    pub name: Option<String>,
    /// Counted from 1.
    pub attempt: Option<u32>,
    pub max_attempts: Option<u32>,
    pub progress: Option<Value>,
    pub timestamp: Option<UnixMillis>,
    /// How long the last attempt took, in ms; of jobs that have ended.
    pub duration_ms: Option<u64>,
    /// The JSON as it was published.
    #[serde(skip)]
    pub text: String,
    /// Its place in the stream, where it was read from there.
    #[serde(skip)]
    pub entry: Option<EntryId>,
}

#[expect(clippy::option_option, reason = "absent, null and a text say three things")]
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl StatusMessage {
    /// Reads one as it is published.
    pub fn read(text: String) -> Result<Self, serde_json::Error> {
        let message: Self = serde_json::from_str(&text)?;
        Ok(Self { text, ..message })
    }

    /// The tenant as text; `None` where the job has none.
    #[must_use]
    pub fn tenant(&self) -> Option<Cow<'_, str>> {
        match &self.tenant_id {
            Value::Null => None,
            Value::String(text) => Some(text.into()),
            other => Some(other.to_string().into()),
        }
    }

    /// Whether the job has ended for good.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.error.is_some()
    }
}

/// The id of a stream's entry: `MS-NUMBER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// When it was written, by the server's clock.
    pub at: UnixMillis,
    pub number: u64,
}

impl EntryId {
    /// Before every entry.
    pub const NONE: Self = Self { at: UnixMillis(0), number: 0 };

    /// The last id before this moment: to read on from there is to read everything since.
    #[must_use]
    pub fn before(moment: UnixMillis) -> Self {
        if moment.0 <= 0 {
            return Self::NONE;
        }
        Self { at: UnixMillis(moment.0 - 1), number: u64::MAX }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.at.0, self.number)
    }
}

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of an entry, such as 1788253198120-0, got {0:?}")]
pub struct NoEntryId(String);

impl FromStr for EntryId {
    type Err = NoEntryId;

    /// `MS-NUMBER` or `MS`, as in Redis.
    fn from_str(text: &str) -> Result<Self, NoEntryId> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (at, number) = text.split_once('-').unwrap_or((text, "0"));
        let parsed = || Some(Self { at: UnixMillis(at.parse().ok()?), number: number.parse().ok()? });
        (digits(at) && digits(number)).then(parsed).flatten().ok_or_else(|| NoEntryId(text.to_owned()))
    }
}

/// The name of a channel with `{queue}` and `{tenant}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Queue,
    Tenant,
}

impl Template {
    pub(super) fn of(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let holes = [("{queue}", Piece::Queue), ("{tenant}", Piece::Tenant)];
            let first = holes.into_iter().filter_map(|(hole, piece)| Some((rest.find(hole)?, hole, piece)));
            let Some((at, hole, piece)) = first.min_by_key(|(at, ..)| *at) else {
                pieces.push(Piece::Text(rest.to_owned()));
                break;
            };
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_owned()));
            }
            pieces.push(piece);
            rest = &rest[at + hole.len()..];
        }
        Self { pieces }
    }

    pub(super) fn has_holes(&self) -> bool {
        self.pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// What covers every name it can become, `escape` making the rest of the text plain.
    pub(super) fn pattern(&self, escape: impl Fn(&str) -> String) -> String {
        let piece = |piece: &Piece| if let Piece::Text(text) = piece { escape(text) } else { "*".to_owned() };
        self.pieces.iter().map(piece).collect()
    }

    /// The queue in a name made from it, where that can only be read in one way.
    pub(super) fn queue_in(&self, channel: &str) -> Option<String> {
        let at = self.pieces.iter().position(|piece| *piece == Piece::Queue)?;
        let tail = channel.strip_prefix(plain(&self.pieces[..at])?.as_str())?;
        let queue = match &self.pieces[at + 1..] {
            [] => tail,
            [Piece::Text(end)] => tail.strip_suffix(end.as_str())?,
            // names of queues hold no colon
            [Piece::Text(next), ..] if next.starts_with(':') => tail.split_once(next.as_str())?.0,
            _ => return None,
        };
        Some(queue.to_owned())
    }
}

/// Pieces without holes as one text.
fn plain(pieces: &[Piece]) -> Option<String> {
    pieces.iter().map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read() {
        let simple = r#"{"tenantId":"t1","jobId":"j1","status":"COMPLETED","error":null}"#;
        let message = StatusMessage::read(simple.into()).unwrap();
        assert_eq!((message.tenant().as_deref(), message.is_final(), &message.error), (Some("t1"), true, &Some(None)));
        let full = r#"{"tenantId":1700000000000123,"jobId":"7","status":"PROGRESS","queue":"email","name":"welcome","attempt":1,"maxAttempts":3,"progress":{"at":40},"timestamp":1788253198120,"durationMs":null}"#;
        let message = StatusMessage::read(full.into()).unwrap();
        assert_eq!((message.tenant().as_deref(), message.is_final()), (Some("1700000000000123"), false));
        assert_eq!((message.queue.as_deref(), message.timestamp), (Some("email"), Some(UnixMillis(1_788_253_198_120))));
        assert_eq!((message.attempt, message.max_attempts, message.duration_ms), (Some(1), Some(3), None));
        assert_eq!(message.text, full);
        for other in [r#"{"hello":"world"}"#, "7", "", r#"{"tenantId":null,"status":"X"}"#] {
            assert!(StatusMessage::read(other.into()).is_err(), "{other}");
        }
    }

    #[test]
    fn ids_are_those_of_redis_and_in_its_order() {
        let id = |text: &str| text.parse::<EntryId>();
        assert_eq!(id("12-3").unwrap().to_string(), "12-3");
        assert_eq!(id("12").unwrap().to_string(), "12-0");
        assert!(id("12-3").unwrap() < id("12-10").unwrap() && id("12-3").unwrap() < id("100-0").unwrap());
        for wrong in ["", "-", "1-", "-1", "a-1", "$", "+1-1", "1-1-1", "99999999999999999999-0"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
        assert_eq!(EntryId::before(UnixMillis(0)).to_string(), "0-0");
        assert_eq!(EntryId::before(UnixMillis(5)).to_string(), "4-18446744073709551615");
    }

    #[test]
    fn templates_become_patterns_and_tell_the_queue() {
        let escape = crate::store::keys::escaped;
        assert_eq!(Template::of("jobs:{tenant}:[x]:{queue}").pattern(escape), "jobs:*:\\[x\\]:*");
        assert!(!Template::of("plain*").has_holes());
        for (template, channel, queue) in [
            ("jobs:{queue}", "jobs:email", Some("email")),
            ("{queue}.jobs", "email.jobs", Some("email")),
            ("{queue}:{tenant}", "email:t:1", Some("email")),
            ("{tenant}:{queue}", "t:1:email", None),
            ("{tenant}{queue}", "t1email", None),
            ("{queue}-{tenant}", "a-b-c", None),
            ("jobs:{tenant}", "jobs:t1", None),
            ("jobs:{queue}", "other:email", None),
        ] {
            assert_eq!(Template::of(template).queue_in(channel).as_deref(), queue, "{template}");
        }
    }
}
