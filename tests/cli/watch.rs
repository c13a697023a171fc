use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::harness::{Oxherd, Redis, eventually};

const MESSAGE: &str = r#"{"tenantId":"t1","jobId":"7","status":"COMPLETED","error":null,"queue":"email","name":"welcome","attempt":1,"maxAttempts":3,"progress":null,"timestamp":1788253198120,"durationMs":12}"#;

/// Starts `watch`, publishes two messages once it listens, and returns its first line.
fn first_line(arguments: &[&str]) -> String {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let mut child = oxherd.command(&[&["watch"], arguments].concat()).stdout(Stdio::piped()).spawn().unwrap();
    eventually("watch listens", || redis.call(&["PUBSUB", "NUMSUB", "job_updates"]) == "job_updates\n1");
    redis.call(&["PUBLISH", "job_updates", &MESSAGE.replace("email", "other").replace("\"t1\"", "null")]);
    redis.call(&["PUBLISH", "job_updates", MESSAGE]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

#[test]
fn messages_are_filtered_and_printed_as_they_were_published() {
    for filter in [&["--queue", "email"][..], &["--tenant", "t1"], &["--queue", "email", "--job", "7"]] {
        assert_eq!(first_line(&[filter, &["--json"]].concat()), format!("{MESSAGE}\n"));
    }
}

#[test]
fn messages_are_readable() {
    let line = first_line(&["--queue", "email"]);
    assert!(line.ends_with(" email welcome 7 COMPLETED attempt 1/3 12ms tenant=t1\n"), "{line}");
}

/// Entries of the stream as scripts write them.
fn keep(redis: &Redis, entry: &str, job: &str) {
    let message = MESSAGE.replace("\"7\"", &format!("\"{job}\""));
    redis.call(&["XADD", "updates", entry, "message", &message, "tenant", "t1", "queue", "email", "jobId", job]);
}

const STREAM: &str = "[status]\nstream = { key = \"updates\" }\n";

#[test]
fn the_stream_is_read_from_an_entry_or_a_time_and_said_where_to_go_on() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.file("oxherd.toml", STREAM);
    for (entry, job) in [("1000-0", "a"), ("2000-0", "b"), ("3000-0", "c")] {
        keep(&redis, entry, job);
    }
    for (arguments, first) in [
        (&["--from", "0"][..], "a"),
        (&["--from", "1000-0"], "b"),
        (&["--since", "1970-01-01T00:00:02Z"], "b"),
        (&["--since", "1970-01-01"], "a"),
        (&["--from", "0", "--job", "nothing", "--job", "?", "--queue", "e*"], "a"),
        (&["--from", "0", "--job", "c", "--tenant", "t?"], "c"),
    ] {
        let arguments = [&["watch", "--json"], arguments].concat();
        let mut child = oxherd.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut jobs = Vec::new();
        while jobs.last().is_none_or(|last| last != "c") {
            let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            jobs.push(line["jobId"].as_str().unwrap().to_owned());
        }
        assert_eq!(jobs[0], first, "{arguments:?}");
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let ended = child.wait_with_output().unwrap();
        let note = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(note.contains("--from 3000-0 goes on behind it"), "{note}");
        assert_eq!(ended.status.code(), Some(0));
    }
}

#[test]
fn without_a_stream_there_is_nothing_to_begin_from() {
    let redis = Redis::start();
    let ended = Oxherd::with(&redis).run(&["watch", "--since", "10m"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("configure [status] stream"), "{}", ended.stderr);
    for wrong in [&["--from", "x"][..], &["--since", "yesterday"], &["--from", "0", "--since", "1h"]] {
        let ended = Oxherd::with(&redis).run(&[&["watch"], wrong].concat());
        assert_eq!(ended.code, 2, "{wrong:?}: {}", ended.stderr);
    }
}
