//! Schedules on a real server, with a clock that goes as the tests say.

mod chaos;
mod clocks;
mod kept;
mod overlap;
mod speed;

use serde_json::value::RawValue;

use super::*;
use crate::config::{CatchUp, Overlap};
use crate::job::{Job, JobId, JobOptions, SchedulerSpec};
use crate::store::testing::{Server, events, redis};
use crate::store::{Take, WorkQueue};

/// A whole number of seconds, and of five minutes.
pub(super) const T0: i64 = 1_700_000_100_000;
const HOUR: i64 = 3_600_000;

/// A schedule of queue `q` that is no series.
pub(crate) fn every(name: &str, ms: u64) -> Schedule {
    Schedule {
        name: name.into(),
        queue: QueueName::new("q").unwrap(),
        spec: SchedulerSpec { every: Some(Duration::from_millis(ms)), ..SchedulerSpec::default() },
        job_name: "tick".into(),
        data: RawValue::from_string("{}".into()).unwrap(),
        opts: JobOptions::default(),
        overlap: Overlap::Skip,
        catch_up: CatchUp::Last,
        catch_up_window: Schedule::CATCH_UP_WINDOW,
        jitter: Duration::ZERO,
        description: None,
        enabled: true,
        revision: 0,
    }
}

/// As [`every`], with jobs that may overlap: all that is due comes.
fn allowed(name: &str, ms: u64) -> Schedule {
    Schedule { overlap: Overlap::Allow, catch_up: CatchUp::All, ..every(name, ms) }
}

/// A schedule that BullMQ can carry.
fn series(name: &str, ms: u64) -> Schedule {
    Schedule { overlap: Overlap::Allow, ..every(name, ms) }
}

fn wanted(schedules: &[Schedule]) -> Wanted {
    let mut config = Config::default();
    config.status.enabled = false;
    let q = config::Queue::new(QueueName::new("q").unwrap());
    config.queues.insert("q".into(), q);
    config.schedules = schedules.iter().map(|schedule| (schedule.name.clone(), schedule.clone())).collect();
    Wanted::of(&config, false)
}

/// One of several processes that share a file.
struct Instance {
    store: Store,
    scheduler: Scheduler,
}

impl Instance {
    /// Started at a moment of its clock.
    async fn start(server: &Server, now: i64, schedules: &[Schedule]) -> Self {
        Self::named(server, now, schedules, "oxherd").await
    }

    async fn named(server: &Server, now: i64, schedules: &[Schedule], owner: &str) -> Self {
        let store = Store::open(&server.config(), "test").await.unwrap();
        store.freeze(UnixMillis(now));
        let mut scheduler = Scheduler::new(store.clone(), owner.into());
        scheduler.put(&wanted(schedules)).await.unwrap();
        Self { store, scheduler }
    }

    /// As on a reload.
    async fn put(&mut self, schedules: &[Schedule]) {
        self.scheduler.put(&wanted(schedules)).await.unwrap();
    }

    /// What the loop does at a moment.
    async fn at(&mut self, now: i64) -> Ticked {
        self.store.freeze(UnixMillis(now));
        let mut ticked = Ticked::default();
        // as long as something is due, as the loop
        loop {
            let more = self.scheduler.tick().await;
            if self.scheduler.is_stale() {
                self.scheduler.look().await.unwrap();
            } else if more == Ticked::default() {
                return ticked;
            }
            ticked.fired += more.fired;
            ticked.jobs += more.jobs;
            ticked.by_others += more.by_others;
        }
    }

    fn queue(&self) -> Queue {
        self.store.queue(&QueueName::new("q").unwrap())
    }

    fn work(&self) -> WorkQueue {
        let silent = config::Status { enabled: false, ..config::Status::default() };
        WorkQueue::new(&self.store, &config::Queue::new(QueueName::new("q").unwrap()), &silent, None, false)
    }

    /// Takes the next job, as a worker; the series of BullMQ's kind goes on.
    async fn take(&self) -> Option<Job> {
        let taken = self.work().move_to_active(&Take { token: "t:1".into(), want: 1 }).await.unwrap();
        let job = taken.jobs.into_iter().next()?;
        self.work().add_next_iteration(&job, "UTC").await.unwrap();
        Some(job)
    }

    /// Ends a job that was taken.
    async fn end(&self, job: &Job) {
        redis(&self.store, &format!("LREM bull:q:active 1 {}", job.id)).await;
        redis(&self.store, &format!("DEL bull:q:{}:lock", job.id)).await;
        redis(&self.store, &format!("ZADD bull:q:completed 1 {}", job.id)).await;
    }

    /// The schedules and moments of all jobs that were ever added, in their order; moments after [`T0`].
    async fn added(&self) -> Vec<(String, i64)> {
        let all = events(&self.store, "q").await;
        let ids = all.iter().filter_map(|event| event.strip_prefix("added jobId repeat:"));
        let ids = ids.map(|rest| rest.split_once(' ').unwrap().0.rsplit_once(':').unwrap());
        ids.map(|(name, slot)| (name.to_owned(), slot.parse::<i64>().unwrap() - T0)).collect()
    }

    /// As [`Instance::added`], moments only.
    async fn slots(&self) -> Vec<i64> {
        self.added().await.into_iter().map(|(_, slot)| slot).collect()
    }

