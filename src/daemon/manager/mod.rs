//! The service manager that has started us (systemd, or who speaks its protocol): it is told when the queues are worked, how
//! we are, when the configuration is read again and when the end begins, and its watchdog is fed for as long as work is
//! being taken. `sd_notify(3)`; silent where no manager listens.
//!
//! `cli/run.rs` makes it a guest of the daemon. All is told by one task on the engine's own thread: if that hangs, the
//! manager hears nothing more, and ends us.

mod socket;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::guest::Stopping;
use super::reload::{Outcome, Reload};
use super::{Error, Guest};
use crate::config::{self, Config};
use crate::engine::{Handle, Health, Phase};
use socket::Socket;

/// How often the status line is made anew.
const LOOK: Duration = Duration::from_secs(2);
/// An engine that answers at all answers within this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// What is said of one that does not.
const SILENT: &str = "the engine does not answer";
/// How long a start or a reload may keep the manager waiting. They go on longer where Redis is away, or reads its files: that
/// is said in the status, and neither a failure nor a reason to hold up whoever waits for us.
const GRACE: Duration = Duration::from_secs(10);
/// How long the manager is to leave us alone at the end when it has not heard from us again.
const EXTENSION: Duration = Duration::from_secs(15);
/// What the end may take beyond `[shutdown]`: handing back, guests, leftovers.
const CLOSING: Duration = Duration::from_secs(20);

/// The manager as a guest of the daemon.
pub struct Manager {
    /// Until it has begun.
    teller: Option<Teller>,
    news: mpsc::UnboundedSender<News>,
    task: Option<AbortOnDropHandle<()>>,
}

/// What the daemon passes on.
enum News {
    Reloading,
    Reloaded { refused: Option<String> },
    Bounds(config::Shutdown),
}

impl Manager {
    /// Nothing where no manager wants to be told.
    #[must_use]
    pub fn from_env(config: &Config) -> Option<Self> {
        let socket = match Socket::from_env()? {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "the service manager is not told how we are");
                return None;
            }
        };
        let (news, inbox) = mpsc::unbounded_channel();
        let watchdog = sd_notify::watchdog_enabled().filter(|within| !within.is_zero());
        Some(Self { teller: Some(Teller::new(socket, watchdog, config.shutdown.clone(), inbox)), news, task: None })
    }

    fn pass_on(&self, news: News) {
        // nobody hears it once the end has begun
        let _ = self.news.send(news);
    }
}

impl Guest for Manager {
    fn start(&mut self, handle: &Handle) -> Result<(), Error> {
        if let Some(teller) = self.teller.take() {
            self.task = Some(AbortOnDropHandle::new(tokio::spawn(teller.run(handle.clone()))));
        }
        Ok(())
    }

    fn reloading(&self) {
        self.pass_on(News::Reloading);
    }

    fn reconfigure(&self, config: &Config) {
        self.pass_on(News::Bounds(config.shutdown.clone()));
    }

    fn reloaded(&self, reload: &Reload) {
        let refused = match &reload.outcome {
            Outcome::Refused(problems) => Some(status::refusal(problems)),
            Outcome::TakenOver(_) | Outcome::UnderWay => None,
        };
        self.pass_on(News::Reloaded { refused });
    }

    fn stop(self: Box<Self>) -> Stopping {
        Box::pin(std::future::ready(()))
    }
}

/// How far we are, as the manager knows it.
#[derive(Clone, Copy)]
enum Stage {
    /// The manager waits for us.
    Starting {
        since: Instant,
    },
    Ready,
    /// As well, once it has been told.
    Reloading {
        since: Instant,
        is_told: bool,
        is_done: bool,
    },
    /// The end has begun.
    Stopping {
        since: Instant,
    },
}

/// Tells the manager.
struct Teller {
    socket: Socket,
    /// The manager ends us when it was not fed for this long.
    watchdog: Option<Duration>,
    bounds: config::Shutdown,
    inbox: mpsc::UnboundedReceiver<News>,
    stage: Stage,
    is_worked: bool,
    refused: Option<String>,
    /// The last status line that was told.
    status: String,
    /// The watchdog is not fed, and the log says so.
    starves: bool,
}

impl Teller {
    fn new(
        socket: Socket,
        watchdog: Option<Duration>,
        bounds: config::Shutdown,
        inbox: mpsc::UnboundedReceiver<News>,
    ) -> Self {
        let stage = Stage::Starting { since: Instant::now() };
        let (refused, status) = (None, String::new());
        Self { socket, watchdog, bounds, inbox, stage, is_worked: false, refused, status, starves: false }
    }

