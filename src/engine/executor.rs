//! Runs one attempt: the deadline, a panic, and the way from being told to stop to having stopped.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::handler::{CancelReason, Handler, JobContext};
use crate::job::{Failure, Job, Outcome};

/// Longest text kept of a panic.
const PANIC_TEXT: usize = 1000;

/// Runs the handler to its end, or past its deadline until it has stopped, and says what came out.
/// Dropping the future drops the handler's.
pub(crate) async fn execute(handler: Arc<dyn Handler>, job: Arc<Job>, ctx: JobContext) -> Outcome {
    let grace = handler.stop_grace();
    let started = AssertUnwindSafe(async { handler.run(job, ctx.clone()).await }).catch_unwind();
    tokio::pin!(started);
    // the handler is polled first: one that is done at once never costs a timer
    let reason = tokio::select! {
        biased;
        ended = &mut started => match ctx.expire(tokio::time::Instant::now().into_std()).or(ctx.cancel_reason()) {
            // one that keeps its thread busy comes here too, however late
            Some(reason) => return settled(&ctx, reason, Some(ended)),
            None => return ended.unwrap_or_else(|panic| panicked(&*panic)),
        },
        reason = ctx.cancelled() => reason,
        reason = time_out(&ctx) => reason,
    };
    let ended = tokio::time::timeout(grace, &mut started).await.ok();
    settled(&ctx, reason, ended)
}

type Ended = Result<Outcome, Box<dyn std::any::Any + Send>>;

/// What has come of an attempt that was told to stop; `None` where its handler did not.
fn settled(ctx: &JobContext, reason: CancelReason, ended: Option<Ended>) -> Outcome {
    match (reason, ended) {
        // past the limit a late result is not looked at
        (CancelReason::Timeout, _) => ctx.stopped(reason),
        // whatever was finished on the way out is finished
        (_, Some(Ok(outcome @ (Outcome::Complete(_) | Outcome::Discard { .. } | Outcome::Fail(_))))) => outcome,
        _ => ctx.stopped(reason),
    }
}

/// Waits for the deadline, which may move meanwhile, and tells the job to stop.
async fn time_out(ctx: &JobContext) -> CancelReason {
    loop {
        tokio::time::sleep_until(ctx.deadline().into()).await;
        // somebody else's reason may have come first
        if let Some(reason) = ctx.expire(tokio::time::Instant::now().into_std()) {
            return reason;
        }
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
    use std::time::Duration;

    use super::*;
    use crate::handler::Attempt;
    use crate::handler::function::Function;
    use crate::handler::testing::job;

    /// Of an attempt that may take nine seconds.
    fn ctx() -> JobContext {
        let attempt = Attempt {
            job: Arc::new(job("null")),
            token: "token".into(),
            started: tokio::time::Instant::now().into_std(),
            timeout: Duration::from_secs(9),
            deadline_ms: 0,
            max_attempts: 1,
            prefix: "bull".into(),
            tenant: "".into(),
            may_be_parent: false,
            trace: None,
        };
        JobContext::new(attempt, None)
    }

    async fn run(handler: Arc<dyn Handler>, ctx: JobContext) -> Outcome {
        execute(handler, Arc::new(job("null")), ctx).await
    }

    #[tokio::test]
    async fn f17_a_panic_is_a_failure_with_its_message() {
        let handler = Arc::new(Function::new(|_, _| async { panic!("no {}", "cheese") }));
        let Outcome::Retry { failure, .. } = run(handler, ctx()).await else { panic!() };
        assert_eq!(failure.message, "handler panicked: no cheese");
    }

    #[tokio::test(start_paused = true)]
    async fn f91_a_handler_over_its_time_is_stopped_and_its_late_result_ignored() {
        let handler = Arc::new(Function::new(|_, ctx: JobContext| async move {
            assert_eq!(ctx.cancelled().await, CancelReason::Timeout);
            Outcome::done()
        }));
        let Outcome::Retry { failure, .. } = run(handler, ctx()).await else { panic!() };
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
        assert!(matches!(run(handler, ctx).await, Outcome::Interrupted));
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
        assert!(matches!(run(handler, ctx).await, Outcome::Complete(_)));
    }
    #[tokio::test(start_paused = true)]
    async fn an_extended_attempt_runs_on_and_is_stopped_at_its_new_deadline() {
        let handler = Arc::new(Function::new(|_, ctx: JobContext| async move {
            tokio::time::sleep(Duration::from_secs(8)).await;
            ctx.extend(Duration::from_secs(5)).unwrap();
            tokio::time::sleep(Duration::from_secs(4)).await;
            ctx.update_progress("still here").unwrap();
            ctx.cancelled().await;
            Outcome::done()
        }));
        let ctx = ctx();
        let started = tokio::time::Instant::now();
        let Outcome::Retry { failure, .. } = run(handler, ctx.clone()).await else { panic!() };
        assert!(ctx.close_report().progress.is_some());
        let took = started.elapsed();
        assert!((Duration::from_millis(12_990)..Duration::from_millis(13_100)).contains(&took), "{took:?}");
        assert!(failure.message.starts_with("timed out after 1"), "{}", failure.message);
    }
}
