use serde_json::json;

use crate::harness::{Oxherd, Redis};

#[test]
fn f140_what_is_done_by_hand_leaves_who_what_and_how_many() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    assert_eq!(oxherd.run(&["queue", "audit", "--json"]).exits(0).json(), json!([]));
    for _ in 0..3 {
        oxherd.run(&["job", "add", "email", "n"]).exits(0);
    }
    // what only looks leaves nothing
    oxherd.run(&["queue", "drain", "email", "--dry-run"]).exits(0);
    oxherd.run(&["queue", "ls"]).exits(0);
    assert!(oxherd.run(&["queue", "audit"]).exits(0).stdout.contains("nothing was done"));

    oxherd.run(&["queue", "pause", "email"]).exits(0);
    oxherd.run(&["job", "remove", "email", "1"]).exits(0);
    oxherd.run(&["job", "retry", "email", "--state", "failed", "--name", "n*"]).exits(0);
    oxherd.run(&["queue", "drain", "email", "--yes", "--delayed"]).exits(0);
    oxherd.run(&["queue", "clean", "email", "--state", "completed", "--older", "1h", "--yes"]).exits(0);
    oxherd.run(&["queue", "limit", "email", "--global-concurrency", "4"]).exits(0);
    oxherd.run(&["schedule", "add", "nightly", "--queue", "email", "--every", "1h"]).exits(0);
    oxherd.run(&["schedule", "remove", "nightly", "--queue", "email", "--yes"]).exits(0);
    oxherd.run(&["queue", "obliterate", "email", "--yes"]).exits(0);
    oxherd.run(&["job", "add", "other", "n"]).exits(0);
    oxherd.run(&["queue", "drain", "other", "--yes"]).exits(0);

    let told = oxherd.run(&["queue", "audit", "email", "--json"]).exits(0).json();
    let told = told.as_array().unwrap();
    let seen: Vec<_> = told.iter().map(|deed| (&deed["verb"], &deed["count"], &deed["detail"])).collect();
    let expected = [
        ("pause", 1, ""),
        ("remove", 1, "1"),
        ("retry", 0, "--state failed --name \"n*\""),
        ("drain", 2, "--delayed"),
        ("clean", 0, "--state completed --older 1h"),
        ("limit", 1, "global concurrency 4"),
        ("schedule add", 1, "nightly"),
        ("schedule remove", 1, "nightly"),
        ("obliterate", 0, ""),
    ];
    let expected: Vec<_> =
        expected.map(|(verb, count, detail)| (json!(verb), json!(count), json!(detail))).into_iter().collect();
    let expected: Vec<_> = expected.iter().map(|(verb, count, detail)| (verb, count, detail)).collect();
    assert_eq!(seen, expected);
    for deed in told {
        let is_said = |field: &str| deed[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_said("user") && is_said("host") && deed["pid"].as_u64().unwrap() > 1, "{deed}");
        assert!(deed["at"].as_i64().unwrap() > 1_600_000_000_000 && deed["result"] == "done", "{deed}");
    }
    let last = oxherd.run(&["queue", "audit", "--limit", "1"]).exits(0).stdout;
    assert!(last.contains("drain") && last.contains("other") && !last.contains("obliterate"), "{last}");
}

#[test]
fn f140_what_fails_and_what_cannot_be_noted_is_said() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.run(&["job", "add", "email", "n"]).exits(0);
    redis.call(&["SET", "bull:oxherd.audit", "no stream"]);
    let ended = oxherd.run(&["queue", "drain", "email", "--yes"]).exits(0);
    assert!(ended.stderr.contains("nothing of this is in the audit of bull"), "{}", ended.stderr);
    redis.call(&["DEL", "bull:oxherd.audit"]);
    redis.call(&["DEL", "bull:email:delayed"]);
    oxherd.run(&["job", "add", "email", "n"]).exits(0);
    redis.call(&["SET", "bull:email:prioritized", "of another kind"]);
    let ended = oxherd.run(&["queue", "obliterate", "email", "--yes", "--force"]);
    assert_ne!(ended.code, 0, "{}", ended.stdout);
}
