//! A Rust function as a handler.

use std::future::Future;
use std::sync::Arc;

use super::{Handler, JobContext, Running};
use crate::job::{Job, Outcome};

/// Wraps an async function of job and context.
pub struct Function<F> {
    function: F,
    inline: bool,
}

impl<F> Function<F> {
    pub fn new(function: F) -> Self {
        Self { function, inline: false }
    }

    /// For one that never keeps a thread busy: it may run on the engine's ([`Handler::runs_inline`]).
    pub fn inline(function: F) -> Self {
        Self { function, inline: true }
    }
}

impl<F, Fut> Handler for Function<F>
where
    F: Fn(Arc<Job>, JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        Box::pin((self.function)(job, ctx))
    }

    fn runs_inline(&self) -> bool {
        self.inline
    }
}
