//! Somebody stands still for a while: the daemon, or Redis.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::ledger::Ledger;
use super::scene::{
    RECOVERY, SHORT, USUAL, add, all_completed, field, finished, is_soak, key, ms, one_queue, say, within,
};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

#[test]
fn f14_a_frozen_daemon_records_nothing_that_others_have_taken_over() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let frozen = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=10, |_| ms(1000));
    ledger.wait_begun(10);
    frozen.signal(Signal::SIGSTOP);
    let mut other = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    within(RECOVERY + Duration::from_secs(1), "the other one has taken the jobs over", || ledger.begun() == 20);
    // answers to the frozen one have come meanwhile: it reads them first thing
    frozen.signal(Signal::SIGCONT);
    all_completed(&redis, "work", 10);
    frozen.says("lost: another worker may run it");
    for id in ledger.times().keys() {
        assert_eq!(field(&redis, "work", id, "returnvalue"), "2", "the value of job {id} comes from the second run");
        assert_eq!(field(&redis, "work", id, "stc"), "1");
    }
    // both go on
    add(&redis, "work", 11..=60, |_| ms(50));
    all_completed(&redis, "work", 60);
    assert_eq!(ledger.repeated().len(), 10);
    assert_eq!(other.stop(), Some(0));
}

#[test]
fn f14_a_frozen_daemon_alone_ends_its_jobs_once() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=20, |_| ms(500));
    ledger.wait_begun(10);
    daemon.signal(Signal::SIGSTOP);
    // asked of Redis itself: the locks are gone
    eventually("the locks have lapsed", || redis.list(&["KEYS", "*:lock"]).is_empty());
    daemon.signal(Signal::SIGCONT);
    all_completed(&redis, "work", 20);
    assert_eq!(daemon.stop(), Some(0));
}

/// Work of 100 ms on 10 slots, so that something is in flight whenever the fault strikes.
fn under_load(settings: &str, jobs: usize, strike: impl FnOnce(&Redis)) -> (Redis, Ledger) {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(settings, &ledger));
    add(&redis, "work", 1..=jobs, |_| ms(100));
    ledger.wait_ended(30);
    strike(&redis);
    assert!(finished(&redis, "work") < jobs, "the fault came too late");
    all_completed(&redis, "work", jobs);
    assert_eq!(daemon.stop(), Some(0));
    (redis, ledger)
}

fn stop_for(redis: &Redis, duration: Duration) {
    redis.signal(Signal::SIGSTOP);
    std::thread::sleep(duration);
    redis.signal(Signal::SIGCONT);
}

#[test]
fn f35_a_stall_of_redis_shorter_than_the_lock_repeats_nothing() {
    let (redis, ledger) = under_load(SHORT, 200, |redis| stop_for(redis, Duration::from_millis(700)));
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    for id in ledger.times().keys() {
        assert_eq!(field(&redis, "work", id, "stc"), "", "stalls of job {id}");
    }
}

#[test]
fn f35_a_stall_of_5_s_repeats_nothing_by_the_usual_settings() {
    let (_, ledger) = under_load(USUAL, 200, |redis| stop_for(redis, Duration::from_secs(5)));
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
}

#[test]
fn f35_f37_paused_commands_and_paused_writes_repeat_nothing() {
    for kind in ["ALL", "WRITE"] {
        let (_, ledger) = under_load(USUAL, 200, |redis| {
            redis.call(&["CLIENT", "PAUSE", "1500", kind]);
            // answered only when the pause is over
            let begin = Instant::now();
            redis.call(&["SET", "paused", "1"]);
            assert!(begin.elapsed() > Duration::from_secs(1), "the pause had no effect");
        });
        assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    }
}

#[test]
fn f36_a_stall_longer_than_the_lock_ends_no_job_twice() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let settings = one_queue(SHORT, &ledger);
    let mut daemons = [Daemon::start(&redis, &settings), Daemon::start(&redis, &settings)];
    add(&redis, "work", 1..=200, |_| ms(200));
    ledger.wait_ended(40);
    stop_for(&redis, Duration::from_secs(3));
    let back = Instant::now();
    let before = finished(&redis, "work");
    assert!(before < 200, "the stall came too late");
    eventually("work goes on", || finished(&redis, "work") > before);
    say(&format!("work went on after {:?}", back.elapsed()));
    all_completed(&redis, "work", 200);
    let repeated = ledger.repeated();
    say(&format!("run twice: {}", repeated.len()));
    assert!(repeated.len() <= 20, "more than were in flight: {repeated:?}");
    for daemon in &mut daemons {
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn f15_a_daemon_with_little_of_a_processor_keeps_its_locks() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    let _other = Daemon::start(&redis, &one_queue(SHORT, &ledger).replace("concurrency = 10", "concurrency = 1"));
    add(&redis, "work", 1..=11, |_| ms(4000));
    ledger.wait_begun(11);
    // 5 ms of each 100
    let mut rounds = 0;
    while ledger.ended() == 0 {
        daemon.signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(95));
        daemon.signal(Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(5));
        rounds += 1;
    }
    assert!(rounds > 20, "only {rounds} rounds");
    all_completed(&redis, "work", 11);
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    assert!(!daemon.log().contains("could not be renewed"), "{}", daemon.log());
}

#[test]
fn f35_long_jobs_keep_their_locks_through_stalls() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let _daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    let _other = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    let stalls = if is_soak() { 10 } else { 3 };
    add(&redis, "work", 1..=10, |_| ms(1000 + stalls * 1000));
    ledger.wait_begun(10);
    for _ in 0..stalls {
        stop_for(&redis, Duration::from_millis(500));
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(redis.number(&["LLEN", &key("work", "active")]), 10, "the stalls came too late");
    all_completed(&redis, "work", 10);
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
}
