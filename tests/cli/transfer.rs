use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{Oxherd, Redis, text};
use crate::seed::{LONG_AGO, email, everything, finished};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is a job's, of all keys: not the queue's counters, marker, settings and events.
fn of_jobs(redis: &Redis, queue: &str) -> Vec<(String, Vec<String>)> {
    let own = ["id", "marker", "meta", "events", "pc"].map(|key| format!("bull:{queue}:{key}"));
    everything(redis).into_iter().filter(|(key, _)| !own.contains(key)).collect()
}

#[test]
fn what_is_exported_obliterated_and_imported_is_as_it_was() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    // somebody held it
    redis.call(&["DEL", "bull:email:busy", "bull:email:busy:lock", "bull:email:active"]);
    redis.call(&["RPUSH", "bull:email:f1:logs", "one", "two"]);
    redis.call(&["HSET", "bull:email:1", "data", r#"{"n":12345678901234567890,"x":1.50}"#]);
    redis.call(&["HSET", "bull:email:p", "name", "parent", "data", "{}", "opts", "{}", "timestamp", "5"]);
    redis.call(&["ZADD", "bull:email:waiting-children", "7", "p"]);
    redis.call(&["SADD", "bull:email:p:dependencies", "bull:pages:1", "bull:pages:2"]);
    redis.call(&["HSET", "bull:email:p:processed", "bull:pages:3", "[1]"]);
    let before = of_jobs(&redis, "email");
    let exported = oxherd.run(&["job", "export", "email"]).exits(0);
    assert!(exported.stderr.is_empty(), "{}", exported.stderr);
    assert_eq!(lines(&exported.stdout).len(), 10);

    oxherd.run(&["queue", "obliterate", "email", "--yes"]).exits(0);
    assert_eq!(redis.list(&["KEYS", "bull:email:*"]), [""; 0]);
    let told = oxherd.run_with_input(&["job", "import", "email", "-", "--json"], &exported.stdout).exits(0).json();
    assert_eq!(told, json!({"queue": "email", "done": 10, "skipped": 0, "refused": []}));
    assert_eq!(of_jobs(&redis, "email"), before);
    assert_eq!(oxherd.run(&["job", "export", "email"]).exits(0).stdout, exported.stdout);
    // a second time nothing is new
    let file = oxherd.file("email.jsonl", &exported.stdout);
    let before = everything(&redis);
    let ended = oxherd.run(&["job", "import", "email", text(&file)]).exits(0);
    assert_eq!(ended.stdout, "imported 0 jobs into email, skipped 10 that are there already\n");
    assert_eq!(everything(&redis), before);
    // and new jobs get ids of their own
    let id = oxherd.run(&["job", "add", "email", "n"]).exits(0).stdout;
    assert_eq!(oxherd.run(&["job", "show", "email", id.trim(), "--json"]).exits(0).json()["name"], "n");
}

#[test]
fn jobs_are_exported_by_id_or_by_what_they_are_like() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let before = everything(&redis);
    for (arguments, expected) in [
        (&["c1", "2", "later"][..], &["c1", "2", "later"][..]),
        (&["--state", "failed"], &["f1", "f2", "f3"]),
        (&["--reason", "ECONNREFUSED", "--older", "1h"], &["f1"]),
        (&["--name", "send-*", "--limit", "3"], &["c1", "c2", "f1"]),
        (&["--state", "waiting-children"], &[]),
    ] {
        let ended = oxherd.run(&[&["job", "export", "email"], arguments].concat()).exits(0);
        let jobs = lines(&ended.stdout);
        let ids: Vec<_> = jobs.iter().map(|job| job["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{arguments:?}");
        assert_eq!(everything(&redis), before, "{arguments:?}");
    }
    let ended = oxherd.run(&["job", "export", "email", "c1", "nobody"]).exits(1);
    assert!(ended.stderr.contains("cannot export job nobody: there is no such job"), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1);
    oxherd.run(&["job", "export", "emial"]).exits(1);
    oxherd.run(&["job", "export", "email", "c1", "--state", "failed"]).exits(2);
    // the same from a page and alone, moment included
    let one = oxherd.run(&["job", "export", "email", "later"]).exits(0).stdout;
    assert_eq!(one, oxherd.run(&["job", "export", "email", "--state", "delayed"]).exits(0).stdout);
    assert!(lines(&one)[0]["at"].is_u64(), "{one}");
}

#[test]
fn an_import_goes_to_any_queue_and_gives_active_jobs_back() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let exported = oxherd.run(&["job", "export", "email"]).exits(0).stdout;
    let file = oxherd.file("email.jsonl", &exported);
    let before = everything(&redis);
    let words = ["job", "import", "archive", text(&file)];
    let ended = oxherd.run(&[&words[..], &["--dry-run"]].concat()).exits(0);
    assert_eq!(ended.stdout, "would import 10 jobs into archive\n");
    assert_eq!(everything(&redis), before);
    assert_eq!(oxherd.run(&words).exits(0).stdout, "imported 10 jobs into archive\n");
    let ids = redis.list(&["LRANGE", "bull:archive:wait", "0", "-1"]);
    assert_eq!(ids, ["2", "1", "busy"]);
    assert_eq!(redis.call(&["LLEN", "bull:archive:active"]), "0");
    // queues and jobs that were there are as they were
    let after = everything(&redis);
    for (key, content) in before {
        assert_eq!(after[&key], content, "{key}");
    }
}

#[test]
fn a_line_that_cannot_be_used_ends_an_import_with_its_place() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let good = |id: &str| format!(r#"{{"id":"{id}","queue":"q","state":"waiting","fields":{{"name":"n"}}}}"#);
    let file = oxherd.file("jobs.jsonl", &format!("{}\n{}\n{{\"id\":3}}\n{}\n", good("a"), good("b"), good("c")));
    let ended = oxherd.run(&["job", "import", "q", text(&file)]).exits(65);
    assert_eq!(ended.stdout, "imported 2 jobs into q\n");
    assert!(ended.stderr.contains("jobs.jsonl:3:7: "), "{}", ended.stderr);
    assert_eq!(redis.list(&["LRANGE", "bull:q:wait", "0", "-1"]), ["b", "a"]);
    let lines = format!("{}\n{}\n", good("meta"), good("d"));
    let told = oxherd.run_with_input(&["job", "import", "q", "-", "--json"], &lines).exits(1).json();
    assert_eq!((&told["done"], &told["refused"][0]["id"]), (&1.into(), &"meta".into()));
    oxherd.run(&["job", "import", "q", "missing.jsonl"]).exits(65);
}

#[test]
fn thousands_go_out_and_come_back() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let mut jobs = String::new();
    for n in 0..3_000 {
        writeln!(jobs, "{{\"name\":\"n{n}\",\"data\":{n}}}").unwrap();
    }
    oxherd.run_with_input(&["job", "add", "many", "--from", "-"], &jobs).exits(0);
    for n in 0..1_500_u64 {
        // many end in one ms
        finished(&redis, "many", "failed", &format!("f{n}"), "n", LONG_AGO + n / 400, "no");
    }
    let exported = oxherd.run(&["job", "export", "many"]).exits(0).stdout;
    assert_eq!(exported.lines().count(), 4_500);
    let before = of_jobs(&redis, "many");
    oxherd.run(&["queue", "obliterate", "many", "--yes"]).exits(0);
    let ended = oxherd.run_with_input(&["job", "import", "many", "-"], &exported).exits(0);
    assert_eq!(ended.stdout, "imported 4500 jobs into many\n");
    assert_eq!(of_jobs(&redis, "many"), before);
}
