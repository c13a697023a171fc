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

#[test]
fn scripts_that_were_slow_and_pauses_are_told() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let set = |name: &str, value: &str| assert_eq!(redis.call(&["CONFIG", "SET", name, value]), "OK");
    comes_and_goes(
        &oxherd,
        "redis-slowlog",
        "warning",
        || {
            set("slowlog-log-slower-than", "0");
            oxherd.run(&["job", "add", "email", "n"]).exits(0);
            set("slowlog-log-slower-than", "10000000");
        },
        || drop(redis.call(&["SLOWLOG", "RESET"])),
    );
    let busy = "local t = redis.call('TIME'); repeat local n = redis.call('TIME')
        until (n[1] - t[1]) * 1000000 + n[2] - t[2] > 150000 return 1";
    comes_and_goes(
        &oxherd,
        "redis-latency",
        "warning",
        || {
            set("latency-monitor-threshold", "100");
            redis.call(&["EVAL", busy, "0"]);
            set("latency-monitor-threshold", "0");
        },
        || drop(redis.call(&["LATENCY", "RESET"])),
    );
}

#[test]
fn a_server_without_a_password_that_listens_everywhere_is_told() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let set = |name: &str, value: &str| assert_eq!(redis.call(&["CONFIG", "SET", name, value]), "OK");
    set("port", &crate::support::viewer::free_port().to_string());
    comes_and_goes(&oxherd, "redis-open", "warning", || set("protected-mode", "no"), || set("protected-mode", "yes"));
}

#[test]
fn who_shares_a_queue_and_how_old_its_jobs_are_is_told() {
    use std::io::{Read as _, Write as _};
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let call = |words: &[&str]| drop(redis.call(words));
    call(&["HSET", "bull:email:meta", "version", "bullmq:6.7.0"]);
    comes_and_goes(
        &oxherd,
        "queue-clients",
        "warning",
        || call(&["HSET", "bull:email:meta", "version", "bullmq:5.81.5", "oxherd.placement", "v6"]),
        || call(&["HSET", "bull:email:meta", "version", "bullmq:6.7.0"]),
    );
    let gate = r#"[{"handler":"app","instance":"one","state":"shut","why":"no answer","until":null}]"#;
    comes_and_goes(
        &oxherd,
        "queue-gates",
        "warning",
        || call(&["ZADD", "bull:email:oxherd.gates", "9000000000000", gate]),
        || call(&["DEL", "bull:email:oxherd.gates"]),
    );
    // a worker, as far as its name tells
    let mut worker = std::os::unix::net::UnixStream::connect(redis.socket()).unwrap();
    worker.write_all(b"CLIENT SETNAME bull:ZW1haWw=\r\n").unwrap();
    worker.read_exact(&mut [0; 5]).unwrap();
    comes_and_goes(
        &oxherd,
        "queue-age",
        "warning",
        || {
            call(&["HSET", "bull:email:old", "name", "n", "timestamp", &LONG_AGO.to_string()]);
            call(&["LPUSH", "bull:email:wait", "old"]);
        },
        || call(&["DEL", "bull:email:old", "bull:email:wait"]),
    );
}

#[test]
fn what_has_grown_in_a_queue_is_told() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let call = |words: &[&str]| drop(redis.call(words));
    call(&["HSET", "bull:email:meta", "version", "bullmq:6.7.0"]);
    let many = "for n = 1, 100001 do redis.call('XADD', KEYS[1], n, 'event', 'e') end return 1";
    comes_and_goes(
        &oxherd,
        "queue-events",
        "warning",
        || call(&["EVAL", many, "1", "bull:email:events"]),
        || call(&["XTRIM", "bull:email:events", "MAXLEN", "10"]),
    );
    let large = "x".repeat(1024 * 1024 + 1);
    comes_and_goes(
        &oxherd,
        "queue-large",
        "warning",
        || {
            call(&["HSET", "bull:email:1", "name", "n", "data", &large]);
            call(&["LPUSH", "bull:email:wait", "1"]);
        },
        || call(&["DEL", "bull:email:1", "bull:email:wait"]),
    );
    let finished = "for n = 1, 200 do local t = {} for m = 1, 1001 do t[2 * m - 1], t[2 * m] = m, n * 10000 + m end
        redis.call('ZADD', KEYS[1], unpack(t)) end return 1";
    comes_and_goes(
        &oxherd,
        "queue-kept",
        "note",
        || call(&["EVAL", finished, "1", "bull:email:completed"]),
        || call(&["DEL", "bull:email:completed"]),
    );
    comes_and_goes(
        &oxherd,
        "queue-orphans",
        "note",
        || call(&["HSET", "bull:email:stray", "name", "n", "timestamp", &LONG_AGO.to_string()]),
        || call(&["DEL", "bull:email:stray"]),
    );
}

