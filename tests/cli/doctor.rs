//! `oxherd doctor`: each condition is made, its code appears; it is mended, and the code is gone.

use serde_json::Value;

use crate::harness::{Ended, Oxherd, Redis};
use crate::seed::{LONG_AGO, finished};

/// What one run has found.
struct Report {
    code: i32,
    json: Value,
}

impl Report {
    fn of(ended: &Ended) -> Self {
        Self { code: ended.code, json: ended.json() }
    }

    /// Of a code the worst finding's severity, with what was seen.
    fn found(&self, code: &str) -> (&str, &str) {
        let findings = self.json["findings"].as_array().unwrap();
        // the worst is last
        let last = findings.iter().rfind(|found| found["code"] == code);
        let last = last.unwrap_or_else(|| panic!("nothing about {code}: {}", self.json));
        (last["severity"].as_str().unwrap(), last["seen"].as_str().unwrap())
    }
}

fn report(oxherd: &Oxherd, arguments: &[&str]) -> Report {
    Report::of(&oxherd.run(&[&["doctor", "--json"], arguments].concat()))
}

/// A code is fine, is found where something is done, and is fine again when it is undone.
#[track_caller]
fn comes_and_goes(oxherd: &Oxherd, code: &str, severity: &str, done: impl FnOnce(), undone: impl FnOnce()) {
    assert_eq!(report(oxherd, &[]).found(code).0, "ok", "{code} before");
    done();
    let found = report(oxherd, &[]);
    assert_eq!(found.found(code).0, severity, "{code}: {}", found.found(code).1);
    assert_eq!(found.code, i32::from(severity == "error"), "the exit code with {code}");
    undone();
    assert_eq!(report(oxherd, &[]).found(code).0, "ok", "{code} after");
}

#[test]
fn what_is_set_wrongly_at_the_server_is_found_until_it_is_mended() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let set = |name: &str, value: &str| assert_eq!(redis.call(&["CONFIG", "SET", name, value]), "OK");
    for (code, severity, name, wrong, right) in [
        ("redis-eviction", "error", "maxmemory-policy", "allkeys-lru", "noeviction"),
        ("redis-memory", "error", "maxmemory", "1000000", "0"),
        ("redis-persistence", "warning", "appendonly", "no", "yes"),
        ("redis-persistence", "note", "appendfsync", "no", "everysec"),
        ("redis-clients", "error", "maxclients", "4", "10000"),
        ("redis-idle", "warning", "timeout", "60", "0"),
        ("redis-idle", "note", "tcp-keepalive", "0", "300"),
        ("redis-pubsub", "warning", "client-output-buffer-limit", "pubsub 1000 500 60", "pubsub 32mb 8mb 60"),
        ("redis-replicas", "error", "min-replicas-to-write", "1", "0"),
    ] {
        comes_and_goes(&oxherd, code, severity, || set(name, wrong), || set(name, right));
    }
}

#[test]
fn a_replica_is_no_place_for_jobs() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let follow = |words: [&str; 2]| drop(redis.call(&["REPLICAOF", words[0], words[1]]));
    comes_and_goes(&oxherd, "redis-role", "error", || follow(["127.0.0.1", "1"]), || follow(["NO", "ONE"]));
}

#[test]
fn what_stands_still_in_a_queue_is_found_until_it_goes_on() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let run = |words: &[&str]| drop(oxherd.run(words).exits(0));
    run(&["job", "add", "email", "n", "--job-id", "first"]);
    run(&["job", "remove", "email", "first", "--yes"]);
    let call = |words: &[&str]| drop(redis.call(words));
    comes_and_goes(
        &oxherd,
        "queue-workers",
        "warning",
        || run(&["job", "add", "email", "n", "--job-id", "second"]),
        || run(&["job", "remove", "email", "second", "--yes"]),
    );
    comes_and_goes(
        &oxherd,
        "queue-paused",
        "note",
        || run(&["queue", "pause", "email"]),
        || run(&["queue", "resume", "email"]),
    );
    comes_and_goes(
        &oxherd,
        "queue-failed",
        "note",
        || finished(&redis, "email", "failed", "f", "n", LONG_AGO, "boom"),
        || run(&["queue", "clean", "email", "--state", "failed", "--older", "0s", "--yes"]),
    );
    comes_and_goes(
        &oxherd,
        "queue-overdue",
        "warning",
        || call(&["ZADD", "bull:email:delayed", "4096000", "d"]),
        || call(&["DEL", "bull:email:delayed"]),
    );
    comes_and_goes(
        &oxherd,
        "queue-stalled",
        "warning",
        || call(&["LPUSH", "bull:email:active", "a"]),
        || call(&["SET", "bull:email:a:lock", "token"]),
    );
    comes_and_goes(
        &oxherd,
        "queue-look",
        "error",
        || call(&["SET", "bull:email:completed", "of another program"]),
        || call(&["DEL", "bull:email:completed"]),
    );
}

