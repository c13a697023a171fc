//! Processor files of BullMQ's sandbox, unchanged, in a pool of oxherd: the same jobs through both, and what is left in
//! Redis compared. Where it is another thing on purpose, `DIFFERENCES` says what and `docs/handlers/helpers.md` why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::program::{Program, node};
use super::support::redis::Redis;

/// Queue, file, and the cases it is asked for. Those that end a process, of BullMQ's some time later, have one of their own.
const QUEUES: &[(&str, &str, &[&str])] = &[
    (
        "cases",
        "cases.cjs",
        &[
            "undefined",
            "null",
            "zero",
            "false",
            "empty",
            "text",
            "half",
            "list",
            "object",
            "number",
            "nan",
            "date",
            "map",
            "buffer",
            "function",
            "symbol",
            "promise",
            "big",
            "data",
            "bigint",
            "circular",
            "error",
            "rejection",
            "typed",
            "cause",
            "aggregate",
            "string",
            "thrown_number",
            "thrown_object",
            "no_message",
            "lines",
            "unrecoverable",
            "unrecoverable_bare",
            "second_time",
            "delayed",
            "moved_only",
            "limited",
            "no_children",
            "seen",
            "progress",
            "progress_object",
            "log",
            "new_data",
            "printed",
            "nonsense",
        ],
    ),
    ("thrown-undefined", "cases.cjs", &["thrown_undefined"]),
    ("unhandled", "cases.cjs", &["unhandled"]),
    ("uncaught", "cases.cjs", &["uncaught"]),
    ("exit", "cases.cjs", &["exit"]),
    ("killed", "cases.cjs", &["killed"]),
    ("late", "cases.cjs", &["late"]),
    ("esm", "esm.mjs", &["whatever"]),
    ("compiled", "compiled.cjs", &["whatever"]),
    ("callback", "callback.cjs", &["whatever"]),
];

/// A pool logs for a job what its process prints, BullMQ does not.
const PRINT: [&str; 4] = ["printed", "unhandled", "uncaught", "thrown_undefined"];

/// Case, field, what BullMQ leaves there, what oxherd does.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "circular",
        "failedReason",
        "Converting circular structure to JSON\n    --> starting at object with constructor 'Object'\n    --- property 'value' closes the circle",
        "Converting circular structure to JSON     --> starting at object with constructor 'Object'     --- property 'value' closes the circle",
    ),
    ("thrown_undefined", "failedReason", "Cannot read properties of undefined (reading 'message')", "undefined"),
    (
        "thrown_undefined",
        "stacktrace",
        "TypeError: Cannot read properties of undefined (reading 'message')",
        "Error: undefined",
    ),
    ("no_message", "stacktrace", "Error: Error | Error: Error", "Error | Error"),
    ("lines", "failedReason", "one\ntwo", "one two"),
    (
        "limited",
        "events",
        "added waiting active waiting active completed",
        "added waiting active delayed waiting active completed",
    ),
];

fn processors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/node/processors")
}

fn helper() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helpers/oxherd.mjs")
}

/// oxherd with a pool for each of these queues.
fn ours(redis: &Redis, version: u8, queues: &[(&str, &str)]) -> Daemon {
    let package = if version == 5 { "bullmq5" } else { "bullmq" };
    let mut toml = String::from("[defaults]\nkeep_completed = true\nkeep_failed = true\nconcurrency = 1\n");
    for (queue, file) in queues {
        let argv = json!(["node", helper(), processors().join(file)]);
        write!(toml, "[queues.ours-{queue}]\nhandler = \"{queue}\"\n[handlers.{queue}.process]\nargv = {argv}\n")
            .unwrap();
        writeln!(toml, "env = {{ BULLMQ = \"{package}\" }}").unwrap();
    }
    Daemon::start(redis, &toml)
}

