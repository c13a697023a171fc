//! Shows in Redis which handlers of a queue can do nothing for now, for `oxherd queue show`: when that changes, and again from
//! time to time, since what a dead process shows is to be forgotten. One task per pool with gates; it never holds the pool up.

use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::handler::{Gate, Standing};
use crate::store::{Posted, StoredGate, WorkQueue};

/// How long what is shown counts, and when it is shown again.
const LIFE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// Between two calls, however often the gates move.
const PAUSE: Duration = Duration::from_secs(1);
/// How long taking it away may hold up the end.
const END: Duration = Duration::from_secs(1);
/// Characters of a reason that are shown.
const WHY: usize = 300;

/// Dropping it takes away what is shown, in the background.
pub(super) struct Signboard {
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl Signboard {
    pub(super) fn start(queue: WorkQueue, gates: Vec<(String, Gate)>) -> Self {
        let stop = CancellationToken::new();
        let painter = Painter { queue, gates, shown: Vec::new(), posted: Posted::default() };
        Self { task: tokio::spawn(painter.run(stop.clone())), stop: stop.drop_guard() }
    }

    /// Takes away what is shown.
    pub(super) async fn end(self) {
        drop(self.stop);
        let _ = tokio::time::timeout(END, self.task).await;
    }
}

/// What is shown of a gate.
#[derive(PartialEq)]
struct Shown {
    handler: String,
    state: &'static str,
    why: String,
    until: Option<Instant>,
}

struct Painter {
    queue: WorkQueue,
    gates: Vec<(String, Gate)>,
    shown: Vec<Shown>,
    posted: Posted,
}

impl Painter {
    async fn run(mut self, stop: CancellationToken) {
        let mut changes: Vec<watch::Receiver<u64>> = self.gates.iter().map(|(_, gate)| gate.changes()).collect();
        let mut again = Instant::now();
        loop {
            for change in &mut changes {
                change.borrow_and_update();
            }
            let now = Instant::now();
            let shut: Vec<Shown> = self.gates.iter().filter_map(|(handler, gate)| shown(handler, gate)).collect();
            if shut != self.shown || now >= again && !shut.is_empty() {
                let written = self.post(shut).await;
                again = Instant::now() + LIFE.1;
                let pause = if written { PAUSE } else { LIFE.1 };
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(pause) => continue,
                }
            }
            // half open by time alone
            let tried = self.shown.iter().filter(|shown| shown.state == "shut").filter_map(|shown| shown.until);
            let next = tried.chain((!self.shown.is_empty()).then_some(again)).min();
            tokio::select! {
                () = stop.cancelled() => break,
                _ = select_all(changes.iter_mut().map(|change| Box::pin(change.changed()))) => {}
                () = tokio::time::sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            }
        }
        if !self.posted.is_empty() {
            self.post(Vec::new()).await;
        }
    }

    /// Whether it was written.
    async fn post(&mut self, shut: Vec<Shown>) -> bool {
        let (now, wall) = (Instant::now(), self.queue.store().now());
        let stored = |shown: &Shown| StoredGate {
            handler: shown.handler.clone(),
            instance: String::new(),
            state: shown.state.to_owned(),
            why: shown.why.clone(),
            until: shown.until.map(|until| wall.after(until.duration_since(now))),
        };
        let written = self.queue.post_gates(&mut self.posted, shut.iter().map(stored).collect(), LIFE.0).await;
        match written {
            Ok(()) => self.shown = shut,
            Err(error) => {
                tracing::debug!(queue = %self.queue.name(), %error, "cannot show which handlers can do nothing");
                return false;
            }
        }
        true
    }
}

/// `None` where the gate is open.
fn shown(handler: &str, gate: &Gate) -> Option<Shown> {
    let standing = gate.standing();
    let state = standing.as_str();
    let (mut why, until) = match standing {
        Standing::Open => return None,
        Standing::Shut { why, until } => (why, until),
        Standing::HalfOpen { why, .. } => (why, None),
    };
    if let Some((end, _)) = why.char_indices().nth(WHY) {
        why.truncate(end);
        why.push('…');
    }
    Some(Shown { handler: handler.to_owned(), state, why, until })
}
