//! `QueueEvents` hears the same sequence whether oxherd worked the jobs or a Node worker did, event by event.

use std::collections::BTreeMap;

use serde_json::Value;

use super::oxherd::Oxherd;
use super::support::program::{Program, node};
use super::support::redis::Redis;

/// What was heard of each queue.
type Heard = BTreeMap<String, Vec<Value>>;

/// The scenarios on a Redis of their own; `work` starts whoever works the queues.
fn play<W>(version: u8, work: impl FnOnce(&Redis, &[&str]) -> W) -> Heard {
    let redis = Redis::start();
    let mut program = node("scenarios.mjs", version, &redis, &[]);
    let added = program.wait_for("added", |line| line["event"] == "added");
    let queues: Vec<&str> = added["queues"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let worker = work(&redis, &queues);
    let said = program.stop();
    drop(worker);
    let events = |line: &Value| line["events"].as_array().cloned();
    said.iter().filter_map(|line| Some((line["queue"].as_str()?.to_owned(), events(line)?))).collect()
}

fn oxherd_works(redis: &Redis, queues: &[&str]) -> Oxherd {
    // the first run of this one puts itself off, the second finds that it did
    let deferred = r#"test -e was-here && exec echo '{\"by\":\"node\",\"n\":1}'; touch was-here; \
                      echo '{\"outcome\":\"defer\",\"after\":\"200ms\"}' >&3"#;
    let queues: Vec<&str> = queues.iter().copied().filter(|queue| *queue != "deferred").collect();
    let more = format!(
        "[handlers.deferred.command]\nargv = [\"sh\", \"-c\", \"\"\"{deferred}\"\"\"]\n\
         [queues.deferred]\nhandler = \"deferred\"\n"
    );
    Oxherd::start_with(redis, &queues, "concurrency = 1", &more)
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

/// Both at a time.
fn compare(theirs: impl FnOnce() -> Heard + Send, ours: impl FnOnce() -> Heard + Send) {
    std::thread::scope(|scope| {
        let theirs = scope.spawn(theirs);
        let ours = ours();
        assert_same(&theirs.join().unwrap(), &ours);
    });
}

fn works_like(version: u8) {
    compare(|| play(version, node_works(version)), || play(version, oxherd_works));
}

#[test]
fn node_6_hears_the_same_of_oxherd_as_of_its_own_worker() {
    works_like(6);
}

#[test]
fn node_5_hears_the_same_of_oxherd_as_of_its_own_worker() {
    works_like(5);
}
