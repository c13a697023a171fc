//! One status message on its way to viewers: written once for each way it is sent, shared by all who see it.

use std::sync::OnceLock;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;

use super::frame;
use crate::store::StatusMessage;

/// A message as it was published.
#[derive(Debug)]
pub struct Update {
    pub message: StatusMessage,
    /// Of the message, as text.
    pub tenant: Option<String>,
    sse: OnceLock<Bytes>,
    socket: OnceLock<Utf8Bytes>,
}

impl Update {
    pub fn new(message: StatusMessage) -> Self {
        let tenant = message.tenant().map(Into::into);
        Self { message, tenant, sse: OnceLock::new(), socket: OnceLock::new() }
    }

    /// As server-sent event.
    pub fn sse(&self) -> Bytes {
        self.sse.get_or_init(|| frame::sse("status", self.message.entry, &self.message.text)).clone()
    }

    /// As WebSocket message.
    pub fn socket(&self) -> Utf8Bytes {
        self.socket.get_or_init(|| frame::socket("status", self.message.entry, &self.message.text)).clone()
    }
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// Of a job of a tenant, both as JSON has them.
    pub fn update(tenant: &str, job: &str) -> Update {
        let text = format!(r#"{{"tenantId":{tenant},"jobId":"{job}","status":"RUNNING"}}"#);
        Update::new(StatusMessage::read(text).unwrap())
    }
}
