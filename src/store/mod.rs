//! How does Redis hold it? The only room that speaks to Redis; no type of its client leaves it.
//!
//! A [`Store`] is a cheap handle on the connections of one process. The engine and the command line open one each and
//! call one method per operation.

mod add;
mod admin;
#[cfg(feature = "app")]
pub(crate) mod app;
mod audit;
mod cancel;
#[cfg(feature = "daemon")]
pub mod checkup;
mod claim;
mod clock;
mod codec;
mod connection;
mod depths;
mod embedded;
mod error;
mod export;
mod family;
mod figures;
mod finish;
mod flow;
mod gates;
mod keys;
mod keyspace;
mod layout;
mod limits;
mod list;
mod meter;
mod moves;
mod orphans;
mod queue;
mod record;
mod refusal;
mod reply;
mod report;
pub mod rights;
mod schedule;
mod script;
mod select;
mod server;
mod subscription;
#[cfg(test)]
pub(crate) mod testing;
mod update;
mod updates;
mod upkeep;
mod walk;
mod work;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::config;
use crate::job::{QueueName, UnixMillis};

#[cfg(feature = "daemon")]
pub(crate) use add::check as check_job;
pub use admin::Neighbours;
#[cfg(feature = "app")]
pub use app::Swept;
#[cfg(feature = "app")]
pub(crate) use app::{AppStore, Begun, Stored};
pub use audit::Deed;
pub use cancel::Cancellation;
pub(crate) use cancel::Order;
pub(crate) use claim::{Renewal, Take, Taken};
pub(crate) use connection::{Connection, Link, Role, Value};
pub use depths::Depths;
pub use embedded::Embedding;
pub use error::Error;
pub use export::{ExportedJob, Imported};
pub use family::{Dependencies, JobTree};
pub use figures::{Finished, Metrics};
pub(crate) use finish::{Change, Finish, LastProgress};
pub use flow::{AddedFlow, MAX_FLOW};
pub(crate) use gates::Posted;
pub use gates::StoredGate;
#[cfg(feature = "app")]
pub(crate) use keys::AppKeys;
pub(crate) use keys::{Keys, escaped};
#[cfg(feature = "http")]
pub(crate) use keyspace::Filled;
pub(crate) use keyspace::{Collection, Cursor as KeyCursor, Guard, Keyspace, Sieve, Trimmed, Trimming};
pub(crate) use list::Bell;
pub use list::{Dead, Delayed, ElementRecord, Holder, List, ListOverview, Waiting};
pub use meter::Meter;
pub use moves::Reset;
pub use orphans::{Orphan, OrphanKind, Orphans, YOUNGEST};
pub use queue::{Counts, MAX_PAGE, Overview, Queue, StoredRateLimit};
pub use record::JobRecord;
pub(crate) use refusal::{News, Refusals};
pub use reply::Code;
pub(crate) use reply::Recorded;
pub(crate) use report::JobReport;
pub(crate) use schedule::{Claim, Fired, FiredJob, Firing, NEVER, NextIteration, StoredSchedule};
pub use schedule::{
    Definition, LastJob, LastOutcome, LastRun, Mark, Origin, OwnSchedule, ScheduleStep, StoredScheduler,
};
pub use select::{Selected, Selection};
pub use server::{ServerInfo, ServerKind, ServerUsage};
pub use subscription::{Heard, Message, Subscription};

pub(crate) use layout::WorkQueue;
pub use update::Update;
pub use updates::{EntryId, KeptPage, NoEntryId, StatusMessage, Updates};
pub(crate) use upkeep::Work;
pub use walk::Cursor;
pub(crate) use work::{Held, Token};

use clock::ServerClock;
use embedded::Embedded;

/// Cheap to clone; the connections close when the last clone goes.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    redis: config::Redis,
    instance: Arc<str>,
    command: Connection,
    blocking: OnceCell<Connection>,
    renewal: OnceCell<Connection>,
    #[cfg(feature = "app")]
    app: OnceCell<Connection>,
    clock: ServerClock,
    /// Our share in a private server.
    embedded: tokio::sync::Mutex<Option<Embedded>>,
    meter: OnceLock<Arc<dyn Meter>>,
    /// Keeps the clock right and the private server running; ends with the store.
    task: OnceLock<AbortOnDropHandle<()>>,
}

