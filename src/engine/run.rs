//! An engine from its start to its end: what is started in which order, and stopped in the reverse.

mod health;
mod link;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use health::Server;

use super::bell;
use super::event::{LogObserver, Observers};
use super::fetcher::{Door, Doors, fetch};
use super::gates::Watched;
use super::health::{Health, RedisHealth};
use super::herald;
use super::phase::Phase;
use super::pool::{Message, Pool, Settings};
use super::renewer::{Register, Renewer};
use super::rescuer::{Bound, Keeping, Kept, prune, rescue};
use super::rights;
use super::scheduler::{self, Wanted};
use super::service::keep_running;
use super::shared::{Handlers, Shared};
use super::slots::{Slots, Stage};
use super::staff::Staff;
use super::status::{QueueSnapshot, RunningJob, ShutGate, Snapshot};
use super::timetable::Timetable;
use super::{Ending, Engine, Error, Handle, Instance, Order, Scheduling, Until};
use crate::config::{self, Config};
use crate::handler::{Gate, Registry, Router};
use crate::job::QueueName;
use crate::store::{self, Connection, Depths, Store, WorkQueue};

/// How often it is looked whether an end that was asked for has come.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait for what Redis says of an end that was asked for; it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the server's settings and clock are looked at.
const CHECK: Duration = Duration::from_secs(60);
/// Difference between our wall clock and the server's that is worth a warning, and an error; ms.
const SKEW: (u64, u64) = (500, 5000);
/// How soon it is tried again to store a queue's settings.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// How long handing back may take once handlers have been given up, Redis being slow.
const CLOSING: Duration = Duration::from_secs(5);

/// A pool at work.
struct Works {
    settings: config::Queue,
    pool: mpsc::UnboundedSender<Message>,
    door: Arc<Door>,
    slots: Arc<Slots>,
    kept: Arc<Kept>,
    gates: Vec<(String, Gate)>,
    task: JoinHandle<()>,
    /// Rings where producers do not.
    bell: Option<AbortOnDropHandle<()>>,
    /// Writes what a reload has changed for the whole fleet.
    storing: Option<AbortOnDropHandle<()>>,
    /// Shows this process to BullMQ dashboards as a worker of the queue.
    _name: Option<AbortOnDropHandle<()>>,
}

impl Works {
    /// The jobs in the slots.
    fn running(&self) -> Vec<RunningJob> {
        let mut running = Vec::new();
        self.slots.each(|_, occupant| {
            running.push(RunningJob {
                id: occupant.job.id.clone(),
                name: occupant.job.name.clone(),
                attempt: occupant.job.attempt(),
                running_for: occupant.since.elapsed(),
                recording: occupant.stage == Stage::Recording,
                stuck: occupant.is_stuck(Instant::now()),
            });
        });
        running
    }
}

/// The scheduler at work; it ends with this.
struct Schedules {
    wanted: watch::Sender<Arc<Wanted>>,
    _task: AbortOnDropHandle<()>,
}

struct Run {
    config: Config,
    registry: Registry,
    instance: Instance,
    until: Until,
    only: Vec<String>,
    scheduling: Scheduling,
    /// Tells when the gates of the handlers move.
    watched: Watched,
    /// The handlers the queues use.
    staff: Staff,
    timetable: Arc<Timetable>,
    /// What the scheduler is to put in force; `None` without one.
    schedules: Option<Schedules>,
    store: Store,
    server: Arc<Server>,
    shared: Arc<Shared>,
    doors: Doors,
    keeping: Keeping,
    works: BTreeMap<QueueName, Works>,
    /// Pools of queues a reload has removed, on their way to their end.
    leaving: Vec<Works>,
    snapshot: watch::Sender<Snapshot>,
    phase: Phase,
    /// Status messages are made whether or not somebody listens here.
    always_publish: bool,
    /// For pools to say that they have died.
    orders: mpsc::UnboundedSender<Order>,
}

