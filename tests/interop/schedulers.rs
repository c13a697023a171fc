//! Job schedulers and the repeatable jobs of BullMQ 5, made by one side and kept going by both.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use oxherd::config::{AtStart, Endpoint};
use oxherd::job::{JobOptions, SchedulerSpec, Template};
use oxherd::{QueueName, Store};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::oxherd::Oxherd;
use super::support::daemon::oxherd;
use super::support::eventually;
use super::support::program::{Program, node};
use super::support::redis::Redis;

/// A job of the series as it ended.
struct Iteration {
    slot: i64,
    /// When it was made: the clock of whoever took the one before.
    made: i64,
    number: i64,
    data: Value,
}

/// All that have completed, by their slot; each completed once.
fn iterations(redis: &Redis, scheduler: &str) -> Vec<Iteration> {
    let start = format!("repeat:{scheduler}:");
    let mut found = BTreeMap::new();
    for id in redis.list(&["ZRANGE", "bull:email:completed", "0", "-1"]) {
        let Some(slot) = id.strip_prefix(&start) else { continue };
        let field = |field: &str| redis.call(&["HGET", &format!("bull:email:{id}"), field]);
        assert_eq!(field("ats"), "1", "{id} was started more than once");
        let opts: Value = serde_json::from_str(&field("opts")).unwrap();
        let slot = slot.parse().unwrap();
        let iteration = Iteration {
            slot,
            made: field("timestamp").parse().unwrap(),
            number: opts["repeat"]["count"].as_i64().unwrap(),
            data: serde_json::from_str(&field("data")).unwrap(),
        };
        assert!(found.insert(slot, iteration).is_none());
    }
    found.into_values().collect()
}

/// Each slot follows from the one before it: `next` says which, by the slot before and the clock when it was made.
fn follow_on(iterations: &[Iteration], next: impl Fn(i64, i64) -> i64) {
    for pair in iterations.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1, "missed or doubled after {}", pair[0].slot);
        assert_eq!(pair[1].slot, next(pair[0].slot, pair[1].made), "after {}", pair[0].slot);
    }
}

/// Slots of an interval, those passed over that nobody took in time.
fn every(ms: i64, offset: i64) -> impl Fn(i64, i64) -> i64 {
    move |before, now| if before + ms >= now { before + ms } else { (now - offset).div_euclid(ms) * ms + offset + ms }
}

fn completed(redis: &Redis) -> u64 {
    redis.number(&["ZCARD", "bull:email:completed"])
}

