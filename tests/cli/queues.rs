use serde_json::json;

use crate::harness::{Oxherd, Redis};
use crate::seed::{LONG_AGO, active, email, everything, finished};

#[test]
fn queues_are_paused_and_resumed_several_at_once() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    for queue in ["email", "reports"] {
        oxherd.run(&["job", "add", queue, "n"]).exits(0);
    }
    assert_eq!(oxherd.run(&["queue", "pause", "email", "reports"]).exits(0).stdout, "paused email\npaused reports\n");
    assert_eq!(redis.call(&["HGET", "bull:reports:meta", "paused"]), "1");
    assert_eq!(oxherd.run(&["queue", "pause", "email"]).exits(0).stdout, "paused email, which was paused already\n");
    let told = oxherd.run(&["queue", "resume", "email", "--json"]).exits(0).json();
    assert_eq!(told, json!([{"queue": "email", "paused": false, "wasPaused": true}]));
    assert_eq!(oxherd.run(&["queue", "show", "email", "--json"]).exits(0).json()["paused"], false);
    assert_eq!(oxherd.run(&["queue", "show", "reports", "--json"]).exits(0).json()["paused"], true);
    // one name that is wrong, and nothing happens to the others
    let ended = oxherd.run(&["queue", "pause", "email", "emial"]).exits(1);
    assert!(ended.stderr.contains("no queue emial") && ended.stderr.contains("there are email"), "{}", ended.stderr);
    assert_eq!(redis.call(&["HEXISTS", "bull:email:meta", "paused"]), "0");
}

#[test]
fn limits_are_set_shown_and_taken_away() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.run(&["job", "add", "email", "n"]).exits(0);
    let bounds = ["--global-concurrency", "40", "--rate-limit", "100/60s"];
    let ended = oxherd.run(&[&["queue", "limit", "email"][..], &bounds].concat()).exits(0);
    assert_eq!(ended.stdout, "email: global concurrency 40, rate limit 100 per 1m\n");
    assert_eq!(redis.call(&["HMGET", "bull:email:meta", "concurrency", "max", "duration"]), "40\n100\n60000");
    let shown = oxherd.run(&["queue", "show", "email", "--json"]).exits(0).json();
    assert_eq!((&shown["concurrency"], &shown["rateLimit"]), (&40.into(), &json!({"max": 100, "duration": 60_000})));
    let told = oxherd.run(&["queue", "limit", "email", "--rate-limit", "none", "--json"]).exits(0).json();
    assert_eq!(told, json!({"queue": "email", "rateLimit": null}));
    oxherd.run(&["queue", "limit", "email", "--global-concurrency", "none"]).exits(0);
    assert_eq!(redis.call(&["HMGET", "bull:email:meta", "concurrency", "max", "duration"]), "\n\n");
}

