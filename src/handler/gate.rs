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
    shut: Mutex<Option<Shut>>,
    /// Counts the changes.
    moved: watch::Sender<u64>,
}

#[derive(Debug)]
struct Shut {
    why: String,
    /// When one job may try; `None`: the handler opens the gate itself.
    until: Option<Instant>,
    /// That one job is on its way.
    trying: bool,
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

impl Gate {
    /// Jobs are taken again.
    pub fn open(&self) {
        if self.shut_state().take().is_some() {
            self.moved();
        }
    }

    /// No job is taken for this long, then one to try; without a time until [`Gate::open`]. `why` is for people.
    pub fn shut(&self, why: impl Into<String>, lasts: Option<Duration>) {
        let until = lasts.map(|lasts| Instant::now() + lasts);
        *self.shut_state() = Some(Shut { why: why.into(), until, trying: false });
        self.moved();
    }

    /// How it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &*self.shut_state() {
            None => Standing::Open,
            Some(shut) if shut.until.is_some_and(|until| until <= Instant::now()) => {
                Standing::HalfOpen { why: shut.why.clone(), trying: shut.trying }
            }
            Some(shut) => Standing::Shut { why: shut.why.clone(), until: shut.until },
        }
    }

    /// Lets one job through. At a half-open gate that is the job that tries, and there is one at a time.
    #[must_use]
    pub fn enter(&self) -> bool {
        match &mut *self.shut_state() {
            None => true,
            Some(shut) if !shut.trying && shut.until.is_some_and(|until| until <= Instant::now()) => {
                shut.trying = true;
                true
            }
            Some(_) => false,
        }
    }

    /// The job let through at a half-open gate ended without telling anything: another may try.
    pub fn leave(&self) {
        let mut shut = self.shut_state();
        if let Some(shut) = shut.as_mut()
            && std::mem::take(&mut shut.trying)
        {
            self.moved();
        }
    }

    /// Changes whenever the gate is opened or shut. That a gate becomes half open is a matter of time alone.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.moved.subscribe()
    }

    fn shut_state(&self) -> MutexGuard<'_, Option<Shut>> {
        self.inner.shut.lock().expect("no code panics while holding this lock")
    }

    fn moved(&self) {
        self.inner.moved.send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn one_job_tries_after_the_time() {
        let gate = Gate::default();
        assert!(gate.enter() && gate.enter());
        gate.shut("no answer", Some(SECOND));
        assert!(matches!(gate.standing(), Standing::Shut { why, until: Some(_) } if why == "no answer"));
        assert!(!gate.enter());
        tokio::time::advance(SECOND).await;
        assert_eq!(gate.standing(), Standing::HalfOpen { why: "no answer".into(), trying: false });
        assert!(gate.enter());
        assert!(!gate.enter(), "one at a time");
        gate.leave();
        assert!(gate.enter());
        gate.shut("still no answer", Some(SECOND));
        assert!(!gate.enter());
        gate.open();
        assert_eq!(gate.standing(), Standing::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_the_handler_opens_it() {
        let gate = Gate::default();
        let mut changes = gate.changes();
        gate.shut("cannot start", None);
        tokio::time::advance(SECOND * 3600).await;
        assert!(!gate.clone().enter());
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        gate.open();
        assert!(changes.has_changed().unwrap());
        gate.open();
        changes.mark_unchanged();
        assert!(gate.enter() && !changes.has_changed().unwrap());
    }
}
