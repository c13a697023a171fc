//! `oxherd queue orphans`

use serde_json::json;

use crate::harness::{Oxherd, Redis};
use crate::seed::{LONG_AGO, email, everything};

#[test]
fn f151_what_is_left_over_is_told_and_goes_when_asked() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let before = everything(&redis);
    let ended = oxherd.run(&["queue", "orphans", "email"]).exits(0);
    assert_eq!(ended.stdout, "found 0 keys of email that nothing will come to\n");
    redis.call(&["HSET", "bull:email:stray", "name", "n", "timestamp", &LONG_AGO.to_string()]);
    let ended = oxherd.run(&["queue", "orphans", "email"]).exits(0);
    assert!(ended.stdout.contains("job in no state") && ended.stdout.contains("bull:email:stray"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("found 1 key of email that nothing will come to\n"), "{}", ended.stdout);
    let dry = oxherd.run(&["queue", "orphans", "email", "--delete", "--dry-run", "--json"]).exits(0).json();
    assert_eq!((&dry["found"], &dry["deleted"]), (&json!(1), &json!(0)));
    assert_eq!(dry["orphans"][0]["key"], "bull:email:stray");
    assert_eq!(redis.number(&["EXISTS", "bull:email:stray"]), 1);
    let refused = oxherd.run(&["queue", "orphans", "email", "--delete"]).exits(2);
    assert!(refused.stderr.contains("say --yes"), "{}", refused.stderr);
    let gone = oxherd.run(&["queue", "orphans", "email", "--delete", "--yes", "--json"]).exits(0).json();
    assert_eq!((&gone["found"], &gone["deleted"]), (&json!(1), &json!(1)));
    redis.call(&["XTRIM", "bull:email:events", "MAXLEN", "0"]);
    let mut after = everything(&redis);
    let mut before = before;
    for keys in [&mut before, &mut after] {
        keys.remove("bull:email:events");
    }
    assert_eq!(after, before);
    let ended = oxherd.run(&["queue", "orphans", "email", "--older", "5m"]).exits(2);
    assert!(ended.stderr.contains("--older must be at least 1h"), "{}", ended.stderr);
    oxherd.run(&["queue", "orphans", "emial"]).exits(1);
}
