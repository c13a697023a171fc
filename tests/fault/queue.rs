//! Somebody meddles with a queue while it is worked: removes, empties, pauses, takes locks away.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::scene::{
    SHORT, USUAL, add, all_completed, endings, events, field, finished, key, ms, one_queue, say, wait_finished, within,
};
use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::redis::Redis;

#[test]
fn f72_a_job_removed_while_it_runs_leaves_nothing() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=3, |number| ms(if number == 1 { 2000 } else { 100 }));
    ledger.wait_begun(3);
    redis.call(&["DEL", &key("work", "1"), &key("work", "1:lock")]);
    redis.call(&["LREM", &key("work", "active"), "0", "1"]);
    let removed = Instant::now();
    daemon.says("lock is gone; the job is stopped");
    // at the next renewal
    assert!(removed.elapsed() < Duration::from_secs(1), "{:?}", removed.elapsed());
    eventually("the others are done", || finished(&redis, "work") == 2);
    add(&redis, "work", 4..=5, |_| ms(0));
    wait_finished(&redis, "work", 4);
    eventually("the run has ended", || ledger.running().is_empty());
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(redis.list(&["KEYS", &key("work", "1*")]), Vec::<String>::new());
    assert!(endings(&redis, "work").iter().all(|(id, _)| id != "1"));
}

#[test]
fn f73_a_queue_emptied_by_force_stops_its_jobs_and_does_new_ones() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=50, |_| ms(5000));
    ledger.wait_begun(10);
    let keys = redis.list(&["KEYS", &key("work", "*")]);
    assert!(keys.len() > 60, "only {} keys", keys.len());
    redis.ask(&["DEL".to_owned()].into_iter().chain(keys).collect::<Vec<_>>()).unwrap();
    let struck = Instant::now();
    eventually("all 10 jobs are stopped", || daemon.log().matches("lock is gone").count() == 10);
    assert!(struck.elapsed() < Duration::from_secs(1), "{:?}", struck.elapsed());
    // ids again as after a new start of the counter
    add(&redis, "work", 1..=20, |_| ms(10));
    all_completed(&redis, "work", 20);
    assert_eq!(ledger.begun(), 30);
    assert_eq!(daemon.stop(), Some(0));
}

/// Pauses as the releases do: with 5.x the wait list is renamed as well.
fn pause(redis: &Redis, version: u8) {
    redis.call(&["HSET", &key("work", "meta"), "version", &format!("bullmq:{version}.0.0")]);
    if version == 5 && redis.number(&["EXISTS", &key("work", "wait")]) == 1 {
        redis.call(&["RENAME", &key("work", "wait"), &key("work", "paused")]);
    }
    redis.call(&["HSET", &key("work", "meta"), "paused", "1"]);
    redis.call(&["DEL", &key("work", "marker")]);
}

fn resume(redis: &Redis, version: u8) {
    if version == 5 && redis.number(&["EXISTS", &key("work", "paused")]) == 1 {
        redis.call(&["RENAME", &key("work", "paused"), &key("work", "wait")]);
    }
    redis.call(&["HDEL", &key("work", "meta"), "paused"]);
    redis.call(&["ZADD", &key("work", "marker"), "0", "0"]);
}

