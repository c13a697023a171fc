use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Ended, Oxherd, Redis};
use crate::seed::{LONG_AGO, active, email, everything, finished};

fn ids(jobs: &Value) -> Vec<&str> {
    jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect()
}

#[test]
fn jobs_are_chosen_by_state_name_age_and_reason() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    for (flags, expected) in [
        (&["--state", "failed"][..], &["f3", "f2", "f1"][..]),
        (&["--state", "failed", "--reason", "ECONNREFUSED"], &["f3", "f1"]),
        (&["--state", "failed", "--reason", "ECONNREFUSED", "--older", "1h"], &["f1"]),
        (&["--name", "send-w*"], &["c2", "c1", "f1"]),
        (&["--name", "send-w*", "--offset", "1", "--limit", "1"], &["c1"]),
        (&["--older", "1h"], &["busy", "c1", "f2", "f1"]),
        (&["--older", "1h", "--name", "*digest"], &["f2"]),
        (&["--offset", "2", "--limit", "3"], &["busy", "later", "4"]),
        (&["--reason", "nothing like this"], &[]),
    ] {
        let jobs = oxherd.run(&[&["job", "ls", "email", "--json"][..], flags].concat()).exits(0).json();
        assert_eq!(ids(&jobs), expected, "{flags:?}");
    }
}

#[test]
fn failed_jobs_run_again_the_oldest_first() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    oxherd.run(&["queue", "drain", "email", "--yes"]).exits(0);
    let told = oxherd.run(&["job", "retry", "email", "--reason", "ECONNREFUSED", "--json"]).exits(0).json();
    assert_eq!(told, json!({"queue": "email", "done": 2, "refused": []}));
    // the right end is served first
    assert_eq!(redis.list(&["LRANGE", "bull:email:wait", "0", "-1"]), ["f3", "f1"]);
    let job = oxherd.run(&["job", "show", "email", "f1", "--json"]).exits(0).json();
    assert_eq!(
        (&job["state"], &job["failedReason"], &job["attemptsMade"]),
        (&"waiting".into(), &Value::Null, &2.into())
    );
    // by id it may be completed too
    let ended = oxherd.run(&["job", "retry", "email", "f2", "c1", "--reset-attempts"]).exits(0);
    assert_eq!(ended.stdout, "retried 2 jobs in email\n");
    assert_eq!(redis.call(&["HEXISTS", "bull:email:f2", "atm"]), "0");
    let ended = oxherd.run(&["job", "retry", "email", "--state", "failed"]).exits(0);
    assert_eq!(ended.stdout, "retried 0 jobs in email\n");
}

#[test]
fn what_is_refused_is_told_with_its_reason_and_is_1() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let ended = oxherd.run(&["job", "retry", "email", "f1", "1", "nobody"]).exits(1);
    assert_eq!(ended.stdout, "retried 1 job in email, refused 2\n");
    assert!(ended.stderr.contains("cannot retry job 1: it is not in the state this starts from"), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot retry job nobody: there is no such job"), "{}", ended.stderr);
    let told = oxherd.run(&["job", "retry", "email", "nobody", "f2", "--json"]).exits(1).json();
    let refused = json!([{"id": "nobody", "reason": "there is no such job"}]);
    assert_eq!(told, json!({"queue": "email", "done": 1, "refused": refused}));
    // people are told of some, programs of all
    let strangers: Vec<String> = (0..9).map(|n| format!("x{n}")).collect();
    let words = [&["job", "promote", "email"][..], &strangers.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let ended = oxherd.run(&words).exits(1);
    assert!(ended.stderr.lines().count() == 6 && ended.stderr.contains("and 4 more"), "{}", ended.stderr);
    let told = oxherd.run(&[&words[..], &["--json"]].concat()).exits(1).json();
    assert_eq!(told["refused"].as_array().unwrap().len(), 9);
    for verb in [&["job", "retry"][..], &["job", "remove"], &["job", "promote"], &["job", "update", "--priority", "1"]]
    {
        let ended = oxherd.run(&[verb, &["emial", "1"]].concat()).exits(1);
        assert!(ended.stderr.contains("no queue emial"), "{verb:?}: {}", ended.stderr);
    }
}

#[test]
fn delayed_jobs_are_promoted() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    oxherd.run(&["job", "add", "email", "other", "--delay", "2h", "--job-id", "much-later"]).exits(0);
    let ended = oxherd.run(&["job", "promote", "email", "--name", "welcome"]).exits(0);
    assert_eq!(ended.stdout, "promoted 1 job in email\n");
    oxherd.run(&["job", "promote", "email", "much-later"]).exits(0);
    assert_eq!(redis.list(&["LRANGE", "bull:email:wait", "0", "-1"]), ["much-later", "later", "2", "1"]);
    let ended = oxherd.run(&["job", "promote", "email", "--state", "failed"]).exits(2);
    assert!(ended.stderr.contains("expected --state delayed"), "{}", ended.stderr);
}