#[test]
fn lists_are_looked_at() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let list = "[queues.imports]\nlist = { key = \"job_queue\" }\nhandler = \"app\"\nglobal_concurrency = 2\n[handlers.app.log]\n";
    oxherd.file("oxherd.toml", list);
    let call = |words: &[&str]| drop(redis.call(words));
    let meta = "{job_queue}:oxherd:meta";
    assert_eq!(report(&oxherd, &[]).found("list-limits").0, "warning");
    call(&["HSET", meta, "concurrency", "2"]);
    comes_and_goes(
        &oxherd,
        "list-limits",
        "warning",
        || call(&["HSET", meta, "concurrency", "3"]),
        || call(&["HSET", meta, "concurrency", "2"]),
    );
    comes_and_goes(
        &oxherd,
        "list-workers",
        "warning",
        || call(&["LPUSH", "job_queue", "1"]),
        || call(&["DEL", "job_queue"]),
    );
    comes_and_goes(&oxherd, "list-look", "error", || call(&["SET", "job_queue", "1"]), || call(&["DEL", "job_queue"]));
    let verb = |verb: &str| drop(oxherd.run(&["queue", verb, "imports"]).exits(0));
    comes_and_goes(&oxherd, "list-paused", "note", || verb("pause"), || verb("resume"));
    let dead = "{job_queue}:oxherd:dead";
    comes_and_goes(&oxherd, "list-dead", "note", || call(&["RPUSH", dead, "{}"]), || call(&["DEL", dead]));
    // one that its process died with, in the middle
    let file = "[queues.imports]\nlist = { key = \"job_queue\", lease = \"1m\" }\nhandler = \"app\"\nglobal_concurrency = 2\n\
                [handlers.app.log]\nduration = \"60s\"\n";
    let mut daemon = crate::support::daemon::Daemon::start(&redis, file);
    comes_and_goes(
        &oxherd,
        "list-held",
        "warning",
        || {
            call(&["LPUSH", "job_queue", "1"]);
            crate::harness::eventually("it is taken", || redis.number(&["LLEN", "job_queue"]) == 0);
            daemon.kill();
            call(&["DEL", "{job_queue}:oxherd:instances"]);
        },
        || {
            let keys = redis.list(&["KEYS", "{job_queue}:oxherd:t*"]);
            for key in &keys {
                call(&["DEL", key]);
            }
        },
    );
}

#[test]
fn schedules_are_compared_with_the_file() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let file = |every: &str| {
        let text = format!(
            "[queues.email]\nhandler = \"app\"\n[handlers.app.log]\n[schedules.tick]\nevery = \"{every}\"\nqueue = \"email\"\n"
        );
        oxherd.file("oxherd.toml", &text);
        text
    };
    let text = file("1h");
    assert_eq!(report(&oxherd, &[]).found("schedule-missing").0, "warning");
    let mut daemon = crate::support::daemon::Daemon::start(&redis, &text);
    daemon.says("schedules put in force");
    daemon.stop();
    assert_eq!(report(&oxherd, &[]).found("schedule-missing").0, "ok");
    comes_and_goes(&oxherd, "schedule-differs", "warning", || drop(file("2h")), || drop(file("1h")));
    let next = redis.call(&["ZSCORE", "bull:email:repeat", "tick"]);
    let call = |words: &[&str]| drop(redis.call(words));
    comes_and_goes(
        &oxherd,
        "schedule-late",
        "warning",
        || call(&["ZADD", "bull:email:repeat", "1000", "tick"]),
        || call(&["ZADD", "bull:email:repeat", &next, "tick"]),
    );
    let far = "9000000000000";
    comes_and_goes(
        &oxherd,
        "schedule-legacy",
        "note",
        || call(&["ZADD", "bull:email:repeat", far, "old:::* * * * *"]),
        || call(&["ZREM", "bull:email:repeat", "old:::* * * * *"]),
    );
    // somebody else makes it his own
    let mark = redis.call(&["HGET", "bull:email:repeat:tick", "oxherd.mark"]);
    comes_and_goes(
        &oxherd,
        "schedule-conflict",
        "error",
        || call(&["HDEL", "bull:email:repeat:tick", "oxherd.mark"]),
        || call(&["HSET", "bull:email:repeat:tick", "oxherd.mark", &mark]),
    );
}

