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
