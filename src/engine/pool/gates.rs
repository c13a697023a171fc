//! The gates of a pool's handlers: whether any jobs are taken, and which of those taken may run. Costs nothing where no
//! handler has a gate.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Message;
use super::signboard::Signboard;
use crate::handler::{Gate, Handler, Pass, Router, Standing};
use crate::job::Outcome;
use crate::store::WorkQueue;

/// Jobs put off come back at most as fast as this, one after the other: they may be many.
const SPACING: Duration = Duration::from_millis(1);
/// Shortest and longest time until the first of them is back; the gate may be opened before its time.
const PUT_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Until then where the gate names no time.
const PUT_OFF_USUALLY: Duration = Duration::from_secs(30);

pub(super) struct Gates {
    gated: Vec<Gated>,
    /// Every handler of the queue has a gate.
    every: bool,
    /// Wake the pool when a gate moves.
    _wakers: Vec<AbortOnDropHandle<()>>,
    /// Where there is a gate.
    signboard: Option<Signboard>,
}

struct Gated {
    handler: String,
    gate: Gate,
    /// When the last job put off comes back.
    back: Option<Instant>,
}

/// How many jobs may be taken.
pub(super) enum Leave {
    Any,
    /// One, to try.
    One(Pass),
    Nothing,
}

impl Gates {
    /// Those of the handlers of a queue; the pool is sent [`Message::Gate`] when one moves.
    pub(super) fn of(router: &Router, queue: &WorkQueue, pool: &mpsc::UnboundedSender<Message>) -> Self {
        let gates = router.gates();
        let wakers =
            gates.iter().map(|(_, gate)| AbortOnDropHandle::new(tokio::spawn(wake(gate.clone(), pool.clone()))));
        Self {
            _wakers: wakers.collect(),
            signboard: (!gates.is_empty()).then(|| Signboard::start(queue.clone(), gates.clone())),
            gated: gates.into_iter().map(|(handler, gate)| Gated { handler, gate, back: None }).collect(),
            every: router.every_one_is_gated(),
        }
    }

    /// Takes away what Redis shows of them.
    pub(super) async fn end(&mut self) {
        if let Some(signboard) = self.signboard.take() {
            signboard.end().await;
        }
    }

    /// Whether no job can be done at all.
    pub(super) fn bar(&self) -> bool {
        self.every && !self.gated.iter().any(|gated| gated.gate.admits())
    }

    /// Leave to take jobs. While some handlers may work it is for any: a job of another one is put off then.
    pub(super) fn enter(&self) -> Leave {
        if !self.every || self.gated.iter().any(|gated| gated.gate.is_open()) {
            return Leave::Any;
        }
        match self.gated.iter().find_map(|gated| gated.gate.enter()) {
            Some(pass) if pass.is_trial() => Leave::One(pass),
            Some(_) => Leave::Any,
            None => Leave::Nothing,
        }
    }

    /// When the first of the shut gates is to be tried.
    pub(super) fn tried_at(&self) -> Option<std::time::Instant> {
        self.gated.iter().filter_map(|gated| gated.gate.tried_at()).min().map(Instant::into_std)
    }

    /// Leave for a taken job to run; `trial` is what it may have been taken with. Without a pass where the handler has no
    /// gate; the error is the outcome of a job that must not run.
    pub(super) fn pass(&mut self, handler: &dyn Handler, trial: Option<Pass>) -> Result<Option<Pass>, Outcome> {
        if self.gated.is_empty() {
            return Ok(None);
        }
        let Some(gate) = handler.gate() else { return Ok(None) };
        // a trial for another handler ends here
        match trial.filter(|trial| trial.tries(gate)).or_else(|| gate.enter()) {
            Some(pass) => Ok(Some(pass)),
            None => Err(self.put_off(gate)),
        }
    }

    fn put_off(&mut self, gate: &Gate) -> Outcome {
        let now = Instant::now();
        let (why, wait) = match gate.standing() {
            Standing::Shut { why, until: Some(until) } => (why, until.duration_since(now)),
            Standing::Shut { why, until: None } => (why, PUT_OFF_USUALLY),
            Standing::HalfOpen { why, .. } => (why, Duration::ZERO),
            Standing::Open => ("it was shut a moment ago".to_owned(), Duration::ZERO),
        };
        let Some(gated) = self.gated.iter_mut().find(|gated| gated.gate.is(gate)) else {
            return Outcome::PutOff { reason: why, after: wait };
        };
        // not all processes at once
        let wait = wait.clamp(PUT_OFF.0, PUT_OFF.1).mul_f64(1.0 + fastrand::f64() / 10.0);
        let back = (now + wait).max(gated.back.map_or(now, |last| last + SPACING));
        gated.back = Some(back);
        let reason = format!("handler {} can do nothing for now: {why}", gated.handler);
        Outcome::PutOff { reason, after: back.duration_since(now) }
    }
}

async fn wake(gate: Gate, pool: mpsc::UnboundedSender<Message>) {
    let mut changes = gate.changes();
    while changes.changed().await.is_ok() && pool.send(Message::Gate).is_ok() {}
}
