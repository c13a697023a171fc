//! Fires schedules: each time once, over any number of instances and without a leader.
//!
//! Every instance sleeps until the next time it knows of and then asks Redis for it; one is given it. What is fired is
//! what stands in Redis ([`crate::store`], job schedulers): the configuration is only written there, at start and when it
//! is loaded anew. Others write too, so each few seconds it is asked whether anything was written, which is one small
//! read per queue with schedules; queues without any are asked all at once, less often, whether they have one now.
//!
//! Promise: a time is fired within a second of its coming while Redis answers, by the server's clock. Times that come
//! together go out in calls of a hundred, a few at once.

mod due;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::sync::watch;

use self::due::{Due, delay};
use super::timetable::Timetable;
use crate::config::{self, Config, Schedule};
use crate::job::{QueueName, Times, UnixMillis};
use crate::store::{Claim, Error, Fired, FiredJob, Firing, NEVER, Queue, ScheduleStep, Store, StoredSchedule};

/// How often it is asked whether schedules were written; longer with very many queues.
const LOOK: Duration = Duration::from_secs(5);
/// How often queues without schedules are asked whether they have one now.
const LOOK_FOR_FIRST: Duration = Duration::from_secs(30);
/// How often it is asked whether a job has ended that another one waits for, and how soon Redis is asked again after it
/// failed.
const AGAIN: Duration = Duration::from_millis(500);
/// Schedules fired in one call: it keeps Redis from others for some milliseconds.
const BATCH: usize = 100;
/// Calls under way at once.
const CALLS: usize = 4;

/// What the configuration says about schedules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// By queue; queues without any too. With the attempts of jobs that do not name theirs.
    queues: BTreeMap<QueueName, (u32, Vec<Schedule>)>,
    status: config::Status,
    always_publish: bool,
}

impl Wanted {
    pub(crate) fn of(config: &Config, always_publish: bool) -> Self {
        // a list has no schedules
        let bull = config.queues.values().filter(|queue| queue.list.is_none());
        let mut queues: BTreeMap<QueueName, (u32, Vec<Schedule>)> =
            bull.map(|queue| (queue.name.clone(), (queue.policy.attempts, Vec::new()))).collect();
        for schedule in config.schedules.values() {
            queues.entry(schedule.queue.clone()).or_insert((1, Vec::new())).1.push(schedule.clone());
        }
        Self { queues, status: config.status.clone(), always_publish }
    }
}

