//! What is found in a queue that no producer should have put there.

use super::ledger::Ledger;
use super::scene::{
    SHORT, USUAL, add, all_completed, field, finished, is_whole, key, ms, one_queue, queue, wait_finished, within,
};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

/// Rings for work that was put in by hand.
fn ring(redis: &Redis) {
    redis.call(&["ZADD", &key("work", "marker"), "0", "0"]);
}

#[test]
fn f63_an_id_without_a_job_is_dropped() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    redis.call(&["LPUSH", &key("work", "wait"), "ghost"]);
    redis.call(&["ZADD", &key("work", "prioritized"), "1", "spirit"]);
    redis.call(&["LPUSH", &key("work", "active"), "left"]);
    add(&redis, "work", 1..=3, |_| ms(0));
    all_completed(&redis, "work", 3);
    for id in ["ghost", "spirit", "left"] {
        daemon.says(&format!("\"job\":\"{id}\""));
        assert_eq!(redis.number(&["EXISTS", &key("work", id), &key("work", &format!("{id}:lock"))]), 0);
    }
    assert_eq!(ledger.begun(), 3);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f64_a_job_of_one_field_is_done_with_the_defaults() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    for (id, name, value) in [("1", "name", "task"), ("2", "data", "{}"), ("3", "opts", "{}"), ("4", "timestamp", "5")]
    {
        redis.call(&["HSET", &key("work", id), name, value]);
        redis.call(&["LPUSH", &key("work", "wait"), id]);
    }
    ring(&redis);
    all_completed(&redis, "work", 4);
    assert_eq!(ledger.begun(), 4);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f65_f66_f67_f68_f69_f70_broken_jobs_fail_with_a_reason_or_are_done() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let settings = one_queue(SHORT, &ledger).replace("concurrency = 10", "concurrency = 10\nmax_payload = \"2KiB\"");
    let mut daemon = Daemon::start(&redis, &settings);
    let (deep, long) = ("[".repeat(600) + &"]".repeat(600), format!("\"{}\"", "x".repeat(3000)));
    // data, opts, the reason's words; none where the job is done
    let cases: &[(&[u8], &str, Option<&str>)] = &[
        (b"{broken", "{}", Some("data is not JSON")),
        (b"", "{}", Some("data is not JSON")),
        (b"{} {}", "{}", Some("data is not JSON")),
        (b"{}", "nonsense", Some("options")),
        (b"{}", "[1,2]", Some("options")),
        (b"{}", "", Some("options")),
        (b"{}", r#"{"attempts":-3,"delay":-1,"priority":-9}"#, None),
        (b"{}", r#"{"attempts":1e300,"backoff":{"type":"fixed","delay":1e300}}"#, None),
        (b"{}", r#"{"attempts":1.5,"keepLogs":99999999999999999999}"#, None),
        (long.as_bytes(), "{}", Some("3002 bytes")),
        (deep.as_bytes(), "{}", Some("nested deeper")),
        (b"\"\xff\xfe\"", "{}", Some("not UTF-8")),
        (b"\"a\x00b\"", "{}", Some("data is not JSON")),
        ("\"\u{202e}right to left\"".as_bytes(), "{}", None),
    ];
    for (number, (data, opts, _)) in cases.iter().enumerate() {
        let id = (number + 1).to_string();
        let hash = key("work", &id);
        let words: [&[u8]; 10] =
            [b"HSET", hash.as_bytes(), b"name", b"task", b"data", data, b"opts", opts.as_bytes(), b"timestamp", b"17"];
        redis.ask(&words).unwrap();
        redis.call(&["LPUSH", &key("work", "wait"), &id]);
    }
    // numbers of the hash itself
    let (odd, count) = (cases.len() + 1, cases.len() + 2);
    for (id, name, value) in
        [(odd, "timestamp", "-1e300"), (odd, "priority", "1e300"), (odd, "atm", "nan"), (count, "ats", "x")]
    {
        redis.call(&["HSET", &key("work", &id.to_string()), "name", "task", "data", "{}", name, value]);
    }
    redis.call(&["LPUSH", &key("work", "wait"), &odd.to_string(), &count.to_string()]);
    ring(&redis);
    let failed = is_whole(&redis, "work", count);
    for (number, (data, opts, expected)) in cases.iter().enumerate() {
        let id = (number + 1).to_string();
        let (reason, what) = (field(&redis, "work", &id, "failedReason"), String::from_utf8_lossy(data));
        match expected {
            Some(words) => {
                assert!(
                    failed.contains(&id) && reason.contains(words),
                    "{what:.40} {opts}: {reason:?} lacks {words:?}"
                );
                assert!(ledger.of(&id).is_empty(), "{what:.40} {opts} was run");
            }
            None => assert!(!failed.contains(&id) && ledger.of(&id).len() == 1, "{what:.40} {opts}: {reason:?}"),
        }
    }
    assert!(daemon.is_running());
    for line in daemon.log().lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON: {line}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f70_odd_text_is_carried_byte_for_byte() {
    let redis = Redis::start();
    let settings = format!("{SHORT}[queues.work]\nhandler = \"echo\"\n[handlers.echo.command]\nargv = [\"cat\"]\n");
    let mut daemon = Daemon::start(&redis, &settings);
    let data = "[\"\\ud800\",\"\\u0000\\u001b\",\"\u{202e}\u{7f}\",1e999,0.10]";
    add(&redis, "work", 1..=1, |_| data.into());
    all_completed(&redis, "work", 1);
    // the program answers what it was given
    let value = field(&redis, "work", "1", "returnvalue");
    assert!(value.contains(data), "{value}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f67_jobs_that_retry_by_absurd_numbers_end() {
    let redis = Redis::start();
    let ledger = Ledger::answering(|run| if run.nth == 1 { 500 } else { 200 });
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    for (id, delay) in [("1", "-5"), ("2", "0.25"), ("3", "\"soon\""), ("4", "null")] {
        let opts = format!("{{\"attempts\":2,\"backoff\":{{\"type\":\"fixed\",\"delay\":{delay}}}}}");
        redis.call(&["HSET", &key("work", id), "name", "task", "data", "{}", "opts", &opts, "timestamp", "17"]);
        redis.call(&["LPUSH", &key("work", "wait"), id]);
    }
    ring(&redis);
    is_whole(&redis, "work", 4);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f71_a_key_of_the_wrong_type_costs_that_job_only() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    daemon.says("\"working\"");
    redis.call(&["RPUSH", &key("work", "2"), "not", "a", "job"]);
    redis.call(&["LPUSH", &key("work", "wait"), "2"]);
    add(&redis, "work", 1..=1, |_| ms(0));
    add(&redis, "work", 3..=5, |_| ms(0));
    assert_eq!(is_whole(&redis, "work", 5).into_iter().collect::<Vec<_>>(), ["2"]);
    let reason = field(&redis, "work", "2", "failedReason");
    let kept = "oxherd:quarantine:bull:work:2";
    assert!(reason.contains("list") && reason.contains(kept), "{reason}");
    assert_eq!(redis.list(&["LRANGE", kept, "0", "-1"]), ["not", "a", "job"]);
    assert_eq!(ledger.begun(), 4);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f71_a_queue_of_the_wrong_type_stops_alone_and_recovers() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let settings = one_queue(SHORT, &ledger) + &queue("other", 5);
    redis.call(&["SET", &key("work", "wait"), "not a list"]);
    let mut daemon = Daemon::start(&redis, &settings);
    add(&redis, "other", 1..=5, |_| ms(0));
    all_completed(&redis, "other", 5);
    daemon.says("holds a string instead of a list");
    redis.call(&["DEL", &key("work", "wait")]);
    add(&redis, "work", 1..=3, |_| ms(0));
    within(std::time::Duration::from_secs(7), "the queue is worked", || finished(&redis, "work") == 3);
    // and in the middle of work
    add(&redis, "work", 4..=13, |_| ms(300));
    ledger.wait_begun(18);
    redis.call(&["DEL", &key("work", "wait")]);
    redis.call(&["SET", &key("work", "wait"), "not a list"]);
    add(&redis, "other", 6..=10, |_| ms(0));
    all_completed(&redis, "other", 10);
    eventually("the jobs at work have ended", || ledger.running().is_empty());
    redis.call(&["DEL", &key("work", "wait")]);
    add(&redis, "work", 14..=16, |_| ms(0));
    within(std::time::Duration::from_secs(7), "the queue is worked again", || finished(&redis, "work") == 16);
    all_completed(&redis, "work", 16);
    assert!(ledger.repeated().iter().all(|id| id.parse::<u32>().unwrap() <= 10), "{:?}", ledger.repeated());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f77_the_same_id_twice_runs_once() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    daemon.says("\"working\"");
    add(&redis, "work", 1..=3, |_| ms(500));
    ledger.wait_begun(3);
    // while it runs, and once it has ended
    redis.call(&["LPUSH", &key("work", "wait"), "1", "2", "1"]);
    ring(&redis);
    eventually("they were looked at", || redis.number(&["LLEN", &key("work", "wait")]) == 0);
    all_completed(&redis, "work", 3);
    redis.call(&["LPUSH", &key("work", "wait"), "1"]);
    ring(&redis);
    eventually("it was looked at", || redis.number(&["LLEN", &key("work", "wait")]) == 0);
    add(&redis, "work", 4..=4, |_| ms(0));
    all_completed(&redis, "work", 4);
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f78_a_job_failed_in_advance_is_not_started() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    redis.call(&["HSET", &key("work", "1"), "defa", "given up before"]);
    add(&redis, "work", 1..=2, |_| ms(0));
    wait_finished(&redis, "work", 2);
    assert_eq!(is_whole(&redis, "work", 2).into_iter().collect::<Vec<_>>(), ["1"]);
    assert_eq!(field(&redis, "work", "1", "failedReason"), "given up before");
    assert!(ledger.of("1").is_empty());
    assert_eq!(daemon.stop(), Some(0));
}
