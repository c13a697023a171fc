//! A stored job as people look at it: every field, BullMQ's names, whatever is in it.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::job::{JobId, QueueName, State, UnixMillis};

/// Everything stored about one job. Serialises to the JSON of `job show --json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    pub id: JobId,
    pub queue: QueueName,
    pub state: State,
    /// Log rows, oldest first; `None` when they were not read.
    pub logs: Option<Vec<String>>,
    /// The hash as it is stored, by the stored names.
    pub fields: BTreeMap<String, String>,
}

/// How a stored field is shown.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// JSON text; shown as text when it is none.
    Json,
    Number,
}

/// Stored name, shown name, kind, and whether it is shown when absent (as null, 0 or an empty list). In the order shown.
const FIELDS: &[(&str, &str, Kind, Option<&str>)] = &[
    ("name", "name", Kind::Text, Some("null")),
    ("data", "data", Kind::Json, Some("null")),
    ("opts", "opts", Kind::Json, Some("{}")),
    ("progress", "progress", Kind::Json, Some("0")),
    ("delay", "delay", Kind::Number, Some("0")),
    ("priority", "priority", Kind::Number, Some("0")),
    ("atm", "attemptsMade", Kind::Number, Some("0")),
    ("ats", "attemptsStarted", Kind::Number, Some("0")),
    ("stc", "stalledCounter", Kind::Number, Some("0")),
    ("timestamp", "timestamp", Kind::Number, Some("null")),
    ("processedOn", "processedOn", Kind::Number, Some("null")),
    ("finishedOn", "finishedOn", Kind::Number, Some("null")),
    ("returnvalue", "returnvalue", Kind::Json, Some("null")),
    ("failedReason", "failedReason", Kind::Text, Some("null")),
    ("stacktrace", "stacktrace", Kind::Json, Some("[]")),
    ("parentKey", "parentKey", Kind::Text, None),
    ("parent", "parent", Kind::Json, None),
    ("rjk", "repeatJobKey", Kind::Text, None),
    ("deid", "deduplicationId", Kind::Text, None),
    ("pb", "processedBy", Kind::Text, None),
    ("defa", "deferredFailure", Kind::Text, None),
];

impl JobRecord {
    /// From a flat list of field names and values.
    pub(super) fn new(queue: QueueName, id: JobId, state: State, flat: Vec<String>, logs: Option<Vec<String>>) -> Self {
        let mut fields = BTreeMap::new();
        let mut flat = flat.into_iter();
        while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
            fields.insert(name, value);
        }
        Self { id, queue, state, logs, fields }
    }

    /// A field by its stored name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Empty when the producer stored none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.field("name").unwrap_or_default()
    }

    #[must_use]
    pub fn attempts_made(&self) -> u32 {
        self.field("atm").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    #[must_use]
    pub fn failed_reason(&self) -> Option<&str> {
        self.field("failedReason")
    }

    /// When the job was added.
    #[must_use]
    pub fn timestamp(&self) -> Option<UnixMillis> {
        self.moment("timestamp")
    }

    #[must_use]
    pub fn processed_on(&self) -> Option<UnixMillis> {
        self.moment("processedOn")
    }

    #[must_use]
    pub fn finished_on(&self) -> Option<UnixMillis> {
        self.moment("finishedOn")
    }

    fn moment(&self, name: &str) -> Option<UnixMillis> {
        self.field(name)?.parse().ok().map(UnixMillis)
    }
}

/// The text as it stands where it is JSON, else as a JSON string.
fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap_or_else(|_| as_text(text))
}

fn as_text(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).expect("text is always JSON")
}

impl Serialize for JobRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("queue", &self.queue)?;
        map.serialize_entry("state", &self.state)?;
        for (stored, shown, kind, absent) in FIELDS {
            let value = match (self.field(stored), kind) {
                (Some(text), Kind::Json) => raw(text),
                (Some(text), Kind::Number) if text.parse::<f64>().is_ok_and(f64::is_finite) => raw(text),
                (Some(text), Kind::Text | Kind::Number) => as_text(text),
                (None, _) => match absent {
                    Some(absent) => raw(absent),
                    None => continue,
                },
            };
            map.serialize_entry(shown, &value)?;
        }
        for (name, value) in &self.fields {
            // what this build has no name for, unless it would hide a field it has one for
            if !FIELDS.iter().any(|(stored, shown, ..)| name == stored || name == shown)
                && !matches!(name.as_str(), "id" | "queue" | "state" | "logs")
            {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(logs) = &self.logs {
            map.serialize_entry("logs", logs)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[&str], logs: Option<Vec<String>>) -> JobRecord {
        let flat = fields.iter().map(ToString::to_string).collect();
        JobRecord::new(QueueName::new("q").unwrap(), JobId::stored("7"), State::Failed, flat, logs)
    }

    #[test]
    fn json_is_as_the_contract_says() {
        let job = record(
            &[
                "name",
                "welcome",
                "data",
                r#"{"to":"ü","n":12345678901234567890}"#,
                "opts",
                r#"{"attempts":3}"#,
                "atm",
                "2",
                "timestamp",
                "1788253198120",
                "failedReason",
                "[no",
                "stacktrace",
                r#"["a","b"]"#,
                "mine",
                "x",
            ],
            Some(vec!["one".into()]),
        );
        let json = serde_json::to_string(&job).unwrap();
        let expected = concat!(
            r#"{"id":"7","queue":"q","state":"failed","name":"welcome","data":{"to":"ü","n":12345678901234567890},"#,
            r#""opts":{"attempts":3},"progress":0,"delay":0,"priority":0,"attemptsMade":2,"attemptsStarted":0,"#,
            r#""stalledCounter":0,"timestamp":1788253198120,"processedOn":null,"finishedOn":null,"returnvalue":null,"#,
            r#""failedReason":"[no","stacktrace":["a","b"],"mine":"x","logs":["one"]}"#,
        );
        assert_eq!(json, expected);
        assert_eq!((job.name(), job.attempts_made()), ("welcome", 2));
        assert_eq!(job.timestamp(), Some(UnixMillis(1_788_253_198_120)));
    }

    #[test]
    fn broken_fields_are_shown_as_text() {
        let job =
            record(&["data", "{broken", "progress", "NaN", "timestamp", "soon", "delay", "0x1", "id", "evil"], None);
        let json: serde_json::Value = serde_json::to_value(&job).unwrap();
        assert_eq!(json["data"], "{broken");
        assert_eq!(json["progress"], "NaN");
        assert_eq!(json["timestamp"], "soon");
        assert_eq!(json["delay"], "0x1");
        assert_eq!(json["id"], "7");
        assert_eq!(json["name"], serde_json::Value::Null);
        assert!(json.get("logs").is_none());
    }
}
