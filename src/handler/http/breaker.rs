//! Leaves a destination alone that does not answer, or asks not to be called for a while. One circuit per `host:port`: that of
//! a host written in the configuration shuts the handler's gate, so that no jobs are taken; where jobs choose the host, a job
//! for one that is left alone is put off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::answer::Reply;
use crate::config::{self, HttpHandler};
use crate::handler::circuit::{Circuit, Since};
use crate::handler::cool_down::CoolDown;
use crate::handler::{CancelReason, Gate, Pass, Standing};
use crate::job::Outcome;

/// Destinations chosen by jobs that are remembered for their failures at most.
const REMEMBERED: usize = 10_000;

pub(super) struct Breaker {
    settings: Option<config::Breaker>,
    gone: config::Gone,
    /// The handler's.
    gate: Gate,
    circuits: Circuits,
}

enum Circuits {
    Fixed(Arc<Circuit>),
    /// Of those that failed last time.
    Chosen(Mutex<BTreeMap<String, Arc<Circuit>>>),
}

/// One attempt at a destination; what becomes of it is told once.
pub(super) struct Attempt<'a> {
    breaker: &'a Breaker,
    circuit: Arc<Circuit>,
    authority: &'a str,
    since: Since,
    /// The request is on its way and has no answer.
    waits: bool,
    /// Kept where the engine has not asked at the gate.
    _pass: Option<Pass>,
}

impl Breaker {
    /// `fixed`: there is one destination, that of every job.
    pub(super) fn new(config: &HttpHandler, fixed: bool) -> Self {
        let gate = Gate::default();
        let circuits = if fixed {
            Circuits::Fixed(circuit(gate.clone(), config.breaker))
        } else {
            Circuits::Chosen(Mutex::default())
        };
        Self { settings: config.breaker, gone: config.gone, gate, circuits }
    }

    /// The handler's gate.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Leave to call the destination, `host:port`; the error is the outcome where it is left alone.
    pub(super) fn enter<'a>(&'a self, authority: &'a str) -> Result<Attempt<'a>, Outcome> {
        let circuit = match &self.circuits {
            Circuits::Fixed(circuit) => return Ok(self.attempt(Arc::clone(circuit), authority, None)),
            Circuits::Chosen(circuits) => {
                let mut circuits = circuits.lock().expect("no code panics while holding this lock");
                // to forget them all makes a few calls in vain, no more
                if circuits.len() >= REMEMBERED && !circuits.contains_key(authority) {
                    circuits.clear();
                }
                let new = || circuit(Gate::default(), self.settings);
                Arc::clone(circuits.entry(authority.to_owned()).or_insert_with(new))
            }
        };
        match circuit.gate().enter() {
            Some(pass) => Ok(self.attempt(circuit, authority, Some(pass))),
            None => Err(put_off(circuit.gate(), authority)),
        }
    }

    fn attempt<'a>(&'a self, circuit: Arc<Circuit>, authority: &'a str, pass: Option<Pass>) -> Attempt<'a> {
        let since = circuit.begin();
        Attempt { breaker: self, circuit, authority, since, waits: false, _pass: pass }
    }
}

impl<'a> Attempt<'a> {
    /// The destination, for messages.
    pub(super) fn to(&self) -> &'a str {
        self.authority
    }
}

impl Attempt<'_> {
    /// The request goes out.
    pub(super) fn sent(&mut self) {
        self.waits = true;
    }

    /// No answer came, and why.
    pub(super) fn unanswered(&mut self, why: &str) {
        self.waits = false;
        match self.breaker.settings {
            Some(_) => self.circuit.failed(self.since, why),
            // without a breaker the next job tries as this one did
            None => self.circuit.worked(),
        }
    }

    /// Status and headers of the answer are there.
    pub(super) fn answered(&mut self, reply: &Reply) {
        self.waits = false;
        if reply.tells_of_an_outage() {
            return self.unanswered(&format!("{} answers {}", self.authority, reply.status_line()));
        }
        self.circuit.worked();
        if let Some(wait) = reply.holds_all() {
            self.circuit.hold(wait, format!("{} asks to wait: {}", self.authority, reply.status_line()));
        }
        if reply.is_gone() && self.breaker.gone == config::Gone::Stop {
            let remedy = "change the url and reload, or restart";
            self.circuit.stop(format!("{} answers {}; {remedy}", self.authority, reply.status_line()));
        }
        if let Circuits::Chosen(circuits) = &self.breaker.circuits
            && self.circuit.gate().is_open()
        {
            let mut circuits = circuits.lock().expect("no code panics while holding this lock");
            // not another one that began to fail meanwhile
            if circuits.get(self.authority).is_some_and(|known| Arc::ptr_eq(known, &self.circuit)) {
                circuits.remove(self.authority);
            }
        }
    }

    /// The job was stopped. Only its time-out says something about the destination, before an answer has come.
    pub(super) fn cancelled(&mut self, reason: CancelReason) {
        if self.waits && reason == CancelReason::Timeout {
            self.unanswered(&format!("{} has not answered in time", self.authority));
        }
    }
}

fn circuit(gate: Gate, settings: Option<config::Breaker>) -> Arc<Circuit> {
    let config::Breaker { failures, cool_down, max } = settings.unwrap_or_default();
    Arc::new(Circuit::new(gate, failures, CoolDown::new(cool_down, max)))
}

/// The outcome of a job whose destination is left alone.
fn put_off(gate: &Gate, authority: &str) -> Outcome {
    let (why, after) = match gate.standing() {
        Standing::Shut { why, until: Some(until) } => (why, until.duration_since(Instant::now())),
        Standing::Shut { why, until: None } => return Outcome::fail(why),
        Standing::HalfOpen { why, .. } => (why, Duration::ZERO),
        Standing::Open => ("it was left alone until now".to_owned(), Duration::ZERO),
    };
    // those put off do not come back all at once
    let after = after.max(Duration::from_secs(1)).mul_f64(1.0 + fastrand::f64());
    Outcome::PutOff { reason: format!("{authority} is left alone for now: {why}"), after }
}

#[cfg(test)]
mod tests;