#[test]
fn jobs_are_removed_but_not_from_their_workers() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let told = oxherd.run(&["job", "remove", "email", "--older", "1h", "--yes", "--json"]).exits(1).json();
    assert_eq!(told["done"], 3);
    assert_eq!(told["refused"][0]["id"], "busy");
    assert!(told["refused"][0]["reason"].as_str().unwrap().contains("a worker holds it"), "{told}");
    // who types an id has been asked enough
    assert_eq!(oxherd.run(&["job", "remove", "email", "1", "f3"]).exits(0).stdout, "removed 2 jobs from email\n");
    assert_eq!(redis.call(&["EXISTS", "bull:email:1", "bull:email:f3", "bull:email:f1"]), "0");
    oxherd.run(&["job", "remove", "email", "1"]).exits(1);
}

#[test]
fn jobs_get_other_data_priorities_and_delays() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let show = |id| oxherd.run(&["job", "show", "email", id, "--json"]).exits(0).json();
    let data = r#"{"n":1.50}"#;
    oxherd.run(&["job", "update", "email", "1", "--data", data, "--priority", "7"]).exits(0);
    assert_eq!(redis.call(&["HGET", "bull:email:1", "data"]), data);
    assert_eq!((&show("1")["state"], &show("1")["priority"]), (&"prioritized".into(), &7.into()));
    oxherd.run_with_input(&["job", "update", "email", "2", "--data", "-"], "[1]\n").exits(0);
    assert_eq!(show("2")["data"], json!([1]));
    let ended = oxherd.run(&["job", "update", "email", "--delay", "3h", "--older", "0s"]).exits(0);
    assert_eq!(ended.stdout, "updated 1 job in email\n");
    assert_eq!(show("later")["delay"], 10_800_000);
    let told = oxherd.run(&["job", "update", "email", "--state", "prioritized", "--priority", "0", "--json"]).exits(0);
    assert_eq!(told.json()["done"], 2);
    assert_eq!(redis.call(&["ZCARD", "bull:email:prioritized"]), "0");
    // a refusal leaves everything as it was
    let ended = oxherd.run(&["job", "update", "email", "2", "--delay", "1h", "--data", "0"]).exits(1);
    assert!(ended.stderr.contains("not in the state"), "{}", ended.stderr);
    assert_eq!(show("2")["data"], json!([1]));
    oxherd.run(&["job", "update", "email", "2", "--data", "{"]).exits(65);
}

#[test]
fn ids_and_filters_exclude_each_other_and_one_is_needed() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    for verb in [&["retry"][..], &["promote"], &["remove", "--yes"], &["update", "--priority", "1"]] {
        let run = |rest: &[&str]| oxherd.run(&[&["job"][..], verb, &["email"], rest].concat());
        let ended = run(&[]).exits(2);
        assert!(ended.stderr.contains("which jobs?"), "{verb:?}: {}", ended.stderr);
        run(&["--limit", "1"]).exits(2);
        for flags in [["--state", "failed"], ["--name", "x"], ["--older", "1s"], ["--reason", "x"], ["--limit", "1"]] {
            run(&[&["1"][..], &flags].concat()).exits(2);
        }
    }
    oxherd.run(&["job", "update", "email", "1"]).exits(2);
    oxherd.run(&["job", "update", "email", "--state", "failed", "--data", "1"]).exits(2);
    oxherd.run(&["job", "retry", "email", "--state", "waiting"]).exits(2);
}

