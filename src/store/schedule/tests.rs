use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;
use crate::job::schedule::next_every;
use crate::job::{Job, JobOptions, QueueName, State};
use crate::store::testing::Server;
use crate::store::{Code, Store, Take, WorkQueue};

const T0: i64 = 1_700_000_000_000;

struct Rig {
    server: Server,
    store: Store,
    settings: config::Queue,
}

impl Rig {
    async fn new() -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        store.freeze(UnixMillis(T0));
        Self { server, store, settings: config::Queue::new(QueueName::new("q").unwrap()) }
    }

    fn queue(&self) -> Queue {
        self.store.queue(&self.settings.name)
    }

    fn work(&self) -> WorkQueue {
        let silent = config::Status { enabled: false, ..config::Status::default() };
        WorkQueue::new(&self.store, &self.settings, &silent, None, false)
    }

    async fn take(&self, token: &str) -> Job {
        let taken = self.work().move_to_active(&Take { token: token.into(), want: 1 }).await.unwrap();
        taken.jobs.into_iter().next().expect("an iteration to take")
    }

    async fn next(&self, job: &Job) -> NextIteration {
        self.work().add_next_iteration(job, "UTC").await.unwrap()
    }

    async fn opts(&self, id: &str) -> Json {
        let record = self.queue().job(&JobId::stored(id)).await.unwrap().unwrap_or_else(|| panic!("no job {id}"));
        serde_json::to_value(&record).unwrap()["opts"].clone()
    }

    fn advance(&self, to: i64) {
        self.store.freeze(UnixMillis(T0 + to));
    }
}

fn every(ms: u64) -> SchedulerSpec {
    SchedulerSpec { every: Some(Duration::from_millis(ms)), ..SchedulerSpec::default() }
}

fn cron(pattern: &str) -> SchedulerSpec {
    SchedulerSpec { pattern: Some(pattern.into()), timezone: Some("UTC".into()), ..SchedulerSpec::default() }
}

fn template(data: &Json, opts: &str) -> Template {
    let opts = JobOptions::parse(opts).unwrap().0;
    Template { name: "tick".into(), data: to_raw_value(data).unwrap(), opts }
}

fn plain() -> Template {
    template(&json!({}), "{}")
}

fn added(next: NextIteration) -> String {
    let NextIteration::Added(id) = next else { panic!("{next:?}") };
    id.to_string()
}