#[test]
fn limits_are_compared_with_the_file() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.file(
        "oxherd.toml",
        "[queues.email]\nhandler = \"app\"\nglobal_concurrency = 4\nrate_limit = { max = 3, per = \"1s\" }\n\
         [handlers.app.log]\n",
    );
    let found = report(&oxherd, &[]);
    assert_eq!(found.found("queue-limits").0, "warning");
    let seen = "global concurrency is none, the file says 4; rate limit is none, the file says 3 per 1000 ms";
    assert_eq!(found.found("queue-limits").1, seen);
    redis.call(&["HSET", "bull:email:meta", "concurrency", "4", "max", "3", "duration", "1000"]);
    assert_eq!(report(&oxherd, &[]).found("queue-limits").0, "ok");
}

#[test]
fn what_ends_with_which_exit_code() {
    let redis = Redis::start();
    let oxherd = Oxherd::new();
    let there = redis.url();
    // an empty database is a matter of notes at worst
    let fine = report(&oxherd, &["--redis", &there]);
    assert_eq!((fine.code, &fine.json["errors"]), (0, &0.into()), "{}", fine.json);
    redis.call(&["CONFIG", "SET", "appendonly", "no"]);
    assert_eq!(report(&oxherd, &["--redis", &there]).code, 0);
    assert_eq!(report(&oxherd, &["--redis", &there, "--strict"]).code, 1);
    let away = report(&oxherd, &["--redis", "redis://127.0.0.1:1"]);
    assert_eq!((away.code, away.found("redis-reach").0), (69, "error"));
    // what can be looked at without Redis is looked at
    assert_eq!(away.found("machine-files").0, "ok");
    oxherd.file("oxherd.toml", "[queues.email]\nhandler = \"nobody\"\n");
    oxherd.run(&["doctor", "--redis", &there]).exits(78);
}

#[test]
fn f48_a_refused_login_is_told_without_the_password() {
    let redis = Redis::start();
    redis.call(&["ACL", "SETUSER", "worker", "on", ">right-password", "~*", "&*", "+@all"]);
    let oxherd = Oxherd::new();
    oxherd.file(
        "oxherd.toml",
        &format!("[redis]\nurl = {:?}\nusername = \"worker\"\npassword = \"wrong-one\"\n", redis.url()),
    );
    let ended = oxherd.run(&["doctor", "--json"]).exits(1);
    let found = Report::of(&ended);
    assert_eq!(found.found("redis-login").0, "error");
    assert!(found.found("redis-login").1.starts_with("WRONGPASS"), "{}", found.json);
    assert!(!ended.stdout.contains("wrong-one") && !ended.stderr.contains("wrong-one"));
}

#[test]
fn people_read_the_worst_last_with_what_to_do() {
    let redis = Redis::start();
    redis.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let ended = Oxherd::with(&redis).run(&["doctor"]).exits(1);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("error    redis-eviction")).expect("it is found");
    assert!(lines[at].ends_with("maxmemory-policy is allkeys-lru"), "{}", ended.stdout);
    assert!(lines[at + 1].trim() == "set maxmemory-policy noeviction", "{}", ended.stdout);
    assert!(lines.iter().rposition(|line| line.starts_with("note")).is_some_and(|note| note < at), "{}", ended.stdout);
    assert!(lines.last().unwrap().starts_with("1 error, "), "{}", ended.stdout);
    assert!(lines.iter().any(|line| line.starts_with("ok ") && line.contains("redis-version")), "{}", ended.stdout);
}

#[test]
fn f129_a_file_with_a_secret_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt as _;
    let redis = Redis::start();
    let oxherd = Oxherd::new();
    let text = format!("[redis]\nurl = {:?}\npassword = \"hunter2\"\n", redis.url());
    let file = oxherd.file("oxherd.toml", &text);
    redis.call(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o640);
    comes_and_goes(&oxherd, "config-mode", "warning", || mode(0o644), || mode(0o600));
    comes_and_goes(&oxherd, "config-mode", "error", || mode(0o602), || mode(0o600));
    let ended = oxherd.run(&["doctor"]);
    assert!(!ended.stdout.contains("hunter2"), "{}", ended.stdout);
}

#[test]
fn the_state_directory_is_looked_at() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let set = |path: &str| drop(oxherd.file("oxherd.toml", &format!("[daemon]\nstate_dir = {path:?}\n")));
    set("state");
    comes_and_goes(&oxherd, "machine-state", "error", || set("oxherd.toml"), || set("state"));
    assert!(!oxherd.directory.path().join("state").exists(), "it is looked at, not made");
    std::fs::remove_file(oxherd.directory.path().join("oxherd.toml")).unwrap();
    assert_eq!(report(&oxherd, &[]).found("machine-state").0, "note");
}

#[test]
fn nothing_is_changed() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    crate::seed::email(&redis, &oxherd);
    let before = crate::seed::everything(&redis);
    report(&oxherd, &[]);
    assert_eq!(crate::seed::everything(&redis), before);
}