/// Fires schedules for ever; ends with an error when Redis fails while they are written or read.
pub(crate) async fn fire(
    store: Store,
    owner: Arc<str>,
    timetable: Arc<Timetable>,
    mut wanted: watch::Receiver<Arc<Wanted>>,
) -> Result<(), Error> {
    let mut scheduler = Scheduler { timetable, ..Scheduler::new(store, owner) };
    loop {
        let now_wanted = Arc::clone(&wanted.borrow_and_update());
        scheduler.put(&now_wanted).await?;
        let mut looked = Instant::now();
        loop {
            let ticked = scheduler.tick().await;
            if ticked != Ticked::default() {
                tracing::debug!(
                    fired = ticked.fired,
                    jobs = ticked.jobs,
                    by_others = ticked.by_others,
                    "schedules fired"
                );
            }
            if scheduler.is_stale() || looked.elapsed() >= scheduler.look_interval() {
                is_done(scheduler.look().await)?;
                looked = Instant::now();
            }
            let pause = scheduler.until_next().min(scheduler.look_interval().saturating_sub(looked.elapsed()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}

/// Whether it was done, or Redis has to be there again first.
fn is_done(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is_temporary() => {
            tracing::debug!(%error, "cannot write or read schedules; trying again");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The schedules one instance knows of.
pub(crate) struct Scheduler {
    store: Store,
    /// The name that file schedules of ours carry.
    owner: Arc<str>,
    queues: Vec<Watched>,
    /// When to see to which schedule: moment, place of the queue, name. One whose schedule is to be woken at another
    /// moment by now is stale.
    alarms: BinaryHeap<Reverse<(UnixMillis, usize, Arc<str>)>>,
    /// Redis has lost what was put in force.
    is_lost: bool,
    /// When queues without schedules were asked for their first; `None`: at once.
    asked_for_first: Option<Instant>,
    /// For those who look.
    timetable: Arc<Timetable>,
}

/// A queue and the schedules in it that we fire.
struct Watched {
    queue: Queue,
    /// As it was when they were read.
    version: Option<String>,
    /// They are to be read again whatever the version.
    is_stale: bool,
    /// It held no job scheduler when they were read, ours or other's.
    is_bare: bool,
    schedules: HashMap<Arc<str>, Known>,
}

struct Known {
    stored: StoredSchedule,
    times: Arc<Times>,
    /// There is an alarm for this moment; none for [`NEVER`].
    wake: UnixMillis,
    /// It was said that a time passed because of overlap.
    is_said: bool,
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ticked {
    /// Times claimed here, also without a job.
    pub(crate) fired: u64,
    pub(crate) jobs: u64,
    /// Times that others had claimed.
    pub(crate) by_others: u64,
}

/// A call on its way: the queue's place, the schedules in it, and what came back.
type Called = (usize, Vec<Arc<str>>, Result<Vec<Fired>, Error>);

impl Scheduler {
    pub(crate) fn new(store: Store, owner: Arc<str>) -> Self {
        Self {
            store,
            owner,
            queues: Vec::new(),
            alarms: BinaryHeap::new(),
            is_lost: false,
            asked_for_first: None,
            timetable: Arc::default(),
        }
    }

    /// Writes what the configuration says and reads what stands there then. Safe to repeat.
    pub(crate) async fn put(&mut self, wanted: &Wanted) -> Result<(), Error> {
        // a queue that left the configuration may still hold schedules of ours
        let before: BTreeSet<QueueName> = self.queues.iter().map(|watched| watched.queue.name().clone()).collect();
        let names: BTreeSet<&QueueName> = wanted.queues.keys().chain(&before).collect();
        let none = (1, Vec::new());
        let mut queues = Vec::with_capacity(names.len());
        let mut writing = Vec::with_capacity(names.len());
        for name in names {
            let (attempts, schedules) = wanted.queues.get(name).unwrap_or(&none);
            let queue = self.store.queue(name).announcing_as(&wanted.status, *attempts, wanted.always_publish);
            let own: Vec<&Schedule> = schedules.iter().collect();
            writing.push({
                let (queue, owner) = (queue.clone(), &self.owner);
                async move { (queue.name().clone(), queue.put_schedules(&own, owner).await) }
            });
            queues.push(Watched { queue, version: None, is_stale: true, is_bare: false, schedules: HashMap::new() });
        }
        let mut written = futures_util::stream::iter(writing).buffer_unordered(CALLS);
        while let Some((queue, done)) = written.next().await {
            match done {
                Ok(steps) => tell(&queue, &steps),
                Err(error) if error.is_temporary() => return Err(error),
                // other queues have schedules too
                Err(error) => tracing::error!(%queue, %error, "the schedules of a queue are not put in force"),
            }
        }
        drop(written);
        self.queues = queues;
        self.alarms.clear();
        self.is_lost = false;
        self.look().await
    }

    /// Reads the schedules of queues where any were written since.
    pub(crate) async fn look(&mut self) -> Result<(), Error> {
        self.look_for_first().await?;
        let with_schedules = self.queues.iter().enumerate().filter(|(_, watched)| !watched.is_bare);
        let ask = with_schedules.map(|(place, watched)| {
            let queue = watched.queue.clone();
            async move { (place, queue.schedules_version().await) }
        });
        let asking: Vec<_> = ask.collect();
        let answers: Vec<_> = futures_util::stream::iter(asking).buffer_unordered(16).collect().await;
        for (place, version) in answers {
            let version = version?;
            if version.is_none() && self.queues[place].version.is_some() {
                tracing::warn!(
                    queue = %self.queues[place].queue.name(),
                    "redis has lost the queue's settings, and its schedules; they are put in force again"
                );
                self.is_lost = true;
            } else if self.queues[place].is_stale || self.queues[place].version != version {
                self.read(place, version).await?;
            }
        }
        Ok(())
    }

    /// Where one of the queues without schedules has one now, all of them are read again.
    async fn look_for_first(&mut self) -> Result<(), Error> {
        if self.asked_for_first.is_some_and(|at| at.elapsed() < LOOK_FOR_FIRST) {
            return Ok(());
        }
        let bare: Vec<&Queue> =
            self.queues.iter().filter(|watched| watched.is_bare).map(|watched| &watched.queue).collect();
        if Queue::with_schedulers(&bare).await? > 0 {
            for watched in self.queues.iter_mut().filter(|watched| watched.is_bare) {
                (watched.is_bare, watched.is_stale) = (false, true);
            }
        }
        self.asked_for_first = Some(Instant::now());
        Ok(())
    }

    async fn read(&mut self, place: usize, version: Option<String>) -> Result<(), Error> {
        let watched = &mut self.queues[place];
        watched.is_bare = Queue::with_schedulers(&[&watched.queue]).await? == 0;
        let known = watched.schedules.values();
        let known = known.map(|known| (Arc::clone(&known.stored.hash), Arc::clone(&known.stored.schedule))).collect();
        let found = watched.queue.schedules_fired_by(&self.owner, &known).await?;
        let mut before = std::mem::take(&mut watched.schedules);
        for stored in found {
            let name: Arc<str> = stored.schedule.name.as_str().into();
            let before = before.remove(&name);
            if before.as_ref().is_some_and(|before| before.stored.hash != stored.hash) {
                tracing::warn!(
                    queue = %watched.queue.name(), schedule = &*name,
                    "another instance has put another definition of this schedule in force, which is fired from now on"
                );
            }
            let wake = wake(&stored, self.store.now());
            let is_set = before.as_ref().is_some_and(|before| before.wake == wake);
            let same = before.filter(|before| before.stored.hash == stored.hash);
            let times = match &same {
                Some(same) => Ok(Arc::clone(&same.times)),
                None => Times::of(&stored.schedule.spec, "UTC").map(Arc::new),
            };
            let times = match times {
                Ok(times) => times,
                Err(error) => {
                    tracing::error!(
                        queue = %watched.queue.name(), schedule = &*name, %error,
                        "a schedule in redis cannot be read; it does not run until it is put in force again"
                    );
                    continue;
                }
            };
            let is_said = same.is_some_and(|before| before.is_said);
            if wake < NEVER && !is_set {
                self.alarms.push(Reverse((wake, place, Arc::clone(&name))));
            }
            watched.schedules.insert(name, Known { stored, times, wake, is_said });
        }
        watched.version = version;
        watched.is_stale = false;
        let standing = watched.schedules.iter().map(|(name, known)| (Arc::clone(name), known.stored.next));
        self.timetable.read(watched.queue.name(), standing);
        Ok(())
    }

    /// Fires what is due. Dropped half-way, what was on its way is claimed, by us or by the next who asks.
    pub(crate) async fn tick(&mut self) -> Ticked {
        let calls = self.calls();
        let mut ticked = Ticked::default();
        let mut calling = futures_util::stream::iter(calls).buffer_unordered(CALLS);
        while let Some((place, names, answers)) = calling.next().await {
            match answers {
                Ok(answers) => {
                    for (name, answer) in names.into_iter().zip(answers) {
                        self.take_in(place, name, answer, &mut ticked);
                    }
                }
                Err(error) => {
                    let queue = self.queues[place].queue.name();
                    if error.is_temporary() {
                        tracing::debug!(%queue, %error, "cannot fire schedules; trying again");
                    } else {
                        tracing::error!(%queue, %error, "cannot fire schedules; trying again");
                    }
                    let again = self.store.now().after(AGAIN);
                    for name in names {
                        self.set_alarm(place, name, again);
                    }
                }
            }
        }
        ticked
    }

    /// What is to be asked of Redis now.
    fn calls(&mut self) -> Vec<impl Future<Output = Called> + Send + use<>> {
        let now = self.store.now();
        let mut due: BTreeMap<usize, Vec<Arc<str>>> = BTreeMap::new();
        while let Some(Reverse((at, place, name))) = self.alarms.peek() {
            if *at > now {
                break;
            }
            if let Some(known) = self.queues[*place].schedules.get_mut(name).filter(|known| known.wake == *at) {
                known.wake = NEVER;
                due.entry(*place).or_default().push(Arc::clone(name));
            }
            self.alarms.pop();
        }
        let mut calls = Vec::new();
        for (place, names) in due {
            let watched = &self.queues[place];
            let mut firings: Vec<(Arc<str>, Firing)> = Vec::new();
            for name in names {
                let Some(known) = watched.schedules.get(&name) else { continue };
                firings.extend(known.firings(now).into_iter().map(|firing| (Arc::clone(&name), firing)));
            }
            while !firings.is_empty() {
                // those of one schedule together: one may follow from the other
                let mut end = firings.len().min(BATCH);
                while end < firings.len() && firings[end].0 == firings[end - 1].0 {
                    end += 1;
                }
                let (names, firings): (Vec<_>, Vec<_>) = firings.drain(..end).unzip();
                let queue = watched.queue.clone();
                calls.push(async move { (place, names, queue.fire(&firings).await) });
            }
        }
        calls
    }

    fn take_in(&mut self, place: usize, name: Arc<str>, answer: Fired, ticked: &mut Ticked) {
        let now = self.store.now();
        let watched = &mut self.queues[place];
        let queue = watched.queue.name();
        let Some(known) = watched.schedules.get_mut(&name) else { return };
        match answer {
            Fired::Claimed { by, next, put_off } => {
                let slot = known.stored.next.replace(next);
                known.stored.put_off = put_off;
                let late = slot.map_or(Duration::ZERO, |slot| now.since(slot));
                self.timetable.came(queue, &name, (by != Claim::Busy).then_some(next), by, late);
                match by {
                    Claim::Us { added, left } => {
                        ticked.fired += 1;
                        ticked.jobs += added;
                        if left > 0 && !known.is_said {
                            tracing::info!(
                                %queue, schedule = &*name, "no job: the one before has not ended, and overlap says to wait"
                            );
                        }
                        known.is_said = left > 0;
                    }
                    Claim::Paused => ticked.fired += 1,
                    Claim::Busy => {}
                    Claim::Others => ticked.by_others += 1,
                }
                let wake = if by == Claim::Busy { now.after(AGAIN) } else { wake(&known.stored, now) };
                self.set_alarm(place, name, wake);
            }
            Fired::Changed => watched.is_stale = true,
            Fired::Gone => {
                tracing::info!(%queue, schedule = &*name, "a schedule was removed");
                self.timetable.forget(queue, &name);
                watched.schedules.remove(&name);
            }
            Fired::Foreign => {
                tracing::warn!(
                    %queue, schedule = &*name,
                    "a BullMQ client has made this schedule its own: oxherd fires it no more; \
                     remove that job scheduler, or the schedule from the file"
                );
                watched.schedules.remove(&name);
            }
            Fired::Failed(error) => {
                tracing::error!(%queue, schedule = &*name, error, "cannot fire a schedule; trying again");
                self.set_alarm(place, name, now.after(LOOK));
            }
        }
    }

    fn set_alarm(&mut self, place: usize, name: Arc<str>, at: UnixMillis) {
        let Some(known) = self.queues[place].schedules.get_mut(&name) else { return };
        known.wake = at;
        if at < NEVER {
            self.alarms.push(Reverse((at, place, name)));
        }
    }

    /// Some schedules are to be read again at once.
    pub(crate) fn is_stale(&self) -> bool {
        self.queues.iter().any(|watched| watched.is_stale)
    }

    /// How long until something may be due.
    fn until_next(&self) -> Duration {
        let now = self.store.now();
        self.alarms.peek().map_or(LOOK, |Reverse((at, ..))| at.since(now))
    }

    fn look_interval(&self) -> Duration {
        LOOK.max(Duration::from_millis(10) * u32::try_from(self.queues.len()).unwrap_or(u32::MAX))
    }
}

impl Known {
    /// What to ask for: the job that was put off, and the times that have come.
    fn firings(&self, now: UnixMillis) -> Vec<Firing> {
        let Self { stored, times, .. } = self;
        let schedule = &stored.schedule;
        let job = |slot: UnixMillis, late: Duration| FiredJob {
            slot,
            due: slot.after(late),
            data: schedule.render(slot, "UTC"),
        };
        let mut firings = Vec::new();
        if let Some(slot) = stored.put_off {
            let jobs = vec![job(slot, Duration::ZERO)];
            firings.push(Firing { stored: stored.clone(), claim: None, next: None, jobs });
        }
        let Some(first) = stored.next.filter(|next| *next <= now) else { return firings };
        let (jobs, next) = if stored.is_series {
            // the job of this time is there already: the next one's is to be
            let next = due::after(times, first, now);
            (next.map(|next| job(next, Duration::ZERO)).into_iter().collect(), next)
        } else {
            let Due { slots, next } = Due::of(schedule, times, first, now);
            let late = delay(schedule);
            (slots.into_iter().map(|slot| job(slot, late)).collect(), next)
        };
        firings.push(Firing { stored: stored.clone(), claim: Some(first), next, jobs });
        firings
    }
}

/// When a schedule is to be seen to.
fn wake(stored: &StoredSchedule, now: UnixMillis) -> UnixMillis {
    let next = stored.next.unwrap_or(NEVER);
    if stored.put_off.is_some() { next.min(now.after(AGAIN)) } else { next }
}

/// Says what was written.
fn tell(queue: &QueueName, steps: &BTreeMap<String, ScheduleStep>) {
    let count = |wanted: &ScheduleStep| steps.values().filter(|step| *step == wanted).count();
    let (created, changed, removed) =
        (count(&ScheduleStep::Create), count(&ScheduleStep::Change), count(&ScheduleStep::Remove));
    if created + changed + removed > 0 {
        tracing::info!(%queue, created, changed, removed, kept = count(&ScheduleStep::Keep), "schedules put in force");
    }
    for (schedule, step) in steps {
        match step {
            ScheduleStep::Create | ScheduleStep::Change | ScheduleStep::Remove => {
                tracing::debug!(%queue, schedule, step = ?step, "schedule put in force");
            }
            ScheduleStep::Outranked { revision } => tracing::warn!(
                %queue, schedule, revision,
                "another definition of this schedule with a higher revision is in force, and is fired instead of the \
                 file's; give the file's a higher one if it is the newer"
            ),
            ScheduleStep::Taken { by } => tracing::warn!(
                %queue, schedule, by = ?by,
                "a job scheduler of this name is there that is not this file's: the schedule does not run; \
                 remove the one, or rename the other"
            ),
            ScheduleStep::Keep | ScheduleStep::Foreign { .. } => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
