//! Queues with jobs in every state, and what all keys hold.

use std::collections::BTreeMap;

use crate::harness::{Oxherd, Redis};

/// A moment long ago, in Unix ms.
pub const LONG_AGO: u64 = 1_700_000_000_000;

/// A finished job as a worker leaves it; `at` is when it ended, in Unix ms.
pub fn finished(redis: &Redis, queue: &str, state: &str, id: &str, name: &str, at: u64, result: &str) {
    let at = at.to_string();
    let field = if state == "failed" { "failedReason" } else { "returnvalue" };
    let fields = ["name", name, "data", "{}", "opts", r#"{"attempts":2}"#, "timestamp", &at, "processedOn", &at];
    let end = ["finishedOn", &at, "atm", "2", "ats", "2", "delay", "0", "priority", "0", field, result];
    redis.call(&[&["HSET", &format!("bull:{queue}:{id}")], &fields[..], &end].concat());
    redis.call(&["ZADD", &format!("bull:{queue}:{state}"), &at, id]);
}

/// A job a worker holds, or with no lock one whose worker has died.
pub fn active(redis: &Redis, queue: &str, id: &str, is_locked: bool) {
    let at = LONG_AGO.to_string();
    let fields = ["name", "running", "data", "{}", "opts", "{}", "timestamp", &at, "processedOn", &at];
    redis.call(&[&["HSET", &format!("bull:{queue}:{id}")], &fields[..]].concat());
    redis.call(&["LPUSH", &format!("bull:{queue}:active"), id]);
    if is_locked {
        redis.call(&["SET", &format!("bull:{queue}:{id}:lock"), "token"]);
    }
}

/// The queue `email`: two jobs wait (`1`, `2`), one is delayed (`later`), one prioritized (`4`), one active (`busy`),
/// three have failed (`f1`, `f2`, `f3`, the last just now) and two completed (`c1`, `c2`).
pub fn email(redis: &Redis, oxherd: &Oxherd) {
    oxherd.run(&["job", "add", "email", "welcome"]).exits(0);
    oxherd.run(&["job", "add", "email", "digest"]).exits(0);
    oxherd.run(&["job", "add", "email", "welcome", "--delay", "1h", "--job-id", "later"]).exits(0);
    oxherd.run(&["job", "add", "email", "digest", "--priority", "3"]).exits(0);
    active(redis, "email", "busy", true);
    let refused = "connect ECONNREFUSED 10.0.0.1:25";
    finished(redis, "email", "failed", "f1", "send-welcome", LONG_AGO, refused);
    finished(redis, "email", "failed", "f2", "send-digest", LONG_AGO + 1, "no such mailbox");
    finished(redis, "email", "failed", "f3", "send-digest", now(), refused);
    finished(redis, "email", "completed", "c1", "send-welcome", LONG_AGO, "1");
    finished(redis, "email", "completed", "c2", "send-welcome", now(), "2");
}

/// This host's clock, which is Redis's too, in Unix ms.
pub fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap()
}

/// Where it stands who did all that.
const AUDIT: &str = "bull:oxherd.audit";

/// Every key with its content; of what has no order, sorted.
pub fn everything(redis: &Redis) -> BTreeMap<String, Vec<String>> {
    let content = |key: &str| match redis.call(&["TYPE", key]).as_str() {
        "list" => redis.list(&["LRANGE", key, "0", "-1"]),
        "zset" => redis.list(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
        "stream" => redis.list(&["XRANGE", key, "-", "+"]),
        "hash" => sorted(redis.list(&["HKEYS", key]).iter().map(|f| format!("{f}={}", redis.call(&["HGET", key, f])))),
        "set" => sorted(redis.list(&["SMEMBERS", key]).into_iter()),
        _ => vec![redis.call(&["GET", key])],
    };
    redis.list(&["KEYS", "*"]).into_iter().filter(|key| key != AUDIT).map(|key| (key.clone(), content(&key))).collect()
}

fn sorted(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut items: Vec<_> = items.collect();
    items.sort();
    items
}
