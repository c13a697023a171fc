//! What follows attempts through their traces. The engine asks for a span when an attempt begins and ends it when its
//! outcome is recorded; what becomes of it is the tracer's.

use std::sync::Arc;

use super::event::Event;
use crate::job::{Job, TraceContext};

/// Makes a span of each attempt. Called on the engine's own tasks: be quick.
pub trait Tracer: Send + Sync + 'static {
    /// A job was taken. Without a span its handler gets the context that was stored with it.
    fn begin(&self, job: &Arc<Job>) -> Option<Box<dyn Span>>;
}

/// One attempt. Dropped without an end when its pool dies.
pub trait Span: Send + Sync {
    /// What the handler is to pass on.
    fn context(&self) -> &TraceContext;

    /// What has come of it, as observers are told; [`Event::PutOff`] where there was no attempt at all.
    fn end(self: Box<Self>, event: &Event);
}