impl Engine {
    /// Works the queues until told to stop, or until what was asked for is reached; returns when
    /// everything has really stopped.
    ///
    /// The engine has a thread of its own, where all its tasks and connections are: waking another
    /// thread costs more than anything it does for a job, and no handler can hold it up. Handlers run
    /// on the runtime this is called from, but for those that ask for the engine's thread
    /// ([`crate::handler::Handler::runs_inline`]).
    ///
    /// Dropping the future hands back what runs, in the background.
    pub async fn run(self) -> Result<Ending, Error> {
        let handlers = Handlers::Given(tokio::runtime::Handle::current());
        let dropped = HandBackOnDrop(Some(self.handle()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let (answer, ended) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                let _ = answer.send(runtime.block_on(self.work(handlers)));
                // look-ups of names may still be under way
                runtime.shutdown_timeout(Duration::from_secs(1));
            })
            .map_err(Error::Thread)?;
        let ending = ended.await.map_err(|_| Error::Died)?;
        dropped.disarm();
        ending
    }

    /// As [`Engine::run`], on the calling task's runtime: a current-thread one, that does little else.
    /// Handlers that may keep a thread busy get a runtime of their own when the first of them starts.
    ///
    /// Not cancel safe: dropping the future leaves jobs locked until others recover them.
    pub async fn run_here(self) -> Result<Ending, Error> {
        Box::pin(self.work(Handlers::Own(std::sync::OnceLock::new()))).await
    }

    /// On the engine's thread.
    async fn work(self, handlers: Handlers) -> Result<Ending, Error> {
        let Self {
            config,
            registry,
            instance,
            until,
            only,
            scheduling,
            observers,
            tracer,
            meter,
            mut orders,
            handle,
            snapshot,
        } = self;
        let Some(store) = open_unless_stopped(&config.redis, &instance, &mut orders, &handle).await? else {
            return Ok(Ending::default());
        };
        if let Some(meter) = &meter {
            store.metered(meter);
        }
        // aside: it is large, and soon over
        Box::pin(rights::tell_missing(&store, &config)).await;
        let mut all: Vec<Arc<dyn super::Observer>> = vec![Arc::new(LogObserver)];
        all.extend(observers);
        let register = Register::default();
        let shared = Shared::new(
            Instance::incarnation(&instance.id),
            store.prefix(),
            Observers(all.into()),
            Arc::clone(&register),
            handlers,
            until.max_jobs,
            #[cfg(feature = "app")]
            crate::app::App::new(&store, config.app.clone())?,
        );
        shared.set_zone(config.daemon.timezone.as_deref());
        let shared = Arc::new(shared.with_tracer(tracer));
        let up = RedisHealth::Connected;
        let info = meanwhile(Box::pin(store.server()), &up, &mut orders, &handle, false).await;
        // a subscriber may sit at a replica, where this server cannot see it
        let always_publish = matches!(&info, Some(Ok(info)) if info.connected_replicas > 0);
        let server = Arc::new(Server::default());
        if let Some(Ok(info)) = &info {
            server.note(info);
        }
        let watched = Watched::start(&registry, &shared);
        let staff = Staff::new(&shared);
        let mut run = Run {
            config,
            registry,
            watched,
            staff,
            instance,
            until,
            only,
            scheduling,
            timetable: Arc::default(),
            schedules: None,
            store,
            server,
            shared,
            doors: Doors::default(),
            keeping: Keeping::default(),
            works: BTreeMap::new(),
            leaving: Vec::new(),
            snapshot,
            phase: Phase::Running,
            always_publish,
            orders: handle.orders.clone(),
        };
        let herald = AbortOnDropHandle::new(tokio::spawn(herald::tell(run.store.clone(), Arc::clone(&register))));
        let renewer = Renewer::start(register, run.store.clone(), Arc::clone(&run.shared)).map_err(Error::Thread)?;
        run.employ();
        meanwhile(Box::pin(run.release_old_locks()), &up, &mut orders, &handle, false).await;
        for queue in run.queues_of(&run.config) {
            run.start_pool(&queue)?;
        }
        tracing::info!(instance = run.instance.id, redis = run.store.address(), queues = run.works.len(), "working");
        let services = run.start_services();
        run.start_scheduler();
        run.check_status_stream();
        run.obey(orders).await;
        let ending = run.end().await;
        // renewals stop last: until here an outcome may have been on its way
        drop(herald);
        drop(services);
        drop(renewer);
        if let Err(error) = run.store.close().await {
            tracing::warn!(%error, "redis was not left in order");
        }
        Ok(ending)
    }
}

/// Tells the engine's thread when nobody waits for it any more.
struct HandBackOnDrop(Option<super::Handle>);

