//! Limits of the whole queue, set by Node, that hold over the workers of both sides.

use super::oxherd::Oxherd;
use super::support::eventually;
use super::support::program::node;
use super::support::redis::Redis;

/// Both sides at work with two slots each, so that neither can do everything alone; and so many jobs of 10 ms done.
fn work(version: u8, redis: &Redis, jobs: u64) {
    let worker = node("worker.mjs", version, redis, &["--concurrency", "2", "--work", "10"]).ready();
    let oxherd = Oxherd::start_at_work(redis, &["email"], "concurrency = 2", std::time::Duration::from_millis(10));
    node(
        "producer.mjs",
        version,
        redis,
        &["--jobs", &jobs.to_string(), "--kinds", "standard,prioritized,delayed,bulk"],
    )
    .end();
    eventually("all are completed", || redis.number(&["ZCARD", "bull:email:completed"]) == jobs);
    let theirs = worker.stop().iter().filter(|line| line["event"] == "processed").count();
    let ours = oxherd.receiver.count();
    assert_eq!((theirs + ours) as u64, jobs);
    assert!(theirs > 0 && ours > 0, "{theirs} by Node, {ours} by oxherd");
}

/// The queue hands out at most as many starts as it may, in any window that begins with a start.
fn rate(version: u8) {
    const MAX: usize = 20;
    const WINDOW: i64 = 400;
    let redis = Redis::start();
    let mut control = node("control.mjs", version, &redis, &["serve"]).ready();
    control.press(&["rate-limit", &MAX.to_string(), &WINDOW.to_string()]);
    work(version, &redis, 80);
    let starts = redis.list(&["SORT", "bull:email:completed", "BY", "nosort", "GET", "bull:email:*->processedOn"]);
    let mut starts: Vec<i64> = starts.iter().map(|ms| ms.parse().unwrap()).collect();
    starts.sort_unstable();
    assert_eq!(starts.len(), 80);
    let mut window = starts[0];
    let mut inside = 0;
    for start in starts {
        // a start is stamped by its worker just before the server counts it
        if start >= window + WINDOW - 20 {
            window = start;
            inside = 0;
        }
        inside += 1;
        assert!(inside <= MAX, "more than {MAX} starts within {WINDOW} ms");
    }
}

fn concurrency(version: u8) {
    const MAX: usize = 3;
    let redis = Redis::start();
    let mut control = node("control.mjs", version, &redis, &["serve"]).ready();
    control.press(&["concurrency", &MAX.to_string()]);
    work(version, &redis, 120);
    // the stream has every start and end in the order the server saw them
    let names = "local names = {} for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do \
                 names[#names + 1] = entry[2][2] end return names";
    let (mut active, mut most) = (0, 0);
    for event in redis.list(&["EVAL", names, "1", "bull:email:events"]) {
        match event.as_str() {
            "active" => active += 1,
            "completed" => active -= 1,
            _ => {}
        }
        most = most.max(active);
    }
    assert_eq!((active, most), (0, MAX));
}

#[test]
fn a_rate_limit_set_by_node_6_holds_over_both() {
    rate(6);
}

#[test]
fn a_rate_limit_set_by_node_5_holds_over_both() {
    rate(5);
}

#[test]
fn a_concurrency_set_by_node_6_holds_over_both() {
    concurrency(6);
}

#[test]
fn a_concurrency_set_by_node_5_holds_over_both() {
    concurrency(5);
}
