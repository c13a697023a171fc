//! `oxherd run`: the daemon in the foreground.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::session::{Session, runtime};
use super::{Error, Exit, value};
use crate::admin;
use crate::config;
use crate::daemon::{self, Daemon, Guest, Logging, Manager, Signals};
use crate::engine::{Scheduling, Until};
use crate::job::QueueName;
use crate::metrics::Metrics;

/// Longest wait for code that does not notice that everything else has ended.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Start the daemon in the foreground
///
/// It works the configured queues until told to stop.
///
/// TERM or INT: take nothing new, let run, then cancel, then hand back; a second one hands back at
/// once, as QUIT does. HUP: read the configuration again. USR1: take nothing new, keep running.
/// USR2: log what every slot is doing. Exit 0 when stopped as asked, 75 when jobs were handed back.
#[derive(Args)]
pub struct Run {
    /// Work this queue of the configuration only; repeatable
    #[arg(long, value_name = "NAME", value_parser = value::queue)]
    queue: Vec<QueueName>,
    /// Stop when the queues are empty but for jobs that schedulers have ready; exit 1 if a job failed for good
    #[arg(long)]
    drain: bool,
    /// Leave the schedules of the configuration alone
    #[arg(long, conflicts_with = "schedules_only")]
    no_schedules: bool,
    /// Fire the schedules of the configuration, and work no queue
    #[arg(long, conflicts_with_all = ["queue", "drain", "max_jobs"])]
    schedules_only: bool,
    /// Stop after this many jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_jobs: Option<u64>,
    /// Stop after this time, as in 1h
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    max_time: Option<Duration>,
}

impl Run {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let runtime = runtime()?;
        // before anything else: a TERM that comes while the configuration is read is an order already
        let signals = {
            let _inside = runtime.enter();
            Signals::listen().map_err(daemon::Error::Signals)?
        };
        let sources = session.sources(false);
        let (config, mut warnings) = config::load(&sources)?;
        warnings.extend(config::missing_programs(&config));
        if let Some(unknown) = self.queue.iter().find(|queue| !config.queues.contains_key(queue.as_str())) {
            let known: Vec<_> = config.queues.keys().map(String::as_str).collect();
            return Err(Error::Usage(format!(
                "--queue {unknown}: no such queue in the configuration; there are {}",
                known.join(", ")
            )));
        }
        without_core();
        let logging = Logging::start(&session.log(&config), &config.secrets)?;
        for warning in &warnings {
            daemon::log_problem(warning);
        }
        let manager = Manager::from_env(&config).map(|manager| Box::new(manager) as Box<dyn Guest>);
        let metrics = config.admin.is_some().then(Arc::<Metrics>::default);
        let service = metrics.as_ref().and_then(|metrics| {
            let service = admin::Service::new(&config, Arc::clone(metrics), logging.dropped())?;
            Some(Box::new(service) as Box<dyn Guest>)
        });
        let daemon = Daemon {
            config,
            sources,
            signals,
            logging,
            is_level_fixed: session.global.log_level.is_some(),
            only_queues: self.queue,
            scheduling: match (self.no_schedules, self.schedules_only) {
                (true, _) => Scheduling::Without,
                (_, true) => Scheduling::Only,
                _ => Scheduling::Beside,
            },
            until: Until { drained: self.drain, max_jobs: self.max_jobs, max_time: self.max_time },
            metrics,
            guests: manager.into_iter().chain(service).collect(),
        };
        let ending = runtime.block_on(daemon.run());
        runtime.shutdown_timeout(LEFTOVERS);
        let ending = ending?;
        Ok(match ending {
            ending if ending.handed_back + ending.left > 0 => Exit::HandedBack,
            ending if self.drain && ending.failed > 0 => Exit::No,
            _ => Exit::Done,
        })
    }
}

/// A core would hold every secret of the configuration. Only the soft limit: `prlimit --core` gives one that is wanted, and
/// programs may raise their own.
fn without_core() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, most);
    }
}