impl HandBackOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for HandBackOnDrop {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.hand_back();
        }
    }
}

impl Run {
    fn queues_of(&self, config: &Config) -> Vec<config::Queue> {
        if self.scheduling == Scheduling::Only {
            return Vec::new();
        }
        let wanted = |name: &String| self.only.is_empty() || self.only.contains(name);
        config.queues.iter().filter(|(name, _)| wanted(name)).map(|(_, queue)| queue.clone()).collect()
    }

    fn work_queue(&self, config: &config::Queue) -> WorkQueue {
        WorkQueue::new(
            &self.store,
            config,
            &self.config.status,
            self.instance.worker_name.as_deref(),
            self.always_publish,
        )
    }

    /// Puts back what earlier incarnations of this instance held, so that it is not waited for.
    async fn release_old_locks(&self) {
        if self.instance.previous.is_empty() {
            return;
        }
        let old: Vec<String> = self.instance.previous.iter().map(|id| Instance::incarnation(id)).collect();
        for config in self.queues_of(&self.config) {
            let queue = self.work_queue(&config);
            match queue.release_locks(&old).await {
                Ok(ids) if ids.is_empty() => {}
                Ok(ids) => {
                    tracing::info!(queue = %queue.name(), jobs = ids.len(), "put back what was running before the restart");
                }
                // the stalled check does the same, later
                Err(error) => {
                    tracing::warn!(queue = %queue.name(), %error, "cannot put back what was running before the restart");
                }
            }
        }
    }

    /// Puts the handlers of the queues in use, and no others.
    fn employ(&mut self) {
        let queues = self.queues_of(&self.config);
        self.staff.employ(self.registry.used_by(&queues));
    }

    fn start_pool(&mut self, config: &config::Queue) -> Result<(), Error> {
        let router = self.registry.router(config)?;
        let queue = self.work_queue(config).telling_parents(router.reads_children());
        let (pool, inbox) = mpsc::unbounded_channel();
        let door = self.doors.add(queue.marker(), pool.clone());
        let bell = listen(&queue, &door);
        let name = (self.config.redis.announce_workers && config.list.is_none()).then(|| {
            let announced = announce(self.store.clone(), config.name.clone(), self.instance.worker_name.clone());
            AbortOnDropHandle::new(tokio::spawn(announced))
        });
        let gates = router.gates();
        let slots = Arc::new(Slots::default());
        let bound = Bound { door: Arc::clone(&door), slots: Arc::clone(&slots), lookout: Arc::default() };
        let kept = self.keep(queue.clone(), config, &router, bound.clone());
        let settings = self.pool_settings(config, queue, router);
        let before = self.leaving.iter().filter(|works| works.settings.name == config.name);
        let before = before.map(|works| Arc::clone(&works.slots)).collect();
        let worker = Pool::new(settings, Arc::clone(&self.shared), bound, inbox, self.phase, before);
        let (orders, name_of_pool) = (self.orders.clone(), config.name.clone());
        let task = tokio::spawn(async move {
            if AssertUnwindSafe(worker.run()).catch_unwind().await.is_err() {
                let _ = orders.send(Order::PoolDied(name_of_pool));
            }
        });
        let works =
            Works { settings: config.clone(), pool, door, slots, kept, gates, task, bell, storing: None, _name: name };
        self.works.insert(config.name.clone(), works);
        Ok(())
    }

    fn pool_settings(&self, config: &config::Queue, queue: WorkQueue, router: Router) -> Settings {
        let status = self.config.status.clone();
        let tenant = status.of(config.name.as_str()).tenant.as_str().into();
        Settings { config: config.clone(), queue, router, tenant, status: status.into() }
    }

    fn keep(&self, queue: WorkQueue, config: &config::Queue, router: &Router, bound: Bound) -> Arc<Kept> {
        // with a handler among them that has no gate something can always be done
        let barring = if router.every_one_is_gated() { router.gates() } else { Vec::new() };
        let barring = barring.into_iter().map(|(_, gate)| gate).collect();
        let kept = Arc::new(Kept::new(queue, config, bound, barring));
        self.keeping.lock().expect("no code panics while holding this lock").push(Arc::clone(&kept));
        kept
    }

