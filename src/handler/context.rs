//! What a handler may use while it runs one attempt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio_util::sync::CancellationToken;

use super::actions::{ActionError, Actions, Doing};
use super::report::{Part, Report};
#[cfg(feature = "app")]
use crate::app::App;
use crate::job::{Flow, Job, Outcome, ParentRef, TraceContext};
use crate::store::{AddedFlow, Dependencies, Token};

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

impl CancelReason {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "its time is up",
            Self::LockLost => "its lock is gone",
            Self::Shutdown => "the worker stops",
            Self::Requested => "on request",
        }
    }
}

/// What a running job may use, whatever runs it. Cheap to clone; a clone that outlives the attempt answers
/// [`ActionError::Ended`] or does nothing.
#[derive(Clone)]
pub struct JobContext {
    inner: Arc<Inner>,
}

struct Inner {
    attempt: Attempt,
    actions: Option<Arc<dyn Actions>>,
    cancel: CancellationToken,
    reason: Mutex<Option<CancelReason>>,
    report: Mutex<Report>,
    /// By how many ms the deadline has moved.
    extended: AtomicU64,
}

/// One attempt as the engine begins it.
pub(crate) struct Attempt {
    pub(crate) job: Arc<Job>,
    pub(crate) token: Token,
    pub(crate) started: Instant,
    /// The longest it may take, and the most by which [`JobContext::extend`] moves the end.
    pub(crate) timeout: Duration,
    /// The first deadline by the server's clock, in Unix ms, for the job's own eyes.
    pub(crate) deadline_ms: i64,
    pub(crate) max_attempts: u32,
    /// First segment of every key, part of a job's identity.
    pub(crate) prefix: Arc<str>,
    /// JSON pointer to the tenant in the job's data.
    pub(crate) tenant: Arc<str>,
    /// The job has or had children, or nobody knows.
    pub(crate) may_be_parent: bool,
    /// Its own span, where the engine makes spans.
    pub(crate) trace: Option<TraceContext>,
}

impl JobContext {
    pub(crate) fn new(attempt: Attempt, actions: Option<Arc<dyn Actions>>) -> Self {
        Self {
            inner: Arc::new(Inner {
                attempt,
                actions,
                cancel: CancellationToken::new(),
                reason: Mutex::new(None),
                report: Mutex::new(Report::default()),
                extended: AtomicU64::new(0),
            }),
        }
    }

    /// A context without an engine, for tests of a handler: what is logged can be read by [`JobContext::take_log`],
    /// and whatever needs Redis answers [`ActionError::NoEngine`].
    #[must_use]
    pub fn detached(job: Arc<Job>, timeout: Duration) -> Self {
        let attempt = Attempt {
            deadline_ms: job.processed_on.after(timeout).0,
            max_attempts: job.opts.attempts.unwrap_or(1).max(1),
            job,
            token: "".into(),
            started: Instant::now(),
            timeout,
            prefix: "bull".into(),
            tenant: "/tenantId".into(),
            may_be_parent: false,
            trace: None,
        };
        Self::new(attempt, None)
    }

    /// Resolves when the job is to stop. Cancel safe.
    pub async fn cancelled(&self) -> CancelReason {
        self.inner.cancel.cancelled().await;
        self.cancel_reason().unwrap_or(CancelReason::Shutdown)
    }