#[test]
fn a_queue_tells_its_priorities_and_what_has_ended() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    oxherd.run(&["job", "add", "email", "n", "--priority", "7"]).exits(0);
    redis.call(&["HSET", "bull:email:metrics:failed", "count", "5", "prevTS", "1700000000000", "prevCount", "4"]);
    redis.call(&["RPUSH", "bull:email:metrics:failed:data", "1", "3"]);
    redis.call(&["HSET", "bull:email:meta", "max", "1", "duration", "60000"]);
    redis.call(&["SET", "bull:email:limiter", "1", "PX", "50000"]);
    let plain = oxherd.run(&["queue", "show", "email", "--json"]).exits(0).json();
    assert!(plain.get("priorities").is_none() && plain.get("metrics").is_none(), "{plain}");
    let left = plain["rateLimitedMs"].as_i64().unwrap();
    assert!((1..=50_000).contains(&left), "{plain}");
    let full = oxherd.run(&["queue", "show", "email", "--priorities", "--metrics", "--json"]).exits(0).json();
    let priorities = json!([{"priority": 0, "count": 2}, {"priority": 3, "count": 1}, {"priority": 7, "count": 1}]);
    assert_eq!(full["priorities"], priorities);
    let failed = json!({"count": 5, "prevTs": 1_700_000_000_000_u64, "prevCount": 4, "data": [1, 3]});
    assert_eq!(full["metrics"]["failed"], failed);
    assert_eq!((&full["metrics"]["completed"]["count"], &full["counts"]["waiting"]), (&0.into(), &2.into()));
    let text = oxherd.run(&["queue", "show", "email", "--priorities", "--metrics"]).exits(0).stdout;
    for line in ["none: 2", "7: 1", "rate limited for", "failed per minute", "1 3 (the newest first)"] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_queue_that_is_not_shared_safely_says_so() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.run(&["job", "add", "email", "n"]).exits(0);
    let fine = oxherd.run(&["queue", "show", "email"]).exits(0);
    assert!(fine.stderr.is_empty() && fine.stdout.contains("placement"), "{}{}", fine.stdout, fine.stderr);
    assert_eq!(oxherd.run(&["queue", "show", "email", "--json"]).exits(0).json()["warnings"], json!([]));
    // as a pause by 6.x and one by 5.x after it leave it
    redis.call(&["HSET", "bull:email:meta", "paused", "1"]);
    redis.call(&["LPUSH", "bull:email:paused", "7"]);
    let ended = oxherd.run(&["queue", "show", "email"]).exits(0);
    assert!(
        ended.stderr.starts_with("note: ") && ended.stderr.contains("1 jobs in wait and 1 in paused"),
        "{}",
        ended.stderr
    );
    let warnings = oxherd.run(&["queue", "show", "email", "--json"]).exits(0).json()["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 1);
}

#[test]
fn a_drain_takes_what_waits_and_leaves_the_rest() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let told = oxherd.run(&["queue", "drain", "email", "--yes", "--json"]).exits(0).json();
    assert_eq!(told, json!({"queue": "email", "done": 3, "refused": []}));
    let counts = &oxherd.run(&["queue", "show", "email", "--json"]).exits(0).json()["counts"];
    assert_eq!((&counts["waiting"], &counts["prioritized"], &counts["delayed"]), (&0.into(), &0.into(), &1.into()));
    assert_eq!((&counts["active"], &counts["failed"], &counts["completed"]), (&1.into(), &3.into(), &2.into()));
    let ended = oxherd.run(&["queue", "drain", "email", "--yes", "--delayed"]).exits(0);
    assert_eq!(ended.stdout, "removed 1 job from email\n");
    assert_eq!(redis.call(&["EXISTS", "bull:email:later"]), "0");
}

#[test]
fn a_clean_goes_by_state_age_and_number() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    active(&redis, "email", "lost", false);
    let clean = |flags: &[&str]| {
        let flags = [&["queue", "clean", "email", "--yes", "--json"][..], flags].concat();
        oxherd.run(&flags).exits(0).json()["done"].clone()
    };
    // the oldest first, and those that ended just now are too young
    assert_eq!(clean(&["--state", "failed", "--older", "24h", "--limit", "1"]), 1);
    assert_eq!(redis.list(&["ZRANGE", "bull:email:failed", "0", "-1"]), ["f2", "f3"]);
    assert_eq!(clean(&["--state", "failed", "--older", "24h"]), 1);
    assert_eq!(clean(&["--state", "failed", "--older", "24h"]), 0);
    assert_eq!(clean(&["--state", "completed"]), 2);
    assert_eq!(clean(&["--state", "waiting", "--older", "1h"]), 0);
    assert_eq!(clean(&["--state", "waiting"]), 2);
    // not the one that a worker holds
    assert_eq!(clean(&["--state", "active"]), 1);
    assert_eq!(redis.call(&["LRANGE", "bull:email:active", "0", "-1"]), "busy");
    oxherd.run(&["queue", "clean", "email", "--state", "waiting-children", "--yes"]).exits(2);
}

