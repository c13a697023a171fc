//! What the pools of one engine have in common.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

use super::Ending;
use super::event::{Event, Observers};
use super::renewer::{Locks, Register};
use super::trace::{Span, Tracer};
#[cfg(feature = "app")]
use crate::app::App;
use crate::config;
use crate::job::Job;
use crate::store::Token;

const UNPOISONED: &str = "no code panics while holding this lock";

pub(crate) struct Shared {
    /// First part of every lock token: this incarnation of this worker.
    pub(crate) incarnation: String,
    /// First segment of every key.
    pub(crate) prefix: Arc<str>,
    pub(crate) observers: Observers,
    tracer: Option<Arc<dyn Tracer>>,
    pub(crate) totals: Totals,
    register: Register,
    /// Where handlers run that may take a thread's time.
    pub(crate) handlers: Handlers,
    /// The time zone of cron patterns that name none, once there was one.
    zone: RwLock<Option<Arc<str>>>,
    takes: AtomicU64,
    #[cfg(feature = "app")]
    app: RwLock<App>,
    /// Jobs that may still be taken, where there is a bound.
    budget: Option<AtomicI64>,
}

impl Shared {
    pub(crate) fn new(
        incarnation: String,
        prefix: &str,
        observers: Observers,
        register: Register,
        handlers: Handlers,
        budget: Option<u64>,
        #[cfg(feature = "app")] app: App,
    ) -> Self {
        Self {
            incarnation,
            prefix: prefix.into(),
            observers,
            tracer: None,
            totals: Totals::default(),
            register,
            handlers,
            zone: RwLock::default(),
            takes: AtomicU64::new(0),
            #[cfg(feature = "app")]
            app: RwLock::new(app),
            budget: budget.map(|jobs| AtomicI64::new(i64::try_from(jobs).unwrap_or(i64::MAX))),
        }
    }

    /// The time zone of cron patterns that name none.
    pub(crate) fn zone(&self) -> Arc<str> {
        let known = self.zone.read().expect(UNPOISONED).clone();
        known.unwrap_or_else(|| {
            let zone: Arc<str> = config::local_zone().into();
            Arc::clone(self.zone.write().expect(UNPOISONED).get_or_insert(zone))
        })
    }

    /// Takes another one; `None` is the host's, which is looked up when it is asked for.
    pub(crate) fn set_zone(&self, zone: Option<&str>) {
        *self.zone.write().expect(UNPOISONED) = zone.map(Into::into);
    }

    /// What jobs that start now find beside the queues.
    #[cfg(feature = "app")]
    pub(crate) fn app(&self) -> App {
        self.app.read().expect(UNPOISONED).clone()
    }

    #[cfg(feature = "app")]
    pub(crate) fn set_app(&self, app: App) {
        *self.app.write().expect(UNPOISONED) = app;
    }

    /// Has spans made of attempts.
    pub(crate) fn with_tracer(self, tracer: Option<Arc<dyn Tracer>>) -> Self {
        Self { tracer, ..self }
    }

    /// The span of an attempt that begins, where spans are made.
    pub(crate) fn begin(&self, job: &Arc<Job>) -> Option<Box<dyn Span>> {
        self.tracer.as_ref()?.begin(job)
    }

    pub(crate) fn tell(&self, event: &Event) {
        self.observers.tell(event);
    }

    /// A token no take had before.
    pub(crate) fn token(&self) -> Token {
        format!("{}:{}", self.incarnation, self.takes.fetch_add(1, Ordering::Relaxed)).into()
    }

    pub(crate) fn register(&self, locks: &Arc<Locks>) {
        self.register.lock().expect("no code panics while holding this lock").push(Arc::clone(locks));
    }

    pub(crate) fn unregister(&self, locks: &Arc<Locks>) {
        self.register
            .lock()
            .expect("no code panics while holding this lock")
            .retain(|other| !Arc::ptr_eq(other, locks));
    }

    /// Promises up to `want` jobs out of the bound; what is not used comes back by `unreserve`.
    pub(crate) fn reserve(&self, want: usize) -> usize {
        let Some(budget) = &self.budget else { return want };
        let want = i64::try_from(want).unwrap_or(i64::MAX);
        let granted = budget
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| Some(left - want.min(left.max(0))))
            .map_or(0, |left| want.min(left.max(0)));
        usize::try_from(granted).unwrap_or(0)
    }

    pub(crate) fn unreserve(&self, unused: usize) {
        if let Some(budget) = &self.budget {
            budget.fetch_add(i64::try_from(unused).unwrap_or(0), Ordering::AcqRel);
        }
    }

    /// Whether any job may still be taken.
    pub(crate) fn budget_left(&self) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.load(Ordering::Acquire) > 0)
    }
}

/// Where handlers run that do not run on the engine's thread.
pub(crate) enum Handlers {
    Given(Handle),
    /// Made when the first one starts: most configurations never need it.
    Own(OnceLock<Runtime>),
}

impl Handlers {
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, run: F) -> JoinHandle<()> {
        match self {
            Self::Given(handle) => handle.spawn(run),
            Self::Own(runtime) => runtime.get_or_init(own_runtime).spawn(run),
        }
    }
}

fn own_runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("handlers")
        .enable_all()
        .build()
        .expect("a machine that runs this process can start a few threads more")
}

impl Drop for Handlers {
    fn drop(&mut self) {
        if let Self::Own(runtime) = self
            && let Some(runtime) = runtime.take()
        {
            // what is left there was given up before
            runtime.shutdown_background();
        }
    }
}

/// Counts of ends since the start.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) completed: Count,
    pub(crate) discarded: Count,
    pub(crate) failed: Count,
    pub(crate) expired: Count,
    pub(crate) cancelled: Count,
    pub(crate) handed_back: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Totals {
    /// As an engine ends with them, `left` jobs being left.
    pub(crate) fn ending(&self, left: u64) -> Ending {
        Ending {
            completed: self.completed.read(),
            discarded: self.discarded.read(),
            failed: self.failed.read(),
            expired: self.expired.read(),
            cancelled: self.cancelled.read(),
            handed_back: self.handed_back.read(),
            left,
        }
    }
}
