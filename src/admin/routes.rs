//! What can be asked for: `/live`, `/ready`, `/metrics` and `GET /v1/events`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::auth::Rules;
use super::hub::Hub;
use super::listener::Peer;
use super::probe::{self, Probe};
use super::refusal::Refusal;
use super::session::Session;
use super::viewer::Filter;
use super::{socket, stream};
use crate::store::{EntryId, NoEntryId};

const KNOWN: &str = "queue, job, status, tenant, token, lastEventId";
/// The one that needs no token.
const LIVE: &str = "/live";
/// How long who has no valid token waits for the answer.
const UNAUTHORIZED: Duration = Duration::from_millis(300);
/// Longest query, in bytes.
const LONGEST: usize = 8192;

/// What requests are answered from.
#[derive(Clone)]
pub struct Desk {
    pub hub: Arc<Hub>,
    pub rules: watch::Receiver<Arc<Rules>>,
    pub stop: watch::Receiver<bool>,
    pub probe: Arc<Probe>,
}

pub fn routes(desk: Desk) -> Router {
    Router::new()
        .route(LIVE, get(probe::live))
        .route("/ready", get(probe::ready))
        .route("/metrics", get(probe::metrics))
        .route("/v1/events", get(events).options(preflight))
        .fallback(nothing)
        .layer(middleware::from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

/// Before and after every request: who has an extra seat may ask one thing, and who guesses tokens does so slowly.
async fn guard(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if peer.is_extra && request.uri().path() != LIVE {
        let mut response =
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "there are too many connections").into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        desk.probe.unauthorized.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(UNAUTHORIZED).await;
    }
    response
}

/// Says so only to who may see something: what is there is nobody else's business.
async fn nothing(State(desk): State<Desk>, headers: HeaderMap) -> Refusal {
    if let Err(refusal) = desk.rules.borrow().admit(&headers, None) {
        return refusal;
    }
    Refusal::new(StatusCode::NOT_FOUND, "there are /live, /ready, /metrics and /v1/events")
}

/// A browser asks whether a page elsewhere may ask.
async fn preflight(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    let rules = Arc::clone(&desk.rules.borrow());
    let mut response = match rules.origin(&headers) {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => return refusal.into_response(),
    };
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, last-event-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    for (name, value) in allowed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let_read(&mut response, &headers);
    response
}

async fn events(
    State(desk): State<Desk>,
    headers: HeaderMap,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let rules = Arc::clone(&desk.rules.borrow());
    if let Err(refusal) = rules.origin(&headers) {
        return refusal.into_response();
    }
    let wants_socket = headers.get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let mut response = match (open(&desk, &rules, &headers, &uri), upgrade) {
        (Err(refusal), _) => refusal.into_response(),
        (Ok(session), Ok(upgrade)) => socket::respond(upgrade, session),
        (Ok(_), Err(rejection)) if wants_socket => rejection.into_response(),
        (Ok(session), Err(_)) => stream::respond(session),
    };
    let_read(&mut response, &headers);
    response
}

/// Checks what is asked for, and takes a seat.
fn open(desk: &Desk, rules: &Rules, headers: &HeaderMap, uri: &Uri) -> Result<Session, Refusal> {
    let asked = Asked::read(uri)?;
    let grant = rules.admit(headers, asked.token.as_deref())?;
    let resume = asked.resume(headers)?;
    let mut filter = Filter::within(&grant.sight);
    if let Some(tenant) = asked.tenant {
        if filter.tenant.as_ref().is_some_and(|own| *own != tenant) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "the token is another tenant's"));
        }
        filter.tenant = Some(tenant);
    }
    (filter.queues, filter.jobs, filter.statuses) = (asked.queues, asked.jobs, asked.statuses);
    let Some(seat) = desk.hub.join(filter, rules.buffer, rules.max_viewers) else {
        let why = format!("{} viewers are here already, which is admin.events.max_viewers", rules.max_viewers);
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    Ok(Session::new(seat, grant, desk.rules.clone(), desk.stop.clone(), resume))
}

/// The query.
#[derive(Default)]
struct Asked {
    token: Option<String>,
    tenant: Option<String>,
    queues: Vec<String>,
    jobs: Vec<String>,
    statuses: Vec<String>,
    last_event_id: Option<String>,
}

impl Asked {
    fn read(uri: &Uri) -> Result<Self, Refusal> {
        if uri.query().is_some_and(|query| query.len() > LONGEST) {
            let why = format!("the query is longer than {LONGEST} bytes; filter in the page instead");
            return Err(Refusal::new(StatusCode::URI_TOO_LONG, why));
        }
        let bad = |why: String| Refusal::new(StatusCode::BAD_REQUEST, why);
        let pairs: Query<Vec<(String, String)>> =
            Query::try_from_uri(uri).map_err(|_| bad("the query is not percent-encoded UTF-8".into()))?;
        let mut asked = Self::default();
        for (name, value) in pairs.0 {
            let is_twice = match name.as_str() {
                "queue" => {
                    asked.queues.push(value);
                    false
                }
                "job" => {
                    asked.jobs.push(value);
                    false
                }
                "status" => {
                    asked.statuses.push(value);
                    false
                }
                "lastEventId" => asked.last_event_id.replace(value).is_some(),
                "tenant" => asked.tenant.replace(value).is_some(),
                "token" => asked.token.replace(value).is_some(),
                _ => {
                    return Err(bad(format!("unknown parameter {name:?}; known are {KNOWN}")));
                }
            };
            if is_twice {
                return Err(bad(format!("{name} stands in the query twice")));
            }
        }
        Ok(asked)
    }

    /// The entry that was seen last: a browser that comes back by itself says it in a header, a page can in the query.
    fn resume(&self, headers: &HeaderMap) -> Result<Option<EntryId>, Refusal> {
        let in_header = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
        let id = in_header.or(self.last_event_id.as_deref()).filter(|id| !id.is_empty());
        let wrong = |error: NoEntryId| Refusal::new(StatusCode::BAD_REQUEST, format!("lastEventId: {error}"));
        id.map(str::parse).transpose().map_err(wrong)
    }
}

/// Lets the page that asked read the answer; that it may has been checked.
fn let_read(response: &mut Response, asked: &HeaderMap) {
    let headers = response.headers_mut();
    if let Some(origin) = asked.get(header::ORIGIN) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
}