    async fn next(&self, name: &str) -> Option<i64> {
        let found = self.queue().scheduler(name).await.unwrap()?;
        found.next.map(|next| next.0 - T0)
    }
}

/// A server that forgets no event.
async fn server() -> Server {
    let server = Server::start().await;
    server.run("HSET bull:q:meta opts.maxLenEvents 10000000").await;
    server
}

#[tokio::test]
async fn an_iteration_is_as_bullmq_makes_it() {
    let server = server().await;
    let mut schedule = every("daily", 1000);
    schedule.spec = SchedulerSpec {
        pattern: Some("*/5 * * * *".into()),
        timezone: Some("Europe/Oslo".into()),
        limit: Some(3),
        ..SchedulerSpec::default()
    };
    schedule.data =
        RawValue::from_string(r#"{"day":"{scheduled.date}","at":"{scheduled.time}","n":1}"#.into()).unwrap();
    schedule.opts = JobOptions::parse(r#"{"attempts":4,"removeOnComplete":{"count":5}}"#).unwrap().0;
    let mut one = Instance::start(&server, T0 - 1, &[schedule]).await;
    assert_eq!(redis(&one.store, "ZCARD bull:q:delayed").await, "0", "no job before its time");
    one.at(T0 + 7).await;
    let id = JobId::stored(&format!("repeat:daily:{T0}"));
    let record = serde_json::to_value(one.queue().job(&id).await.unwrap().unwrap()).unwrap();
    assert_eq!(record["name"], "tick");
    assert_eq!(record["data"], serde_json::json!({"day": "2023-11-14", "at": "23:15:00", "n": 1}));
    assert_eq!(
        record["opts"].to_string(),
        format!(
            r#"{{"attempts":4,"removeOnComplete":{{"count":5}},"repeat":{{"pattern":"*/5 * * * *","tz":"Europe/Oslo","limit":3,"count":1}},"repeatJobKey":"daily","timestamp":{now},"jobId":"{id}","delay":0,"prevMillis":{T0}}}"#,
            now = T0 + 7
        )
    );
    assert_eq!(redis(&one.store, &format!("HGET bull:q:{id} rjk")).await, "daily");
    assert_eq!(redis(&one.store, "ZSCORE bull:q:repeat daily").await, (T0 + 300_000).to_string());
    let fields =
        redis(&one.store, "HMGET bull:q:repeat:daily name pattern tz limit offset ic oxherd.last oxherd.fired");
    assert_eq!(fields.await, format!("tick */5 * * * * Europe/Oslo 3 0 1 {id} {T0}"));
    // nobody who takes it makes another one
    assert_eq!(one.take().await.unwrap().id, id);
    assert_eq!(one.slots().await, [0]);
}

#[tokio::test]
async fn a_limit_and_an_end_are_kept() {
    let server = server().await;
    let mut limited = allowed("limited", 1000);
    limited.spec.limit = Some(2);
    let mut ending = allowed("ending", 1000);
    ending.spec.end = Some(UnixMillis(T0 + 1500));
    let mut both = series("series", 1000);
    both.spec.limit = Some(2);
    let schedules = [limited, ending, both];
    let mut one = Instance::start(&server, T0 - 1, &schedules).await;
    for second in 0..5 {
        one.at(T0 + second * 1000).await;
        while one.take().await.is_some() {}
    }
    let mut added = one.added().await;
    added.sort();
    let names: Vec<_> = added.iter().map(|(name, slot)| (name.as_str(), *slot)).collect();
    assert_eq!(
        names,
        [("ending", 0), ("ending", 1000), ("limited", 0), ("limited", 1000), ("series", 0), ("series", 1000)]
    );
    // nor do they begin again with a restart
    let mut again = Instance::start(&server, T0 + 9000, &schedules).await;
    assert_eq!(again.at(T0 + 20_000).await, Ticked::default());
}

#[tokio::test]
async fn jitter_delays_the_job_and_not_the_schedule() {
    let server = server().await;
    let schedule = Schedule { jitter: Duration::from_secs(600), ..every("later", 300_000) };
    let late = i64::try_from(due::delay(&schedule).as_millis()).unwrap();
    assert!(late > 10, "another name is needed");
    let mut one = Instance::start(&server, T0 - 1, &[schedule]).await;
    one.at(T0 + 3).await;
    let id = format!("repeat:later:{T0}");
    let due = redis(&one.store, &format!("ZSCORE bull:q:delayed {id}")).await.parse::<i64>().unwrap() / 4096;
    assert_eq!(due, T0 + late);
    assert_eq!(one.next("later").await, Some(300_000));
}

#[tokio::test]
async fn a_queue_without_schedules_is_noticed_to_have_its_first() {
    let server = server().await;
    let mut one = Instance::start(&server, T0 - 1, &[]).await;
    assert!(one.scheduler.queues.iter().all(|watched| watched.is_bare));
    let other = Instance::start(&server, T0 - 1, &[every("d", 1000)]).await;
    drop(other);

    one.scheduler.look().await.unwrap();
    assert_eq!(one.at(T0).await, Ticked::default(), "asked a moment ago");
    one.scheduler.asked_for_first = None;
    one.scheduler.look().await.unwrap();
    assert_eq!(one.at(T0).await.fired, 1);
    assert!(one.scheduler.queues.iter().all(|watched| !watched.is_bare));
}