impl Store {
    /// Connects, checks the server and reads its clock.
    ///
    /// With `at_start = "wait"` a server that is not there, or not ready, is waited for without end; that is logged
    /// once. Wrong credentials and an old server are errors at once. A private server is started where none runs; end
    /// with [`Store::close`], or it stays. `instance` names this process to others.
    pub async fn open(redis: &config::Redis, instance: &str) -> Result<Self, Error> {
        Self::open_with(redis, instance, Embedding::Start).await
    }

    /// As [`Store::open`], for those who only want to look: with [`Embedding::Join`] no private server is started.
    pub async fn open_with(redis: &config::Redis, instance: &str, embedding: Embedding) -> Result<Self, Error> {
        let mut embedded = match &redis.endpoint {
            config::Endpoint::Embedded(directory) => Some(Embedded::open(directory, embedding).await?),
            _ => None,
        };
        let mut waiting = false;
        loop {
            let error = match Self::try_open(redis, instance, &mut embedded).await {
                Ok(store) => {
                    if waiting {
                        tracing::info!(server = store.inner.command.server(), "redis is there");
                    }
                    return Ok(store);
                }
                Err(error) => error,
            };
            if redis.at_start == config::AtStart::Fail || !error.is_temporary() {
                return Err(error);
            }
            if !waiting {
                tracing::warn!(%error, "waiting for redis");
                waiting = true;
            }
            tokio::time::sleep(Duration::from_millis(300 + fastrand::u64(..300))).await;
        }
    }

    /// As [`Store::open_with`] for who examines the server: one that is too old or says nothing about itself will do,
    /// nothing is waited for and no private server is started.
    #[cfg(feature = "daemon")]
    pub(crate) async fn open_to_examine(redis: &config::Redis) -> Result<Self, Error> {
        let embedded = match &redis.endpoint {
            config::Endpoint::Embedded(directory) => Some(Embedded::open(directory, Embedding::Join).await?),
            _ => None,
        };
        let command = Connection::open(redis, Role::Command).await?;
        let clock = match ServerClock::open(&command).await {
            Ok(clock) => clock,
            Err(error) if error.is_temporary() => return Err(error),
            Err(_) => ServerClock::assumed(),
        };
        Ok(Self::over(redis, "doctor", command, clock, embedded))
    }

    async fn try_open(redis: &config::Redis, instance: &str, embedded: &mut Option<Embedded>) -> Result<Self, Error> {
        let command = Connection::open(redis, Role::Command).await?;
        let info = ServerInfo::read(&command).await?;
        info.require()?;
        if !info.keeps_everything() {
            let policy = info.eviction.as_deref().unwrap_or_default();
            tracing::error!(
                server = command.server(),
                policy,
                "redis may delete jobs when its memory is full; set maxmemory-policy noeviction"
            );
        }
        let clock = ServerClock::open(&command).await?;
        Ok(Self::over(redis, instance, command, clock, embedded.take()))
    }

    fn over(
        redis: &config::Redis,
        instance: &str,
        command: Connection,
        clock: ServerClock,
        embedded: Option<Embedded>,
    ) -> Self {
        let inner = Arc::new(Inner {
            redis: redis.clone(),
            instance: instance.into(),
            command,
            blocking: OnceCell::new(),
            renewal: OnceCell::new(),
            #[cfg(feature = "app")]
            app: OnceCell::new(),
            clock,
            embedded: tokio::sync::Mutex::new(embedded),
            meter: OnceLock::new(),
            task: OnceLock::new(),
        });
        let task = tokio::spawn(keep(Arc::downgrade(&inner), inner.command.link()));
        let _ = inner.task.set(AbortOnDropHandle::new(task));
        Self { inner }
    }

