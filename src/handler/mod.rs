//! How is one job done? A handler is given a job and answers with an [`Outcome`]. It knows
//! nothing of queues, locks or retries.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::job::{Job, Outcome};

#[cfg(all(unix, feature = "command"))]
mod child;
#[cfg(all(unix, feature = "command"))]
mod command;
mod error;
pub mod function;
#[cfg(feature = "http")]
mod http;
#[cfg(all(unix, feature = "daemon"))]
mod leftovers;
pub mod log;
mod registry;
#[cfg(any(feature = "http", feature = "command"))]
mod template;
#[cfg(all(test, any(feature = "http", feature = "command")))]
mod testing;
#[cfg(any(feature = "http", feature = "command"))]
mod wire;

pub use error::{Error, Refused, TemplateError};
#[cfg(all(unix, feature = "daemon"))]
pub(crate) use leftovers::end_leftovers;
pub use registry::{Registry, Router};

/// The future a handler returns.
pub type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Does jobs.
pub trait Handler: Send + Sync + 'static {
    /// Runs one attempt of a job.
    ///
    /// # Cancellation
    ///
    /// The future is told to stop through [`JobContext::cancelled`] first: at the attempt's
    /// deadline, when the lock is lost, on shutdown. It should stop its work, wait until the
    /// work has really stopped and return. What it then answers counts if it ends the job, except
    /// after a time-out or a lost lock. A future that does not return within
    /// [`Handler::stop_grace`] is dropped, so work it started must also end when it is dropped.
    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running;

    /// Whether the future may run on the engine's own thread, which takes, records and waits for jobs
    /// of all queues. It starts sooner there than anywhere else. Only for one that never keeps a
    /// thread busy: no long computing, no blocking call.
    fn runs_inline(&self) -> bool {
        false
    }

    /// How long the future may take to return once it is told to stop.
    fn stop_grace(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// Why a running job is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// The attempt took longer than the queue allows.
    Timeout,
    /// The lock is gone: somebody else may be running the job.
    LockLost,
    /// The daemon stops.
    Shutdown,
    /// Somebody asked for this job to be stopped.
    Requested,
}

/// What a running job may use. Cheap to clone.
#[derive(Clone)]
pub struct JobContext {
    inner: Arc<Inner>,
}

struct Inner {
    cancel: CancellationToken,
    reason: Mutex<Option<CancelReason>>,
    log: Mutex<LogLines>,
    started: Instant,
    /// When the attempt will be cancelled, on our clock.
    deadline: Instant,
    /// The same moment by the server's clock, in Unix ms, for the job's own eyes.
    deadline_ms: i64,
    max_attempts: u32,
    /// First segment of every key, part of a job's identity.
    prefix: Arc<str>,
    /// JSON pointer to the tenant in the job's data.
    tenant: Arc<str>,
}

#[derive(Default)]
struct LogLines {
    lines: Vec<String>,
    bytes: usize,
    dropped: usize,
}

/// Log bytes kept of one attempt; what comes later is counted and dropped.
const LOG_BYTES: usize = 64 * 1024;

impl JobContext {
    #[must_use]
    pub fn new(deadline: Instant, deadline_ms: i64, max_attempts: u32, prefix: Arc<str>, tenant: Arc<str>) -> Self {
        Self {
            inner: Arc::new(Inner {
                cancel: CancellationToken::new(),
                reason: Mutex::new(None),
                log: Mutex::new(LogLines::default()),
                started: Instant::now(),
                deadline,
                deadline_ms,
                max_attempts,
                prefix,
                tenant,
            }),
        }
    }

    /// Resolves when the job is to stop. Cancel safe.
    pub async fn cancelled(&self) -> CancelReason {
        self.inner.cancel.cancelled().await;
        self.cancel_reason().unwrap_or(CancelReason::Shutdown)
    }

    /// Why the job is to stop, if it is.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        *self.inner.reason.lock().expect("no code panics while holding this lock")
    }

    /// Tells the job to stop. The first reason stands.
    pub fn cancel(&self, reason: CancelReason) {
        self.inner.reason.lock().expect("no code panics while holding this lock").get_or_insert(reason);
        self.inner.cancel.cancel();
    }

    /// What a job that was told to stop, and did, has come to. One mapping for every handler.
    #[must_use]
    pub fn stopped(&self, reason: CancelReason) -> Outcome {
        match reason {
            CancelReason::Timeout => {
                // the context is made a moment after the deadline is: rounded to whole milliseconds
                let limit = self.inner.deadline.saturating_duration_since(self.inner.started);
                let ms = u64::try_from((limit + Duration::from_micros(500)).as_millis()).unwrap_or(u64::MAX);
                Outcome::retry(format!("timed out after {:?}", Duration::from_millis(ms)))
            }
            // with the lock gone nothing we answer is recorded
            CancelReason::Shutdown | CancelReason::LockLost => Outcome::Interrupted,
            CancelReason::Requested => Outcome::Cancelled { reason: "stopped on request".to_owned() },
        }
    }

    /// Adds a line to the job's log (`J:logs`), written together with the outcome. Bounded to
    /// 64 KiB an attempt; what is dropped is counted in a last line.
    pub fn log(&self, line: impl Into<String>) {
        let line = line.into();
        let mut log = self.inner.log.lock().expect("no code panics while holding this lock");
        if log.bytes + line.len() > LOG_BYTES {
            log.dropped += 1;
        } else {
            log.bytes += line.len();
            log.lines.push(line);
        }
    }

    /// The lines logged so far, taken out.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        let mut log = std::mem::take(&mut *self.inner.log.lock().expect("no code panics while holding this lock"));
        if log.dropped > 0 {
            log.lines.push(format!("… {} more lines dropped", log.dropped));
        }
        log.lines
    }

    /// When the attempt will be cancelled.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.inner.deadline
    }

    /// The deadline in Unix ms by the server's clock.
    #[must_use]
    pub fn deadline_ms(&self) -> i64 {
        self.inner.deadline_ms
    }

    /// Total tries this job has, the file's default included.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.inner.max_attempts
    }

    /// JSON pointer to the tenant in a job's data.
    #[must_use]
    pub fn tenant_pointer(&self) -> &str {
        &self.inner.tenant
    }

    /// First segment of every key.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.inner.prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn f91_each_reason_has_its_outcome() {
        let ctx = JobContext::new(Instant::now() + Duration::from_secs(60), 0, 3, "bull".into(), "/tenantId".into());
        ctx.cancel(CancelReason::Timeout);
        ctx.cancel(CancelReason::Shutdown);
        let reason = ctx.cancelled().await;
        assert_eq!(reason, CancelReason::Timeout, "the first reason stands");
        let Outcome::Retry { failure, after: None } = ctx.stopped(reason) else { panic!("not a retry") };
        assert_eq!(failure.message, "timed out after 60s");
        assert!(matches!(ctx.stopped(CancelReason::Shutdown), Outcome::Interrupted));
        assert!(matches!(ctx.stopped(CancelReason::LockLost), Outcome::Interrupted));
        assert!(matches!(ctx.stopped(CancelReason::Requested), Outcome::Cancelled { .. }));
    }
}