    /// Finds out whether the stream of status messages can be written: scripts pass over it if not.
    fn check_status_stream(&self) {
        if let Some(stream) = self.config.status.stream.clone().filter(|_| self.config.status.enabled) {
            tokio::spawn(herald::check_stream(self.store.clone(), stream));
        }
    }

    fn forget(&self, kept: &Arc<Kept>) {
        self.keeping.lock().expect("no code panics while holding this lock").retain(|other| !Arc::ptr_eq(other, kept));
    }

    fn start_services(&self) -> Vec<AbortOnDropHandle<()>> {
        let (store, doors) = (self.store.clone(), self.doors.clone());
        let fetcher = keep_running("fetcher", move || fetch(store.clone(), doors.clone()));
        let (shared, keeping) = (Arc::clone(&self.shared), Arc::clone(&self.keeping));
        let rescuer = keep_running("rescuer", move || rescue(Arc::clone(&shared), Arc::clone(&keeping)));
        let keeping = Arc::clone(&self.keeping);
        let pruner = keep_running("pruner", move || prune(Arc::clone(&keeping)));
        let watcher = link::watch(self.store.clone(), Arc::clone(&self.server), Arc::clone(&self.keeping));
        [tokio::spawn(fetcher), tokio::spawn(rescuer), tokio::spawn(pruner), tokio::spawn(watcher)]
            .map(AbortOnDropHandle::new)
            .into()
    }

    fn start_scheduler(&mut self) {
        if self.scheduling == Scheduling::Without {
            return;
        }
        let (wanted, receiver) = watch::channel(Arc::new(Wanted::of(&self.config, self.always_publish)));
        let owner: Arc<str> = self.config.daemon.name.as_deref().unwrap_or(config::Daemon::NAME).into();
        let store = self.store.clone();
        let timetable = Arc::clone(&self.timetable);
        let fire = move || scheduler::fire(store.clone(), owner.clone(), Arc::clone(&timetable), receiver.clone());
        let doer = keep_running("scheduler", fire);
        self.schedules = Some(Schedules { wanted, _task: AbortOnDropHandle::new(tokio::spawn(doer)) });
    }

