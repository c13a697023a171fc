//! Redis goes away, comes back, refuses, forgets.

use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::scene::{
    SHORT, USUAL, add, all_completed, dice, field, finished, is_soak, key, ms, one_queue, say, wait_finished, within,
};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

/// Redis ends under load, stays away, and comes back; nobody touches the daemon.
fn away(end: impl Fn(&mut Redis)) {
    let mut redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    add(&redis, "work", 1..=300, |_| ms(100));
    ledger.wait_ended(50);
    let mut running = 0;
    eventually("the outage meets jobs at work", || {
        running = ledger.begun().saturating_sub(ledger.ended());
        running > 0
    });
    end(&mut redis);
    let away = Duration::from_secs(if is_soak() { 10 } else { 3 });
    std::thread::sleep(away);
    redis.again();
    let (back, begun) = (Instant::now(), ledger.begun());
    assert!(begun < 300, "the outage came too late");
    let before = finished(&redis, "work");
    within(Duration::from_secs(2), "work goes on", || ledger.begun() > begun && finished(&redis, "work") > before);
    say(&format!("away for {away:?} with {running} jobs at work; went on after {:?}", back.elapsed()));
    all_completed(&redis, "work", 300);
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    assert!(daemon.log().contains("redis is back"), "{}", daemon.log());
    assert_eq!(daemon.log().matches("redis is away").count(), 1, "said more than once: {}", daemon.log());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f26_redis_is_restarted_under_load() {
    away(Redis::shut_down);
}

#[test]
fn f27_redis_is_killed_and_restarted_under_load() {
    away(Redis::stop);
}

#[test]
fn f28_redis_comes_back_empty_and_new_jobs_are_done() {
    let mut redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=100, |_| ms(100));
    ledger.wait_ended(20);
    redis.stop();
    redis.forget_everything();
    redis.again();
    assert_eq!(redis.number(&["EXISTS", &key("work", "1")]), 0, "redis remembers");
    daemon.says("redis is back");
    add(&redis, "work", 1001..=1010, |_| ms(20));
    wait_finished(&redis, "work", 10);
    daemon.says("the job was removed while it ran");
    // no hash came into being for a job that was gone
    let hashes = redis.list(&["KEYS", &key("work", "[0-9]*")]);
    assert_eq!(hashes.iter().filter(|key| !key.contains(":10")).count(), 0, "{hashes:?}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f34_scripts_are_flushed_under_load() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=300, |_| ms(50));
    for flush in 1..=15 {
        ledger.wait_ended(15 * flush);
        redis.call(&["SCRIPT", "FLUSH"]);
    }
    assert!(finished(&redis, "work") < 300, "the flushes came too late");
    all_completed(&redis, "work", 300);
    let missed = redis.call(&["INFO", "errorstats"]).contains("errorstat_NOSCRIPT");
    assert!(missed, "no call ever missed its script");
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f38_every_connection_is_killed_again_and_again() {
    let mut dice = dice("f38");
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    add(&redis, "work", 1..=400, |_| ms(50));
    let mut killed = 0;
    for round in 1..=10 {
        ledger.wait_ended(30 * round);
        std::thread::sleep(Duration::from_millis(dice.u64(..60)));
        killed += redis.number(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let begun = ledger.begun();
        within(Duration::from_secs(2), "work goes on", || ledger.begun() > begun || begun >= 400);
    }
    say(&format!("{killed} connections were killed"));
    assert!(killed >= 30, "only {killed} connections were killed");
    assert!(finished(&redis, "work") < 400, "the kills came too late");
    all_completed(&redis, "work", 400);
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    for id in ledger.times().keys() {
        assert_eq!(field(&redis, "work", id, "stc"), "", "stalls of job {id}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f51_redis_is_not_there_at_start() {
    let mut redis = Redis::start();
    let ledger = Ledger::start();
    add(&redis, "work", 1..=10, |_| ms(10));
    redis.stop();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    daemon.says("waiting for redis");
    std::thread::sleep(Duration::from_secs(2));
    assert!(daemon.is_running());
    assert_eq!(daemon.log().matches("waiting for redis").count(), 1, "{}", daemon.log());
    redis.again();
    within(Duration::from_secs(4), "the jobs are done", || finished(&redis, "work") == 10);
    all_completed(&redis, "work", 10);
    assert_eq!(daemon.stop(), Some(0));
}

/// Redis refuses for a while: outcomes are held, not turned into failures, and nothing is repeated.
/// `proof` is a command that is refused meanwhile, with the beginning of the error.
/// Work has to go on within `limit` afterwards.
fn refusing(
    name: &str,
    refuse: impl FnOnce(&Redis),
    allow: impl FnOnce(&Redis),
    proof: (&[&str], &str),
    limit: Duration,
) {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    add(&redis, "work", 1..=200, |_| ms(100));
    ledger.wait_ended(30);
    refuse(&redis);
    let refused = redis.ask(proof.0).expect_err(name);
    assert!(refused.starts_with(proof.1), "{name}: {refused}");
    eventually(&format!("{name}: nothing runs any more"), || ledger.running().is_empty());
    std::thread::sleep(Duration::from_millis(1500));
    assert!(ledger.begun() < 200, "{name} came too late");
    allow(&redis);
    let (back, begun) = (Instant::now(), ledger.begun());
    eventually(&format!("{name}: work goes on"), || ledger.begun() > begun);
    say(&format!("{name}: work went on after {:?}", back.elapsed()));
    assert!(back.elapsed() < limit, "{name}: after {:?}", back.elapsed());
    all_completed(&redis, "work", 200);
    assert!(ledger.repeated().is_empty(), "{name}: run twice: {:?}", ledger.repeated());
    assert_eq!(daemon.stop(), Some(0), "{name}");
}

#[test]
fn f31_a_snapshot_fails_and_writes_are_refused() {
    refusing(
        "f31",
        |redis| {
            // a directory where the file should come to be
            std::fs::create_dir(redis.socket().with_file_name("dump.rdb")).unwrap();
            redis.call(&["CONFIG", "SET", "save", "3600 1"]);
            redis.call(&["BGSAVE"]);
            eventually("the snapshot fails", || redis.call(&["INFO", "persistence"]).contains("bgsave_status:err"));
        },
        |redis| drop(redis.call(&["CONFIG", "SET", "save", ""])),
        (&["SET", "proof", "1"], "MISCONF"),
        Duration::from_secs(3),
    );
}

#[test]
fn f39_redis_turns_read_only_and_back() {
    refusing(
        "f39",
        |redis| drop(redis.call(&["REPLICAOF", "127.0.0.1", "1"])),
        |redis| drop(redis.call(&["REPLICAOF", "NO", "ONE"])),
        (&["SET", "proof", "1"], "READONLY"),
        Duration::from_secs(3),
    );
}

#[test]
fn f47_too_few_replicas() {
    refusing(
        "f47",
        |redis| drop(redis.call(&["CONFIG", "SET", "min-replicas-to-write", "1"])),
        |redis| drop(redis.call(&["CONFIG", "SET", "min-replicas-to-write", "0"])),
        (&["SET", "proof", "1"], "NOREPLICAS"),
        Duration::from_secs(3),
    );
}

#[test]
fn f48_the_rights_are_taken_away_and_given_back() {
    refusing(
        "f48",
        |redis| drop(redis.call(&["ACL", "SETUSER", "default", "-evalsha", "-eval", "-script"])),
        |redis| drop(redis.call(&["ACL", "SETUSER", "default", "+@all"])),
        (&["EVAL", "return 1", "0"], "NOPERM"),
        // what needs a person is tried each 5 s
        Duration::from_secs(7),
    );
}

#[test]
fn f33_redis_is_busy_with_somebody_elses_script() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    redis.call(&["CONFIG", "SET", "lua-time-limit", "100"]);
    add(&redis, "work", 1..=200, |_| ms(50));
    ledger.wait_ended(30);
    std::thread::scope(|scope| {
        let endless = scope.spawn(|| redis.ask(&["EVAL", "while true do end", "0"]));
        eventually("redis is busy", || redis.ask(&["PING"]).is_err_and(|error| error.starts_with("BUSY")));
        std::thread::sleep(Duration::from_secs(2));
        assert!(!endless.is_finished(), "somebody else has ended the script");
        redis.call(&["SCRIPT", "KILL"]);
        assert!(endless.join().unwrap().is_err());
    });
    assert!(finished(&redis, "work") < 200, "the script came too late");
    all_completed(&redis, "work", 200);
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f29_memory_is_full_and_running_jobs_keep_their_locks() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    let other = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    other.says("\"working\"");
    // two and a half lives of a lock
    add(&redis, "work", 1..=10, |_| ms(3750));
    ledger.wait_begun(10);
    redis.call(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let refused = |redis: &Redis| redis.ask(&["SET", "proof", "1"]).is_err_and(|error| error.starts_with("OOM"));
    assert!(refused(&redis), "memory is not full");
    // finished while memory is still full
    wait_finished(&redis, "work", 10);
    assert!(refused(&redis), "memory is no longer full");
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    redis.call(&["CONFIG", "SET", "maxmemory", "0"]);
    add(&redis, "work", 11..=30, |_| ms(20));
    all_completed(&redis, "work", 30);
    for id in ledger.times().keys() {
        assert_eq!(field(&redis, "work", id, "stc"), "", "stalls of job {id}");
    }
    assert_eq!(daemon.stop(), Some(0));
}
