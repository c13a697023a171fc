//! A session as server-sent events.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::frame;
use super::session::{Session, Signal};
use super::viewer::Notice;

/// Where a stream of events stands.
enum At {
    Begin(Box<Session>),
    Middle(Box<Session>),
    End,
}

pub fn respond(session: Session) -> Response {
    let events = stream::unfold(At::Begin(Box::new(session)), |at| async move {
        match at {
            At::Begin(session) => Some((frame::hello(), At::Middle(session))),
            At::Middle(mut session) => match session.next().await {
                Signal::Notice(notice) => Some((event(&notice), At::Middle(session))),
                Signal::Heartbeat => Some((frame::heartbeat(), At::Middle(session))),
                Signal::Over(end) => {
                    let data = format!(r#"{{"reason":"{}"}}"#, end.reason());
                    Some((frame::sse("end", None, &data), At::End))
                }
            },
            At::End => None,
        }
    });
    let body = Body::from_stream(futures_util::StreamExt::map(events, Ok::<Bytes, Infallible>));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // nginx would collect what is to be seen at once
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

fn event(notice: &Notice) -> Bytes {
    match notice {
        Notice::Status(update) => update.sse(),
        Notice::Ready => frame::sse("ready", None, "{}"),
        Notice::Gap => frame::sse("gap", None, "{}"),
        Notice::Missed(count) => frame::sse("missed", None, &format!(r#"{{"count":{count}}}"#)),
    }
}
