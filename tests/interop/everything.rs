//! A Node program adds jobs of every kind over five queues; oxherd does them over HTTP and by command.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::support::daemon::{Daemon, oxherd};
use super::support::program::{node, python};
use super::support::receiver::Receiver;
use super::support::redis::Redis;

const QUEUES: &str = "email,notification,analytics,cleanup,export";

/// Fails as many attempts as the data says, then answers with what the data holds.
fn echo(envelope: &Value) -> (u16, String) {
    let (job, data) = (&envelope["job"], &envelope["data"]);
    if job["attempt"].as_u64() <= data["failures"].as_u64() {
        return (500, json!({"error": "told to fail"}).to_string());
    }
    (200, json!({"n": data["n"], "echo": data["echo"]}).to_string())
}

fn config(receiver: &Receiver) -> String {
    // the command has no JSON parser at hand: it fails by name and attempt, and answers the envelope
    let command = r"case $OXHERD_JOB_NAME:$OXHERD_ATTEMPT in retry-exponential:[12] | retry-*:1) exit 1 ;; esac; cat";
    let mut queues = String::new();
    for queue in QUEUES.split(',') {
        let handler = if queue == "export" { "command" } else { "endpoint" };
        writeln!(queues, "[queues.{queue}]\nconcurrency = 10\nhandler = \"{handler}\"").unwrap();
    }
    format!(
        "{queues}\n[handlers.endpoint.http]\nurl = \"{}/jobs/{{queue}}/{{name}}\"\n\
         [handlers.command.command]\nargv = [\"sh\", \"-c\", \"{}\"]\n",
        receiver.url,
        command.replace('"', "\\\"")
    )
}

fn every_kind(version: u8, jobs: usize) {
    let redis = Redis::start();
    let receiver = Receiver::start(echo);
    let mut daemon = Daemon::start(&redis, &config(&receiver));
    let mut events = node("events.mjs", version, &redis, &["--queues", QUEUES, "--only", "completed,failed"]).ready();

    let count = jobs.to_string();
    let producer = node("producer.mjs", version, &redis, &["--queues", QUEUES, "--jobs", &count]);
    let added: Vec<Value> = producer.end().into_iter().filter(|line| line["id"].is_string()).collect();
    assert_eq!(added.len(), jobs);
    events.wait_for_count("completed", jobs, |line| line["event"] == "completed");
    let heard = events.stop();

    // each acknowledged job was completed once, with the value its handler answered
    let key = |line: &Value| format!("{}:{}", line["queue"], line["id"]);
    let mut values: HashMap<String, Value> = HashMap::new();
    for line in &heard {
        match line["event"].as_str() {
            Some("completed") => {
                let before = values.insert(key(line), line["returnvalue"].clone());
                assert!(before.is_none(), "completed twice: {line}");
            }
            Some("stopped" | "ready") => {}
            _ => panic!("heard {line}"),
        }
    }
    for job in &added {
        let value = values.get(&key(job)).unwrap_or_else(|| panic!("never completed: {job}"));
        let n = if job["queue"] == "export" { &value["data"]["n"] } else { &value["n"] };
        assert_eq!(n, &job["n"], "{job} returned {value}");
    }

    // no attempt of any job was posted twice
    let mut posted = HashSet::new();
    for envelope in receiver.requests() {
        let job = &envelope["job"];
        assert!(
            posted.insert(format!("{}:{}:{}", job["queue"], job["id"], job["attempt"])),
            "posted twice: {envelope}"
        );
    }

    for queue in QUEUES.split(',') {
        let counts = &oxherd(&redis, &["queue", "show", queue])["counts"];
        for state in ["waiting", "active", "delayed", "prioritized", "failed"] {
            assert_eq!(counts[state], 0, "{state} jobs left in {queue}: {counts}");
        }
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn node_6_adds_two_thousand_jobs_of_every_kind() {
    every_kind(6, 2000);
}

#[test]
fn node_5_adds_two_thousand_jobs_of_every_kind() {
    every_kind(5, 2000);
}

#[test]
fn python_adds_jobs_of_every_kind() {
    let redis = Redis::start();
    let receiver = Receiver::start(echo);
    let mut daemon = Daemon::start(&redis, &config(&receiver));
    let mut events = node("events.mjs", 6, &redis, &["--queues", QUEUES, "--only", "completed,failed"]).ready();
    let added = python("add.py", &redis, &["--queues", QUEUES, "--jobs", "300"]).end();
    let added: HashSet<String> = added
        .iter()
        .filter(|line| line["id"].is_string())
        .map(|line| format!("{}:{}", line["queue"], line["id"]))
        .collect();
    assert_eq!(added.len(), 300);
    events.wait_for_count("completed", 300, |line| line["event"] == "completed");
    let completed: HashSet<String> = events
        .stop()
        .iter()
        .filter(|line| line["event"] == "completed")
        .map(|line| format!("{}:{}", line["queue"], line["id"]))
        .collect();
    assert_eq!(completed, added);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn retention_leaves_what_the_file_says() {
    let redis = Redis::start();
    let receiver = Receiver::start(|envelope| {
        if envelope["data"]["n"].as_u64().unwrap() % 4 == 0 { (400, "\"no\"".into()) } else { (200, "null".into()) }
    });
    let toml = format!(
        "[defaults]\nattempts = 1\nkeep_completed = {{ count = 30 }}\nkeep_failed = {{ count = 7 }}\n\
         [queues.email]\nconcurrency = 10\nhandler = \"endpoint\"\n[handlers.endpoint.http]\nurl = \"{}\"\n",
        receiver.url
    );
    let mut daemon = Daemon::start(&redis, &toml);
    let mut events = node("events.mjs", 6, &redis, &["--only", "completed,failed"]).ready();
    node("producer.mjs", 6, &redis, &["--jobs", "200", "--kinds", "standard,delayed,prioritized,lifo,bulk"]).end();
    events.wait_for_count("completed or failed", 200, |line| line["id"].is_string());
    let counts = oxherd(&redis, &["queue", "show", "email"])["counts"].clone();
    assert_eq!((&counts["completed"], &counts["failed"]), (&json!(30), &json!(7)), "{counts}");

    // those that went left nothing behind: 37 hashes, and none besides
    let left = node("inspect.mjs", 6, &redis, &["jobs", "completed", "failed"]).end();
    assert_eq!(left[0].as_array().unwrap().len(), 37);
    assert_eq!(job_hashes(&redis, "email"), 37);
    assert_eq!(daemon.stop(), Some(0));
}

/// Hashes below the queue whose last part is a number: the jobs that Redis still holds.
fn job_hashes(redis: &Redis, queue: &str) -> u64 {
    let script = "local n = 0 for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do \
                  if string.match(string.sub(key, #ARGV[1] + 1), '^%d+$') then n = n + 1 end end return n";
    redis.number(&["EVAL", script, "0", &format!("bull:{queue}:")])
}
