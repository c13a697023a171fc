//! A Rust function as a handler.

use std::future::Future;
use std::sync::Arc;

use super::{Handler, JobContext, Running};
use crate::job::{Job, Outcome};

/// Wraps an async function of job and context.
pub struct Function<F>(pub F);

impl<F, Fut> Handler for Function<F>
where
    F: Fn(Arc<Job>, JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        Box::pin((self.0)(job, ctx))
    }
}