    /// Takes orders until one of them, or what was asked for at the start, begins the end.
    async fn obey(&mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let started = Instant::now();
        let ends_by_itself = self.until.drained || self.until.max_jobs.is_some() || self.until.max_time.is_some();
        let mut drain_until: Option<Instant> = None;
        let mut cancel_until: Option<Instant> = None;
        loop {
            let look = ends_by_itself && self.phase == Phase::Running || self.phase >= Phase::Draining;
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Quiet) => self.enter(Phase::Quiet),
                    Some(Order::Stop) if self.phase < Phase::Draining => self.begin_draining(&mut drain_until),
                    Some(Order::Stop | Order::HandBack) | None => self.begin_handing_back(&mut cancel_until),
                    Some(Order::Reconfigure(config, answer)) => drop(answer.send(self.reconfigure(*config))),
                    Some(Order::PoolDied(name)) => self.replace_pool(&name),
                    Some(Order::Snapshot(answer)) => drop(answer.send(self.take_snapshot())),
                    Some(Order::Health(answer)) => drop(answer.send(self.health())),
                    Some(Order::Depths(answer)) => self.answer_depths(answer),
                },
                () = tokio::time::sleep(LOOK), if look => {}
            }
            self.leaving.retain(|works| !works.task.is_finished());
            match self.phase {
                Phase::Running if ends_by_itself && within(Box::pin(self.asked_for_is_reached(started))).await => {
                    self.begin_draining(&mut drain_until);
                }
                Phase::Draining | Phase::HandingBack if self.all_pools_ended() => return,
                Phase::Draining if drain_until.is_some_and(|until| until <= Instant::now()) => {
                    self.begin_handing_back(&mut cancel_until);
                }
                Phase::HandingBack if cancel_until.is_some_and(|until| until <= Instant::now()) => {
                    self.enter(Phase::Closed);
                    return;
                }
                _ => {}
            }
        }
    }

    /// No more takes, and a limit for what runs.
    fn begin_draining(&mut self, drain_until: &mut Option<Instant>) {
        self.enter(Phase::Draining);
        *drain_until = Some(Instant::now() + self.config.shutdown.drain);
    }

    fn begin_handing_back(&mut self, cancel_until: &mut Option<Instant>) {
        if self.phase < Phase::HandingBack {
            self.enter(Phase::HandingBack);
            *cancel_until = Some(Instant::now() + self.config.shutdown.cancel);
        }
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase >= phase {
            return;
        }
        self.phase = phase;
        if phase >= Phase::Draining {
            // those who add jobs end before those who do them
            self.schedules = None;
        }
        let running: usize = self.works.values().map(|works| works.slots.occupied()).sum();
        tracing::info!(phase = phase.as_str(), running, "phase");
        self.snapshot.send_modify(|snapshot| snapshot.phase = phase);
        for works in self.works.values().chain(&self.leaving) {
            let _ = works.pool.send(Message::Phase(phase));
        }
    }

    fn all_pools_ended(&self) -> bool {
        self.works.values().chain(&self.leaving).all(|works| works.task.is_finished())
    }

    async fn asked_for_is_reached(&self, started: Instant) -> bool {
        if self.until.max_time.is_some_and(|limit| started.elapsed() >= limit) {
            return true;
        }
        if self.until.max_jobs.is_some() && !self.shared.budget_left() {
            return self.works.values().all(|works| works.slots.occupied() == 0);
        }
        if !self.until.drained || !self.works.values().all(|works| works.door.is_idle()) {
            return false;
        }
        for works in self.works.values() {
            if !works.kept.queue.is_drained().await.unwrap_or(false) {
                return false;
            }
        }
        true
    }

    /// Waits for the pools after the last deadline, bounded, and counts.
    async fn end(&mut self) -> Ending {
        let deadline = Instant::now() + CLOSING;
        let mut left = 0;
        for works in std::mem::take(&mut self.works).into_values().chain(std::mem::take(&mut self.leaving)) {
            let mut task = works.task;
            if tokio::time::timeout_at(deadline.into(), &mut task).await.is_err() {
                left += works.slots.occupied() as u64;
                task.abort();
            }
        }
        if left > 0 {
            tracing::warn!(
                jobs = left,
                "could not be handed back in time; other workers recover them when their locks run out"
            );
        }
        self.staff.dismiss(CLOSING).await;
        self.phase = Phase::Closed;
        self.snapshot.send_modify(|snapshot| snapshot.phase = Phase::Closed);
        let ending = self.shared.totals.ending(left);
        let Ending { completed, discarded, failed, expired, cancelled, handed_back, .. } = ending;
        tracing::info!(completed, discarded, failed, expired, cancelled, handed_back, "stopped");
        ending
    }

    /// Puts other queues and handlers in force, or changes nothing.
    fn reconfigure(&mut self, mut config: Config) -> Result<(), Error> {
        if self.phase >= Phase::Draining {
            return Err(Error::Stopping);
        }
        config::keep(&self.config, &mut config);
        let handlers_changed = self.config.handlers != config.handlers || self.config.list_keys() != config.list_keys();
        // handlers that stay keep what they know, and their gates as they stand
        let registry = if handlers_changed { self.registry.renew(&config)? } else { self.registry.clone() };
        super::can_be_worked(&config, &registry, self.scheduling)?;
        let jobs_see_other = self.renew_app(&config)? || self.config.status != config.status;
        let wanted: BTreeMap<QueueName, config::Queue> =
            self.queues_of(&config).into_iter().map(|queue| (queue.name.clone(), queue)).collect();
        if handlers_changed {
            self.watched.renew(&registry, &self.shared);
        }
        self.shared.set_zone(config.daemon.timezone.as_deref());
        let status_changed = self.config.status != config.status;
        let registry_before = std::mem::replace(&mut self.registry, registry);
        self.config = config;
        if status_changed {
            self.check_status_stream();
        }
        // before their jobs come
        self.employ();
        if let Some(schedules) = &self.schedules {
            schedules.wanted.send_replace(Arc::new(Wanted::of(&self.config, self.always_publish)));
        }
        // what is held in one way cannot be finished in another: such a queue ends and begins again
        let same =
            |name: &QueueName, works: &Works| wanted.get(name).is_some_and(|queue| queue.list == works.settings.list);
        let gone = self.works.iter().filter(|(name, works)| !same(name, works)).map(|(name, _)| name.clone());
        for name in gone.collect::<Vec<_>>() {
            tracing::info!(queue = %name, "no longer worked as it was");
            if let Some(works) = self.works.remove(&name) {
                let _ = works.pool.send(Message::Phase(Phase::Draining));
                self.forget(&works.kept);
                self.doors.remove(&works.door);
                self.leaving.push(works);
            }
        }
        for (name, queue) in wanted {
            if !self.works.contains_key(&name) {
                tracing::info!(queue = %name, slots = queue.concurrency, "worked from now on");
                if let Err(error) = self.start_pool(&queue) {
                    tracing::error!(queue = %name, %error, "cannot be worked");
                }
            } else if jobs_see_other
                || self.works[&name].settings != queue
                || self.registry.differs_for(&queue, &registry_before)
            {
                self.change_pool(&name, &queue);
            }
        }
        Ok(())
    }

    /// Has jobs that start from now on find other things beside the queues. Answers whether they do.
    #[cfg(feature = "app")]
    fn renew_app(&self, config: &Config) -> Result<bool, Error> {
        if self.config.app == config.app {
            return Ok(false);
        }
        self.shared.set_app(self.shared.app().renew(&self.store, config.app.clone())?);
        Ok(true)
    }

    #[cfg(not(feature = "app"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as where there is one")]
    fn renew_app(&self, _: &Config) -> Result<bool, Error> {
        Ok(false)
    }

    /// A pool that panicked is a defect of ours; its queue is worked on all the same. The jobs it held
    /// are recovered when their locks run out.
    fn replace_pool(&mut self, name: &QueueName) {
        tracing::error!(queue = %name, "the pool has died; starting another");
        let Some(works) = self.works.remove(name) else { return };
        self.forget(&works.kept);
        self.doors.remove(&works.door);
        works.slots.each(|_, occupant| occupant.ctx.cancel(crate::handler::CancelReason::LockLost));
        if self.phase == Phase::Running
            && let Err(error) = self.start_pool(&works.settings)
        {
            tracing::error!(queue = %name, %error, "cannot be worked");
        }
    }

    fn change_pool(&mut self, name: &QueueName, config: &config::Queue) {
        let Ok(router) = self.registry.router(config) else { return };
        let queue = self.work_queue(config).telling_parents(router.reads_children());
        let gates = router.gates();
        let works = &self.works[name];
        let (door, slots) = (Arc::clone(&works.door), Arc::clone(&works.slots));
        let bound = Bound { door: Arc::clone(&door), slots, lookout: Arc::clone(&works.kept.lookout) };
        self.forget(&works.kept);
        let kept = self.keep(queue.clone(), config, &router, bound);
        let settings = self.pool_settings(config, queue.clone(), router);
        let bell = listen(&queue, &door);
        let Some(works) = self.works.get_mut(name) else { return };
        works.kept = kept;
        works.bell = bell;
        works.gates = gates;
        let before = std::mem::replace(&mut works.settings, config.clone());
        let _ = works.pool.send(Message::Settings(Box::new(settings)));
        if before != works.settings {
            let storing = store_settings(queue, before, works.pool.clone(), works.storing.take());
            works.storing = Some(AbortOnDropHandle::new(tokio::spawn(storing)));
        }
    }

    /// Whoever asks waits, we do not.
    fn answer_depths(&self, answer: tokio::sync::oneshot::Sender<Result<Vec<Depths>, store::Error>>) {
        let queues: Vec<WorkQueue> = self.works.values().map(|works| works.kept.queue.clone()).collect();
        tokio::spawn(async move {
            let queues: Vec<&WorkQueue> = queues.iter().collect();
            drop(answer.send(WorkQueue::depths(&queues).await));
        });
    }

    fn take_snapshot(&self) -> Snapshot {
        let mut queues: BTreeMap<&QueueName, QueueSnapshot> = BTreeMap::new();
        for (name, works) in &self.works {
            let gates = works.gates.iter().filter_map(|(handler, gate)| ShutGate::of(handler, gate));
            let (slots, gates) = (works.settings.concurrency, gates.collect());
            queues.insert(name, QueueSnapshot { name: name.clone(), slots, running: works.running(), gates });
        }
        // what a reload has ended may still run jobs
        for works in &self.leaving {
            let name = &works.settings.name;
            let none = || QueueSnapshot { name: name.clone(), slots: 0, running: Vec::new(), gates: Vec::new() };
            queues.entry(name).or_insert_with(none).running.extend(works.running());
        }
        Snapshot {
            phase: self.phase,
            queues: queues.into_values().collect(),
            processes: self.staff.processes(),
            gates: self.staff.gates(),
            schedules: self.timetable.now(self.store.now()),
            #[cfg(feature = "app")]
            app: self.shared.app().figures(),
        }
    }
}

