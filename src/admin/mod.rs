//! What can be seen and pressed over HTTP? A server beside the engine, on a thread of its own, so that no viewer takes time
//! from jobs. `cli/run.rs` hands the [`Service`] to the daemon as a guest; `oxherd token` makes tokens for it.

mod archive;
mod auth;
mod feed;
mod frame;
mod hub;
mod listener;
mod origin;
mod probe;
mod refusal;
mod routes;
mod seat;
mod session;
mod socket;
mod stream;
pub mod token;
mod update;
mod viewer;

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::{Semaphore, oneshot, watch};

use crate::config::{self, Config};
use crate::daemon::{self, Dropped, Error, Guest, Outcome, Stopping};
use crate::engine::Handle;
use crate::metrics::{Metrics, Reloaded};
use auth::Rules;
use feed::Source;
use hub::Hub;
use listener::{Listener, Peer};
use probe::{Probe, Reload};
use routes::Desk;

/// How long what was published last may be on its way when the engine has stopped.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long viewers have to hear that it is over.
const GOODBYE: Duration = Duration::from_secs(1);
/// Connections beside those of viewers.
const SPARE: usize = 64;

/// The server of `[admin]`. It ends when it is dropped.
pub struct Service {
    config: config::Admin,
    rules: watch::Sender<Arc<Rules>>,
    source: watch::Sender<Source>,
    metrics: Arc<Metrics>,
    dropped: Arc<Dropped>,
    reloaded: watch::Sender<Reload>,
    patience: watch::Sender<Duration>,
    room: Arc<Semaphore>,
    /// Permits that `room` has, given out or not.
    size: Mutex<usize>,
    stop: watch::Sender<bool>,
    /// Answered when the thread has ended; `None` until it is started.
    ended: Option<oneshot::Receiver<()>>,
}

impl Service {
    /// What the configuration asks for; `None` when that is nothing. `metrics` are to be those of the engine.
    pub fn new(config: &Config, metrics: Arc<Metrics>, dropped: Arc<Dropped>) -> Option<Self> {
        let admin = config.admin.clone()?;
        let last = Reloaded { taken_over: true, at: SystemTime::now() };
        Some(Self {
            metrics,
            dropped,
            reloaded: watch::Sender::new(Reload { last, refused: None }),
            rules: watch::Sender::new(Arc::new(Rules::new(&admin))),
            source: watch::Sender::new(Source::new(config)),
            patience: watch::Sender::new(patience(&admin)),
            room: Arc::new(Semaphore::new(room(&admin))),
            size: Mutex::new(room(&admin)),
            stop: watch::Sender::new(false),
            config: admin,
            ended: None,
        })
    }
}

/// How many connections there may be.
fn room(admin: &config::Admin) -> usize {
    admin.events.max_viewers as usize + SPARE
}

/// How long a connection may take nothing.
fn patience(admin: &config::Admin) -> Duration {
    listener::PATIENCE + admin.events.heartbeat
}

impl Service {
    /// For another number of connections. Nobody who is there is sent away: room that is taken is less of once it is free,
    /// at the next change.
    fn make_room(&self, wanted: usize) {
        let mut size = self.size.lock().expect("no code panics while holding this lock");
        if wanted >= *size {
            self.room.add_permits(wanted - *size);
            *size = wanted;
        } else {
            *size -= self.room.forget_permits(*size - wanted);
        }
    }
}

impl Guest for Service {
    fn start(&mut self, engine: &Handle) -> Result<(), Error> {
        let admin = &self.config;
        let refused = |source| Error::Listen { key: "admin.listen", address: admin.listen, source };
        let listener = TcpListener::bind(admin.listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let server = Server {
            rules: self.rules.subscribe(),
            source: self.source.subscribe(),
            stop: self.stop.subscribe(),
            probe: Probe::new(
                engine.clone(),
                Arc::clone(&self.metrics),
                Arc::clone(&self.dropped),
                self.reloaded.subscribe(),
            ),
            room: Arc::clone(&self.room),
            patience: self.patience.subscribe(),
        };
        let (answer, ended) = oneshot::channel();
        let work = move || {
            runtime.block_on(server.run(listener));
            // whoever still holds a connection is not waited for
            runtime.shutdown_background();
            let _ = answer.send(());
        };
        std::thread::Builder::new().name("admin".into()).spawn(work).map_err(refused)?;
        self.ended = Some(ended);
        tracing::info!(%address, "listening for probes, scrapes and viewers");
        Ok(())
    }

    fn reconfigure(&self, config: &Config) {
        if let Some(admin) = &config.admin {
            self.rules.send_replace(Arc::new(Rules::new(admin)));
            self.patience.send_replace(patience(admin));
            self.make_room(room(admin));
        }
        let source = Source::new(config);
        self.source.send_if_modified(|before| {
            let is_new = *before != source;
            *before = source;
            is_new
        });
    }

    fn reloaded(&self, reload: &daemon::Reload) {
        self.reloaded.send_modify(|known| match &reload.outcome {
            Outcome::TakenOver(_) => {
                *known = Reload { last: Reloaded { taken_over: true, at: SystemTime::now() }, refused: None };
            }
            Outcome::Refused(problems) => {
                known.last.taken_over = false;
                let first = problems.first().map_or("it cannot be read", |problem| problem.message.as_str());
                known.refused = Some(format!(
                    "the configuration was refused with {} problems, and what runs is the one before: {first}",
                    problems.len()
                ));
            }
            Outcome::UnderWay => {}
        });
    }

    fn stop(mut self: Box<Self>) -> Stopping {
        Box::pin(async move {
            if let Some(ended) = self.ended.take() {
                self.stop.send_replace(true);
                let _ = ended.await;
            }
        })
    }
}

/// What runs on the thread.
struct Server {
    rules: watch::Receiver<Arc<Rules>>,
    source: watch::Receiver<Source>,
    stop: watch::Receiver<bool>,
    probe: Probe,
    room: Arc<Semaphore>,
    patience: watch::Receiver<Duration>,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        let inner = match tokio::net::TcpListener::from_std(listener) {
            Ok(inner) => inner,
            Err(error) => return tracing::error!(%error, "nothing is served"),
        };
        let hub = Arc::new(Hub::new());
        let (over, is_over) = watch::channel(false);
        let probe = Arc::new(self.probe);
        let desk = Desk { hub: Arc::clone(&hub), rules: self.rules, stop: is_over.clone(), probe };
        let listener = Listener::new(inner, self.room, self.patience);
        let feeding = tokio::spawn(feed::feed(Arc::clone(&hub), self.source));
        let mut told = is_over;
        let serving = axum::serve(listener, routes::routes(desk).into_make_service_with_connect_info::<Peer>())
            .with_graceful_shutdown(async move {
                let _ = told.wait_for(|over| *over).await;
            });
        let serving = tokio::spawn(async move { serving.await });
        let mut stop = self.stop;
        // an error is the end of the service itself
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(LAST_WORDS).await;
        feeding.abort();
        over.send_replace(true);
        let goodbyes = async {
            let _ = serving.await;
            let _ = hub.count().wait_for(|count| *count == 0).await;
        };
        let _ = tokio::time::timeout(GOODBYE, goodbyes).await;
    }
}
