//! Tells when the gates of handlers shut and open: once each, however many queues use the handler. One task per gate,
//! started by `run` and ended by a reload that takes the handler away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::event::Event;
use super::shared::Shared;
use crate::handler::{Gate, Registry, Standing};

/// What is told again within this time is told as such.
const AGAIN: Duration = Duration::from_secs(60);

/// The watch over all gates of a registry, while it is kept.
#[derive(Default)]
pub(crate) struct Watched {
    by_handler: BTreeMap<String, (Gate, AbortOnDropHandle<()>)>,
}

impl Watched {
    pub(crate) fn start(registry: &Registry, shared: &Arc<Shared>) -> Self {
        let mut watched = Self::default();
        watched.renew(registry, shared);
        watched
    }

    /// From now on over these. What is known of a gate that stays is not told again.
    pub(crate) fn renew(&mut self, registry: &Registry, shared: &Arc<Shared>) {
        let mut before = std::mem::take(&mut self.by_handler);
        for (handler, gate) in registry.gates() {
            let same = before.remove(&handler).filter(|(watched, _)| watched.is(&gate));
            let watch = || {
                let (handler, watched) = (handler.clone(), gate.clone());
                let watcher = Watcher { handler, gate: watched, shut_since: None, told: None, again: false };
                (gate.clone(), AbortOnDropHandle::new(tokio::spawn(watcher.run(Arc::clone(shared)))))
            };
            let entry = same.unwrap_or_else(watch);
            self.by_handler.insert(handler, entry);
        }
    }
}

struct Watcher {
    handler: String,
    gate: Gate,
    shut_since: Option<Instant>,
    /// Why the gate was shut when that was last told as news, and when.
    told: Option<(String, Instant)>,
    /// What was told last was no news.
    again: bool,
}

impl Watcher {
    async fn run(mut self, shared: Arc<Shared>) {
        let mut changes = self.gate.changes();
        let mut before = Standing::Open;
        loop {
            changes.borrow_and_update();
            let standing = self.gate.standing();
            if standing != before {
                if let Some(event) = self.event(&standing, &before) {
                    shared.tell(&event);
                }
                before = standing;
            }
            let half_open = match before {
                Standing::Shut { until, .. } => until,
                _ => None,
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(half_open.unwrap_or_else(Instant::now)), if half_open.is_some() => {}
            }
        }
    }

    fn event(&mut self, standing: &Standing, before: &Standing) -> Option<Event> {
        let (handler, now) = (self.handler.clone(), Instant::now());
        match standing {
            Standing::Shut { why, until } => {
                self.shut_since.get_or_insert(now);
                self.again = self.told.as_ref().is_some_and(|(told, at)| told == why && now < *at + AGAIN);
                if !self.again {
                    self.told = Some((why.clone(), now));
                }
                let lasts = until.map(|until| until.duration_since(now));
                Some(Event::GateShut { handler, why: why.clone(), lasts, again: self.again })
            }
            Standing::HalfOpen { why, .. } => {
                // that a job tries, or does no longer, is not told
                let moved = !matches!(before, Standing::HalfOpen { .. });
                moved.then(|| Event::GateHalfOpen { handler, why: why.clone() })
            }
            Standing::Open => {
                let after = self.shut_since.take().map_or(Duration::ZERO, |since| now.duration_since(since));
                Some(Event::GateOpened { handler, after, again: self.again })
            }
        }
    }
}