    /// Says goodbye. A private server that nobody else uses is stopped, and its data is on disk when this returns.
    ///
    /// Calls still in flight on other clones end in errors then.
    pub async fn close(self) -> Result<(), Error> {
        if let Some(task) = self.inner.task.get() {
            task.abort();
        }
        let embedded = self.inner.embedded.lock().await.take();
        match embedded {
            Some(embedded) => embedded.leave().await,
            None => Ok(()),
        }
    }

    /// The server's time.
    pub fn now(&self) -> UnixMillis {
        self.inner.clock.now()
    }

    /// From now on the clock stands still; for tests that compare moments.
    #[cfg(test)]
    pub(crate) fn freeze(&self, at: UnixMillis) {
        self.inner.clock.freeze(at);
    }

    /// The same server under another prefix; for tests that play on several.
    #[cfg(test)]
    pub(crate) async fn under(&self, prefix: &str) -> Result<Self, Error> {
        let redis = config::Redis { prefix: prefix.to_owned(), ..self.inner.redis.clone() };
        Self::open(&redis, self.instance()).await
    }

    /// How far this host's wall clock is ahead of the server's, in ms; negative when behind.
    pub fn skew(&self) -> i64 {
        self.inner.clock.skew()
    }

    /// Compares the clocks now.
    #[cfg(feature = "daemon")]
    async fn measure_clock(&self) -> Result<(), Error> {
        self.inner.clock.measure(&self.inner.command).await
    }

    /// First segment of every key.
    pub fn prefix(&self) -> &str {
        &self.inner.redis.prefix
    }

    /// The name this process was opened with.
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// What the tokens of this process begin with.
    pub(crate) fn incarnation(&self) -> String {
        incarnation_of(&self.inner.instance)
    }

    /// Where the server is, for messages.
    pub fn address(&self) -> &str {
        self.inner.command.server()
    }

    pub fn is_connected(&self) -> bool {
        self.inner.command.is_connected()
    }

