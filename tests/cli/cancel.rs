//! `oxherd job cancel`, with a daemon beside it and without one.

use serde_json::json;

use crate::harness::{Oxherd, Redis, eventually};
use crate::support::daemon::Daemon;

/// Runs until it is told to stop.
const SLEEPER: &str = r#"
[queues.email]
handler = "sleeper"
lock = "2s"
stalled_interval = "500ms"
[handlers.sleeper.command]
argv = ["sh", "-c", "trap 'echo stopped >&2; exit 1' TERM; echo '{\"progress\":1}' >&3; while :; do sleep 0.05; done"]
"#;

fn runs(redis: &Redis, id: &str) {
    eventually("it runs", || redis.call(&["HGET", &format!("bull:email:{id}"), "progress"]) == "1");
}

#[test]
fn jobs_that_wait_are_cancelled_and_each_is_told_of() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    for (id, name, more) in [("a", "send-1", "--lifo"), ("b", "send-2", "--delay=1h"), ("c", "keep", "--priority=3")] {
        oxherd.run(&["job", "add", "email", name, "--job-id", id, more]).exits(0);
    }
    let said = oxherd.run(&["job", "cancel", "email", "--name", "send-*", "--dry-run"]).exits(0).stdout;
    assert!(said.ends_with("would cancel 2 jobs in email\n"), "{said}");
    assert!(oxherd.run(&["job", "cancel", "email", "--name", "send-*"]).exits(2).stderr.contains("--yes"));
    oxherd.run(&["job", "cancel", "email"]).exits(2);
    let state = oxherd.run(&["job", "cancel", "email", "--state", "failed", "--yes"]).exits(2).stderr;
    assert!(state.contains("failed jobs have ended: expected --state waiting"), "{state}");

    let because = ["--because", "the customer has left"];
    let said = oxherd.run(&[&["job", "cancel", "email", "--name", "send-*", "--yes"][..], &because].concat()).exits(0);
    assert_eq!(said.stdout, "a: cancelled\nb: cancelled\n");
    assert_eq!(redis.call(&["HGET", "bull:email:a", "failedReason"]), "cancelled: the customer has left");
    // by id also what needs nothing any more, and what cannot be
    redis.call(&["HSET", "bull:email:d", "name", "done"]);
    redis.call(&["ZADD", "bull:email:completed", "1", "d"]);
    let said = oxherd.run(&["job", "cancel", "email", "a", "c", "d", "e"]).exits(1);
    assert_eq!(said.stdout, "a: cancelled\nc: cancelled\nd: ended already (completed)\ne: not found\n");
    let said = oxherd.run(&["job", "cancel", "email", "c", "e", "--json"]).exits(1).json();
    assert_eq!(said, json!({"queue": "email", "done": 1, "refused": [{"id": "e", "reason": "not found"}]}));
    // nothing is left that could be meant
    oxherd.run(&["job", "cancel", "email", "--older", "0s", "--yes"]).exits(0);
}

#[test]
fn a_job_that_runs_is_stopped_in_the_process_that_runs_it() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let mut daemon = Daemon::start(&redis, SLEEPER);
    for (id, options) in [("a", json!({})), ("b", json!({"attempts": 9})), ("gone", json!({"removeOnFail": true}))] {
        let mut job = json!({"name": "n", "opts": options});
        job["opts"]["jobId"] = id.into();
        oxherd.run_with_input(&["job", "add", "email", "--from", "-"], &job.to_string()).exits(0);
        runs(&redis, id);
    }
    let said = oxherd.run(&["job", "cancel", "email", "a", "b", "gone"]).exits(0);
    assert_eq!(said.stdout, "a: cancelled\nb: cancelled\ngone: cancelled\n");
    for id in ["a", "b"] {
        assert_eq!(redis.call(&["ZRANK", "bull:email:failed", id]).len(), 1, "{id}");
        assert_eq!(redis.call(&["HGET", &format!("bull:email:{id}"), "failedReason"]), "cancelled: on request");
        let log = redis.call(&["LRANGE", &format!("bull:email:{id}:logs"), "0", "-1"]);
        assert!(log.ends_with("stopped"), "it was told to: {log}");
    }
    assert_eq!(redis.call(&["EXISTS", "bull:email:gone"]), "0");
    daemon.says("\"cancelled on request; the job is stopped\"");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_mark_outlives_the_process_that_did_not_live_to_see_it() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let mut daemon = Daemon::start(&redis, SLEEPER);
    oxherd.run(&["job", "add", "email", "n"]).exits(0);
    runs(&redis, "1");
    daemon.signal(nix::sys::signal::Signal::SIGSTOP);
    let said = oxherd.run(&["job", "cancel", "email", "1", "--wait", "100ms"]).exits(1).stdout;
    assert!(said.starts_with("1: not stopped: its worker has not answered"), "{said}");
    daemon.kill();
    redis.call(&["HDEL", "bull:email:1", "progress"]);
    daemon.again();
    eventually("cancelled", || redis.call(&["HGET", "bull:email:1", "failedReason"]) == "cancelled: on request");
    assert_eq!(redis.call(&["HGET", "bull:email:1", "progress"]), "", "it did not run again");
    assert_eq!(oxherd.run(&["job", "cancel", "email", "1"]).exits(0).stdout, "1: cancelled\n");
    daemon.stop();
}
