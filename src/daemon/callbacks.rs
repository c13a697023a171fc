//! The server that endpoints call when they have answered 202: `POST /v1/callbacks/TOKEN`. It stays up until the
//! engine has stopped, for what drains may be waiting for a call.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::Error;
use crate::config;
use crate::handler::{Callbacks, Deaf};

/// How long the body of a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Listens until dropped.
pub(super) struct Server {
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// Fails when the address cannot be listened on.
    pub(super) async fn start(config: &config::Callbacks, callbacks: Callbacks) -> Result<Self, Error> {
        let refused = |source| Error::Listen { key: "callbacks.listen", address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        tracing::info!(address = %config.listen, url = config.url, "listening for callbacks");
        let routes = Router::new().route("/v1/callbacks/{token}", post(called)).with_state(callbacks);
        let serving = async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "callbacks are not heard any more");
            }
        };
        Ok(Self { _task: AbortOnDropHandle::new(tokio::spawn(serving)) })
    }
}

async fn called(
    State(callbacks): State<Callbacks>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(limit) = callbacks.limit(&token) else { return gone() };
    let body = match tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(body)) => body,
        // the client went away in the middle and hears nothing anyway, or sent too much
        Ok(Err(_)) => {
            let why = format!("the call is longer than {limit} bytes; raise max_response of the handler or send less");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body took longer than 30 s"),
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let lines = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-ndjson"));
    match callbacks.hear(&token, &body, lines).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(Deaf::Gone) => gone(),
        Err(Deaf::Nonsense(why)) => refuse(StatusCode::BAD_REQUEST, &why),
        Err(Deaf::Undone(why)) => refuse(StatusCode::CONFLICT, &why),
    }
}

fn gone() -> Response {
    let why = "no attempt waits for this call: it has ended, or the worker was restarted; the job's next attempt has another address";
    refuse(StatusCode::GONE, why)
}

fn refuse(status: StatusCode, why: &str) -> Response {
    let body = serde_json::json!({ "error": why }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], body)
        .into_response()
}
