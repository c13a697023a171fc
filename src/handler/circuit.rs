//! Counts failures that follow each other and shuts a gate after some of them, for longer each time until something works
//! again. Handlers whose jobs all depend on one thing have one: an endpoint that answers, a program that can be started.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::Gate;
use super::cool_down::CoolDown;

pub(super) struct Circuit {
    gate: Gate,
    /// Failures in a row that shut the gate.
    limit: u32,
    state: Mutex<State>,
}

struct State {
    /// In a row.
    failures: u32,
    cool_down: CoolDown,
    /// How often the gate was shut.
    shut: u64,
    /// Whatever works meanwhile, the gate stays shut until then.
    held: Option<Instant>,
    /// It stays shut for good.
    stopped: bool,
}

/// When an attempt began: one from before the gate was shut says nothing new about what has shut it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since(u64);

impl Circuit {
    pub(super) fn new(gate: Gate, limit: u32, cool_down: CoolDown) -> Self {
        Self { gate, limit, state: Mutex::new(State { failures: 0, cool_down, shut: 0, held: None, stopped: false }) }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// An attempt begins.
    pub(super) fn begin(&self) -> Since {
        Since(self.state().shut)
    }

    /// It did not work. `why` is for people.
    pub(super) fn failed(&self, since: Since, why: &str) {
        let mut state = self.state();
        if state.stopped || Since(state.shut) != since {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        // after a rest one failure is enough
        if state.failures < self.limit && self.gate.is_open() {
            return;
        }
        let wait = state.cool_down.next();
        state.shut += 1;
        self.gate.shut(format!("{} failures in a row, the last: {why}", state.failures), Some(wait));
    }

    /// It worked, whenever it began.
    pub(super) fn worked(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.cool_down.reset();
        if !state.stopped && state.held.is_none_or(|until| until <= Instant::now()) {
            self.gate.open();
        }
    }

    /// Shuts the gate for this long at least.
    pub(super) fn hold(&self, wait: Duration, why: String) {
        let mut state = self.state();
        let until = Instant::now() + wait;
        if !state.stopped && state.held.is_none_or(|held| held < until) {
            state.held = Some(until);
            state.shut += 1;
            self.gate.shut(why, Some(wait));
        }
    }

    /// Shuts the gate for good.
    pub(super) fn stop(&self, why: String) {
        let mut state = self.state();
        if !state.stopped {
            state.stopped = true;
            self.gate.shut(why, None);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}