fn began(worker: Program) -> HashSet<String> {
    let said = worker.stop();
    let begun = said.iter().filter(|line| line["event"] == "processed");
    begun.map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

fn control(version: u8, redis: &Redis) -> Program {
    node("control.mjs", version, redis, &["serve"]).ready()
}

/// A series made by this BullMQ release and worked by it and oxherd, each job taking longer than the interval: whoever
/// took one cannot take the next.
fn in_turn(version: u8, repeat: &Value, work: u64, jobs: u64, next: impl Fn(&Redis) -> Box<dyn Fn(i64, i64) -> i64>) {
    let redis = Redis::start();
    let worker = node("worker.mjs", version, &redis, &[]).ready();
    let oxherd = Oxherd::start(&redis, &["email"], "concurrency = 1");
    let mut control = control(version, &redis);
    let template = json!({"name": "tick", "data": {"work": work, "n": 7}, "opts": {"attempts": 2}});
    control.press(&["upsert", "s", &repeat.to_string(), &template.to_string()]);
    eventually("the series has gone on", || completed(&redis) >= jobs);
    let next = next(&redis);
    control.press(&["remove-scheduler", "s"]);
    eventually("all has ended", || redis.number(&["LLEN", "bull:email:active"]) == 0);

    let theirs = began(worker);
    let ours: HashSet<String> = oxherd.began().into_iter().collect();
    let both: Vec<_> = theirs.intersection(&ours).collect();
    assert!(both.is_empty(), "worked by both: {both:?}");
    assert!(theirs.len() as u64 > jobs / 5 && ours.len() as u64 > jobs / 5, "{} and {}", theirs.len(), ours.len());
    let iterations = iterations(&redis, "s");
    assert_eq!(iterations.len(), theirs.len() + ours.len());
    assert_eq!(iterations[0].number, 1);
    follow_on(&iterations, next);
    assert!(iterations.iter().all(|iteration| iteration.data == template["data"]));
}

fn interval_in_turn(version: u8) {
    in_turn(version, &json!({"every": 200}), 300, 20, |redis| {
        let offset = redis.call(&["HGET", "bull:email:repeat:s", "offset"]).parse().unwrap();
        Box::new(every(200, offset))
    });
}

fn cron_in_turn(version: u8) {
    in_turn(version, &json!({"pattern": "* * * * * *", "tz": "Europe/Berlin"}), 1200, 8, |_| {
        Box::new(|before: i64, now: i64| (before.max(now) / 1000 + 1) * 1000)
    });
}

#[test]
fn an_interval_of_node_6_is_kept_going_in_turn() {
    interval_in_turn(6);
}

#[test]
fn an_interval_of_node_5_is_kept_going_in_turn() {
    interval_in_turn(5);
}

#[test]
fn a_pattern_of_node_6_is_kept_going_in_turn() {
    cron_in_turn(6);
}

#[test]
fn a_pattern_of_node_5_is_kept_going_in_turn() {
    cron_in_turn(5);
}

/// Makes a job scheduler with our library.
fn upsert(redis: &Redis, id: &str, spec: &SchedulerSpec, data: &Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = oxherd::config::Redis {
            endpoint: Endpoint::Unix(redis.socket()),
            at_start: AtStart::Fail,
            ..oxherd::config::Redis::default()
        };
        let queue = Store::open(&config, "test").await.unwrap().queue(&QueueName::new("email").unwrap());
        let (opts, _) = JobOptions::parse(r#"{"attempts":3,"kl":2}"#).unwrap();
        let template = Template { name: "tick".into(), data: to_raw_value(data).unwrap(), opts };
        queue.upsert_scheduler(id, spec, &template).await.unwrap().expect("an iteration");
    });
}

/// Those of ours are theirs to go on with, and what they keep of a mark is what `store/schedule.rs` says.
fn made_by_us(version: u8) {
    let redis = Redis::start();
    let mark = || redis.call(&["HGET", "bull:email:repeat:a:b", "oxherd.mark"]);
    let spec = SchedulerSpec {
        every: Some(Duration::from_millis(100)),
        mark: Some("a file".into()),
        ..SchedulerSpec::default()
    };
    upsert(&redis, "a:b", &spec, &json!({"n": 1}));
    let mut control = control(version, &redis);
    let listed = control.press(&["schedulers"]);
    assert_eq!((&listed[0]["key"], &listed[0]["every"]), (&json!("a:b"), &json!(100)), "{listed}");
    assert_eq!(listed[0]["template"], json!({"data": {"n": 1}, "opts": {"attempts": 3, "keepLogs": 2}}));
    let worker = node("worker.mjs", version, &redis, &[]).ready();
    eventually("the series goes on", || completed(&redis) >= 5);
    assert_eq!(mark(), "a file");
    let offset = redis.call(&["HGET", "bull:email:repeat:a:b", "offset"]).parse().unwrap();
    control.press(&["upsert", "a:b", r#"{"every":5000}"#]);
    assert_eq!(mark(), "");
    worker.stop();
    let mut iterations = iterations(&redis, "a:b");
    iterations.truncate(5);
    follow_on(&iterations, every(100, offset));
}

#[test]
fn an_interval_of_ours_is_kept_going_by_node_6() {
    made_by_us(6);
}

#[test]
fn an_interval_of_ours_is_kept_going_by_node_5() {
    made_by_us(5);
}

/// The iterations of a schedule of a file, its control and oxherd still running.
fn of_a_file(version: u8, schedule: &str, worked_by_oxherd: bool) -> (Redis, Oxherd, Program, Program) {
    let redis = Redis::start();
    let worker = node("worker.mjs", version, &redis, &["--work", "50"]).ready();
    let queue = if worked_by_oxherd { "email" } else { "other" };
    let schedules = format!("[schedules.s]\nqueue = \"email\"\nname = \"tick\"\n{schedule}\n");
    let oxherd = Oxherd::start_with(&redis, &[queue], "concurrency = 1", &schedules);
    let control = control(version, &redis);
    (redis, oxherd, worker, control)
}

fn jobs_of_a_file_are_nodes_to_do(version: u8) {
    let (redis, _oxherd, worker, mut control) = of_a_file(version, "every = \"200ms\"\ndata = { n = 7 }", false);
    eventually("some are done", || completed(&redis) >= 10);
    let listed = control.press(&["schedulers"]);
    assert_eq!((&listed[0]["key"], &listed[0]["every"]), (&json!("s"), &json!(200)), "{listed}");
    assert_eq!(listed[0]["template"], json!({"data": {"n": 7}}));
    // removed by Node it stays removed
    assert_eq!(control.press(&["remove-scheduler", "s"]), json!(true));
    eventually("all has ended", || redis.number(&["LLEN", "bull:email:active"]) == 0);
    assert_eq!(redis.call(&["ZCARD", "bull:email:delayed"]), "0");
    assert_eq!(redis.call(&["EXISTS", "bull:email:repeat:s"]), "0");
    let said = worker.stop();
    assert!(said.iter().all(|line| line["event"] != "error" && line["event"] != "failed"), "{said:?}");
    let iterations = iterations(&redis, "s");
    assert_eq!(iterations[0].number, 1);
    assert!(iterations.iter().all(|iteration| iteration.data == json!({"n": 7}) && iteration.slot % 200 == 0));
    for pair in iterations.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1);
    }
}

