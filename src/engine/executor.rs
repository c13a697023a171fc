//! Runs one attempt: the deadline, a panic, and the way from being told to stop to having stopped.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::handler::{CancelReason, Handler, JobContext};
use crate::job::{Failure, Job, Outcome};

/// Longest text kept of a panic.
const PANIC_TEXT: usize = 1000;

/// Runs the handler to its end and says what came out. `timeout` is the longest the attempt may
/// take. Dropping the future drops the handler's.
pub(crate) async fn execute(handler: Arc<dyn Handler>, job: Arc<Job>, ctx: JobContext, timeout: Duration) -> Outcome {
    let grace = handler.stop_grace();
    let started = AssertUnwindSafe(async { handler.run(job, ctx.clone()).await }).catch_unwind();
    tokio::pin!(started);
    // the handler is polled first: one that is done at once never costs a timer
    let reason = tokio::select! {
        biased;
        ended = &mut started => return ended.unwrap_or_else(|panic| panicked(&*panic)),
        reason = ctx.cancelled() => reason,
        () = tokio::time::sleep(timeout) => {
            ctx.cancel(CancelReason::Timeout);
            // somebody else's reason may have come first
            ctx.cancel_reason().unwrap_or(CancelReason::Timeout)
        }
    };
    let ended = tokio::time::timeout(grace, &mut started).await.ok();
    match (reason, ended) {
        // past the limit a late result is not looked at
        (CancelReason::Timeout, _) => Outcome::retry(format!("timed out after {}", seconds(timeout))),
        // whatever was finished on the way out is finished
        (_, Some(Ok(outcome @ (Outcome::Complete(_) | Outcome::Discard { .. } | Outcome::Fail(_))))) => outcome,
        (CancelReason::Requested, _) => Outcome::Cancelled { reason: "stopped on request".into() },
        (CancelReason::Shutdown | CancelReason::LockLost, _) => Outcome::Interrupted,
    }
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Outcome {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let text: String = text.chars().take(PANIC_TEXT).collect();
    Outcome::Retry { failure: Failure::new(format!("handler panicked: {text}")), after: None }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::value::RawValue;

    use super::*;
    use crate::handler::function::Function;
    use crate::job::{JobId, JobOptions, QueueName, UnixMillis};

    fn job() -> Arc<Job> {
        Arc::new(Job {
            id: JobId::stored("1"),
            queue: QueueName::new("q").unwrap(),
            name: "n".into(),
            data: RawValue::NULL.to_owned(),
            opts: JobOptions::default(),
            timestamp: UnixMillis(0),
            processed_on: UnixMillis(0),
            priority: 0,
            attempts_made: 0,
            attempts_started: 1,
            stalled: 0,
            deferred_failure: None,
            parent_key: None,
            scheduler: None,
            stacktrace: None,
        })
    }

    fn ctx() -> JobContext {
        JobContext::new(Instant::now(), 0, 1, "bull".into(), "/tenantId".into())
    }

    #[tokio::test]
    async fn f17_a_panic_is_a_failure_with_its_message() {
        let handler = Arc::new(Function::new(|_, _| async { panic!("no {}", "cheese") }));
        let Outcome::Retry { failure, .. } = execute(handler, job(), ctx(), Duration::from_secs(9)).await else {
            panic!()
        };
        assert_eq!(failure.message, "handler panicked: no cheese");
    }

    #[tokio::test(start_paused = true)]
    async fn f91_a_handler_over_its_time_is_stopped_and_its_late_result_ignored() {
        let handler = Arc::new(Function::new(|_, ctx: JobContext| async move {
            assert_eq!(ctx.cancelled().await, CancelReason::Timeout);
            Outcome::done()
        }));
        let Outcome::Retry { failure, .. } = execute(handler, job(), ctx(), Duration::from_secs(9)).await else {
            panic!()
        };
        assert_eq!(failure.message, "timed out after 9s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_will_not_stop_is_dropped() {
        let (dropped, seen) = tokio::sync::oneshot::channel::<()>();
        let dropped = std::sync::Mutex::new(Some(dropped));
        let handler = Arc::new(Function::new(move |_, _| {
            let guard = dropped.lock().unwrap().take();
            async move {
                let _guard = guard;
                std::future::pending::<()>().await;
                Outcome::done()
            }
        }));
        let ctx = ctx();
        ctx.cancel(CancelReason::Shutdown);
        assert!(matches!(execute(handler, job(), ctx, Duration::from_secs(9)).await, Outcome::Interrupted));
        assert!(seen.await.is_err(), "the future was dropped");
    }

    #[tokio::test]
    async fn what_is_finished_on_the_way_out_is_finished() {
        let handler = Arc::new(Function::new(|_, ctx: JobContext| async move {
            ctx.cancelled().await;
            Outcome::done()
        }));
        let ctx = ctx();
        ctx.cancel(CancelReason::Shutdown);
        assert!(matches!(execute(handler, job(), ctx, Duration::from_secs(9)).await, Outcome::Complete(_)));
    }
}
