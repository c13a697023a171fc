//! One status message on its way to viewers: read once, written once for each way it is sent, shared by all who see it.

use std::sync::OnceLock;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::frame;

/// A message as it was published.
#[derive(Debug)]
pub struct Update {
    /// Its place in the stream it was read from.
    pub id: Option<String>,
    pub subject: Subject,
    json: Box<RawValue>,
    sse: OnceLock<Bytes>,
    socket: OnceLock<Utf8Bytes>,
}

/// What filters go by. What a message does not say is `None` and passes no filter.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub tenant: Option<String>,
    pub queue: Option<String>,
    pub job: Option<String>,
    pub status: Option<String>,
}

/// The members that are looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(default)]
    tenant_id: Value,
    #[serde(default)]
    job_id: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    queue: Value,
}

impl Update {
    /// `None` when the text is no JSON object; a status message always is one.
    pub fn read(id: Option<String>, payload: String) -> Option<Self> {
        let members: Members = serde_json::from_str(&payload).ok()?;
        let json = RawValue::from_string(payload).ok()?;
        if !json.get().starts_with('{') {
            return None;
        }
        let subject = Subject {
            tenant: text(members.tenant_id),
            queue: text(members.queue),
            job: text(members.job_id),
            status: text(members.status),
        };
        Some(Self { id, subject, json, sse: OnceLock::new(), socket: OnceLock::new() })
    }

    pub fn json(&self) -> &str {
        self.json.get()
    }

    /// As server-sent event.
    pub fn sse(&self) -> Bytes {
        self.sse.get_or_init(|| frame::sse("status", self.id.as_deref(), self.json())).clone()
    }

    /// As WebSocket message.
    pub fn socket(&self) -> Utf8Bytes {
        self.socket.get_or_init(|| frame::socket("status", self.id.as_deref(), self.json())).clone()
    }
}

/// Texts and whole numbers, as `oxherd watch` and channel names have them.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_whoever_wrote_them() {
        let read = |text: &str| Update::read(None, text.into()).map(|update| update.subject);
        let some = |text: &str| Some(text.to_owned());
        let full = r#"{"tenantId":"t1","jobId":"j1","status":"COMPLETED","error":null,"queue":"email","name":"x"}"#;
        let subject = Subject { tenant: some("t1"), queue: some("email"), job: some("j1"), status: some("COMPLETED") };
        assert_eq!(read(full), Some(subject));
        let spaced = read(r#" {"tenantId":42,"jobId":7} "#);
        let numbers = Subject { tenant: some("42"), job: some("7"), ..Subject::default() };
        assert_eq!(spaced, Some(numbers));
        for nobodys in [r#"{"tenantId":null}"#, r#"{"tenantId":["t1"]}"#, r#"{"tenantId":1.5}"#, "{}"] {
            assert_eq!(read(nobodys), Some(Subject::default()), "{nobodys}");
        }
        for nonsense in ["", "hello", "[]", r#"["t1","j1","COMPLETED","q"]"#, "null", "{", r#"{"tenantId":"t1"} {}"#] {
            assert!(read(nonsense).is_none(), "{nonsense}");
        }
    }
}