#[test]
fn jobs_of_a_schedule_that_bullmq_cannot_carry_are_done_by_node_6_and_followed_by_nothing() {
    jobs_of_a_file_are_nodes_to_do(6);
}

#[test]
fn jobs_of_a_schedule_that_bullmq_cannot_carry_are_done_by_node_5_and_followed_by_nothing() {
    jobs_of_a_file_are_nodes_to_do(5);
}

fn a_series_of_a_file_goes_on(version: u8) {
    let (redis, mut oxherd, worker, mut control) = of_a_file(version, "every = \"250ms\"\noverlap = \"allow\"", true);
    eventually("some are done", || completed(&redis) >= 12);
    // without oxherd Node goes on with it alone
    assert_eq!(oxherd.daemon.stop(), Some(0));
    let goal = completed(&redis) + 6;
    eventually("it goes on", || completed(&redis) >= goal);
    control.press(&["remove-scheduler", "s"]);
    eventually("all has ended", || redis.number(&["LLEN", "bull:email:wait"]) == 0);
    worker.stop();
    let found = iterations(&redis, "s");
    for pair in found.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1, "missed or doubled after {}", pair[0].slot);
        assert_eq!((pair[1].slot - pair[0].slot) % 250, 0);
    }
}

#[test]
fn a_schedule_that_bullmq_can_carry_goes_on_with_node_6() {
    a_series_of_a_file_goes_on(6);
}

#[test]
fn a_schedule_that_bullmq_can_carry_goes_on_with_node_5() {
    a_series_of_a_file_goes_on(5);
}

