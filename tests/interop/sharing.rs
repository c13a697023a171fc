//! Both on one queue: work is shared, each sees the other.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::support::daemon::{Daemon, answered, oxherd};
use super::support::program::{Program, node, python};
use super::support::receiver::Receiver;
use super::support::redis::Redis;
use super::support::{PATIENCE, eventually};

fn ok(_: &Value) -> (u16, String) {
    // long enough that neither side has done everything before the other woke up
    std::thread::sleep(Duration::from_millis(5));
    (200, "\"ok\"".into())
}

fn one_queue(receiver: &Receiver) -> String {
    format!(
        "[queues.email]\nconcurrency = 4\nattempts = 1\nkeep_completed = {{ count = 10000 }}\nhandler = \"endpoint\"\n[handlers.endpoint.http]\nurl = \"{}\"\n\
         [status]\nformat = \"simple\"\n",
        receiver.url
    )
}

/// How often each job was run, by either.
fn runs(receiver: &Receiver, worker: &[Value]) -> HashMap<String, usize> {
    let mut runs = HashMap::new();
    let ours = receiver.requests().into_iter().map(|envelope| envelope["job"]["id"].clone());
    let theirs = worker.iter().filter(|line| line["event"] == "processed").map(|line| line["id"].clone());
    for id in ours.chain(theirs) {
        *runs.entry(id.as_str().unwrap().to_owned()).or_default() += 1;
    }
    runs
}

fn shares_with(redis: &Redis, worker: Program) {
    let receiver = Receiver::start(ok);
    let mut daemon = Daemon::start(redis, &one_queue(&receiver));
    let worker = worker.ready();
    node("producer.mjs", 6, redis, &["--jobs", "500", "--kinds", "standard,prioritized,delayed,lifo,bulk"]).end();
    eventually("all 500 are completed", || {
        redis.number(&["ZCARD", "bull:email:completed"]) == 500 || redis.number(&["ZCARD", "bull:email:failed"]) > 0
    });
    let said = worker.stop();
    let runs = runs(&receiver, &said);
    let twice: Vec<_> = runs.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "run more than once: {twice:?}");
    assert_eq!(runs.len(), 500);
    let ours = receiver.count();
    assert!(ours > 25 && ours < 475, "the work is not shared: oxherd did {ours} of 500");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_node_6_worker_shares_the_work_and_no_job_runs_twice() {
    let redis = Redis::start();
    let worker = node("worker.mjs", 6, &redis, &["--concurrency", "4", "--work", "5"]);
    shares_with(&redis, worker);
}

#[test]
fn a_node_5_worker_shares_the_work_and_no_job_runs_twice() {
    let redis = Redis::start();
    let worker = node("worker.mjs", 5, &redis, &["--concurrency", "4", "--work", "5"]);
    shares_with(&redis, worker);
}

#[test]
fn a_python_worker_shares_the_work_and_no_job_runs_twice() {
    let redis = Redis::start();
    let worker = python("worker.py", &redis, &["--concurrency", "4", "--work", "5"]);
    shares_with(&redis, worker);
}