/// The answer, if it comes soon: whoever gives orders does not wait for Redis.
async fn within(answer: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or(false)
}

/// Opens the store, which may wait for Redis without end: a stop ends the waiting.
async fn open_unless_stopped(
    redis: &config::Redis,
    instance: &Instance,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    handle: &Handle,
) -> Result<Option<Store>, Error> {
    let away = RedisHealth::Away { since: None, why: "it has not been reached since the start".into() };
    let opened = meanwhile(Box::pin(Store::open(redis, &instance.id)), &away, orders, handle, true).await;
    Ok(opened.transpose()?)
}

/// Waits for a step of the start; who asks meanwhile how we are is told that we are starting. Other orders keep until the
/// queues are worked; `None` when one of them is to stop and that is to end the waiting.
async fn meanwhile<T>(
    mut step: impl Future<Output = T> + Unpin,
    redis: &RedisHealth,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    handle: &Handle,
    ends_by_stop: bool,
) -> Option<T> {
    let mut kept = Vec::new();
    let done = loop {
        tokio::select! {
            done = &mut step => break done,
            order = orders.recv() => match order {
                Some(Order::Health(answer)) => drop(answer.send(Health::starting(redis.clone()))),
                Some(Order::Depths(_)) => {}
                Some(Order::Stop | Order::HandBack) | None if ends_by_stop => return None,
                Some(order) => {
                    // whoever asked has gone since
                    kept.retain(|order| !matches!(order, Order::Snapshot(answer) if answer.is_closed()));
                    kept.push(order);
                }
                // the handle here sends too
                None => {}
            },
        }
    };
    for order in kept {
        let _ = handle.orders.send(order);
    }
    Some(done)
}

