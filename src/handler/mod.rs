//! How is one job done? A handler is given a job and answers with an [`Outcome`]. It knows
//! nothing of queues, locks or retries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::job::{Job, Outcome};

#[cfg(all(unix, feature = "command"))]
mod account;
mod actions;
#[cfg(all(unix, feature = "command"))]
mod child;
#[cfg(any(feature = "http", feature = "command", feature = "smtp"))]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only endpoints ask to be left alone"))]
mod circuit;
#[cfg(all(unix, feature = "command"))]
mod command;
mod context;
#[cfg(any(feature = "http", feature = "command", feature = "smtp"))]
mod cool_down;
mod error;
pub mod function;
mod gate;
#[cfg(feature = "http")]
mod http;
#[cfg(all(unix, feature = "command"))]
mod keeper;
#[cfg(all(unix, feature = "daemon"))]
mod leftovers;
pub mod log;
mod notice;
#[cfg(all(unix, feature = "command"))]
mod pipes;
#[cfg(all(unix, feature = "command"))]
mod process;
#[cfg(all(unix, feature = "command"))]
mod program;
mod redis;
mod registry;
mod report;
#[cfg(any(feature = "http", feature = "command", feature = "smtp"))]
mod shortage;
#[cfg(feature = "smtp")]
mod smtp;
mod template;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(any(feature = "http", feature = "command", feature = "smtp"))]
#[cfg_attr(
    not(any(feature = "http", feature = "command")),
    allow(dead_code, unused_imports, reason = "a mail needs little of it")
)]
mod wire;

pub use actions::ActionError;
pub(crate) use actions::{Actions, Doing};
#[cfg(all(unix, feature = "daemon"))]
pub(crate) use child::{Child, Input};
pub(crate) use context::Attempt;
pub use context::{CancelReason, JobContext};
pub use error::{Error, Refused, TemplateError};
pub use gate::{Gate, Pass, Standing};
#[cfg(feature = "http")]
pub(crate) use http::callback::Callbacks;
#[cfg(feature = "daemon")]
pub(crate) use http::callback::Deaf;
#[cfg(feature = "daemon")]
pub(crate) use http::poster::Poster;
#[cfg(all(unix, feature = "daemon"))]
pub(crate) use keeper::{Keepers, Launch, NotStarted};
#[cfg(all(unix, feature = "daemon"))]
pub(crate) use leftovers::{Stat, end_leftovers};
pub use notice::{Notice, Notices, Processes};
#[cfg(all(unix, feature = "daemon"))]
pub(crate) use pipes::Incoming;
pub use registry::{Registry, Router};
pub(crate) use report::{INTERVAL, Part, Settled};
#[cfg(all(feature = "smtp", feature = "daemon"))]
pub(crate) use smtp::greet;
#[cfg(all(unix, feature = "daemon"))]
pub(crate) use wire::{Heard, LOG_LINE, Lines, job_frame, snippet};

/// The future a handler returns.
pub type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The way of a handler to its end.
pub type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

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

    /// Whether [`JobContext::may_be_parent`] is to be found out for each job, which costs Redis a little.
    fn reads_children(&self) -> bool {
        false
    }

    /// Where the handler says that it can do nothing for now, so that no jobs are taken for it.
    fn gate(&self) -> Option<&Gate> {
        None
    }

    /// Gets ready for jobs: called on the engine's thread before the first queue that uses the handler is worked. Jobs may
    /// come without it. What happens between jobs is told to `notices`.
    fn start(&self, notices: &Notices) {
        let _ = notices;
    }

    /// Instead of [`Handler::start`], when a reload has put the handler in the place of another of the same name. It may
    /// let that one go on until it is ready itself. Resolves when the other one is closed.
    fn follow(&self, before: Arc<dyn Handler>, notices: &Notices) -> Closing {
        self.start(notices);
        before.close()
    }

    /// Puts away what the handler keeps between jobs, once those that run have ended; resolves when all of it is gone. No
    /// queue uses the handler any more.
    fn close(&self) -> Closing {
        Box::pin(std::future::ready(()))
    }

    /// The processes it keeps between jobs.
    fn processes(&self) -> Option<Processes> {
        None
    }

    /// How long the future may take to return once it is told to stop.
    fn stop_grace(&self) -> Duration {
        Duration::from_secs(5)
    }
}
