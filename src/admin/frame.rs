//! How what viewers are told looks on the wire: `event:` and `data:` lines, or a WebSocket message with `type` and `data`.

use std::fmt::Write as _;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;

use crate::store::EntryId;

/// What a browser waits before it comes again by itself, in ms.
const RETRY: u32 = 3000;

/// First thing sent over server-sent events.
pub fn hello() -> Bytes {
    Bytes::from(format!("retry: {RETRY}\n\n"))
}

/// Says nothing, so that proxies and browsers know that we are there.
pub fn heartbeat() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// One server-sent event. `json` may be somebody else's and have lines.
pub fn sse(event: &str, id: Option<EntryId>, json: &str) -> Bytes {
    let mut text = String::with_capacity(json.len() + 64);
    text.push_str("event: ");
    text.push_str(event);
    if let Some(id) = id {
        let _ = write!(text, "\nid: {id}");
    }
    for line in json.split(['\n', '\r']) {
        text.push_str("\ndata: ");
        text.push_str(line);
    }
    text.push_str("\n\n");
    text.into()
}

/// The same as a WebSocket message.
pub fn socket(event: &str, id: Option<EntryId>, json: &str) -> Utf8Bytes {
    let id = id.map(|id| format!(r#","id":"{id}""#)).unwrap_or_default();
    format!(r#"{{"type":"{event}"{id},"data":{json}}}"#).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ends_where_it_should_whatever_is_in_it() {
        let id = "1-0".parse().ok();
        assert_eq!(sse("status", id, r#"{"a":"b"}"#), "event: status\nid: 1-0\ndata: {\"a\":\"b\"}\n\n");
        let hostile = sse("status", None, "{\"a\":\r\n\n1,\rid: 9}");
        assert_eq!(hostile, "event: status\ndata: {\"a\":\ndata: \ndata: \ndata: 1,\ndata: id: 9}\n\n");
        assert_eq!(socket("status", id, "{}").as_str(), r#"{"type":"status","id":"1-0","data":{}}"#);
        assert_eq!(socket("gap", None, "{}").as_str(), r#"{"type":"gap","data":{}}"#);
    }
}
