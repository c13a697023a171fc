//! Housekeeping by the real daemon: on schedule, beside queues at work, and by several daemons at once.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::scene::{USUAL, add, all_completed, field, key, ms, one_queue, say, wait_finished};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

/// Strings `NAME1`, `NAME2`…
fn strings(redis: &Redis, name: &str, count: usize) {
    const FILL: &str = "for n = ARGV[2], ARGV[3] do redis.call('SET', ARGV[1] .. string.format('%d', n), 'x') end";
    for from in (1..=count).step_by(20_000) {
        let to = count.min(from + 19_999);
        redis.call(&["EVAL", FILL, "0", name, &from.to_string(), &to.to_string()]);
    }
}

fn keys(redis: &Redis, pattern: &str) -> usize {
    redis.list(&["KEYS", pattern]).len()
}

#[test]
fn f149_a_schedule_cleans_up_and_the_queues_keep_their_keys() {
    let redis = Redis::start();
    strings(&redis, "bulk:", 2000);
    let toml = "[queues.cleanup]\nhandler = \"sweep\"\nkeep_completed = true\n\
        [handlers.sweep.redis]\naction = \"delete\"\nmatch = \"bul*\"\n\
        [schedules.cleanup-old-autosaves]\nevery = \"1s\"\nqueue = \"cleanup\"\nname = \"autosave\"\n\
        data = { type = \"autosave\", daysOld = 30 }\n";
    let mut daemon = Daemon::start(&redis, toml);
    wait_finished(&redis, "cleanup", 2);
    assert_eq!(keys(&redis, "bulk:*"), 0);
    let done = redis.list(&["ZRANGE", &key("cleanup", "completed"), "0", "0"]);
    let result: serde_json::Value = serde_json::from_str(&field(&redis, "cleanup", &done[0], "returnvalue")).unwrap();
    assert_eq!((&result["deletedCount"], &result["dryRun"]), (&2000.into(), &false.into()), "{result}");
    assert!(result["protectedCount"].as_u64() > Some(3), "the queue's own keys match too: {result}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f149_a_pattern_that_is_too_wide_keeps_the_daemon_from_starting() {
    let redis = Redis::start();
    let toml = "[queues.cleanup]\nhandler = \"sweep\"\n[handlers.sweep.redis]\naction = \"delete\"\nmatch = \"*\"\n";
    let mut daemon = Daemon::start(&redis, toml);
    assert_eq!(daemon.exit_code(), Some(78));
    assert!(daemon.log().contains("may cover keys that nobody had in mind"), "{}", daemon.log());
}

/// A long clean-up beside a queue at work, while all connections are killed and Redis is restarted.
#[test]
fn f150_a_long_clean_up_outlasts_lost_connections_and_a_restart() {
    let mut redis = Redis::start();
    strings(&redis, "page:", 100_000);
    let ledger = Ledger::start();
    let toml = format!(
        "{}[queues.cleanup]\nhandler = \"sweep\"\nkeep_completed = true\n\
         [handlers.sweep.redis]\naction = \"delete\"\nmatch = \"page:*\"\nrate = 25000\n",
        one_queue(USUAL, &ledger)
    );
    let mut daemon = Daemon::start(&redis, &toml);
    add(&redis, "cleanup", 1..=1, |_| "{}".into());
    add(&redis, "work", 1..=200, |_| ms(20));
    eventually("some are gone", || redis.number(&["DBSIZE"]) < 90_000);
    assert!(redis.number(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]) > 1);
    eventually("more are gone", || redis.number(&["DBSIZE"]) < 70_000);
    redis.stop();
    redis.again();
    all_completed(&redis, "work", 200);
    wait_finished(&redis, "cleanup", 1);
    assert_eq!(keys(&redis, "page:*"), 0);
    let result: serde_json::Value = serde_json::from_str(&field(&redis, "cleanup", "1", "returnvalue")).unwrap();
    assert!(result["restarts"].as_u64() >= Some(1), "{result}");
    assert_eq!(field(&redis, "cleanup", "1", "atm"), "1", "within one attempt");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f149_a_million_keys_go_and_nobody_waits_for_redis() {
    const KEYS: usize = 1_000_000;
    let count = if super::scene::is_soak() { KEYS } else { KEYS / 5 };
    let redis = Redis::start();
    strings(&redis, "session:", count);
    let toml = "[queues.cleanup]\nhandler = \"sweep\"\nkeep_completed = true\n\
        [handlers.sweep.redis]\naction = \"delete\"\nmatch = \"session:*\"\nrate = false\n";
    let mut daemon = Daemon::start(&redis, toml);
    daemon.says("working");
    let idle = pings(&redis, || false, Duration::from_millis(500));
    add(&redis, "cleanup", 1..=1, |_| "{}".into());
    let begin = Instant::now();
    let busy = pings(&redis, || redis.number(&["ZCARD", &key("cleanup", "completed")]) > 0, Duration::from_secs(60));
    let took = begin.elapsed();
    let result: serde_json::Value = serde_json::from_str(&field(&redis, "cleanup", "1", "returnvalue")).unwrap();
    assert_eq!(result["deletedCount"], count, "{result}");
    let mut text = format!("{count} keys in {took:?} ({} per second)", count as u128 * 1000 / took.as_millis().max(1));
    for (what, times) in [("idle", &idle), ("beside it", &busy)] {
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        write!(text, "; PING {what}: median {:?}, p99 {:?}, longest {:?}", at(50), at(99), at(100)).unwrap();
    }
    say(&text);
    // the longest is a matter of who else is at work on the machine
    assert!(busy[busy.len() / 2] < Duration::from_millis(10), "{text}");
    assert_eq!(daemon.stop(), Some(0));
}

/// PINGs until it is so, or for so long; how long each took, the quickest first.
fn pings(redis: &Redis, mut is_so: impl FnMut() -> bool, most: Duration) -> Vec<Duration> {
    let begin = Instant::now();
    let mut times = Vec::new();
    while begin.elapsed() < most && (times.len() % 20 != 19 || !is_so()) {
        let asked = Instant::now();
        redis.call(&["PING"]);
        times.push(asked.elapsed());
        std::thread::sleep(Duration::from_micros(500));
    }
    times.sort();
    times
}

#[test]
fn two_daemons_that_warm_the_same_key_fetch_once() {
    let redis = Redis::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            std::thread::sleep(Duration::from_millis(1500));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfront");
        }
    });
    let toml = format!(
        "[queues.warm]\nconcurrency = 1\nhandler = \"front\"\nkeep_completed = true\n\
         [handlers.front.redis]\naction = \"warm\"\nfetch = \"http://{address}/\"\nkey = \"cache:front\"\nttl = \"10m\"\n"
    );
    let mut daemons = [Daemon::start(&redis, &toml), Daemon::start(&redis, &toml)];
    for daemon in &daemons {
        daemon.says("working");
    }
    // one slot each, so that each daemon has one
    add(&redis, "warm", 1..=2, |_| "{}".into());
    wait_finished(&redis, "warm", 2);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "fetched more than once");
    assert_eq!(redis.call(&["GET", "cache:front"]), "front");
    assert!(redis.number(&["PTTL", "cache:front"]) > 500_000);
    assert_eq!(redis.number(&["EXISTS", "oxherd:warm:cache:front"]), 0);
    for daemon in &mut daemons {
        assert_eq!(daemon.stop(), Some(0));
    }
}
