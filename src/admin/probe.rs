//! How the daemon is, and what its numbers say: `/live`, `/ready` and `/metrics`. Each asks the engine and waits for its
//! answer, but not for long: one that does not come is an answer too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use super::auth::{Rules, Sight};
use super::refusal::Refusal;
use super::routes::Desk;
use crate::daemon::Dropped;
use crate::engine::{Finding, Handle, Health, RedisHealth, Weight};
use crate::metrics::{CONTENT_TYPE, Figures, Metrics, Reloaded};
use crate::store::Depths;

/// How long an engine has to answer. It needs microseconds: whoever asks us gives up after a second or a few.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what Redis says of queues is passed on: however many scrape, it is asked once in that time.
const FRESH: Duration = Duration::from_secs(2);

/// Whoever can be asked.
pub struct Probe {
    pub handle: Handle,
    pub metrics: Arc<Metrics>,
    pub dropped: Arc<Dropped>,
    pub reloaded: watch::Receiver<Reload>,
    /// Requests that were answered 401.
    pub unauthorized: AtomicU64,
    /// What Redis said of queues, and when.
    depths: Mutex<Option<(Instant, Vec<Depths>)>>,
}

/// How the last reload went.
#[derive(Debug, Clone)]
pub struct Reload {
    pub last: Reloaded,
    /// Why it was refused.
    pub refused: Option<String>,
}

impl Probe {
    pub fn new(
        handle: Handle,
        metrics: Arc<Metrics>,
        dropped: Arc<Dropped>,
        reloaded: watch::Receiver<Reload>,
    ) -> Self {
        Self { handle, metrics, dropped, reloaded, unauthorized: AtomicU64::new(0), depths: Mutex::default() }
    }

    /// `None`: the engine does not answer.
    async fn health(&self) -> Option<Health> {
        let answer = tokio::time::timeout(PATIENCE, self.handle.health()).await.ok()?;
        // it answers nothing more once it has ended, and the process ends soon after
        let health = answer.unwrap_or_else(Health::stopped);
        let refused = self.reloaded.borrow().refused.clone();
        Some(match refused {
            Some(why) => health.with(Finding::new("reload_refused", Weight::Note, why)),
            None => health,
        })
    }

    async fn figures(&self, viewers: usize) -> Figures {
        let health = self.health().await;
        let (mut snapshot, mut depths) = (None, Vec::new());
        if let Some(health) = &health {
            snapshot = tokio::time::timeout(PATIENCE, self.handle.snapshot()).await.ok().flatten();
            if health.redis == RedisHealth::Connected {
                depths = self.depths().await;
            }
        }
        Figures {
            health,
            snapshot,
            depths,
            viewers,
            unauthorized: self.unauthorized.load(Ordering::Relaxed),
            dropped_lines: self.dropped.all(),
            reloaded: self.reloaded.borrow().last,
        }
    }

    /// Nothing where Redis does not answer in time.
    async fn depths(&self) -> Vec<Depths> {
        // who comes meanwhile waits for the same answer
        let mut kept = self.depths.lock().await;
        if let Some((at, depths)) = &*kept
            && at.elapsed() < FRESH
        {
            return depths.clone();
        }
        let answer = tokio::time::timeout(PATIENCE, self.handle.depths()).await;
        let depths = answer.ok().flatten().and_then(Result::ok).unwrap_or_default();
        *kept = Some((Instant::now(), depths.clone()));
        depths
    }
}

/// Whether work is taken. Needs no token, and without one says nothing but that.
pub async fn live(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    let health = desk.probe.health().await;
    let is_live = health.as_ref().is_some_and(Health::is_live);
    let sees_all = sees_all(&desk.rules.borrow(), &headers).is_ok();
    let body = if sees_all { told(health.as_ref()) } else { json!({ "live": is_live }) };
    answer(is_live, &body)
}

/// Whether the jobs of every queue are taken.
pub async fn ready(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    if let Err(refusal) = sees_all(&desk.rules.borrow(), &headers) {
        return refusal.into_response();
    }
    let health = desk.probe.health().await;
    answer(health.as_ref().is_some_and(Health::is_ready), &told(health.as_ref()))
}

/// What Prometheus reads. It never fails: what is not known is left out.
pub async fn metrics(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    if let Err(refusal) = sees_all(&desk.rules.borrow(), &headers) {
        return refusal.into_response();
    }
    let viewers = *desk.hub.count().borrow();
    let figures = desk.probe.figures(viewers).await;
    let page = desk.probe.metrics.page(&figures);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response()
}

/// What is said here concerns all tenants.
fn sees_all(rules: &Rules, headers: &HeaderMap) -> Result<(), Refusal> {
    rules.origin(headers)?;
    match rules.admit(headers, None)?.sight {
        Sight::Everything => Ok(()),
        Sight::Tenant { .. } => Err(Refusal::new(StatusCode::FORBIDDEN, "this is for the token of admin.token alone")),
    }
}

fn told(health: Option<&Health>) -> Value {
    let silent = json!({
        "live": false,
        "ready": false,
        "findings": [{ "code": "no_answer", "weight": "dead", "text": "the engine does not answer" }],
    });
    health.and_then(|health| serde_json::to_value(health).ok()).unwrap_or(silent)
}

fn answer(is_well: bool, body: &Value) -> Response {
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, format!("{body}\n")).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::config::{self, Config};
    use crate::engine::Engine;
    use crate::job::{Outcome, QueueName};

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_does_not_answer_is_not_alive_and_the_numbers_say_so() {
        let mut queue = config::Queue::new(QueueName::new("q").unwrap());
        queue.handler = Some("test".into());
        let config = Config { queues: [("q".to_owned(), queue)].into(), ..Config::default() };
        let engine = Engine::builder(config).handler("test", |_, _| async { Outcome::done() }).build().unwrap();
        let last = Reloaded { taken_over: true, at: SystemTime::UNIX_EPOCH };
        let (_reloaded, heard) = watch::channel(Reload { last, refused: None });
        // as one whose loop hangs: it is there, and takes no order
        let probe = Probe::new(engine.handle(), Arc::default(), Arc::default(), heard);
        assert!(probe.health().await.is_none());
        assert_eq!(told(None)["findings"][0]["code"], "no_answer");
        let page = probe.metrics.page(&probe.figures(0).await);
        assert!(page.contains("\noxherd_live 0\n") && page.contains("\noxherd_redis_up 0\n"), "{page}");
        drop(engine);
        assert!(probe.health().await.unwrap().is_live(), "one that has ended is no reason to start another");
    }
}
