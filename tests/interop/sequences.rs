//! `QueueEvents` hears the same sequence whether oxherd added or worked the jobs or Node did, event by event.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::oxherd::Oxherd;
use super::support::daemon::oxherd;
use super::support::program::{Program, node};
use super::support::redis::Redis;

/// What was heard of each queue.
type Heard = BTreeMap<String, Vec<Value>>;

/// The scenarios on a Redis of their own; `add` says who adds, `work` starts whoever works the queues.
fn play<W>(version: u8, add: impl FnOnce(&Redis) -> bool, work: impl FnOnce(&Redis, &[&str]) -> W) -> Heard {
    let redis = Redis::start();
    let elsewhere: &[&str] = if add(&redis) { &["--added-elsewhere"] } else { &[] };
    let mut program = node("scenarios.mjs", version, &redis, elsewhere);
    let added = program.wait_for("added", |line| line["event"] == "added");
    let queues: Vec<&str> = added["queues"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let worker = work(&redis, &queues);
    let said = program.stop();
    drop(worker);
    let events = |line: &Value| line["events"].as_array().cloned();
    said.iter().filter_map(|line| Some((line["queue"].as_str()?.to_owned(), events(line)?))).collect()
}

fn node_adds(_: &Redis) -> bool {
    false
}

/// From the command line, a queue at a time, each tree by itself.
fn oxherd_adds(redis: &Redis) -> bool {
    let scenarios: Value = serde_json::from_str(include_str!("node/scenarios.json")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs");
    for (queue, jobs) in scenarios["jobs"].as_object().unwrap() {
        let lines = jobs.as_array().unwrap().iter().fold(String::new(), |text, job| format!("{text}{job}\n"));
        std::fs::write(&file, lines).unwrap();
        oxherd(redis, &["job", "add", queue, "--from", file.to_str().unwrap()]);
    }
    for tree in scenarios["trees"].as_array().unwrap() {
        std::fs::write(&file, tree.to_string()).unwrap();
        oxherd(redis, &["job", "add", "--flow", file.to_str().unwrap()]);
    }
    true
}

/// What takes more than an answer over HTTP is done by commands.
const SCRIPTS: [(&str, &str); 2] = [
    // the first run puts itself off, the second finds that it did
    (
        "deferred",
        r#"test -e was-here && exec echo '{"by":"node","n":1}'
           touch was-here; echo '{"outcome":"defer","after":"200ms"}' >&3"#,
    ),
    (
        "reporting",
        r#"echo '{"progress":{"half":true}}' >&3; echo '{"log":"half a row"}' >&3; echo '{"by":"node","n":1}'"#,
    ),
];

fn oxherd_works(redis: &Redis, queues: &[&str]) -> Oxherd {
    let mut more = String::new();
    for (queue, script) in SCRIPTS {
        let script = Value::from(script);
        write!(more, "[handlers.{queue}.command]\nargv = [\"sh\", \"-c\", {script}]\n").unwrap();
        write!(more, "[queues.{queue}]\nhandler = \"{queue}\"\n").unwrap();
    }
    let others: Vec<&str> =
        queues.iter().copied().filter(|queue| SCRIPTS.iter().all(|(name, _)| name != queue)).collect();
    Oxherd::start_with(redis, &others, "concurrency = 1", &more)
}

fn node_works(version: u8) -> impl FnOnce(&Redis, &[&str]) -> Program {
    move |redis, queues| node("worker.mjs", version, redis, &["--quiet", "--queues", &queues.join(",")]).ready()
}

/// Shows both sequences of the first queue that differs, from the first event that does.
fn assert_same(theirs: &Heard, ours: &Heard) {
    assert!(theirs.len() > 15 && theirs.keys().eq(ours.keys()), "{:?} and {:?}", theirs.keys(), ours.keys());
    assert!(theirs.values().map(Vec::len).sum::<usize>() > 200);
    for (queue, expected) in theirs {
        let got = &ours[queue];
        if let Some(at) = (0..expected.len().max(got.len())).find(|&at| expected.get(at) != got.get(at)) {
            let show = |events: &[Value]| {
                events.iter().skip(at).fold(String::new(), |text, event| format!("{text}\n  {event}"))
            };
            panic!("{queue} differs from event {at} on; Node:{}\noxherd:{}", show(expected), show(got));
        }
    }
}

/// What BullMQ 5 says before each `deduplicated`; BullMQ 6 and oxherd leave it out.
fn without_debounced(mut heard: Heard) -> Heard {
    for events in heard.values_mut() {
        events.retain(|event| event["event"] != "debounced");
    }
    heard
}

/// All at a time: Node adds and works, oxherd works, oxherd adds.
fn hears_the_same(version: u8) {
    std::thread::scope(|scope| {
        let theirs = scope.spawn(move || play(version, node_adds, node_works(version)));
        let added_by_us = scope.spawn(move || play(version, oxherd_adds, node_works(version)));
        let worked_by_us = play(version, node_adds, oxherd_works);
        let (theirs, added_by_us) = (theirs.join().unwrap(), added_by_us.join().unwrap());
        assert_same(&theirs, &worked_by_us);
        assert_same(&without_debounced(theirs), &without_debounced(added_by_us));
    });
}

#[test]
fn node_6_hears_the_same_of_oxherd_as_of_itself() {
    hears_the_same(6);
}

#[test]
fn node_5_hears_the_same_of_oxherd_as_of_itself() {
    hears_the_same(5);
}