#[test]
fn a_repeatable_job_of_node_5_keeps_its_data() {
    let redis = Redis::start();
    let oxherd = Oxherd::start(&redis, &["email"], "concurrency = 1");
    let mut control = control(5, &redis);
    control.press(&["add", "legacy", r#"{"n":7}"#, r#"{"repeat":{"every":200,"limit":5}}"#]);
    eventually("all five have ended", || completed(&redis) == 5);
    let keys = redis.list(&["ZRANGE", "bull:email:repeat", "0", "-1"]);
    let iterations = iterations(&redis, &keys[0]);
    assert_eq!(iterations.len(), 5);
    assert!(iterations.iter().all(|iteration| iteration.data == json!({"n": 7})));
    follow_on(&iterations, every(200, iterations[0].slot % 200));
    assert_eq!(redis.call(&["HGET", &format!("bull:email:repeat:{}", keys[0]), "data"]), r#"{"n":7}"#);
    oxherd.daemon.says("the last iteration of a job scheduler");
}

#[test]
fn f08_a_series_goes_on_whose_worker_was_killed_before_it_could_see_to_it() {
    let redis = Redis::start();
    let spec = SchedulerSpec { every: Some(Duration::from_secs(3600)), ..SchedulerSpec::default() };
    upsert(&redis, "s", &spec, &json!({}));
    // what a worker leaves that died right after its take
    let id = redis.call(&["LMOVE", "bull:email:wait", "bull:email:active", "RIGHT", "LEFT"]);
    let oxherd = Oxherd::start(&redis, &["email"], "stalled_interval = \"500ms\"\nmax_stalled = 0");
    eventually("it was recovered and has ended", || completed(&redis) == 1);
    assert_eq!(oxherd.began(), [id]);
    assert_eq!(redis.number(&["ZCARD", "bull:email:delayed"]), 1);
    assert_eq!(redis.call(&["HGET", "bull:email:repeat:s", "ic"]), "2");
}

/// What `schedule add` makes is listed by Node as what was typed, and worked by it where BullMQ can carry it; what Node
/// makes is listed by us.
fn typed(version: u8) {
    let redis = Redis::start();
    let data = ["--data", r#"{"n":1}"#, "--name", "tick", "--attempts", "3", "--priority", "2"];
    let add = |name: &str, rest: &[&str]| {
        oxherd(&redis, &[&["schedule", "add", name, "--queue", "email"], &data[..], rest].concat())
    };
    let night = ["--cron", "0 3 * * *", "--timezone", "Europe/Oslo", "--limit", "9", "--ends", "2096-01-01T00:00:00Z"];
    let night = add("night", &night);
    let pulse = add("pulse", &["--every", "200ms", "--overlap", "allow"]);
    assert_eq!((&night["keptBy"], &pulse["keptBy"]), (&json!("oxherd"), &json!("bullmq")));
    let mut control = control(version, &redis);
    let listed = control.press(&["schedulers"]);
    let of = |listed: &Value, key: &str| {
        let listed = listed.as_array().unwrap();
        listed.iter().find(|scheduler| scheduler["key"] == key).unwrap_or_else(|| panic!("{listed:?}")).clone()
    };
    let theirs = of(&listed, "night");
    for (key, expected) in [
        ("name", json!("tick")),
        ("pattern", json!("0 3 * * *")),
        ("tz", json!("Europe/Oslo")),
        ("limit", json!(9)),
        ("endDate", json!(3_976_214_400_000_u64)),
        ("next", night["next"]["ms"].clone()),
        ("iterationCount", json!(0)),
        ("template", json!({"data": {"n": 1}, "opts": {"attempts": 3, "priority": 2}})),
    ] {
        assert_eq!(theirs[key], expected, "{key} of {theirs}");
    }
    let theirs = of(&listed, "pulse");
    assert_eq!((&theirs["every"], &theirs["next"]), (&json!(200), &pulse["next"]["ms"]), "{theirs}");
    let worker = node("worker.mjs", version, &redis, &[]).ready();
    eventually("the series goes on", || completed(&redis) >= 5);
    oxherd(&redis, &["schedule", "pause", "pulse"]);
    worker.stop();

    control.press(&["upsert", "made", r#"{"pattern":"0 5 * * 0","tz":"Asia/Tokyo"}"#, r#"{"name":"n"}"#]);
    let ours = oxherd(&redis, &["schedule", "ls"]);
    let ours = |name: &str| ours.as_array().unwrap().iter().find(|schedule| schedule["name"] == name).unwrap().clone();
    let (made, theirs) = (ours("made"), of(&control.press(&["schedulers"]), "made"));
    assert_eq!(
        (&made["owner"], &made["cron"], &made["timezone"]),
        (&json!("foreign"), &theirs["pattern"], &theirs["tz"])
    );
    assert_eq!((&made["next"]["ms"], &made["iterations"]), (&theirs["next"], &json!(1)));
    let pulse = ours("pulse");
    assert_eq!((&pulse["last"]["outcome"], &pulse["paused"]), (&json!("completed"), &json!(true)), "{pulse}");
}

#[test]
fn what_is_typed_is_listed_by_node_6() {
    typed(6);
}

#[test]
fn what_is_typed_is_listed_by_node_5() {
    typed(5);
}
