//! Pauses in the middle of the work: whoever presses, both sides stop, and nothing is lost when it goes on.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::oxherd::Oxherd;
use super::support::daemon::oxherd;
use super::support::eventually;
use super::support::program::{Program, node};
use super::support::redis::Redis;

type Press = fn(&Redis, &mut Program, &str);

fn by_node(_: &Redis, control: &mut Program, verb: &str) {
    assert_eq!(control.press(&[verb]), Value::Null);
}

fn by_oxherd(redis: &Redis, _: &mut Program, verb: &str) {
    oxherd(redis, &["queue", verb, "email"]);
}

/// Who pauses and who resumes, in turn.
const ROUNDS: [(Press, Press); 6] = [
    (by_node, by_node),
    (by_oxherd, by_node),
    (by_node, by_oxherd),
    (by_oxherd, by_oxherd),
    (by_oxherd, by_node),
    (by_node, by_oxherd),
];

/// Both sides at work on many jobs, some of which fail first; paused and resumed again and again.
fn again_and_again(version: u8) {
    const JOBS: u64 = 400;
    let redis = Redis::start();
    let mut control = node("control.mjs", version, &redis, &["serve"]).ready();
    let worker = node("worker.mjs", version, &redis, &["--concurrency", "3", "--work", "10"]).ready();
    let peer = Oxherd::start_at_work(&redis, &["email"], "concurrency = 3", Duration::from_millis(10));
    let kinds = "standard,prioritized,delayed,lifo,retry-at-once,retry-fixed,bulk";
    let words = ["--jobs", &JOBS.to_string(), "--kinds", kinds, "--in-flight", "1"];
    let producer = node("producer.mjs", version, &redis, &words);
    let completed = || redis.number(&["ZCARD", "bull:email:completed"]);

    for (round, (pause, resume)) in ROUNDS.iter().enumerate() {
        let before = completed();
        eventually("work goes on", || completed() > before + 20);
        pause(&redis, &mut control, "pause");
        assert_eq!(oxherd(&redis, &["queue", "show", "email"])["paused"], true);
        oxherd(&redis, &["job", "add", "email", "added while paused"]);
        control.press(&["add", "added while paused", &format!(r#"{{"round":{round}}}"#)]);
        // whoever still believed there was work would start it now; the stream will tell
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(redis.number(&["LLEN", "bull:email:active"]), 0, "still active");
        resume(&redis, &mut control, "resume");
    }
    producer.end();
    eventually("all are completed", || completed() == JOBS + 2 * ROUNDS.len() as u64);
    assert!(peer.receiver.count() > 40 && !worker.stop().is_empty());

    let entries = "local lines = {} for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do \
                   lines[#lines + 1] = cjson.encode(entry[2]) end return lines";
    let (mut paused, mut pauses, mut done) = (false, 0, HashSet::new());
    for line in redis.list(&["EVAL", entries, "1", "bull:email:events"]) {
        let entry: Vec<String> = serde_json::from_str(&line).unwrap();
        match entry[1].as_str() {
            "paused" => (paused, pauses) = (true, pauses + 1),
            "resumed" => paused = false,
            "active" => assert!(!paused, "started although paused: {entry:?}"),
            "completed" => assert!(done.insert(entry[3].clone()), "completed twice: {entry:?}"),
            _ => {}
        }
    }
    assert_eq!((pauses, done.len() as u64), (ROUNDS.len(), completed()));
}

#[test]
fn node_6_and_oxherd_pause_and_resume_in_turn() {
    again_and_again(6);
}

#[test]
fn node_5_and_oxherd_pause_and_resume_in_turn() {
    again_and_again(5);
}
