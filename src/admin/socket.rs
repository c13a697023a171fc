//! A session over a WebSocket.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;

use super::frame;
use super::session::{End, Session, Signal};
use super::viewer::Notice;

/// Viewers have nothing to say; what they say all the same may be so long, in bytes.
const MOST_HEARD: usize = 4096;
/// What may wait to be written, in bytes: one message of 64 MiB.
const MOST_WRITTEN: usize = 64 * 1024 * 1024;

/// How long a viewer has to say goodbye too.
const GOODBYE: Duration = Duration::from_secs(5);

pub fn respond(upgrade: WebSocketUpgrade, session: Session) -> Response {
    upgrade
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(MOST_WRITTEN)
        .max_message_size(MOST_HEARD)
        .max_frame_size(MOST_HEARD)
        .on_upgrade(|socket| serve(socket, session))
}

/// Until either side ends it. A viewer that accepts nothing is cut off by the connection's own limit.
async fn serve(mut socket: WebSocket, mut session: Session) {
    loop {
        let message = tokio::select! {
            heard = socket.recv() => match heard {
                // a close is answered by reading on to the end
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            signal = session.next() => match signal {
                Signal::Notice(notice) => Message::Text(text(&notice)),
                Signal::Heartbeat => Message::Ping(Bytes::new()),
                Signal::Over(end) => {
                    let _ = tokio::time::timeout(GOODBYE, say_goodbye(socket, end)).await;
                    return;
                }
            },
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn say_goodbye(mut socket: WebSocket, end: End) {
    let reason = end.reason();
    let code = match end {
        // the meaning of 401
        End::Expired | End::Revoked => 4401,
        End::Stopping => axum::extract::ws::close_code::AWAY,
    };
    let last = frame::socket("end", None, &format!(r#"{{"reason":"{reason}"}}"#));
    let close = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    for message in [Message::Text(last), Message::Close(Some(close))] {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    // whoever closes first and at once may take what was just sent away from the other
    while let Some(Ok(_)) = socket.recv().await {}
}

fn text(notice: &Notice) -> Utf8Bytes {
    match notice {
        Notice::Status(update) => update.socket(),
        Notice::Ready => frame::socket("ready", None, "{}"),
        Notice::Gap => frame::socket("gap", None, "{}"),
        Notice::Missed(count) => frame::socket("missed", None, &format!(r#"{{"count":{count}}}"#)),
    }
}
