//! Keeps a background doer running: a panic or an error ends one run of it, not the doer.

use std::future::Future;
use std::time::Duration;

/// First and longest pause before a doer is started again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Runs `doer` again and again, each time it ends or panics, with growing pauses. Ends when dropped.
pub(crate) async fn keep_running<F, Fut, E>(name: &'static str, mut doer: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let mut pause = PAUSE.0;
    loop {
        let begun = std::time::Instant::now();
        // a task of its own, so that a panic ends there
        let mut task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(doer()));
        match (&mut task).await {
            Ok(Ok(())) => tracing::debug!(service = name, "ended; starting it again"),
            Ok(Err(error)) => tracing::warn!(service = name, %error, "failed; starting it again"),
            Err(error) => tracing::error!(service = name, %error, "panicked; starting it again"),
        }
        pause = if begun.elapsed() > Duration::from_secs(60) { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        tokio::time::sleep(pause).await;
    }
}
