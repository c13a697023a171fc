//! `oxherd exec`: one job through its real handler without Redis, or a program's conformance to the protocol of
//! process pools.

#[cfg(unix)]
mod conformance;
mod file;
mod once;

use std::path::PathBuf;

use clap::Args;

use super::session::Session;
use super::{Error, Exit, value};
use crate::job::QueueName;

/// Run one job through its real handler without Redis, or check a program that is to do jobs
///
/// The job file is {"name": "welcome", "data": {…}, "opts": {…}, "id": "1"}, of which everything but name or data may
/// be left out; what `job show --json` and `job export` print will do. The outcome is printed, what it says on the way
/// goes to standard error. Exit 0 when the job completes or is discarded, 1 when not.
///
/// With --conformance no job is needed: the program behind -- is started, spoken to as a pool of processes would, and
/// checked. Exit 0 when it passes, 1 when not.
#[derive(Args)]
pub struct Exec {
    /// The handler, by its name in the configuration [default: what the queue has for the job's name]
    #[arg(long, value_name = "NAME", conflicts_with = "conformance")]
    handler: Option<String>,
    /// The job; - for standard input
    #[arg(long, value_name = "FILE|-", required_unless_present = "conformance")]
    job: Option<PathBuf>,
    /// The queue whose settings hold, and which the handler is told [default: the job's, else "exec"]
    #[arg(long, value_name = "QUEUE", value_parser = value::queue)]
    queue: Option<QueueName>,
    /// Check the program behind -- against the protocol of process pools
    #[arg(long, requires = "command")]
    conformance: bool,
    /// With --conformance: frames on standard input and output instead of descriptors 3 and 4
    #[arg(long, requires = "conformance")]
    stdio: bool,
    /// With --conformance: how long anything may take [default: 10s]
    #[arg(long, value_name = "TIME", requires = "conformance", value_parser = value::duration)]
    within: Option<std::time::Duration>,
    /// With --conformance: the program and its arguments
    #[arg(last = true, value_name = "COMMAND", requires = "conformance")]
    command: Vec<String>,
}

impl Exec {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let job = self.job.as_deref().map(file::read).transpose()?;
        if self.conformance {
            #[cfg(unix)]
            return conformance::check(&self, job, session);
            #[cfg(not(unix))]
            return Err(Error::Usage("--conformance needs descriptors to hand on, which this system has not".into()));
        }
        let Some(job) = job else { return Err(Error::Usage("expected a job file, as in --job FILE".into())) };
        once::run(self.handler.as_deref(), self.queue, job, session)
    }
}
