//! Who takes which job, when, and who cleans up? [`Engine`] is the library's main entry.
//!
//! ```no_run
//! # async fn example() -> Result<(), oxherd::engine::Error> {
//! use oxherd::{Config, Engine, Outcome, QueueName};
//!
//! let mut config = Config::default();
//! let name = QueueName::new("email").expect("a legal name");
//! let mut queue = oxherd::config::Queue::new(name);
//! queue.handler = Some("send".into());
//! config.queues.insert("email".into(), queue);
//! let ending = Engine::builder(config)
//!     .handler("send", |job, _ctx| async move {
//!         println!("{}", job.data);
//!         Outcome::done()
//!     })
//!     .build()?
//!     .run()
//!     .await?;
//! # Ok(()) }
//! ```

mod bell;
mod courier;
mod error;
mod event;
mod executor;
mod fetcher;
mod gates;
#[cfg(test)]
mod golden;
mod health;
mod herald;
mod lookout;
mod phase;
mod pool;
mod record;
mod renewer;
mod rescuer;
mod rights;
mod run;
mod scheduler;
mod series;
mod service;
mod shared;
mod slots;
mod staff;
mod status;
#[cfg(test)]
mod tests;
mod timetable;
mod trace;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use error::Error;
pub use event::{Event, Observer};
#[cfg(feature = "daemon")]
pub(crate) use executor::execute;
pub use health::{Finding, Health, RedisHealth, Weight};
pub use phase::Phase;
pub use status::{GateOf, ProcessesOf, QueueSnapshot, RunningJob, ShutGate, Snapshot};
pub use timetable::ScheduleSnapshot;
pub use trace::{Span, Tracer};

use crate::config::Config;
use crate::handler::{self, JobContext, Registry, function::Function};
use crate::job::{Job, Outcome, QueueName};
use crate::store::{self, Depths, Meter};

/// Who this process is, and who it was before.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Unique for each start. What follows its last `-` begins every lock token.
    pub id: String,
    /// Stored with each job taken (`pb`) and part of the name dashboards see.
    pub worker_name: Option<String>,
    /// Ids of earlier incarnations whose locks are released at start.
    pub previous: Vec<String>,
}

impl Default for Instance {
    fn default() -> Self {
        Self { id: format!("oxherd-{}", random_part()), worker_name: None, previous: Vec::new() }
    }
}

impl Instance {
    /// The part of an id that lock tokens begin with.
    pub(crate) fn incarnation(id: &str) -> String {
        crate::store::incarnation_of(id)
    }
}

/// The random end of an instance id: 60 bits in letters and digits.
#[must_use]
pub fn random_part() -> String {
    std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase()).take(12).collect()
}

/// When to stop without being told.
#[derive(Debug, Clone, Default)]
pub struct Until {
    /// Nothing is left in the queues: waiting, delayed or running.
    pub drained: bool,
    /// This many jobs were taken.
    pub max_jobs: Option<u64>,
    pub max_time: Option<Duration>,
}

/// What an engine does about schedules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheduling {
    /// Puts those of the configuration in force and fires them, beside working the queues.
    #[default]
    Beside,
    /// Leaves them alone.
    Without,
    /// Does nothing else.
    Only,
}

/// How it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ending {
    pub completed: u64,
    /// Of the completed ones those nobody wanted any more.
    pub discarded: u64,
    /// Failed for good.
    pub failed: u64,
    /// Of the failed ones those that had waited too long.
    pub expired: u64,
    /// Of the failed ones those that were cancelled.
    pub cancelled: u64,
    /// Given back unfinished.
    pub handed_back: u64,
    /// Could neither be finished nor given back before the end; others recover them.
    pub left: u64,
}

/// Works the queues of a configuration.
pub struct Engine {
    config: Config,
    registry: Registry,
    instance: Instance,
    until: Until,
    only: Vec<String>,
    scheduling: Scheduling,
    observers: Vec<Arc<dyn Observer>>,
    tracer: Option<Arc<dyn Tracer>>,
    meter: Option<Arc<dyn Meter>>,
    orders: mpsc::UnboundedReceiver<Order>,
    handle: Handle,
    snapshot: watch::Sender<Snapshot>,
}

/// Collects what an engine is made of.
pub struct Builder {
    config: Config,
    functions: BTreeMap<String, Arc<dyn handler::Handler>>,
    instance: Instance,
    until: Until,
    only: Vec<String>,
    scheduling: Scheduling,
    observers: Vec<Arc<dyn Observer>>,
    tracer: Option<Arc<dyn Tracer>>,
    meter: Option<Arc<dyn Meter>>,
}

/// What an engine can be told.
pub(crate) enum Order {
    Quiet,
    /// The first starts draining, the second hands back.
    Stop,
    HandBack,
    Reconfigure(Box<Config>, tokio::sync::oneshot::Sender<Result<(), Error>>),
    Snapshot(tokio::sync::oneshot::Sender<Snapshot>),
    Health(tokio::sync::oneshot::Sender<Health>),
    Depths(tokio::sync::oneshot::Sender<Result<Vec<Depths>, store::Error>>),
    /// From a pool that panicked.
    PoolDied(QueueName),
}

/// Gives orders to a running engine. Cheap to clone; orders after the end are ignored.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    phase: watch::Receiver<Snapshot>,
}

impl Engine {
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder {
            config,
            functions: BTreeMap::new(),
            instance: Instance::default(),
            until: Until::default(),
            only: Vec::new(),
            scheduling: Scheduling::default(),
            observers: Vec::new(),
            tracer: None,
            meter: None,
        }
    }

    /// To give orders while [`Engine::run`] runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The attempts that wait for an endpoint to call back, for the server that is called.
    #[cfg(feature = "daemon")]
    pub(crate) fn callbacks(&self) -> handler::Callbacks {
        self.registry.callbacks().clone()
    }
}