    /// Why the job is to stop, if it is.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        *self.reason()
    }

    /// Tells the job to stop. The first reason stands.
    pub fn cancel(&self, reason: CancelReason) {
        self.reason().get_or_insert(reason);
        self.inner.cancel.cancel();
    }

    /// Tells the job to stop if its time is really up: it may have been extended meanwhile. Returns the reason that
    /// stands.
    pub(crate) fn expire(&self, now: Instant) -> Option<CancelReason> {
        let mut reason = self.reason();
        if self.deadline() > now {
            return None;
        }
        let reason = *reason.get_or_insert(CancelReason::Timeout);
        self.inner.cancel.cancel();
        Some(reason)
    }

    fn reason(&self) -> MutexGuard<'_, Option<CancelReason>> {
        self.inner.reason.lock().expect("no code panics while holding this lock")
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.inner.report.lock().expect("no code panics while holding this lock")
    }

    /// What a job that was told to stop, and did, has come to. One mapping for every handler.
    #[must_use]
    pub fn stopped(&self, reason: CancelReason) -> Outcome {
        match reason {
            CancelReason::Timeout => {
                let limit = self.deadline().saturating_duration_since(self.inner.attempt.started);
                Outcome::retry(format!("timed out after {limit:?}"))
            }
            // with the lock gone nothing we answer is recorded
            CancelReason::Shutdown | CancelReason::LockLost => Outcome::Interrupted,
            CancelReason::Requested => Outcome::Cancelled { reason: "stopped on request".to_owned() },
        }
    }

    /// Adds a line to the job's log (`J:logs`). Never waits: lines reach Redis while the job runs, together at most a
    /// few times per second, the last ones with the outcome. Bounded to 64 KiB an attempt, a line counting 16 bytes at
    /// least; what is dropped is counted in a last line.
    pub fn log(&self, line: impl Into<String>) {
        let rings = self.report().log(line.into());
        self.ring(rings);
    }

    /// Says how far the job is; any JSON, usually a number up to 100 or an object. Never waits: the latest value
    /// reaches Redis at most a few times per second, and in any case before the outcome is recorded.
    pub fn update_progress(&self, value: impl Serialize) -> Result<(), ActionError> {
        let value = to_raw_value(&value).map_err(ActionError::NotJson)?;
        self.going_on()?;
        let rings = self.report().progress(value).ok_or(ActionError::Ended)?;
        self.ring(rings);
        Ok(())
    }

    fn ring(&self, rings: bool) {
        if let Some(actions) = self.inner.actions.as_ref().filter(|_| rings) {
            actions.report(self.clone());
        }
    }

    /// Replaces the job's stored data, which the next attempt gets; the data of this one stays what it is. Resolves
    /// when Redis has it, outlasting a Redis that is away for a while.
    ///
    /// Not cancel safe: dropped, it may or may not be done.
    pub async fn update_data(&self, data: impl Serialize) -> Result<(), ActionError> {
        let data = to_raw_value(&data).map_err(ActionError::NotJson)?;
        self.ask(|actions, attempt| actions.update_data(&attempt.job, &attempt.token, data)).await
    }

    /// Adds children that the job can wait for ([`Outcome::WaitForChildren`]), each with children of its own if need
    /// be: all of them or none. They may run at once. A later attempt sees them by [`JobContext::children`]; given
    /// job ids of their own, they are not added twice.
    ///
    /// Not cancel safe: dropped, it may or may not be done.
    pub async fn add_children(&self, mut children: Vec<Flow>) -> Result<Vec<AddedFlow>, ActionError> {
        if children.is_empty() {
            return Ok(Vec::new());
        }
        let job = &self.inner.attempt.job;
        for child in &mut children {
            let queue = format!("{}:{}", self.inner.attempt.prefix, job.queue);
            child.job.opts.parent = Some(ParentRef { id: job.id.to_string(), queue });
            if let Some(trace) = &self.inner.attempt.trace {
                trace.store_with(child);
            }
        }
        self.ask(|actions, attempt| actions.add_children(&attempt.job, children)).await
    }

    /// What became of the job's children, those of earlier attempts too. Cancel safe.
    pub async fn children(&self) -> Result<Dependencies, ActionError> {
        self.ask(|actions, attempt| actions.children(&attempt.job)).await
    }

    /// What the application keeps in Redis beside its queues: caches and the like. The handle is that of the engine and
    /// may outlive the attempt.
    #[cfg(feature = "app")]
    pub fn app(&self) -> Result<&App, ActionError> {
        self.inner.actions.as_deref().and_then(Actions::app).ok_or(ActionError::NoEngine)
    }

    async fn ask<T>(&self, action: impl FnOnce(&dyn Actions, &Attempt) -> Doing<T>) -> Result<T, ActionError> {
        self.going_on()?;
        let actions = self.inner.actions.as_deref().ok_or(ActionError::NoEngine)?;
        let doing = action(actions, &self.inner.attempt);
        tokio::select! {
            biased;
            done = doing => done,
            reason = self.cancelled() => Err(ActionError::Stopping(reason)),
        }
    }

    fn going_on(&self) -> Result<(), ActionError> {
        self.cancel_reason().map_or(Ok(()), |reason| Err(ActionError::Stopping(reason)))
    }

    /// Moves the attempt's deadline to `by` from now, never to an earlier moment. One call gives the queue's `timeout`
    /// at most, but may be repeated: who is alive and says so goes on.
    pub fn extend(&self, by: Duration) -> Result<(), ActionError> {
        // no deadline passes while this is held
        let reason = self.reason();
        if let Some(reason) = *reason {
            return Err(ActionError::Stopping(reason));
        }
        let end = tokio::time::Instant::now().into_std() + by.min(self.inner.attempt.timeout);
        let later = end.saturating_duration_since(self.first_deadline());
        self.inner.extended.fetch_max(u64::try_from(later.as_millis()).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }

    fn first_deadline(&self) -> Instant {
        self.inner.attempt.started + self.inner.attempt.timeout
    }

    fn extended(&self) -> u64 {
        self.inner.extended.load(Ordering::Relaxed)
    }

    /// When the attempt will be cancelled.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.first_deadline() + Duration::from_millis(self.extended())
    }

    /// The deadline in Unix ms by the server's clock.
    #[must_use]
    pub fn deadline_ms(&self) -> i64 {
        self.inner.attempt.deadline_ms.saturating_add_unsigned(self.extended())
    }

    /// Total tries this job has, the file's default included.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.inner.attempt.max_attempts
    }

    /// JSON pointer to the tenant in a job's data.
    #[must_use]
    pub fn tenant_pointer(&self) -> &str {
        &self.inner.attempt.tenant
    }

    /// First segment of every key.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.inner.attempt.prefix
    }

    /// The trace this attempt is part of, to be passed on to whoever is called: its own span where the engine makes spans
    /// ([`Builder::tracer`](crate::engine::Builder::tracer)), else what the producer stored with the job.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.inner.attempt.trace.clone().or_else(|| TraceContext::stored(&self.inner.attempt.job.opts))
    }

    /// Whether the job may have or have had children. Known for handlers that say so by
    /// [`Handler::reads_children`](super::Handler::reads_children); `true` for all others.
    #[must_use]
    pub fn may_be_parent(&self) -> bool {
        self.inner.attempt.may_be_parent
    }

    /// The lines logged so far that Redis does not have, taken out: for tests of a handler. The attempt listens to
    /// nothing after that.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        self.close_report().lines
    }

    pub(crate) fn job(&self) -> &Arc<Job> {
        &self.inner.attempt.job
    }

    pub(crate) fn token(&self) -> &Token {
        &self.inner.attempt.token
    }

    /// For the engine, which writes the report.
    pub(crate) fn with_report<T>(&self, look: impl FnOnce(&mut Report) -> T) -> T {
        look(&mut self.report())
    }

    /// What is left of the report at the end of the attempt.
    pub(crate) fn close_report(&self) -> Part {
        self.report().close()
    }

    /// The handler has ended: what is left of the report goes with its outcome. Resolves when no part is on its way to
    /// Redis.
    pub(crate) async fn end_report(&self) {
        let settling = self.report().end();
        if let Some(settling) = settling {
            let _ = settling.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::context;

    #[tokio::test]
    async fn f91_each_reason_has_its_outcome() {
        let ctx = context();
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

    #[tokio::test(start_paused = true)]
    async fn the_deadline_moves_from_now_by_the_time_limit_at_most_and_never_back() {
        let ctx = context();
        let (first, first_ms) = (ctx.deadline(), ctx.deadline_ms());
        ctx.extend(Duration::from_secs(5)).unwrap();
        assert_eq!(ctx.deadline(), first, "five seconds from now were there already");
        tokio::time::advance(Duration::from_secs(50)).await;
        ctx.extend(Duration::from_secs(20)).unwrap();
        let moved = ctx.deadline().duration_since(first);
        assert!((Duration::from_millis(9990)..=Duration::from_secs(10)).contains(&moved), "{moved:?}");
        assert_eq!(ctx.deadline_ms() - first_ms, crate::job::millis(moved));
        ctx.extend(Duration::from_secs(3600)).unwrap();
        let moved = ctx.deadline().duration_since(first);
        assert!((Duration::from_millis(49_990)..=Duration::from_secs(50)).contains(&moved), "{moved:?}");
        assert_eq!(ctx.expire(first), None);
        assert_eq!(ctx.expire(ctx.deadline()), Some(CancelReason::Timeout));
        assert!(matches!(ctx.extend(Duration::from_secs(1)), Err(ActionError::Stopping(CancelReason::Timeout))));
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_said() {
        let ctx = context();
        assert!(matches!(ctx.update_data(1).await, Err(ActionError::NoEngine)));
        assert!(matches!(ctx.children().await, Err(ActionError::NoEngine)));
        assert!(matches!(ctx.add_children(Vec::new()).await, Ok(added) if added.is_empty()));
        let keys = std::collections::HashMap::from([((1, 2), 3)]);
        assert!(matches!(ctx.update_progress(&keys), Err(ActionError::NotJson(_))));
        ctx.update_progress(40).unwrap();
        ctx.cancel(CancelReason::LockLost);
        let refused = ctx.update_progress(50).unwrap_err().to_string();
        assert_eq!(refused, "the attempt was told to stop (its lock is gone); nothing more is done for it");
        assert!(matches!(ctx.update_data(1).await, Err(ActionError::Stopping(CancelReason::LockLost))));
        let ctx = context();
        drop(ctx.close_report());
        assert!(matches!(ctx.update_progress(1), Err(ActionError::Ended)));
    }
}