/// BullMQ with a sandbox for each of these queues.
fn theirs(redis: &Redis, version: u8, queues: &[(&str, &str)]) -> Program {
    let pairs: Vec<String> = queues.iter().map(|(queue, file)| format!("theirs-{queue}={file}")).collect();
    node("sandbox.mjs", version, redis, &["--queues", &pairs.join(",")]).ready()
}

fn add(redis: &Redis, queue: &str, jobs: &[Value]) {
    let lines = jobs.iter().map(|job| format!("{job}\n")).collect::<Vec<_>>().concat();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.jsonl");
    std::fs::write(&file, lines).unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_oxherd"))
        .args(["job", "add", queue, "--from", file.to_str().unwrap(), "--redis", &redis.url()])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(ended.success());
}

fn is_finished(redis: &Redis, queue: &str, jobs: u64) -> bool {
    let count = |state: &str| redis.number(&["ZCARD", &format!("bull:{queue}:{state}")]);
    count("completed") + count("failed") == jobs
}

/// What is left of a job, by field; times, places in the code, and how often something was said left out.
fn left(redis: &Redis, queue: &str, id: &str) -> BTreeMap<String, String> {
    let key = format!("bull:{queue}:{id}");
    let mut left = BTreeMap::new();
    for field in ["returnvalue", "failedReason", "atm", "ats", "stc", "progress", "data"] {
        left.insert(field.to_owned(), redis.call(&["HGET", &key, field]));
    }
    let stacks: Vec<String> = serde_json::from_str(&redis.call(&["HGET", &key, "stacktrace"])).unwrap_or_default();
    let heads: Vec<&str> = stacks.iter().map(|stack| stack.split("\n    at ").next().unwrap_or_default()).collect();
    left.insert("stacktrace".into(), heads.join(" | "));
    left.insert("logs".into(), redis.call(&["LRANGE", &format!("{key}:logs"), "0", "-1"]));
    let state = ["completed", "failed"].map(|state| redis.call(&["ZSCORE", &format!("bull:{queue}:{state}"), id]));
    left.insert("state".into(), if state[0].is_empty() { "failed" } else { "completed" }.into());
    left
}

/// The names of a job's events in their order.
fn events(redis: &Redis, queue: &str) -> BTreeMap<String, Vec<String>> {
    let lines = redis.list(&["XRANGE", &format!("bull:{queue}:events"), "-", "+"]);
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut event = None;
    for pair in lines.windows(2) {
        match pair[0].as_str() {
            "event" => event = Some(pair[1].clone()),
            "jobId" => events.entry(pair[1].clone()).or_default().extend(event.take()),
            _ => {}
        }
    }
    events
}