#[test]
fn a_dry_run_names_the_jobs_and_changes_nothing() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let before = everything(&redis);
    for (words, expected) in [
        (&["job", "retry", "email", "--state", "failed", "--limit", "2"][..], &["f1", "f2"][..]),
        (&["job", "retry", "email", "f1", "1", "nobody"], &["f1"]),
        (&["job", "promote", "email", "--name", "*"], &["later"]),
        (&["job", "remove", "email", "--name", "digest"], &["2", "4"]),
        (&["job", "update", "email", "--name", "digest", "--priority", "1"], &["2", "4"]),
    ] {
        let ended = oxherd.run(&[words, &["--dry-run"]].concat()).exits(0);
        let total = format!("would {} {} job", words[1], expected.len());
        assert!(ended.stdout.lines().last().unwrap().starts_with(&total), "{words:?}: {}", ended.stdout);
        assert!(ended.stdout.starts_with("ID") && ended.stdout.contains(expected[0]), "{words:?}: {}", ended.stdout);
        let told = oxherd.run(&[words, &["--dry-run", "--json"]].concat()).exits(0).json();
        let count = expected.len();
        assert_eq!(told, json!({"queue": "email", "dryRun": true, "verb": words[1], "count": count, "ids": expected}));
        assert_eq!(everything(&redis), before, "{words:?}");
    }
    let ended = oxherd.run(&["job", "retry", "email", "1", "--dry-run"]).exits(0);
    assert!(ended.stderr.contains("cannot retry job 1: it is waiting"), "{}", ended.stderr);
}

#[test]
fn thousands_are_done_in_one_go() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    for n in 0..2_500_u64 {
        finished(&redis, "many", "failed", &format!("j{n}"), "n", LONG_AGO + n, "no");
    }
    let list = oxherd.run(&["job", "ls", "many", "--limit", "5000"]).exits(0);
    assert_eq!(list.stdout.lines().count(), 2_501);
    let told = oxherd.run(&["job", "retry", "many", "--reason", "no", "--limit", "2400", "--json"]).exits(0).json();
    assert_eq!(told["done"], 2_400);
    assert_eq!(redis.call(&["LRANGE", "bull:many:wait", "-2", "-1"]), "j1\nj0");
    assert_eq!(redis.call(&["ZCARD", "bull:many:failed"]), "100");
}

/// Runs the binary on a terminal and answers its question. Answers what was asked, too.
pub fn on_a_terminal(oxherd: &Oxherd, words: &[&str], answer: &str) -> (Ended, String) {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = oxherd.command(words);
    command.stdin(Stdio::from(terminal.slave.try_clone().unwrap())).stdout(Stdio::piped());
    let child = command.stderr(Stdio::from(terminal.slave)).spawn().unwrap();
    drop(command);
    let mut master = File::from(terminal.master);
    let mut asked = String::new();
    let mut byte = [0];
    // a terminal whose other end is gone is an error to its reader
    while !asked.ends_with("[y/N] ") && master.read(&mut byte).is_ok_and(|n| n == 1) {
        asked.push(char::from(byte[0]));
    }
    master.write_all(answer.as_bytes()).unwrap();
    (Ended::new(&child.wait_with_output().unwrap()), asked)
}

#[test]
fn on_a_terminal_it_asks_and_takes_no_for_an_answer() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    active(&redis, "email", "lost", false);
    let before = everything(&redis);
    for (words, question) in [
        (&["job", "remove", "email", "--state", "failed"][..], "remove 3 jobs from email? [y/N] "),
        (&["queue", "drain", "email"], "remove 3 jobs from email? [y/N] "),
        (&["queue", "clean", "email", "--state", "completed"], "remove 2 completed jobs from email? [y/N] "),
        (&["queue", "obliterate", "email", "--force"], "obliterate email with 11 jobs? [y/N] "),
    ] {
        for answer in ["n\n", "\n", "what\n"] {
            let (ended, asked) = on_a_terminal(&oxherd, words, answer);
            assert_eq!((ended.code, asked.as_str()), (1, question), "{words:?} {answer:?}");
            assert_eq!(everything(&redis), before, "{words:?} {answer:?}");
        }
    }
    let (ended, _) = on_a_terminal(&oxherd, &["job", "remove", "email", "--state", "failed"], "Yes\n");
    assert_eq!(ended.exits(0).stdout, "removed 3 jobs from email\n");
    assert_eq!(redis.call(&["ZCARD", "bull:email:failed"]), "0");
}