fn works_what_oxherd_added(worker: impl FnOnce(&Redis) -> Program) {
    let redis = Redis::start();
    let worker = worker(&redis).ready();
    for arguments in [
        &["welcome", r#"{"n":1}"#][..],
        &["later", r#"{"n":2}"#, "--delay", "100ms"],
        &["urgent", r#"{"n":3}"#, "--priority", "1"],
    ] {
        oxherd(&redis, &[&["job", "add", "email"], arguments].concat());
    }
    eventually("all three are completed", || redis.number(&["ZCARD", "bull:email:completed"]) == 3);
    worker.stop();
    let left = node("inspect.mjs", 6, &redis, &["job", "1", "2", "3"]).end();
    for (job, (name, n)) in left[0].as_array().unwrap().iter().zip([("welcome", 1), ("later", 2), ("urgent", 3)]) {
        assert_eq!((&job["name"], &job["returnvalue"]["n"]), (&name.into(), &n.into()), "{job}");
    }
}

#[test]
fn node_6_works_what_oxherd_added() {
    works_what_oxherd_added(|redis| node("worker.mjs", 6, redis, &["--name", "w1"]));
}

#[test]
fn node_5_works_what_oxherd_added() {
    works_what_oxherd_added(|redis| node("worker.mjs", 5, redis, &["--name", "w1"]));
}

#[test]
fn python_works_what_oxherd_added() {
    works_what_oxherd_added(|redis| python("worker.py", redis, &["--name", "w1"]));
}

#[test]
fn a_dashboard_counts_oxherd_as_one_worker() {
    let redis = Redis::start();
    let receiver = Receiver::start(ok);
    let mut daemon = Daemon::start(&redis, &one_queue(&receiver));
    let mut reader = node("inspect.mjs", 6, &redis, &["serve"]).ready();
    let mut workers = || reader.press(&["workers"]);
    eventually("one worker is seen", || workers().as_array().is_some_and(|list| list.len() == 1));
    assert_eq!(daemon.stop(), Some(0));
    eventually("and gone when stopped", || workers().as_array().is_some_and(Vec::is_empty));
}

#[test]
fn status_messages_have_the_shape_api_servers_parse() {
    let redis = Redis::start();
    let receiver = Receiver::start(|envelope| {
        if envelope["data"]["bad"] == true { (422, r#""not like this""#.into()) } else { (200, "1".into()) }
    });
    let messages = redis.subscribe("job_updates");
    let mut daemon = Daemon::start(&redis, &one_queue(&receiver));
    let heard =
        |count: usize| -> Vec<String> { (0..count).map(|_| messages.recv_timeout(PATIENCE).unwrap()).collect() };

    node("control.mjs", 6, &redis, &["add", "a", r#"{"tenantId":"t1"}"#]).end();
    assert_eq!(
        heard(2),
        [
            r#"{"tenantId":"t1","jobId":"1","status":"RUNNING"}"#,
            r#"{"tenantId":"t1","jobId":"1","status":"COMPLETED","error":null}"#,
        ]
    );
    node("control.mjs", 6, &redis, &["add", "b", r#"{"bad":true,"tenantId":"t2"}"#]).end();
    let [running, failed] = heard(2).try_into().unwrap();
    assert_eq!(running, r#"{"tenantId":"t2","jobId":"2","status":"RUNNING"}"#);
    let failed: Value = serde_json::from_str(&failed).unwrap();
    assert_eq!((&failed["tenantId"], &failed["status"]), (&"t2".into(), &"FAILED".into()));
    assert!(failed["error"].as_str().is_some_and(|text| text.contains("422")), "{failed}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_node_subscriber_reads_both_formats_on_the_channels_of_queue_and_tenant() {
    let redis = Redis::start();
    let receiver = Receiver::start(ok);
    let queues = |status: &str| {
        format!(
            "[queues.email]\nhandler = \"endpoint\"\n[queues.sms]\nhandler = \"endpoint\"\n\
             [queues.sms.status]\nformat = \"full\"\nchannel = \"jobs:{{queue}}\"\nonly = [\"completed\"]\n\
             [handlers.endpoint.http]\nurl = \"{}\"\n[status]\n{status}\n",
            receiver.url
        )
    };
    let mut daemon = Daemon::start(&redis, &queues("format = \"simple\"\nchannel = [\"all\", \"to:{tenant}\"]"));
    let mut subscriber = node("subscriber.mjs", 6, &redis, &["--channels", "all,to:t1,jobs:sms"]).ready();
    let simple = |tenant: &str, status: &str, last: Option<Value>| {
        let mut message = serde_json::json!({ "tenantId": tenant, "jobId": "1", "status": status });
        if let Some(error) = last {
            message["error"] = error;
        }
        message
    };
    node("control.mjs", 6, &redis, &["add", "a", r#"{"tenantId":"t1"}"#]).end();
    subscriber.wait_for_count("both channels", 4, |line| line["event"] == "message");
    let heard: Vec<(Value, Value)> = std::mem::take(&mut subscriber.said)
        .into_iter()
        .filter(|line| line["event"] == "message")
        .map(|line| {
            let keys: Vec<&str> =
                ["tenantId", "jobId", "status", "error"][..line["keys"].as_array().unwrap().len()].into();
            assert_eq!(line["keys"], serde_json::json!(keys), "the order of the keys");
            (line["channel"].clone(), line["message"].clone())
        })
        .collect();
    let (running, done) = (simple("t1", "RUNNING", None), simple("t1", "COMPLETED", Some(Value::Null)));
    for (at, message) in [running, done].into_iter().enumerate() {
        assert_eq!(heard[2 * at], ("all".into(), message.clone()));
        assert_eq!(heard[2 * at + 1], ("to:t1".into(), message));
    }

    node("control.mjs", 6, &redis, &["add", "a", r#"{"tenantId":"t2"}"#, "--queue", "sms"]).end();
    let full = subscriber.wait_for("the other queue's", |line| line["event"] == "message");
    let keys = [
        "tenantId",
        "jobId",
        "status",
        "error",
        "queue",
        "name",
        "attempt",
        "maxAttempts",
        "progress",
        "timestamp",
        "durationMs",
    ];
    assert_eq!(full["keys"], serde_json::json!(keys));
    assert_eq!((&full["channel"], &full["message"]["status"]), (&"jobs:sms".into(), &"COMPLETED".into()));
    subscriber.stop();
    assert_eq!(daemon.stop(), Some(0));
}

/// Two daemons that have no handler for a job leave it to a worker of BullMQ that has.
#[test]
fn f76_what_oxherd_cannot_do_is_left_to_a_node_worker() {
    let redis = Redis::start();
    let toml = "[queues.email]\nroutes = { \"ours-*\" = \"log\" }\n[handlers.log.log]\n";
    let mut daemons = [Daemon::start(&redis, toml), Daemon::start(&redis, toml)];
    oxherd(&redis, &["job", "add", "email", "theirs", "--job-id", "theirs"]);
    eventually("it was put off", || !redis.call(&["ZSCORE", "bull:email:delayed", "theirs"]).is_empty());
    let mut worker = node("worker.mjs", 6, &redis, &[]).ready();
    // each time it is due one of three takes it; sooner than that it is not waited for
    eventually("it is done", || {
        if !redis.call(&["ZSCORE", "bull:email:delayed", "theirs"]).is_empty() {
            answered(&redis, &["job", "promote", "email", "theirs"]);
        }
        !redis.call(&["ZSCORE", "bull:email:completed", "theirs"]).is_empty()
    });
    worker.wait_for("it was done there", |line| line["event"] == "completed" && line["id"] == "theirs");
    assert_eq!(redis.call(&["HGET", "bull:email:theirs", "atm"]), "1");
    worker.stop();
    for daemon in &mut daemons {
        assert_eq!(daemon.stop(), Some(0));
    }
}