#[test]
fn f74_a_queue_is_paused_and_resumed_while_busy() {
    for version in [5, 6] {
        let redis = Redis::start();
        let ledger = Ledger::start();
        let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
        add(&redis, "work", 1..=60, |_| ms(100));
        for round in 1..=2 {
            ledger.wait_begun(10 + 10 * round);
            pause(&redis, version);
            let paused = Instant::now();
            eventually("what runs has ended", || ledger.running().is_empty());
            let before = ledger.begun();
            assert!(before < 60, "the pause came too late");
            let late = ledger.runs().iter().filter(|run| run.begin > paused + Duration::from_millis(100)).count();
            assert_eq!(late, 0, "{version}: jobs begun more than 100 ms after the pause");
            // longer than a stalled check, which also looks for work
            std::thread::sleep(Duration::from_millis(700));
            assert_eq!(ledger.begun(), before, "{version}: jobs were begun while paused");
            resume(&redis, version);
        }
        all_completed(&redis, "work", 60);
        assert!(ledger.repeated().is_empty());
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn f74_the_queue_is_paused_by_our_own_command_line() {
    for (version, placement) in [(5, "auto"), (6, "auto"), (6, "v5"), (5, "v6")] {
        let redis = Redis::start();
        let ledger = Ledger::start();
        redis.call(&["HSET", &key("work", "meta"), "version", &format!("bullmq:{version}.0.0")]);
        let placed = format!("concurrency = 10\nplacement = \"{placement}\"");
        let settings = one_queue(SHORT, &ledger).replace("concurrency = 10", &placed);
        let mut daemon = Daemon::start(&redis, &settings);
        daemon.says("found the queue");
        let warned = daemon.log().contains("jobs that wait while it is paused are lost");
        assert_eq!(warned, placement == "v6", "{version} {placement}");
        add(&redis, "work", 1..=60, |_| ms(100));
        ledger.wait_begun(20);
        oxherd(&redis, &["queue", "pause", "work"]);
        eventually("what runs has ended", || ledger.running().is_empty());
        let before = ledger.begun();
        assert!(before < 60, "the pause came too late");
        // those of a producer that knows nothing of a pause
        add(&redis, "work", 61..=70, |_| ms(0));
        let aside = redis.number(&["LLEN", &key("work", "paused")]) > 0;
        assert_eq!(aside, placement == "v5" || (version, placement) == (5, "auto"));
        let shown = oxherd(&redis, &["queue", "show", "work"]);
        assert_eq!(shown["paused"], true);
        assert_eq!(shown["placement"], if aside { "v5" } else { "v6" });
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(ledger.begun(), before, "jobs were begun while paused");
        oxherd(&redis, &["queue", "resume", "work"]);
        all_completed(&redis, "work", 70);
        assert!(ledger.repeated().is_empty());
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn f75_a_lock_deleted_by_hand_is_made_anew() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    let _other = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=1, |_| ms(2500));
    ledger.wait_begun(1);
    for _ in 0..3 {
        assert_eq!(redis.number(&["DEL", &key("work", "1:lock")]), 1);
        within(Duration::from_secs(1), "the lock is there again", || {
            redis.number(&["EXISTS", &key("work", "1:lock")]) == 1
        });
    }
    all_completed(&redis, "work", 1);
    assert_eq!(ledger.begun(), 1);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f75_a_lock_of_somebody_else_stops_the_job() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=1, |_| ms(2500));
    ledger.wait_begun(1);
    redis.call(&["SET", &key("work", "1:lock"), "somebody", "PX", "60000"]);
    let struck = Instant::now();
    daemon.says("lock is gone; the job is stopped");
    assert!(struck.elapsed() < Duration::from_secs(1), "{:?}", struck.elapsed());
    eventually("the run has ended", || ledger.running().is_empty());
    assert_eq!(daemon.stop(), Some(0));
    // somebody's to finish
    assert_eq!(redis.list(&["LRANGE", &key("work", "active"), "0", "-1"]), ["1"]);
    assert_eq!(redis.call(&["GET", &key("work", "1:lock")]), "somebody");
    assert!(endings(&redis, "work").is_empty());
    assert_eq!(field(&redis, "work", "1", "returnvalue") + &field(&redis, "work", "1", "failedReason"), "");
}

#[test]
fn f82_a_rate_limit_holds_over_two_instances_and_a_crash() {
    const MAX: usize = 10;
    const WINDOW: Duration = Duration::from_secs(1);
    let redis = Redis::start();
    let ledger = Ledger::start();
    let settings = one_queue(SHORT, &ledger)
        .replace("concurrency = 10", "concurrency = 4\nrate_limit = { max = 10, per = \"1s\" }");
    let mut killed = Daemon::start(&redis, &settings);
    let mut other = Daemon::start(&redis, &settings);
    // four slots each: neither can use up a window alone
    add(&redis, "work", 1..=60, |_| ms(600));
    ledger.wait_begun(15);
    killed.kill();
    ledger.wait_begun(25);
    killed.again();
    all_completed(&redis, "work", 60);
    let windows = windows(&redis, WINDOW);
    assert!(windows.iter().map(|(_, count)| count).sum::<usize>() >= 60, "too few starts: {windows:?}");
    assert!(windows.iter().all(|(_, count)| *count <= MAX), "starts in a window: {windows:?}");
    let names: BTreeSet<String> = events(&redis, "work").into_iter().map(|(name, _)| name).collect();
    assert!(names.contains("stalled"), "the kill met no job at work: {names:?}");
    assert_eq!((killed.stop(), other.stop()), (Some(0), Some(0)));
}

/// What was taken in each window of the limiter, and when that began by the server's clock, in ms.
fn windows(redis: &Redis, length: Duration) -> Vec<(u64, usize)> {
    let starts = redis.list(&["EVAL", STARTS, "1", &key("work", "events")]);
    let mut windows: Vec<(u64, usize)> = Vec::new();
    for start in starts {
        let start: u64 = start.parse().unwrap();
        match windows.last_mut() {
            Some((begin, count)) if start < *begin + u64::try_from(length.as_millis()).unwrap() => *count += 1,
            _ => windows.push((start, 1)),
        }
    }
    say(&format!("windows: {windows:?}"));
    windows
}

/// When jobs were taken, by the server's clock.
const STARTS: &str = "local out = {}
    for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
      for at = 1, #entry[2], 2 do
        if entry[2][at] == 'event' and entry[2][at + 1] == 'active' then
          out[#out + 1] = string.match(entry[1], '^%d+')
        end
      end
    end
    return out";

#[test]
fn f25_a_backlog_of_an_hour_is_worked_off_within_its_rate_limit() {
    /// What became due an hour ago, when nobody was there.
    const DUE: &str = "local time = redis.call('TIME')
        for _, id in ipairs(ARGV) do
          redis.call('LREM', KEYS[1] .. 'wait', 1, id)
          redis.call('ZADD', KEYS[1] .. 'delayed', (time[1] - 3600) * 1000 * 4096, id)
        end";
    const WINDOW: Duration = Duration::from_millis(500);
    let redis = Redis::start();
    let ledger = Ledger::start();
    add(&redis, "work", 1..=60, |_| ms(0));
    let mut words: Vec<String> = ["EVAL", DUE, "1", &key("work", "")].map(Into::into).into();
    words.extend((31..=60).map(|id| id.to_string()));
    redis.ask(&words).unwrap();
    let settings = one_queue(USUAL, &ledger)
        .replace("concurrency = 10", "concurrency = 10\nrate_limit = { max = 10, per = \"500ms\" }");
    let mut daemons = [(); 2].map(|()| Daemon::start(&redis, &settings));
    all_completed(&redis, "work", 60);
    let counts: Vec<usize> = windows(&redis, WINDOW).into_iter().map(|(_, count)| count).collect();
    assert_eq!((counts.iter().sum::<usize>(), counts.iter().max()), (60, Some(&10)));
    for daemon in &mut daemons {
        assert_eq!(daemon.stop(), Some(0));
    }
}
