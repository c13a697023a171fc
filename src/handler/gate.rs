//! Whether a handler can do anything at all: an endpoint that answers nobody, a program that cannot be started.
//! The handler shuts its gate, the pools of all queues that use it take no jobs for it, and no attempt is burnt.
//!
//! After the time it was shut for one job is let through to try (half open). What becomes of that one is for the
//! handler to say: [`Gate::open`], or [`Gate::shut`] for another while.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// One per handler; clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Counts the changes.
    moved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    shut: Option<Shut>,
    /// Trials so far; the number of the last one.
    trials: u64,
}

#[derive(Debug)]
struct Shut {
    why: String,
    /// When one job may try; `None`: the handler opens the gate itself.
    until: Option<Instant>,
    /// The number of the trial under way.
    trying: Option<u64>,
}

/// How a gate stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Open,
    /// Nothing is taken before then; `None`: before the handler says so.
    Shut {
        why: String,
        until: Option<Instant>,
    },
    /// One job may try, or is trying.
    HalfOpen {
        why: String,
        trying: bool,
    },
}

impl Standing {
    /// As it is shown everywhere.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Shut { .. } => "shut",
            Self::HalfOpen { .. } => "half-open",
        }
    }
}

/// One job's leave to pass a gate, to be kept while it runs. That of a job that tries at a half-open gate makes the others
/// wait; once it is dropped another may try, unless the gate was opened or shut meanwhile.
#[derive(Debug)]
#[must_use = "dropping it lets another job try"]
pub struct Pass {
    trial: Option<(Gate, u64)>,
}

impl Pass {
    /// Whether it was given at a half-open gate.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether it is a trial at this gate.
    pub(crate) fn tries(&self, gate: &Gate) -> bool {
        self.trial.as_ref().is_some_and(|(own, _)| own.is(gate))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some((gate, number)) = self.trial.take() {
            gate.leave(number);
        }
    }
}

impl Gate {
    /// Jobs are taken again.
    pub fn open(&self) {
        if self.state().shut.take().is_some() {
            self.moved();
        }
    }

    /// No job is taken for this long, then one to try; without a time until [`Gate::open`]. `why` is for people.
    pub fn shut(&self, why: impl Into<String>, lasts: Option<Duration>) {
        let until = lasts.map(|lasts| Instant::now() + lasts);
        self.state().shut = Some(Shut { why: why.into(), until, trying: None });
        self.moved();
    }

    /// How it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &self.state().shut {
            None => Standing::Open,
            Some(shut) if shut.may_be_tried() => {
                Standing::HalfOpen { why: shut.why.clone(), trying: shut.trying.is_some() }
            }
            Some(shut) => Standing::Shut { why: shut.why.clone(), until: shut.until },
        }
    }

    /// Lets one job through. At a half-open gate that is the job that tries, and there is one at a time. `None`: not now.
    pub fn enter(&self) -> Option<Pass> {
        let mut state = self.state();
        let State { shut, trials } = &mut *state;
        let Some(shut) = shut else { return Some(Pass { trial: None }) };
        if shut.trying.is_some() || !shut.may_be_tried() {
            return None;
        }
        *trials += 1;
        shut.trying = Some(*trials);
        Some(Pass { trial: Some((self.clone(), *trials)) })
    }

    /// Whether it is neither shut nor half open.
    pub(crate) fn is_open(&self) -> bool {
        self.state().shut.is_none()
    }

    /// When the first job may try, also where that is past; `None` while one tries, and where no time was named.
    pub(crate) fn tried_at(&self) -> Option<Instant> {
        self.state().shut.as_ref().filter(|shut| shut.trying.is_none())?.until
    }

    /// Whether [`Gate::enter`] would let a job through now.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.state().shut.as_ref().is_none_or(|shut| shut.trying.is_none() && shut.may_be_tried())
    }

    /// Changes whenever the gate is opened or shut, or a trial has ended without a word. That a gate becomes half open is a
    /// matter of time alone.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.moved.subscribe()
    }

    /// Whether both are the same gate.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// A trial has ended: another may follow.
    fn leave(&self, number: u64) {
        let left = self.state().shut.as_mut().is_some_and(|shut| shut.trying.take_if(|own| *own == number).is_some());
        if left {
            self.moved();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("no code panics while holding this lock")
    }

    fn moved(&self) {
        self.inner.moved.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Shut {
    fn may_be_tried(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn one_job_tries_after_the_time() {
        let gate = Gate::default();
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(!first.is_trial() && !second.is_trial());
        gate.shut("no answer", Some(SECOND));
        assert!(matches!(gate.standing(), Standing::Shut { why, until: Some(_) } if why == "no answer"));
        assert!(gate.enter().is_none() && !gate.admits());
        tokio::time::advance(SECOND).await;
        assert_eq!(gate.standing(), Standing::HalfOpen { why: "no answer".into(), trying: false });
        assert!(gate.admits());
        let trial = gate.enter().unwrap();
        assert!(trial.is_trial() && trial.tries(&gate) && !trial.tries(&Gate::default()));
        assert_eq!(gate.standing(), Standing::HalfOpen { why: "no answer".into(), trying: true });
        assert!(gate.enter().is_none() && !gate.admits(), "one at a time");
        let changes = gate.changes();
        drop(trial);
        assert!(changes.has_changed().unwrap());
        let _trial = gate.enter().unwrap();
        gate.shut("still no answer", Some(SECOND));
        assert!(gate.enter().is_none());
        gate.open();
        assert_eq!(gate.standing(), Standing::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_ends_late_leaves_the_next_one_alone() {
        let gate = Gate::default();
        gate.shut("no answer", Some(SECOND));
        tokio::time::advance(SECOND).await;
        let first = gate.enter().unwrap();
        gate.shut("still no answer", Some(SECOND));
        tokio::time::advance(SECOND).await;
        let second = gate.enter().unwrap();
        drop(first);
        assert!(gate.enter().is_none(), "the second one is still under way");
        drop(second);
        assert!(gate.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_the_handler_opens_it() {
        let gate = Gate::default();
        let mut changes = gate.changes();
        gate.shut("cannot start", None);
        tokio::time::advance(SECOND * 3600).await;
        assert!(gate.clone().enter().is_none());
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        gate.open();
        assert!(changes.has_changed().unwrap());
        gate.open();
        changes.mark_unchanged();
        assert!(gate.enter().is_some() && !changes.has_changed().unwrap());
    }
}
