//! What an operator presses on oxherd's command line is what BullMQ workers and readers go by.

use serde_json::{Value, json};

use super::support::daemon::oxherd;
use super::support::eventually;
use super::support::program::{Program, node};
use super::support::redis::Redis;

fn add(control: &mut Program, id: &str, data: &Value, mut opts: Value) {
    opts["jobId"] = id.into();
    control.press(&["add", id, &data.to_string(), &opts.to_string()]);
}

fn shown(version: u8, redis: &Redis, ids: &[&str]) -> Vec<Value> {
    node("inspect.mjs", version, redis, &[&["job"], ids].concat()).end()[0].as_array().unwrap().clone()
}

fn jobs_are_changed(version: u8) {
    let redis = Redis::start();
    let mut control = node("control.mjs", version, &redis, &["serve"]).ready();
    let mut events = node("events.mjs", version, &redis, &[]).ready();
    let mut worker = node("worker.mjs", version, &redis, &[]).ready();
    add(&mut control, "fails", &json!({"n": 1, "failures": 1}), json!({}));
    add(&mut control, "fails-again", &json!({"n": 1, "failures": 1}), json!({"attempts": 2}));
    for (id, n) in [("soon", 2), ("changed", 3), ("unwanted", 4)] {
        add(&mut control, id, &json!({"n": n}), json!({"delay": 3_600_000}));
    }
    worker.wait_for("failed", |line| line["event"] == "failed" && line["id"] == "fails");

    oxherd(&redis, &["job", "retry", "email", "fails"]);
    oxherd(&redis, &["job", "promote", "email", "soon"]);
    oxherd(
        &redis,
        &["job", "update", "email", "changed", "--data", r#"{"n":30}"#, "--priority", "3", "--delay", "100ms"],
    );
    oxherd(&redis, &["job", "remove", "email", "unwanted", "--yes"]);
    for id in ["fails", "soon", "changed"] {
        worker.wait_for(id, |line| line["event"] == "completed" && line["id"] == id);
    }
    let jobs = shown(version, &redis, &["fails", "soon", "changed", "unwanted"]);
    assert_eq!((&jobs[0]["attemptsMade"], &jobs[0]["returnvalue"]["n"]), (&json!(2), &json!(1)), "{}", jobs[0]);
    assert_eq!((&jobs[1]["delay"], &jobs[1]["returnvalue"]["n"]), (&json!(0), &json!(2)), "{}", jobs[1]);
    assert_eq!((&jobs[2]["priority"], &jobs[2]["returnvalue"]["n"]), (&json!(3), &json!(30)), "{}", jobs[2]);
    assert_eq!(jobs[3], Value::Null);

    // and QueueEvents heard of each
    let is = |event: &'static str, id: &'static str, prev: &'static str| {
        move |line: &Value| line["event"] == event && line["id"] == id && line["prev"] == prev
    };
    events.wait_for("the retry", is("waiting", "fails", "failed"));
    events.wait_for("the promotion", is("waiting", "soon", "delayed"));
    events.wait_for("the removal", is("removed", "unwanted", "delayed"));
    let delays = |line: &&Value| line["event"] == "delayed" && line["id"] == "changed";
    assert_eq!(events.stop().iter().filter(delays).count(), 2);
    worker.stop();
}

#[test]
fn jobs_changed_by_oxherd_are_worked_so_by_node_6() {
    jobs_are_changed(6);
}

#[test]
fn jobs_changed_by_oxherd_are_worked_so_by_node_5() {
    jobs_are_changed(5);
}

#[test]
fn queues_are_limited_and_emptied_in_the_eyes_of_node() {
    for version in [5, 6] {
        let redis = Redis::start();
        let mut control = node("control.mjs", version, &redis, &["serve"]).ready();
        let mut reader = node("inspect.mjs", version, &redis, &["serve"]).ready();
        for (id, opts) in [("a", json!({})), ("b", json!({"priority": 1})), ("c", json!({"delay": 3_600_000}))] {
            add(&mut control, id, &json!({}), opts);
        }
        oxherd(&redis, &["queue", "limit", "email", "--global-concurrency", "2", "--rate-limit", "100/5s"]);
        let limits = reader.press(&["limits"]);
        assert_eq!(limits["concurrency"], 2);
        assert_eq!(limits["rateLimit"], json!({"max": 100, "duration": 5000}));
        oxherd(&redis, &["queue", "limit", "email", "--global-concurrency", "none", "--rate-limit", "none"]);
        let limits = reader.press(&["limits"]);
        assert_eq!((&limits["concurrency"], &limits["rateLimit"]), (&Value::Null, &Value::Null));

        oxherd(&redis, &["queue", "drain", "email", "--yes"]);
        assert_eq!(reader.press(&["job", "a", "b"]), json!([null, null]));
        let mut events = node("events.mjs", version, &redis, &["--only", "cleaned"]).ready();
        oxherd(&redis, &["queue", "clean", "email", "--state", "delayed", "--yes"]);
        let cleaned = events.wait_for("the cleaning", |line| line["event"] == "cleaned");
        assert_eq!(cleaned["count"], "1");
        oxherd(&redis, &["queue", "obliterate", "email", "--yes"]);
        eventually("nothing is left", || redis.call(&["KEYS", "bull:email:*"]).is_empty());
    }
}

/// Two at once, whoever set it.
#[test]
fn a_concurrency_set_by_oxherd_holds_in_node() {
    let redis = Redis::start();
    let mut worker = node("worker.mjs", 6, &redis, &["--concurrency", "8", "--work", "20"]).ready();
    oxherd(&redis, &["queue", "limit", "email", "--global-concurrency", "2"]);
    node("producer.mjs", 6, &redis, &["--jobs", "30", "--kinds", "standard"]).end();
    worker.wait_for_count("completed", 30, |line| line["event"] == "completed");
    let (mut active, mut most) = (0, 0);
    for line in worker.stop() {
        match line["event"].as_str() {
            Some("processed") => active += 1,
            Some("completed") => active -= 1,
            _ => {}
        }
        most = most.max(active);
    }
    assert!(most <= 2, "{most} at once");
}
