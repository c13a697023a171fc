//! `oxherd bench`: what this machine does, measured on queues of its own that are removed
//! afterwards. Jobs go the whole way, through the engine and the server; only the handler does
//! nothing.

mod add;
mod beside;
mod drain;
mod flows;
mod idle;
mod latency;
mod list;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::session::{PATIENCE, Session, connect, runtime};
use super::{Error, Exit, value};
use crate::config::{self, Config};
use crate::engine::Instance;
use crate::job::{Keep, QueueName};
use crate::store::{Embedding, Store};

/// Name of the handler that does nothing.
const NOOP: &str = "noop";

/// Measure this machine: no-op jobs through the whole path
///
/// On queues of its own.
///
/// drain: fill a queue, then time how fast it is worked off. latency: one job every 5 ms into an
/// idle worker, from before the add to the handler's first line. idle: what waiting costs. add: how
/// fast jobs are added in bulk. flows: parents with ten children each, added and worked off. list: as
/// drain, on a plain list of ids. app: a hit of the cache and the check of a limit, beside a bare GET
/// and a bare EVALSHA.
#[derive(Args)]
pub struct Bench {
    #[arg(long, value_enum, default_value_t = Mode::Drain)]
    mode: Mode,
    /// A queue that does not exist; it is removed afterwards [default: a name of its own]
    #[arg(long, value_name = "NAME", value_parser = value::queue)]
    queue: Option<QueueName>,
    /// Jobs to run [default: 50000; latency: 2000; add, list: 100000; flows: 2000 parents; app: 20000 of each operation]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// Size of each job's data
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    payload: usize,
    /// Slots per queue
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// Keep this many completed jobs instead of removing each
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: u64,
    /// Publish status messages too
    #[arg(long)]
    status: bool,
    /// idle: how many queues wait
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    queues: u32,
    /// idle: how long to look
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Drain,
    Latency,
    Idle,
    Add,
    Flows,
    List,
    App,
}

/// What was measured, in the order shown. Names are the JSON's.
type Figures = Map<String, Value>;

impl Bench {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let given = session.redis_config()?;
        let queues = self.names()?;
        let config = self.config(&given, &queues);
        let _logging = session.start_log(&given)?;
        let runtime = runtime()?;
        let figures = runtime.block_on(async {
            let store = connect(&given, PATIENCE, Embedding::Start).await?;
            for queue in &queues {
                refuse_existing(&store, queue).await?;
            }
            let figures = tokio::select! {
                figures = self.measure(&store, config, &queues) => figures,
                _ = tokio::signal::ctrl_c() => Err(Error::No("interrupted".into())),
            };
            for queue in &queues {
                store.queue(queue).erase().await?;
            }
            store.close().await?;
            figures
        });
        // an engine that was interrupted may still hold tasks
        runtime.shutdown_timeout(Duration::from_secs(1));
        let figures = figures?;
        if session.out.is_json() {
            session.out.json(&figures)?;
        } else {
            let pairs: Vec<_> = figures.iter().map(|(name, value)| (name.as_str(), shown(value))).collect();
            session.out.pairs(&pairs)?;
        }
        Ok(Exit::Done)
    }

    async fn measure(&self, store: &Store, config: Config, queues: &[QueueName]) -> Result<Figures, Error> {
        let queue = queues.first().expect("every mode has at least one queue");
        match self.mode {
            Mode::Drain => {
                Box::pin(drain::measure(store, config, queue, self.jobs.unwrap_or(50_000), self.payload)).await
            }
            Mode::Latency => latency::measure(store, config, queue, self.jobs.unwrap_or(2_000), self.payload).await,
            Mode::Add => add::measure(store, queue, self.jobs.unwrap_or(100_000), self.payload).await,
            Mode::Flows => {
                Box::pin(flows::measure(store, config, queue, self.jobs.unwrap_or(2_000), self.payload)).await
            }
            Mode::List => Box::pin(list::measure(store, config, queue, self.jobs.unwrap_or(100_000))).await,
            Mode::App => beside::measure(store, self.jobs.unwrap_or(20_000), self.payload).await,
            Mode::Idle => idle::measure(store, config, Duration::from_secs(self.seconds.into())).await,
        }
    }

    fn names(&self) -> Result<Vec<QueueName>, Error> {
        let base = match &self.queue {
            Some(name) => name.to_string(),
            None => format!("oxherd-bench-{:08x}", fastrand::u32(..)),
        };
        let name = |text: String| QueueName::new(&text).map_err(|e| Error::Usage(e.to_string()));
        match self.mode {
            Mode::Idle => (1..=self.queues).map(|n| name(format!("{base}-{n}"))).collect(),
            Mode::Drain | Mode::Latency | Mode::Add | Mode::Flows | Mode::List | Mode::App => Ok(vec![name(base)?]),
        }
    }

    /// As a beginner's file would be: every default, one handler.
    fn config(&self, given: &Config, queues: &[QueueName]) -> Config {
        let queue = |name: &QueueName| {
            let mut queue = config::Queue::new(name.clone());
            queue.concurrency = self.concurrency;
            queue.handler = Some(NOOP.into());
            queue.list = matches!(self.mode, Mode::List).then(|| list::of(name));
            queue.policy.keep_completed = match self.keep {
                0 => Keep::Nothing,
                count => Keep::Some { count: Some(count), age: None, limit: None },
            };
            (name.to_string(), queue)
        };
        Config {
            redis: given.redis.clone(),
            queues: queues.iter().map(queue).collect::<BTreeMap<_, _>>(),
            status: config::Status { enabled: self.status, queues: BTreeMap::new(), ..given.status.clone() },
            ..Config::default()
        }
    }
}

fn instance() -> Instance {
    Instance { id: crate::daemon::instance_id(Some("bench")), worker_name: None, previous: Vec::new() }
}

/// What is there already is somebody's, and would be worked off and erased.
async fn refuse_existing(store: &Store, queue: &QueueName) -> Result<(), Error> {
    if store.queue_names().await?.contains(queue) {
        return Err(Error::Usage(format!("queue {queue} exists; name one that does not, it is removed afterwards")));
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// To three places: more would pretend to know more.
fn rounded(number: f64) -> Value {
    ((number * 1000.0).round() / 1000.0).into()
}