    /// The state of the command connection, which stands for all: they share the server.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.inner.command.link()
    }

    /// What the server refuses, as the command connection sees it.
    pub(crate) fn refusals(&self) -> Arc<Refusals> {
        self.inner.command.refusals()
    }

    pub(crate) fn keys(&self, queue: &QueueName) -> Keys {
        Keys::new(&self.inner.redis.prefix, queue)
    }

    /// For scripts and short commands.
    pub(crate) fn command(&self) -> &Connection {
        &self.inner.command
    }

    /// Has this told of all calls from now on; once.
    pub(crate) fn metered(&self, meter: &Arc<dyn Meter>) {
        self.inner.command.metered(meter);
        let _ = self.inner.meter.set(Arc::clone(meter));
    }

    async fn connect(&self, role: Role) -> Result<Connection, Error> {
        let connection = Connection::open(&self.inner.redis, role).await?;
        if let Some(meter) = self.inner.meter.get() {
            connection.metered(meter);
        }
        Ok(connection)
    }

    /// For calls that wait in the server; opened at first use.
    pub(crate) async fn blocking(&self) -> Result<&Connection, Error> {
        self.inner.blocking.get_or_try_init(|| self.connect(Role::Blocking)).await
    }

    /// As [`Store::blocking`], a connection of its own for who waits in another way.
    pub(crate) async fn blocking_apart(&self) -> Result<Connection, Error> {
        self.connect(Role::Blocking).await
    }

    /// For lock renewal, so that nothing delays it; opened at first use.
    pub(crate) async fn renewal(&self) -> Result<&Connection, Error> {
        self.inner.renewal.get_or_try_init(|| self.connect(Role::Renewal)).await
    }

    /// For what is kept beside the queues, so that no job waits behind a large value; opened at first use.
    #[cfg(feature = "app")]
    async fn app(&self) -> Result<&Connection, Error> {
        self.inner.app.get_or_try_init(|| self.connect(Role::Command)).await
    }

    /// A connection that does nothing but be seen by BullMQ's `getWorkers`, for as long as it is held.
    pub(crate) async fn announce(&self, queue: &QueueName, worker: Option<&str>) -> Result<Connection, Error> {
        let name = self.keys(queue).client_name(worker);
        self.connect(Role::Named(name)).await
    }

    pub async fn ping(&self) -> Result<(), Error> {
        self.inner.command.call("PING", Vec::new()).await.map(drop)
    }

    /// What the server says about itself now.
    pub async fn server(&self) -> Result<ServerInfo, Error> {
        ServerInfo::read(&self.inner.command).await
    }

    /// What the server has used up so far; two readings make a figure.
    pub async fn usage(&self) -> Result<ServerUsage, Error> {
        ServerUsage::read(&self.inner.command).await
    }

    /// Every queue under the prefix, sorted. Reads the whole key space in small steps.
    pub async fn queue_names(&self) -> Result<Vec<QueueName>, Error> {
        let prefix = &self.inner.redis.prefix;
        let pattern = keys::meta_pattern(prefix);
        let mut names = std::collections::BTreeSet::new();
        let mut cursor = Some("0".to_owned());
        while let Some(from) = cursor {
            let keys;
            (cursor, keys) = self.scan(&from, &pattern).await?;
            names.extend(keys.iter().filter_map(|key| keys::queue_of_meta(prefix, key)));
        }
        Ok(names.into_iter().collect())
    }

    /// Up to `most` queues under the prefix, sorted, from the first hundred thousand keys.
    #[cfg(feature = "daemon")]
    async fn some_queue_names(&self, most: usize) -> Result<Vec<QueueName>, Error> {
        const STEPS: usize = 100;
        let prefix = &self.inner.redis.prefix;
        let pattern = keys::meta_pattern(prefix);
        let mut names = std::collections::BTreeSet::new();
        let mut cursor = Some("0".to_owned());
        for _ in 0..STEPS {
            let Some(from) = cursor.filter(|_| names.len() < most) else { break };
            let keys;
            (cursor, keys) = self.scan(&from, &pattern).await?;
            names.extend(keys.iter().filter_map(|key| keys::queue_of_meta(prefix, key)));
        }
        Ok(names.into_iter().take(most).collect())
    }

    /// Deletes every key that matches. Reads the whole key space in small steps.
    async fn unlink(&self, pattern: &str) -> Result<(), Error> {
        let mut cursor = Some("0".to_owned());
        while let Some(from) = cursor {
            let keys;
            (cursor, keys) = self.scan(&from, pattern).await?;
            if !keys.is_empty() {
                self.inner.command.call("UNLINK", keys.into_iter().map(Value::from).collect()).await?;
            }
        }
        Ok(())
    }

    /// One step through the key space: where to go on, `None` at the end, and the keys met.
    async fn scan(&self, cursor: &str, pattern: &str) -> Result<(Option<String>, Vec<String>), Error> {
        let args = [cursor, "MATCH", pattern, "COUNT", "1000"].map(Value::from).to_vec();
        let mut parts = reply::array("SCAN", self.inner.command.call("SCAN", args).await?)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let next = reply::text("SCAN", part())?;
        Ok(((next != "0").then_some(next), reply::texts("SCAN", part())?))
    }
}

/// What the lock tokens of a process begin with: the random end of its name.
pub(crate) fn incarnation_of(instance: &str) -> String {
    instance.rsplit('-').next().unwrap_or(instance).replace(':', "")
}

/// Compares the clocks each minute, and when a link comes back: it may lead to another server. Starts a private server
/// again that has gone.
async fn keep(store: Weak<Inner>, mut link: watch::Receiver<Link>) {
    loop {
        let lost = matches!(*link.borrow_and_update(), Link::Lost { .. });
        let pause = if lost { Duration::from_secs(1) } else { clock::INTERVAL };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = link.changed() => if changed.is_err() { return },
        }
        let Some(inner) = store.upgrade() else { return };
        let lost = matches!(*link.borrow(), Link::Lost { .. });
        if lost
            && let Some(embedded) = &*inner.embedded.lock().await
            && let Err(error) = embedded.mend().await
        {
            tracing::error!(%error, "cannot start the private redis-server again");
        }
        if !lost && let Err(error) = inner.clock.measure(&inner.command).await {
            tracing::debug!(%error, "cannot read the server's clock");
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;