#[test]
fn a_queue_is_obliterated_with_all_its_keys() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    oxherd.run(&["job", "add", "reports", "n"]).exits(0);
    let before = everything(&redis);
    let ended = oxherd.run(&["queue", "obliterate", "email", "--yes"]).exits(1);
    assert!(ended.stderr.contains("1 active job") && ended.stderr.contains("--force"), "{}", ended.stderr);
    assert_eq!(everything(&redis), before, "a refusal changes nothing");
    let told = oxherd.run(&["queue", "obliterate", "email", "--yes", "--force", "--json"]).exits(0).json();
    assert_eq!((&told["queue"], &told["done"]), (&"email".into(), &10.into()));
    let left = redis.list(&["KEYS", "bull:email:*"]);
    assert!(left.iter().all(|key| key == "bull:email:busy:lock"), "{left:?}");
    assert_eq!(redis.call(&["LLEN", "bull:reports:wait"]), "1");
    oxherd.run(&["queue", "obliterate", "email", "--yes"]).exits(1);
}

#[test]
fn a_dry_run_shows_what_would_go_and_changes_nothing() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let before = everything(&redis);
    let dry = |words: &[&str]| {
        let ended = oxherd.run(&[words, &["--dry-run"]].concat()).exits(0);
        let json = oxherd.run(&[words, &["--dry-run", "--json"]].concat()).exits(0).json();
        assert_eq!(everything(&redis), before, "{words:?}");
        (ended.stdout, json)
    };
    let (text, json) = dry(&["queue", "drain", "email", "--delayed"]);
    assert!(text.starts_with("STATE        JOBS\nwaiting         2\n"), "{text}");
    assert!(text.ends_with("would remove 4 jobs from email\n"), "{text}");
    assert_eq!((&json["dryRun"], &json["verb"], &json["count"]), (&true.into(), &"drain".into(), &4.into()));
    assert_eq!(json["counts"], json!({"waiting": 2, "prioritized": 1, "delayed": 1}));
    let (text, json) = dry(&["queue", "clean", "email", "--state", "failed", "--older", "1h"]);
    assert!(text.contains("no such mailbox") && text.ends_with("would remove 2 jobs from email\n"), "{text}");
    assert_eq!(json["ids"], json!(["f1", "f2"]));
    let (text, _) = dry(&["queue", "obliterate", "email", "--force"]);
    assert!(text.ends_with("would remove 10 jobs from email\n"), "{text}");
    let (text, json) = dry(&["queue", "pause", "email"]);
    assert_eq!(text, "would pause email\n");
    assert_eq!(json, json!([{"queue": "email", "dryRun": true, "paused": false, "wouldBePaused": true}]));
    let (text, _) = dry(&["queue", "limit", "email", "--rate-limit", "1/1s"]);
    assert_eq!(text, "email: would be rate limit 1 per 1s\n");
}

#[test]
fn nothing_is_destroyed_without_a_yes() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let before = everything(&redis);
    for words in [
        &["queue", "drain", "email"][..],
        &["queue", "clean", "email", "--state", "failed"],
        &["queue", "obliterate", "email", "--force"],
        &["job", "remove", "email", "--state", "failed"],
    ] {
        let ended = oxherd.run_with_input(words, "yes\n").exits(2);
        assert!(ended.stderr.contains("--yes") && ended.stdout.is_empty(), "{words:?}: {}", ended.stderr);
        assert_eq!(everything(&redis), before, "{words:?}");
    }
}

#[test]
fn a_finished_job_is_cleaned_however_it_came_there() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    for n in 0..1_200_u64 {
        finished(&redis, "many", "completed", &format!("j{n}"), "n", LONG_AGO + n, "1");
    }
    let ended = oxherd.run(&["queue", "clean", "many", "--state", "completed", "--limit", "1100", "--yes"]).exits(0);
    assert_eq!(ended.stdout, "removed 1100 jobs from many\n");
    assert_eq!(redis.call(&["ZRANGE", "bull:many:completed", "0", "0"]), "j1100");
}