#[tokio::test]
async fn a_scheduler_is_listed_as_it_was_made() {
    let rig = Rig::new().await;
    let queue = rig.queue();
    let spec = SchedulerSpec {
        limit: Some(7),
        end: Some(UnixMillis(T0 + 9_000_000)),
        mark: Some("oxherd.toml".into()),
        ..cron("*/5 * * * *")
    };
    queue.upsert_scheduler("a:b", &spec, &template(&json!({"x": []}), r#"{"attempts":2}"#)).await.unwrap().unwrap();
    queue.upsert_scheduler("soon", &every(1000), &plain()).await.unwrap().unwrap();
    let listed = queue.schedulers(0, 10).await.unwrap();
    assert_eq!(listed.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["soon", "a:b"]);
    let definition = Definition {
        name: "tick".into(),
        spec,
        iterations: Some(1),
        data: Some(r#"{"x":[]}"#.into()),
        opts: Some(r#"{"attempts":2}"#.into()),
    };
    let expected = StoredScheduler {
        id: "a:b".into(),
        next: Some(UnixMillis(T0 + 100_000)),
        definition: Some(definition),
        own: None,
    };
    assert_eq!(listed[1], expected);
    assert_eq!(queue.scheduler("a:b").await.unwrap().unwrap(), expected);
    assert_eq!(queue.schedulers(1, 1).await.unwrap().len(), 1);
    assert_eq!(queue.scheduler("none").await.unwrap(), None);
    assert!(queue.remove_scheduler("a:b").await.unwrap());
    assert!(!queue.remove_scheduler("a:b").await.unwrap());
    assert_eq!(queue.jobs(State::Delayed, 0, 10).await.unwrap(), []);
}

#[tokio::test]
async fn defect_15_an_entry_without_a_definition_is_told_and_stays() {
    let rig = Rig::new().await;
    rig.server.run("ZADD bull:q:repeat 5 lost").await;
    for _ in 0..2 {
        let lost = StoredScheduler { id: "lost".into(), next: Some(UnixMillis(5)), definition: None, own: None };
        assert_eq!(rig.queue().schedulers(0, 10).await.unwrap(), [lost]);
    }
}

#[tokio::test]
async fn a_definition_that_is_no_hash_is_somebody_elses_and_can_be_removed() {
    let rig = Rig::new().await;
    rig.server.run("ZADD bull:q:repeat 5 torn").await;
    rig.server.run("SET bull:q:repeat:torn x").await;
    let torn = StoredScheduler { id: "torn".into(), next: Some(UnixMillis(5)), definition: None, own: None };
    let queue = rig.queue();
    assert_eq!(queue.schedulers(0, 10).await.unwrap(), std::slice::from_ref(&torn));
    let ours = config::Schedule::sample("ours", "q");
    let steps = queue.put_schedules(&[&ours], "me").await.unwrap();
    assert_eq!(steps["torn"], ScheduleStep::Foreign { by: None });
    assert_eq!(steps["ours"], ScheduleStep::Create);
    assert!(queue.remove_found(&torn).await.unwrap());
    assert_eq!(rig.server.run("EXISTS bull:q:repeat:torn").await.as_string().as_deref(), Some("0"));
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let rig = Rig::new().await;
    let queue = rig.queue();
    for (spec, expected) in [
        (cron("61 * * * *"), "minute \"61\" at column 1"),
        (SchedulerSpec { timezone: Some("Europe/Berln".into()), ..cron("* * * * *") }, "Europe/Berlin"),
        (SchedulerSpec { immediately: true, ..cron("0 0 30 2 *") }, "never comes"),
        (SchedulerSpec::default(), "needs a pattern or an interval"),
    ] {
        let error = queue.upsert_scheduler("s", &spec, &plain()).await.unwrap_err();
        assert!(matches!(&error, Error::Setup(text) if text.contains(expected)), "{error}");
    }
    let delayed = template(&json!({}), r#"{"delay":5}"#);
    assert!(matches!(queue.upsert_scheduler("s", &every(5), &delayed).await, Err(Error::Setup(_))));
    assert!(matches!(queue.upsert_scheduler("", &every(5), &plain()).await, Err(Error::Setup(_))));
    for spec in [
        SchedulerSpec { limit: Some(0), ..every(5) },
        SchedulerSpec { end: Some(UnixMillis(T0 + 1)), ..cron("0 0 * * *") },
    ] {
        assert_eq!(queue.upsert_scheduler("s", &spec, &plain()).await.unwrap(), None);
    }
    assert_eq!(rig.server.run("DBSIZE").await.as_i64(), Some(0));
}

#[tokio::test]
async fn defect_5_an_upsert_replaces_the_iteration_that_waits_in_either_list_of_a_paused_queue() {
    for version in ["5.81.5", "6.7.0"] {
        let rig = Rig::new().await;
        let queue = rig.queue();
        rig.server.run("HSET bull:q:meta paused 1").await;
        let args = ["bull:q:meta", "version", &format!("bullmq:{version}")].map(Value::from).to_vec();
        rig.server.connection().await.call("HSET", args).await.unwrap();
        // one that waits where the other release puts it
        let first = queue.upsert_scheduler("s", &every(1000), &plain()).await.unwrap().unwrap();
        let (from, to) = if version.starts_with('5') { ("paused", "wait") } else { ("wait", "paused") };
        let args = [format!("bull:q:{from}"), format!("bull:q:{to}")].map(Value::from).to_vec();
        rig.server.connection().await.call("RENAME", args).await.unwrap();
        rig.advance(10);
        let second = queue.upsert_scheduler("s", &every(500), &plain()).await.unwrap().unwrap();
        assert_ne!(first, second);
        assert_eq!(queue.job(&first).await.unwrap(), None, "{version}");
        let waiting = queue.jobs(State::Waiting, 0, 10).await.unwrap();
        assert_eq!(waiting.iter().map(|job| &job.id).collect::<Vec<_>>(), [&second], "{version}");
    }
}

#[tokio::test]
async fn defect_6_no_iteration_is_written_over() {
    let rig = Rig::new().await;
    let queue = rig.queue();
    let at_once = SchedulerSpec { immediately: true, ..cron("0 0 1 1 *") };
    queue.upsert_scheduler("s", &at_once, &plain()).await.unwrap();
    let job = rig.take("t:1").await;
    added(rig.next(&job).await);
    let before = rig.queue().schedulers(0, 10).await.unwrap();
    // the next one is delayed, the one of this millisecond runs
    let error = queue.upsert_scheduler("s", &at_once, &plain()).await.unwrap_err();
    assert!(matches!(&error, Error::Rejected { code: Code::IterationExists, .. }), "{error}");
    assert_eq!(rig.queue().schedulers(0, 10).await.unwrap(), before);
    assert_eq!(queue.counts().await.unwrap().unfinished(), 2);

    // an interval looks for a free slot
    for slot in 0..31 {
        let args = [format!("bull:q:repeat:e:{}", T0 + slot * 10), "name".into(), "x".into()].map(Value::from).to_vec();
        rig.server.connection().await.call("HSET", args).await.unwrap();
    }
    let id = queue.upsert_scheduler("e", &every(10), &plain()).await.unwrap().unwrap();
    assert_eq!(id.to_string(), format!("repeat:e:{}", T0 + 310));
    assert!(queue.remove_scheduler("e").await.unwrap());
    let args = [format!("bull:q:repeat:e:{}", T0 + 310), "name".into(), "x".into()].map(Value::from).to_vec();
    rig.server.connection().await.call("HSET", args).await.unwrap();
    let error = queue.upsert_scheduler("e", &every(10), &plain()).await.unwrap_err();
    assert!(matches!(&error, Error::Rejected { code: Code::NoFreeIteration, .. }), "{error}");
}

#[tokio::test]
async fn an_iteration_is_followed_once_whoever_tries() {
    let rig = Rig::new().await;
    rig.queue().upsert_scheduler("s", &every(1000), &plain()).await.unwrap();
    let job = rig.take("t:1").await;
    let tries = futures_util::future::join_all((0..20).map(|_| rig.next(&job))).await;
    assert_eq!(tries.iter().filter(|next| matches!(next, NextIteration::Added(_))).count(), 1, "{tries:?}");
    assert!(tries.iter().all(|next| matches!(next, NextIteration::Added(_) | NextIteration::Passed)));
    assert_eq!(rig.queue().counts().await.unwrap().delayed, 1);
    rig.queue().remove_scheduler("s").await.unwrap();
    assert_eq!(rig.next(&job).await, NextIteration::Removed);
    assert_eq!(rig.queue().counts().await.unwrap().delayed, 0);
}

#[tokio::test]
async fn the_next_iteration_has_the_options_of_the_one_before_byte_for_byte() {
    let rig = Rig::new().await;
    let opts = r#"{"attempts":4,"kl":2,"backoff":{"type":"fixed","delay":5},"mine":{"list":[],"n":1e3},"lifo":true}"#;
    rig.queue().upsert_scheduler("s", &cron("* * * * *"), &template(&json!({"a": 1}), "{}")).await.unwrap();
    rig.advance(60_000);
    let mut job = rig.take("t:1").await;
    // as another client wrote them
    let iteration = job.scheduler.as_mut().unwrap();
    let own = iteration.opts.strip_prefix('{').unwrap().to_owned();
    iteration.opts = format!("{},{own}", opts.strip_suffix('}').unwrap());
    job.opts = JobOptions::parse(&iteration.opts).unwrap().0;
    let id = added(rig.next(&job).await);
    let args = [format!("bull:q:{id}"), "opts".into()].map(Value::from).to_vec();
    let stored = rig.server.connection().await.call("HGET", args).await.unwrap().as_string().unwrap();
    assert!(
        stored.contains(r#""mine":{"list":[],"n":1e3}"#) && stored.contains(r#""backoff":{"type":"fixed","delay":5}"#)
    );
    let read: Json = serde_json::from_str(&stored).unwrap();
    assert_eq!((&read["repeat"]["count"], &read["attempts"], &read["lifo"]), (&json!(2), &json!(4), &json!(true)));
    assert_eq!((read["jobId"].as_str(), read["prevMillis"].as_i64()), (Some(id.as_str()), Some(T0 + 100_000)));
}

#[tokio::test]
async fn the_definition_helps_where_the_job_does_not_say_when() {
    let rig = Rig::new().await;
    for broken in [r#"{"attempts":3}"#, "{not json", r#"{"repeat":{"pattern":"nonsense","count":1}}"#] {
        rig.server.run("FLUSHALL").await;
        rig.store.freeze(UnixMillis(T0));
        let spec = SchedulerSpec { limit: Some(2), ..cron("*/5 * * * *") };
        rig.queue().upsert_scheduler("s", &spec, &template(&json!({}), r#"{"priority":3}"#)).await.unwrap();
        rig.advance(100_000);
        let mut job = rig.take("t:1").await;
        job.scheduler.as_mut().unwrap().opts = broken.into();
        let id = added(rig.next(&job).await);
        assert_eq!(id, format!("repeat:s:{}", T0 + 400_000));
        let opts = rig.opts(&id).await;
        assert_eq!(opts["repeat"], json!({"pattern": "*/5 * * * *", "tz": "UTC", "limit": 2, "count": 2}), "{broken}");
        rig.advance(400_000);
        let last = rig.take("t:2").await;
        assert_eq!(rig.next(&last).await, NextIteration::Ended);
    }
    // nowhere a pattern that can be read
    rig.server.run("FLUSHALL").await;
    rig.store.freeze(UnixMillis(T0));
    rig.queue().upsert_scheduler("s", &every(1000), &plain()).await.unwrap();
    let mut job = rig.take("t:1").await;
    rig.server.run("HDEL bull:q:repeat:s every").await;
    rig.server.run("HSET bull:q:repeat:s pattern nonsense").await;
    job.scheduler.as_mut().unwrap().opts = "{}".into();
    let error = rig.work().add_next_iteration(&job, "UTC").await.unwrap_err();
    assert!(matches!(&error, Error::Setup(text) if text.contains("\"s\"")), "{error}");
}

#[tokio::test]
async fn ids_of_the_first_repeatable_jobs_are_gone_on_with_only_as_schedulers() {
    let rig = Rig::new().await;
    rig.queue().upsert_scheduler("a:b:::5000", &every(5000), &plain()).await.unwrap();
    let job = rig.take("t:1").await;
    rig.server.run("HDEL bull:q:repeat:a:b:::5000 ic").await;
    assert_eq!(rig.next(&job).await, NextIteration::Legacy);
    rig.server.run("HSET bull:q:repeat:a:b:::5000 ic 1").await;
    added(rig.next(&job).await);
}

#[tokio::test]
async fn f08_an_iteration_recovered_from_a_killed_worker_is_followed_once() {
    let mut rig = Rig::new().await;
    rig.settings.lock = Duration::from_millis(1);
    rig.settings.max_stalled = 0;
    rig.queue().upsert_scheduler("s", &every(1000), &plain()).await.unwrap();
    let job = rig.take("dead:1").await;
    // killed before the step: nothing follows it
    crate::store::testing::eventually("without its lock", async || {
        rig.server.run("EXISTS bull:q:repeat:s:1700000000000:lock").await.as_i64() == Some(0)
    })
    .await;
    for _ in 0..2 {
        rig.server.run("DEL bull:q:stalled-check").await;
        WorkQueue::move_stalled_jobs_to_wait(&[&rig.work()]).await.unwrap().remove(0).unwrap();
    }
    rig.advance(2500);
    let again = rig.take("alive:1").await;
    assert_eq!((&again.id, again.stalled, &again.deferred_failure), (&job.id, 1, &None));
    assert_eq!(added(rig.next(&again).await), format!("repeat:s:{}", T0 + 3000));
    assert_eq!(rig.next(&job).await, NextIteration::Passed);
}

#[tokio::test]
async fn an_upsert_is_short_beside_a_long_queue() {
    let rig = Rig::new().await;
    let fill = "for n = 1, 500 do local ids = {} for m = 1, 1000 do ids[m] = n * 1000 + m end \
                redis.call('RPUSH', 'bull:q:wait', unpack(ids)) end";
    rig.server.connection().await.call("EVAL", vec![fill.into(), "0".into()]).await.unwrap();
    rig.queue().upsert_scheduler("s", &every(60_000), &plain()).await.unwrap();
    // taken, so that it is looked for everywhere
    rig.server.run("LREM bull:q:wait 1 repeat:s:1700000000000").await;
    let started = std::time::Instant::now();
    rig.queue().upsert_scheduler("s", &every(60_000), &plain()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn each_iteration_has_a_status_message() {
    let rig = Rig::new().await;
    let status = config::Status { channels: vec!["updates".into()], ..config::Status::default() };
    let mut messages = rig.store.subscribe(&["updates".into()], &[]).await.unwrap();
    let template = template(&json!({"tenantId": "t"}), "{}");
    rig.queue().upsert_scheduler_with("s", &every(1000), &template, &status).await.unwrap();
    let work = WorkQueue::new(&rig.store, &rig.settings, &status, None, false);
    let taken = work.move_to_active(&Take { token: "t:1".into(), want: 1 }).await.unwrap();
    work.add_next_iteration(&taken.jobs[0], "UTC").await.unwrap();
    for (slot, word) in [(0, "PENDING"), (0, "RUNNING"), (1000, "DELAYED")] {
        let message = tokio::time::timeout(Duration::from_secs(5), messages.message()).await.expect("a message");
        let message: Json = serde_json::from_str(&message.unwrap().payload).unwrap();
        let id = format!("repeat:s:{}", T0 + slot);
        assert_eq!(
            (&message["jobId"], &message["status"], &message["tenantId"]),
            (&json!(id), &json!(word), &json!("t"))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The script's interval arithmetic is that of `job`.
    #[test]
    fn intervals_come_at_the_same_times_in_the_script(
        cases in prop::collection::vec(
            (prop::option::of(-5000i64..5000), 1u64..3000, 0i64..9000, 0i64..4000, prop::option::of(-5000i64..9000)), 200
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start().await;
            let connection = server.connection().await;
            let script = concat!(
                include_str!("../scripts/fragments/next_every.lua"),
                "return {next_every(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), \
                 tonumber(ARGV[5]))}"
            );
            for (prev, every, now, offset, start) in cases {
                let at = |ms: Option<i64>| ms.map(|ms| UnixMillis(T0 + ms));
                let slot = next_every(at(prev), Duration::from_millis(every), UnixMillis(T0 + now), offset, at(start));
                let every = i64::try_from(every).unwrap();
                let args = [prev.map(|ms| T0 + ms), Some(every), Some(T0 + now), Some(offset), start.map(|ms| T0 + ms)];
                let args = args.map(|number| Value::from(number.map_or_else(String::new, |number| number.to_string())));
                let all = [Value::from(script), "0".into()].into_iter().chain(args).collect();
                let answer = reply::array("EVAL", connection.call("EVAL", all).await.unwrap()).unwrap();
                let answer: Vec<_> = answer.iter().map(|value| value.as_i64().unwrap()).collect();
                assert_eq!(answer, [slot.at.0, slot.offset]);
            }
        });
    }
}