    /// Until it is dropped.
    async fn run(mut self, handle: Handle) {
        // answered once the queues are worked
        let mut worked = std::pin::pin!(handle.snapshot());
        let mut end_begins = std::pin::pin!(handle.reached(Phase::Draining));
        let mut look = interval_at(Instant::now(), LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pause = self.watchdog.map_or(LOOK, |within| within / 2);
        let mut meal = interval_at(Instant::now() + pause, pause);
        meal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut end_begins, if !self.is_stopping() => {
                    self.stage = Stage::Stopping { since: Instant::now() };
                }
                Some(news) = self.inbox.recv() => self.hear(news),
                _ = &mut worked, if !self.is_worked => self.is_worked = true,
                _ = meal.tick(), if self.watchdog.is_some() => {
                    self.feed(ask(&handle, pause.min(PATIENCE)).await);
                    continue;
                }
                _ = look.tick() => {}
            }
            self.look(&handle).await;
        }
    }

    fn is_stopping(&self) -> bool {
        matches!(self.stage, Stage::Stopping { .. })
    }

    fn hear(&mut self, news: News) {
        match news {
            // before it is ready, or at its end, the manager waits for something else
            News::Reloading if matches!(self.stage, Stage::Ready | Stage::Reloading { .. }) => {
                self.stage = Stage::Reloading { since: Instant::now(), is_told: false, is_done: false };
                self.move_on();
            }
            News::Reloading => {}
            News::Reloaded { refused } => {
                self.refused = refused;
                if let Stage::Reloading { is_done, .. } = &mut self.stage {
                    *is_done = true;
                }
            }
            News::Bounds(bounds) => self.bounds = bounds,
        }
    }

    /// Makes the status line anew, and tells the manager how far we are.
    async fn look(&mut self, handle: &Handle) {
        let line = match &ask(handle, PATIENCE).await {
            Some(health) => {
                let snapshot = async { if self.is_worked { handle.snapshot().await } else { None } };
                let snapshot = timeout(PATIENCE, snapshot).await.ok().flatten();
                status::line(&status::View {
                    health,
                    snapshot: snapshot.as_ref(),
                    drain_left: self.end_by(self.bounds.drain),
                    refused: self.refused.as_deref(),
                })
            }
            None => SILENT.into(),
        };
        if line != self.status && self.socket.tell(&[NotifyState::Status(&line)]) {
            self.status = line;
        }
        self.move_on();
    }

    /// What is left of this time since the end has begun; none before.
    fn end_by(&self, bound: Duration) -> Option<Duration> {
        match self.stage {
            Stage::Stopping { since } => Some((since + bound).saturating_duration_since(Instant::now())),
            _ => None,
        }
    }

    /// Tells the manager of the next stage when it is reached. What it could not be told is told with the next look.
    fn move_on(&mut self) {
        if let Stage::Reloading { is_told: is_told @ false, .. } = &mut self.stage
            && let Ok(now) = NotifyState::monotonic_usec_now()
        {
            *is_told = self.socket.tell(&[NotifyState::Reloading, now]);
        }
        let is_ready = match self.stage {
            Stage::Starting { since } => self.is_worked || since.elapsed() >= GRACE,
            Stage::Reloading { since, is_told, is_done } => is_told && (is_done || since.elapsed() >= GRACE),
            Stage::Ready | Stage::Stopping { .. } => false,
        };
        if is_ready && self.socket.tell(&[NotifyState::Ready]) {
            self.stage = Stage::Ready;
        }
        // beyond our own bounds the manager's hold
        if self.end_by(self.bounds.drain + self.bounds.cancel + CLOSING).is_some_and(|left| !left.is_zero()) {
            let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
            self.socket.tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(extension)]);
        }
    }

    /// Feeds the watchdog if the engine is alive.
    fn feed(&mut self, health: Option<Health>) {
        match why_not(health) {
            None => {
                self.socket.tell(&[NotifyState::Watchdog]);
                self.starves = false;
            }
            Some(why) => {
                if !self.starves {
                    tracing::error!(why, "the service manager's watchdog is not fed: another start may help");
                }
                self.starves = true;
            }
        }
    }
}

/// How the engine is; nothing where it does not say so within this time.
async fn ask(handle: &Handle, patience: Duration) -> Option<Health> {
    // one that has ended answers nothing, and its process is about to end
    timeout(patience, handle.health()).await.ok().map(|health| health.unwrap_or_else(Health::stopped))
}

/// Why the watchdog is not to be fed. That Redis is away, that a handler does nothing and the like would not be mended by
/// another start.
fn why_not(health: Option<Health>) -> Option<String> {
    match health {
        None => Some(SILENT.into()),
        Some(health) if health.is_live() => None,
        Some(health) => Some(health.findings.into_iter().next().map(|finding| finding.text).unwrap_or_default()),
    }
}