fn compare(version: u8) {
    let redis = Redis::start();
    for (queue, _, cases) in QUEUES {
        let job = |case: &&str| {
            let backoff = json!({ "type": "fixed", "delay": 20, "jitter": 0 });
            // BullMQ's process ends some time after these, and their next attempt may meet it
            let attempts = if PRINT.contains(case) { 1 } else { 2 };
            let opts = json!({ "jobId": format!("case-{case}"), "attempts": attempts, "backoff": backoff });
            json!({ "name": case, "data": { "do": case, "n": 1.10, "å": "\u{2028}" }, "opts": opts })
        };
        let jobs: Vec<Value> = cases.iter().map(job).collect();
        for whose in ["theirs", "ours"] {
            add(&redis, &format!("{whose}-{queue}"), &jobs);
        }
    }
    let files: Vec<(&str, &str)> = QUEUES.iter().map(|(queue, file, _)| (*queue, *file)).collect();
    let theirs = theirs(&redis, version, &files);
    let daemon = ours(&redis, version, &files);
    let mut differences = Vec::new();
    for (queue, _, cases) in QUEUES {
        let queues = ["theirs", "ours"].map(|whose| format!("{whose}-{queue}"));
        for queue in &queues {
            eventually(&format!("{queue} is done"), || is_finished(&redis, queue, cases.len() as u64));
        }
        let events = queues.each_ref().map(|queue| events(&redis, queue));
        for case in *cases {
            let id = format!("case-{case}");
            let [mut theirs, mut ours] = queues.each_ref().map(|queue| left(&redis, queue, &id));
            theirs.insert("events".into(), events[0][&id].join(" "));
            ours.insert("events".into(), events[1][&id].join(" "));
            for (field, theirs) in theirs {
                let ours = ours.remove(&field).unwrap();
                if theirs != ours {
                    differences.push((*case, field, theirs, ours));
                }
            }
        }
    }
    differences.retain(|(case, field, theirs, ours)| match (*case, field.as_str()) {
        // how it says that a program has ended is everybody's own
        ("exit" | "killed", "failedReason" | "stacktrace") => {
            assert!(
                theirs.contains("Unexpected exit code") && ours.contains("the process"),
                "{case}: {theirs}, {ours}"
            );
            false
        }
        ("printed", "logs") => {
            assert!(ours.contains("to standard output") && ours.contains("to standard error"), "{ours}");
            false
        }
        (_, "logs") => !PRINT.contains(case),
        _ => true,
    });
    let listed: Vec<_> = DIFFERENCES
        .iter()
        .map(|(case, field, theirs, ours)| (*case, (*field).to_owned(), (*theirs).to_owned(), (*ours).to_owned()))
        .collect();
    let unlisted: Vec<_> = differences.iter().filter(|found| !listed.contains(found)).collect();
    let gone: Vec<_> = listed.iter().filter(|listed| !differences.contains(listed)).collect();
    assert!(unlisted.is_empty() && gone.is_empty(), "not listed: {unlisted:#?}\nlisted and not found: {gone:#?}");
    assert!(daemon.log().contains("to standard output"), "what a processor prints is in the log");
    theirs.stop();
}

#[test]
fn processors_of_bullmq_6_leave_the_same() {
    compare(6);
}

#[test]
fn processors_of_bullmq_5_leave_the_same() {
    compare(5);
}

#[test]
fn a_processor_waits_for_the_children_it_adds() {
    for version in [5, 6] {
        let redis = Redis::start();
        let files = [("parent", "parent.cjs"), ("kids", "esm.mjs")];
        let theirs = theirs(&redis, version, &files);
        let _daemon = ours(&redis, version, &files);
        let [theirs_left, ours_left] = ["theirs", "ours"].map(|whose| {
            let parent = format!("{whose}-parent");
            let data = json!({ "queue": format!("{whose}-kids"), "redis": redis.socket() });
            add(&redis, &parent, &[json!({ "name": "parent", "data": data, "opts": { "jobId": "p" } })]);
            eventually(&format!("{parent} is done"), || is_finished(&redis, &parent, 1));
            let mut left = left(&redis, &parent, "p");
            left.remove("data");
            // where the children are quick there is nothing to wait for, and one start does
            left.remove("ats");
            let value = left.get_mut("returnvalue").expect("the parent has completed");
            value.truncate(value.find(r#","starts""#).expect("it counts its starts"));
            left
        });
        assert_eq!(ours_left, theirs_left);
        let value = &ours_left["returnvalue"];
        assert!(value.starts_with(r#"{"values":["a of an ES module","b of an ES module"]"#), "{value}");
        theirs.stop();
    }
}

#[test]
fn what_cannot_be_loaded_burns_no_attempts() {
    let redis = Redis::start();
    let files = [("broken", "broken.cjs"), ("no-function", "no-function.cjs"), ("missing", "missing.cjs")];
    for (queue, _) in files {
        add(&redis, &format!("ours-{queue}"), &[json!({ "name": "x", "data": {}, "opts": { "jobId": "x" } })]);
    }
    let daemon = ours(&redis, 6, &files);
    for text in ["SyntaxError: Unexpected token", "exports no function", "no file"] {
        daemon.says(text);
    }
    for (queue, _) in files {
        assert_eq!(redis.call(&["HGET", &format!("bull:ours-{queue}:x"), "atm"]), "", "{queue}");
    }
}