#[test]
fn handlers_and_the_machine_are_looked_at() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let endpoint = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = endpoint.local_addr().unwrap().port();
    let file = |argv: &str, state: &str| {
        let text = format!(
            "[queues.email]\nhandler = \"app\"\nconcurrency = 20\nroutes = {{ p = \"program\", m = \"mail\" }}\n\
             [handlers.app.http]\nurl = \"http://127.0.0.1:{port}/jobs\"\n\
             [handlers.program.command]\nargv = [\"{argv}\"]\n\
             [handlers.mail.smtp]\nurl = \"smtp://127.0.0.1:{port}\"\ntls = \"off\"\nfrom = \"a@example.org\"\n\
             [daemon]\nstate_dir = \"{state}\"\n"
        );
        drop(oxherd.file("oxherd.toml", &text));
    };
    file("true", "state");
    comes_and_goes(&oxherd, "machine-program", "error", || file("no-such-program", "state"), || file("true", "state"));
    comes_and_goes(&oxherd, "machine-disk", "warning", || file("true", "/proc/state"), || file("true", "state"));
    let limited = |limit: &str| {
        let line =
            format!("exec prlimit {limit} {} doctor --json --redis {}", env!("CARGO_BIN_EXE_oxherd"), redis.url());
        let mut command = oxherd.shell(&line);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        Report::of(&Ended::new(&command.output().unwrap()))
    };
    assert_eq!(limited("--nofile=64").found("machine-files").0, "warning");
    assert_eq!(limited("--nofile=1024").found("machine-files").0, "ok");
    assert_eq!(limited("--nproc=30").found("machine-processes").0, "warning");
    // nobody is called but when asked for
    assert!(
        report(&oxherd, &[]).json["findings"].as_array().unwrap().iter().all(|found| found["code"] != "handler-reach")
    );
    let asked = std::thread::spawn(move || {
        use std::io::{BufRead as _, Write as _};
        let mut heard = Vec::new();
        for stream in endpoint.incoming().take(2) {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"220 here\r\n");
            let mut lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
            while let Some(Ok(line)) = lines.next() {
                let _ = stream.write_all(if line.starts_with("QUIT") { b"221 bye\r\n" } else { b"250 fine\r\n" });
                heard.push(line.split(' ').next().unwrap().to_owned());
            }
        }
        heard
    });
    let there = report(&oxherd, &["--handlers"]);
    assert_eq!((there.found("handler-reach").0, there.found("handler-mail").0), ("ok", "ok"), "{}", there.json);
    assert_eq!(asked.join().unwrap(), ["EHLO", "NOOP", "QUIT"]);
    let gone = report(&oxherd, &["--handlers"]);
    assert_eq!((gone.found("handler-reach").0, gone.found("handler-mail").0), ("error", "error"), "{}", gone.json);
    assert_eq!(gone.found("handler-settings").0, "ok");
    oxherd.file(
        "lonely.toml",
        "[queues.email]\nhandler = \"app\"\n[handlers.app.log]\n[schedules.s]\nevery = \"1h\"\nqueue = \"elsewhere\"\n",
    );
    assert_eq!(report(&oxherd, &["-c", "lonely.toml"]).found("config-warning").0, "warning");
}

/// What cannot be brought about here is tested on facts that are made up, beside the checks.
const MADE_UP: [&str; 9] = [
    "redis-version",
    "redis-loading",
    "redis-cluster",
    "redis-saving",
    "redis-round-trip",
    "redis-script",
    "redis-plain",
    "redis-host",
    "clock-skew",
];

#[test]
fn every_code_has_a_test() {
    let page = include_str!("../../docs/doctor.md");
    let codes =
        page.split_once("## Codes").unwrap().1.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let tests = [include_str!("doctor.rs"), include_str!("acl.rs")].concat();
    for code in codes {
        assert!(MADE_UP.contains(&code) || tests.contains(&format!("{code:?}")), "{code} has no test");
    }
}
