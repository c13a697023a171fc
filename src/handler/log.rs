//! Writes the job to the log and completes it: for trying out and for benches.

use std::sync::Arc;

use super::{Handler, JobContext, Running};
use crate::config::LogHandler;
use crate::job::{Job, Outcome};

/// `[handlers.NAME.log]`
pub struct Log {
    config: LogHandler,
}

impl Log {
    #[must_use]
    pub fn new(config: LogHandler) -> Self {
        Self { config }
    }
}

impl Handler for Log {
    fn runs_inline(&self) -> bool {
        true
    }

    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        tracing::info!(queue = %job.queue, job = %job.id, name = %job.name, attempt = job.attempt(), data = %job.data, "job");
        let duration = self.config.duration;
        Box::pin(async move {
            if !duration.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(duration) => {}
                    reason = ctx.cancelled() => return ctx.stopped(reason),
                }
            }
            Outcome::done()
        })
    }
}