impl Builder {
    /// A Rust function as a handler, under the name queues and routes refer to.
    #[must_use]
    pub fn handler<F, Fut>(self, name: &str, function: F) -> Self
    where
        F: Fn(Arc<Job>, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.handler_object(name, Arc::new(Function::new(function)))
    }

    /// As [`Builder::handler`], for a function that never keeps a thread busy: it runs on the engine's
    /// own thread and starts sooner.
    #[must_use]
    pub fn inline_handler<F, Fut>(self, name: &str, function: F) -> Self
    where
        F: Fn(Arc<Job>, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.handler_object(name, Arc::new(Function::inline(function)))
    }

    /// As [`Builder::handler`], for a type of its own.
    #[must_use]
    pub fn handler_object(mut self, name: &str, handler: Arc<dyn handler::Handler>) -> Self {
        self.functions.insert(name.to_owned(), handler);
        self
    }

    #[must_use]
    pub fn instance(mut self, instance: Instance) -> Self {
        self.instance = instance;
        self
    }

    /// Works these queues only. An empty list works all.
    #[must_use]
    pub fn only_queues(mut self, names: Vec<String>) -> Self {
        self.only = names;
        self
    }

    /// What it does about schedules; unless told otherwise it fires them.
    #[must_use]
    pub fn scheduling(mut self, scheduling: Scheduling) -> Self {
        self.scheduling = scheduling;
        self
    }

    #[must_use]
    pub fn until(mut self, until: Until) -> Self {
        self.until = until;
        self
    }

    /// Told of every event, beside the log.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Makes spans of attempts; their contexts go with what handlers send and with the children they add.
    #[must_use]
    pub fn tracer(mut self, tracer: Arc<dyn Tracer>) -> Self {
        self.tracer = Some(tracer);
        self
    }

    /// Told of every call to Redis.
    #[must_use]
    pub fn meter(mut self, meter: Arc<dyn Meter>) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Checks that every queue's handlers exist. Opens nothing.
    pub fn build(self) -> Result<Engine, Error> {
        let registry = Registry::build(&self.config, self.functions)?;
        can_be_worked(&self.config, &registry, self.scheduling)?;
        let known: Vec<String> = self.config.queues.keys().cloned().collect();
        if let Some(name) = self.only.iter().find(|name| !known.contains(name)) {
            return Err(Error::UnknownQueue { name: name.clone(), known });
        }
        let (orders, receiver) = mpsc::unbounded_channel();
        let (snapshot, phase) = watch::channel(Snapshot::default());
        Ok(Engine {
            config: self.config,
            registry,
            instance: self.instance,
            until: self.until,
            only: self.only,
            scheduling: self.scheduling,
            observers: self.observers,
            tracer: self.tracer,
            meter: self.meter,
            orders: receiver,
            handle: Handle { orders, phase },
            snapshot,
        })
    }
}

/// Whether there is something to do, and somebody for all of it.
fn can_be_worked(config: &Config, registry: &Registry, scheduling: Scheduling) -> Result<(), Error> {
    let fires = scheduling != Scheduling::Without && !config.schedules.is_empty();
    if config.queues.is_empty() && !fires {
        return Err(Error::NoQueues);
    }
    for queue in config.queues.values() {
        registry.router(queue)?;
    }
    Ok(())
}

impl Handle {
    /// Stop taking, let run, then cancel, then hand back. A second call skips to handing back.
    pub fn stop(&self) {
        let _ = self.orders.send(Order::Stop);
    }

    /// Stop taking and hand back at once.
    pub fn hand_back(&self) {
        let _ = self.orders.send(Order::HandBack);
    }

    /// Stop taking; go on with what runs.
    pub fn quiet(&self) {
        let _ = self.orders.send(Order::Quiet);
    }

    /// Puts another configuration in force, but for what only a start reads: where Redis is, and who this is. Jobs that
    /// run keep the settings they started with; those of queues that are gone end in peace. An error changes nothing.
    ///
    /// Answered once the queues are worked, so not before Redis was there once. Cancel safe: the order stands.
    pub async fn reconfigure(&self, config: Config) -> Result<(), Error> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let _ = self.orders.send(Order::Reconfigure(Box::new(config), answer));
        answered.await.unwrap_or(Err(Error::Stopping))
    }

    /// How far the engine is on its way to the end.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.borrow().phase
    }

    /// Waits until the engine is this far on its way to the end, or has ended. Cancel safe.
    pub async fn reached(&self, phase: Phase) {
        // an error is the end
        let _ = self.phase.clone().wait_for(|snapshot| snapshot.phase >= phase).await;
    }

    /// What every slot is doing; none once the engine has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (answer, snapshot) = tokio::sync::oneshot::channel();
        self.orders.send(Order::Snapshot(answer)).ok()?;
        snapshot.await.ok()
    }

    /// How full its queues are, as Redis says now; none before Redis was there first, and once the engine has ended.
    pub async fn depths(&self) -> Option<Result<Vec<Depths>, store::Error>> {
        let (answer, depths) = tokio::sync::oneshot::channel();
        self.orders.send(Order::Depths(answer)).ok()?;
        depths.await.ok()
    }

    /// How the engine is; none once it has ended. Who asks does not wait for Redis, so that no answer within a second or two
    /// means that the engine hangs. Cancellation safe.
    pub async fn health(&self) -> Option<Health> {
        let (answer, health) = tokio::sync::oneshot::channel();
        self.orders.send(Order::Health(answer)).ok()?;
        health.await.ok()
    }
}
