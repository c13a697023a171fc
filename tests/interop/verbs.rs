//! What an operator presses on oxherd's command line is what BullMQ workers and readers go by.

use serde_json::{Value, json};

use super::support::daemon::{Daemon, answered, oxherd};
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

/// Jobs cancelled by oxherd have failed as any other job, and one that BullMQ holds is not taken from it.
fn jobs_are_cancelled(version: u8) {
    let redis = Redis::start();
    let mut control = node("control.mjs", version, &redis, &["serve"]).ready();
    let mut events = node("events.mjs", version, &redis, &[]).ready();
    add(&mut control, "waits", &json!({}), json!({}));
    add(&mut control, "later", &json!({}), json!({"delay": 3_600_000}));
    oxherd(&redis, &["job", "cancel", "email", "waits", "later", "--because", "nobody wants it"]);
    let state = |ids: &[&str]| node("inspect.mjs", version, &redis, &[&["state"], ids].concat()).end()[0].clone();
    assert_eq!(state(&["waits", "later"]), json!(["failed", "failed"]));
    for job in shown(version, &redis, &["waits", "later"]) {
        assert_eq!(job["failedReason"], "cancelled: nobody wants it", "{job}");
        assert_eq!(job["attemptsMade"], 0, "{job}");
        assert!(job["finishedOn"].is_u64(), "{job}");
    }
    for (id, prev) in [("waits", "waiting"), ("later", "delayed")] {
        events.wait_for("the failure", |line| {
            line["event"] == "failed"
                && line["id"] == id
                && line["failedReason"] == "cancelled: nobody wants it"
                && line["prev"] == prev
        });
    }

    // one that a worker of BullMQ runs is marked, and cancelled when it comes back to a daemon
    let mut worker = node("worker.mjs", version, &redis, &[]).ready();
    add(&mut control, "theirs", &json!({"work": 1500, "failures": 1}), json!({}));
    add(&mut control, "back", &json!({"work": 700, "failures": 1}), json!({"attempts": 3, "backoff": 10}));
    worker.wait_for("theirs", |line| line["event"] == "processed" && line["id"] == "theirs");
    let (code, answer) = answered(&redis, &["job", "cancel", "email", "theirs", "--wait", "200ms"]);
    let reason = answer["refused"][0]["reason"].as_str().unwrap();
    assert!(code == 1 && reason.starts_with("not stopped: its worker has not answered"), "{answer}");
    worker.wait_for("theirs", |line| line["event"] == "failed" && line["id"] == "theirs");
    worker.wait_for("back", |line| line["event"] == "processed" && line["id"] == "back");
    assert_eq!(answered(&redis, &["job", "cancel", "email", "back", "--wait", "0s"]).0, 1);
    // it ends its attempt, and takes no other
    worker.stop();
    let mut daemon = Daemon::start(&redis, "[queues.email]\nhandler = \"log\"\n[handlers.log.log]\n");
    let failed = events.wait_for("the end", |line| line["event"] == "failed" && line["id"] == "back");
    assert_eq!(failed["failedReason"], "cancelled: on request");
    // the mark the first one had means nothing any more
    control.press(&["retry", "theirs"]);
    events.wait_for("their second end", |line| line["event"] == "completed" && line["id"] == "theirs");
    daemon.stop();
}

#[test]
fn jobs_cancelled_by_oxherd_have_failed_in_the_eyes_of_node_6() {
    jobs_are_cancelled(6);
}

#[test]
fn jobs_cancelled_by_oxherd_have_failed_in_the_eyes_of_node_5() {
    jobs_are_cancelled(5);
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