/// Stores what a reload has changed in a queue, as often as it takes, after what an `earlier` one has changed; then tells
/// the pool.
async fn store_settings(
    queue: WorkQueue,
    before: config::Queue,
    pool: mpsc::UnboundedSender<Message>,
    earlier: Option<AbortOnDropHandle<()>>,
) {
    if let Some(earlier) = earlier {
        // one that has panicked will not come to an end by being waited for
        let _ = earlier.await;
    }
    let mut is_said = false;
    loop {
        let stored = async {
            queue.apply_limits(Some(&before)).await?;
            queue.open_queue().await
        };
        match stored.await {
            Ok(()) => break,
            Err(error) if error.is_temporary() => {
                if !is_said {
                    tracing::warn!(queue = %queue.name(), %error, "cannot store the queue's settings; trying again");
                    is_said = true;
                }
                tokio::time::sleep(STORE_AGAIN).await;
            }
            Err(error) => {
                tracing::error!(queue = %queue.name(), %error, "cannot store the queue's settings");
                return;
            }
        }
    }
    let _ = pool.send(Message::Limits);
}

/// Has the door rung where producers do not; ends when dropped.
fn listen(queue: &WorkQueue, door: &Arc<Door>) -> Option<AbortOnDropHandle<()>> {
    let bell = queue.bell()?;
    Some(AbortOnDropHandle::new(tokio::spawn(bell::ring(bell, Arc::clone(door)))))
}

/// Holds the connection that shows this process as a worker of a queue.
async fn announce(store: Store, queue: QueueName, worker: Option<String>) {
    loop {
        match store.announce(&queue, worker.as_deref()).await {
            Ok(connection) => {
                let _: Connection = connection;
                std::future::pending::<()>().await;
            }
            Err(error) => {
                tracing::debug!(%queue, %error, "cannot announce this worker");
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
}

/// Due times follow the server's clock; a host that is wrong still confuses those who compare logs.
fn warn_of_skew(store: &Store) {
    let skew = store.skew();
    if skew.unsigned_abs() > SKEW.1 {
        tracing::error!(
            skew,
            "this host's clock differs from the redis server's, in ms; due times follow the server's"
        );
    } else if skew.unsigned_abs() > SKEW.0 {
        tracing::warn!(skew, "this host's clock differs from the redis server's, in ms");
    }
}
