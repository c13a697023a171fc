//! How does a process take orders: start, reload, stop?
//!
//! A [`Daemon`] builds the engine a [`Config`] describes, notes who it is in the state
//! directory, and passes on what signals ask for until the engine has stopped. `cli/run.rs`
//! calls it.

mod callbacks;
mod caller;
mod command;
mod error;
pub mod escape;
mod guest;
pub mod journal;
pub mod logging;
mod manager;
mod mask;
mod orphans;
mod reload;
mod signals;
mod state;
mod traces;

pub use caller::{NoAnswer, answer, holder, order};
pub use command::Command;
pub use error::Error;
pub use guest::{Guest, Stopping};
pub use logging::{Dropped, Logging};
pub use manager::Manager;
pub use mask::Masks;
use orphans::Orphans;
use reload::Reloads;
pub use reload::{Outcome, Reload, log_problem};
pub use signals::Signals;
pub use state::{StateDir, instance_id};
pub use traces::Traces;

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, LoadOptions};
use crate::engine::{Ending, Engine, Handle, Instance, ProcessesOf, Scheduling, Until};
use crate::handler::Processes;
use crate::job::QueueName;
use crate::metrics::Metrics;

/// What one start of the daemon needs to know.
pub struct Daemon {
    pub config: Config,
    /// Where the configuration came from, to read it again.
    pub sources: LoadOptions,
    /// Listened to since before the configuration was read.
    pub signals: Signals,
    pub logging: Logging,
    /// The command line has fixed the log level: a reload leaves it.
    pub is_level_fixed: bool,
    /// Work these queues only; all when empty.
    pub only_queues: Vec<QueueName>,
    pub scheduling: Scheduling,
    pub until: Until,
    /// Where somebody looks at them.
    pub metrics: Option<Arc<Metrics>>,
    /// What runs beside the engine.
    pub guests: Vec<Box<dyn Guest>>,
}

impl Daemon {
    /// Runs until the engine has really stopped.
    pub async fn run(mut self) -> Result<Ending, Error> {
        let daemon = &self.config.daemon;
        let state = daemon.state_dir.as_deref().map(StateDir::open).transpose()?;
        let id = instance_id(daemon.name.as_deref());
        let previous = state.as_ref().map(|state| state.begin(&id)).unwrap_or_default();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            instance = id,
            pid = std::process::id(),
            queues = self.config.queues.len(),
            schedules = self.config.schedules.len(),
            "oxherd starts"
        );
        if !previous.is_empty() {
            tracing::info!(count = previous.len(), "an earlier start did not end; releasing its jobs");
            // before the jobs run again
            let ended = crate::handler::end_leftovers().await;
            if ended > 0 {
                tracing::warn!(processes = ended, "killed what commands of a killed daemon had left behind");
            }
        }
        let _orphans = match Orphans::adopt() {
            Ok(orphans) => Some(AbortOnDropHandle::new(tokio::spawn(orphans.collect()))),
            Err(error) => {
                tracing::warn!(%error, "cannot become the parent of orphaned processes");
                None
            }
        };
        let instance = Instance { id: id.clone(), worker_name: daemon.name.clone(), previous };
        let traces = self.config.traces.as_ref();
        let traces = traces
            .map(|config| Traces::start(config, &id, daemon.name.as_deref(), self.logging.masks()))
            .transpose()?;
        let engine = Engine::builder(self.config.clone())
            .instance(instance)
            .only_queues(self.only_queues.iter().map(ToString::to_string).collect())
            .scheduling(self.scheduling)
            .until(self.until.clone());
        let engine = match &traces {
            Some(traces) => engine.tracer(traces.tracer()),
            None => engine,
        };
        let engine = match &self.metrics {
            Some(metrics) => engine.observer(Arc::clone(metrics) as _).meter(Arc::clone(metrics) as _),
            None => engine,
        };
        let engine = engine.build()?;
        let _callbacks = match &self.config.callbacks {
            Some(config) => Some(callbacks::Server::start(config, engine.callbacks()).await?),
            None => None,
        };
        let handle = engine.handle();
        for guest in &mut self.guests {
            guest.start(&handle)?;
        }
        let mut running = tokio::spawn(engine.run_here());
        // answered once earlier incarnations' locks are released and the queues are worked
        let mut started = std::pin::pin!(handle.snapshot());
        let mut is_started = false;
        let mut reloads = Reloads::new(daemon.state_dir.clone());
        let ending = loop {
            tokio::select! {
                ended = &mut running => break ended.map_err(|_| Error::Panicked)??,
                snapshot = &mut started, if !is_started => {
                    is_started = true;
                    if let (Some(_), Some(state)) = (snapshot, &state) {
                        state.keep_only([id.as_str()]);
                    }
                }
                command = self.signals.next() => self.obey(command, &handle, &mut reloads),
                attempt = reloads.ended() => drop(self.end_reload(attempt, &handle, &mut reloads)),
            }
        };
        for guest in self.guests {
            guest.stop().await;
        }
        if let Some(traces) = traces {
            traces.stop().await;
        }
        if ending.left == 0
            && let Some(state) = state
        {
            // every lock was given up, so there is nothing to release at the next start
            state.keep_only([]);
        }
        Ok(ending)
    }

    fn obey(&self, command: Command, handle: &Handle, reloads: &mut Reloads) {
        match command {
            Command::Stop => {
                tracing::info!("stopping: no new jobs; a second signal hands running ones back");
                handle.stop();
            }
            Command::HandBack => {
                tracing::info!("stopping: handing back what runs");
                handle.hand_back();
            }
            Command::Quiet => {
                tracing::info!("quiet: no new jobs, running ones go on");
                handle.quiet();
            }
            Command::Reload => self.begin_reload(handle, reloads),
            Command::Report => {
                // the engine answers nothing before Redis was there once, and other orders must not wait for that
                let handle = handle.clone();
                tokio::spawn(async move { report(&handle).await });
            }
        }
    }
}

/// Says what every slot is doing.
async fn report(handle: &Handle) {
    // none once the engine has ended, and then the end is logged anyway
    let Some(snapshot) = handle.snapshot().await else { return };
    for ProcessesOf { handler, processes } in &snapshot.processes {
        let Processes { ready, busy, starting, leaving, jobs, waiting, lost, is_broken } = processes;
        tracing::info!(handler, ready, busy, starting, leaving, jobs, waiting, lost, is_broken, "processes");
    }
    for queue in &snapshot.queues {
        tracing::info!(
            phase = ?snapshot.phase,
            queue = %queue.name,
            slots = queue.slots,
            running = queue.running.len(),
            "report"
        );
        for gate in &queue.gates {
            let tried_in = gate.tried_in.map(|wait| wait.as_secs_f64());
            tracing::info!(queue = %queue.name, handler = gate.handler, state = gate.state, why = gate.why, tried_in, "gate");
        }
        for job in &queue.running {
            tracing::info!(
                queue = %queue.name,
                job = %job.id,
                name = job.name,
                attempt = job.attempt,
                seconds = job.running_for.as_secs_f64(),
                recording = job.recording,
                stuck = job.stuck,
                "running"
            );
        }
    }
}
