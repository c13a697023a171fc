//! From an element of a list to a job, and the note about one that waits for another attempt or is dead.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::super::codec::read_data;
use super::super::connection::Value;
use super::super::work::pointer_steps;
use crate::config::{List, ListMode, Payload};
use crate::job::{Element, Job, JobId, JobOptions, QueueName, UnixMillis};

/// What is known of an element, a line of JSON before its bytes. Scripts read and write it too (`split_note.lua`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) id: String,
    /// Attempts made.
    pub(super) made: u32,
    /// Times taken.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) started: u32,
    /// Processes that have left it behind.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) stalls: u32,
    /// When it was first taken; ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<i64>,
    /// When it was first deferred since an attempt was charged; ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deferred: Option<i64>,
    /// Of its last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Stack traces, a JSON array of texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stack: Option<String>,
    /// When it died; ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<i64>,
    /// The queue it was worked as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<String>,
    /// The process that gave it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Note {
    /// Of a job in hand, before anything came of this attempt.
    pub(super) fn of(job: &Job) -> Self {
        Self {
            id: job.id.as_str().to_owned(),
            made: job.attempts_made,
            started: job.attempts_started,
            stalls: job.stalled,
            since: Some(job.timestamp.0),
            deferred: job.deferred_since.map(|since| since.0),
            stack: job.stacktrace.clone(),
            ..Self::default()
        }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are always JSON")
    }

    /// The note and the bytes behind it. What cannot be read as a note is an empty one.
    pub(super) fn split(entry: &Bytes) -> (Self, Bytes) {
        let end = entry.iter().position(|byte| *byte == b'\n');
        let line = String::from_utf8_lossy(&entry[..end.unwrap_or(0)]);
        (serde_json::from_str(&line).unwrap_or_default(), entry.slice(end.map_or(0, |end| end + 1)..))
    }
}

/// How the elements of a list are read.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    queue: QueueName,
    list: List,
    max_payload: usize,
}

/// An element's place in a take.
pub(super) struct Place<'a> {
    pub(super) token: &'a str,
    pub(super) index: usize,
}

impl Reader {
    pub(super) fn new(queue: &QueueName, list: &List, max_payload: usize) -> Self {
        Self { queue: queue.clone(), list: list.clone(), max_payload }
    }

    /// The same for scripts, as `element_job.lua` wants it.
    pub(super) fn spec(&self) -> String {
        let steps = |pointer: &Option<String>| pointer.as_deref().map(pointer_steps);
        let mut spec = serde_json::json!({ "payload": self.list.payload.as_str(), "queue": self.queue });
        for (name, steps) in [("id", steps(&self.list.id)), ("name", steps(&self.list.name))] {
            if let Some(steps) = steps {
                spec[name] = steps.into();
            }
        }
        spec.to_string()
    }

    /// The job an element is. One that cannot be read carries the reason, and fails without being run.
    pub(super) fn job(&self, value: Value, noted: bool, place: &Place<'_>, now: UnixMillis) -> Job {
        let entry = value.into_bytes().unwrap_or_default();
        let (note, bytes) = if noted { Note::split(&entry) } else { (Note::default(), entry) };
        let mut broken = None;
        let data = self.data(&bytes).unwrap_or_else(|reason| {
            broken = Some(reason);
            RawValue::NULL.to_owned()
        });
        let (id, name) = self.identity(&bytes, &data);
        let id = if note.id.is_empty() { id } else { Some(note.id) };
        let id = id.unwrap_or_else(|| format!("{}-{}", place.token.replace(':', "-"), place.index));
        Job {
            id: JobId::stored(&id),
            queue: self.queue.clone(),
            name: name.unwrap_or_else(|| self.queue.as_str().to_owned()),
            data,
            opts: JobOptions::default(),
            timestamp: note.since.map_or(now, UnixMillis),
            processed_on: now,
            priority: 0,
            attempts_made: note.made,
            attempts_started: note.started.saturating_add(1),
            stalled: note.stalls,
            deferred_failure: broken,
            parent_key: None,
            scheduler: None,
            stacktrace: note.stack,
            deferred_since: note.deferred.map(UnixMillis),
            element: Some(Element {
                index: u32::try_from(place.index).unwrap_or(u32::MAX),
                noted,
                bytes: (self.list.mode == ListMode::AtMostOnce).then_some(bytes),
            }),
        }
    }

    /// The data of an element, or why it has none.
    pub(super) fn data(&self, bytes: &Bytes) -> Result<Box<RawValue>, String> {
        if bytes.len() > self.max_payload {
            return Err(format!("data is {} bytes long, longer than max_payload allows", bytes.len()));
        }
        let text = || match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) => {
                let at = error.valid_up_to();
                Err(format!("the element is not UTF-8: byte {at} is the first that cannot be read; see list.payload"))
            }
        };
        let json = |text: Cow<'_, str>| to_raw_value(&text).expect("a text is always JSON");
        match self.list.payload {
            Payload::Id if bytes.is_empty() => Err("the element is empty, and so no id; see list.payload".to_owned()),
            Payload::Id => text().map(|_| RawValue::NULL.to_owned()),
            Payload::Json => read_data(text().map_or_else(|_| Value::Bytes(bytes.clone()), Value::from)),
            Payload::Text => text().map(|text| json(text.into())),
            Payload::Base64 => Ok(json(STANDARD.encode(bytes).into())),
        }
    }

    /// Id and name, where the element itself says them. `element_job.lua` does the same.
    fn identity(&self, bytes: &Bytes, data: &RawValue) -> (Option<String>, Option<String>) {
        if self.list.payload == Payload::Id {
            return ((!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned()), None);
        }
        if self.list.id.is_none() && self.list.name.is_none() {
            return (None, None);
        }
        let data: serde_json::Value = serde_json::from_str(data.get()).unwrap_or_default();
        let text = |pointer: &Option<String>| pointed(data.pointer(pointer.as_deref()?)?);
        (text(&self.list.id), text(&self.list.name))
    }

    /// An id for who looks at an element that is not in hand, where it has one.
    pub(super) fn id(&self, bytes: &Bytes) -> Option<String> {
        self.looked_at(bytes).0
    }

    /// The same for the job's name.
    pub(super) fn name(&self, bytes: &Bytes) -> String {
        self.looked_at(bytes).1.unwrap_or_else(|| self.queue.as_str().to_owned())
    }

    fn looked_at(&self, bytes: &Bytes) -> (Option<String>, Option<String>) {
        self.identity(bytes, &self.data(bytes).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

/// A text, or a whole number, that can be an id or a name.
fn pointed(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
        serde_json::Value::Number(number) => {
            let number = number.as_f64()?;
            (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then(|| format!("{number:.0}"))
        }
        _ => None,
    }
}
