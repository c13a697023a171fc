//! The daemon is told to stop, in good and in bad moments.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::ledger::Ledger;
use super::scene::{SHORT, add, all_completed, field, key, ms, one_queue, within};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

#[test]
fn f09_term_lets_short_jobs_end_and_loses_nothing() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    // longer than the lock: renewals go on while draining
    add(&redis, "work", 1..=30, |_| ms(2000));
    ledger.wait_begun(10);
    let running: BTreeSet<String> = ledger.running().into_iter().collect();
    let told = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    let late = ledger.runs().iter().filter(|run| run.begin > told + Duration::from_millis(100)).count();
    assert_eq!((running.len(), ledger.begun(), late), (10, 10, 0));
    let completed: BTreeSet<String> =
        redis.list(&["ZRANGE", &key("work", "completed"), "0", "-1"]).into_iter().collect();
    assert_eq!(completed, running);
    assert_eq!(redis.number(&["LLEN", &key("work", "wait")]), 20);
    assert_eq!(redis.list(&["KEYS", "*:lock"]), Vec::<String>::new());
}

#[test]
fn f10_term_hands_long_jobs_back_at_the_head_with_no_attempt_charged() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let settings = one_queue(SHORT, &ledger).replace("concurrency = 10", "concurrency = 3");
    let shutdown = "[shutdown]\ndrain = \"500ms\"\ncancel = \"1s\"\n";
    let mut daemon = Daemon::start(&redis, &(settings + shutdown));
    add(&redis, "work", 1..=6, |_| ms(2500));
    ledger.wait_begun(3);
    let told = Instant::now();
    assert_eq!(daemon.stop(), Some(75));
    let took = told.elapsed();
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(3), "{took:?}");
    // taken from the end: first those handed back, then those that waited
    let wait: Vec<String> = redis.list(&["LRANGE", &key("work", "wait"), "0", "-1"]).into_iter().rev().collect();
    let head: BTreeSet<&str> = wait[..3].iter().map(String::as_str).collect();
    assert_eq!((head, &wait[3..]), (["1", "2", "3"].into(), &["4", "5", "6"].map(str::to_owned)[..]));
    for id in ["1", "2", "3"] {
        for name in ["atm", "attemptsMade", "stc", "failedReason"] {
            assert_eq!(field(&redis, "work", id, name), "", "{name} of job {id}");
        }
    }
    assert_eq!(redis.list(&["KEYS", "*:lock"]), Vec::<String>::new());
    daemon.again();
    all_completed(&redis, "work", 6);
    assert!(ledger.runs().iter().all(|run| run.attempt == 1), "{:?}", ledger.runs());
}

#[test]
fn f11_a_second_term_hands_back_at_once() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &(one_queue(SHORT, &ledger) + "[shutdown]\ndrain = \"60s\"\n"));
    add(&redis, "work", 1..=3, |_| ms(10_000));
    ledger.wait_begun(3);
    daemon.signal(Signal::SIGTERM);
    daemon.says("draining");
    let told = Instant::now();
    assert_eq!(daemon.stop(), Some(75));
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    assert_eq!(redis.number(&["LLEN", &key("work", "wait")]), 3);
}

#[test]
fn f11_a_second_term_ends_it_also_while_redis_is_silent() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &(one_queue(SHORT, &ledger) + "[shutdown]\ndrain = \"60s\"\n"));
    add(&redis, "work", 1..=3, |_| ms(30_000));
    ledger.wait_begun(3);
    redis.signal(Signal::SIGSTOP);
    daemon.signal(Signal::SIGTERM);
    daemon.says("draining");
    let told = Instant::now();
    let code = daemon.stop();
    let took = told.elapsed();
    redis.signal(Signal::SIGCONT);
    assert_eq!(code, Some(75));
    assert!(took < Duration::from_secs(13), "{took:?}");
    // nobody could be told: others find them
    let other = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    other.says("\"working\"");
    ledger.wait_begun(6);
}

#[test]
fn f13_closed_output_neither_ends_nor_slows_the_daemon() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "[redis]\nurl = \"{}\"\n[log]\nlevel = \"debug\"\n[shutdown]\ndrain = \"5s\"\n{}",
        redis.url(),
        one_queue(SHORT, &ledger)
    );
    std::fs::write(directory.path().join("oxherd.toml"), text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_oxherd"))
        .args(["run", "-c", "oxherd.toml"])
        .current_dir(directory.path())
        .stdin(File::open("/dev/null").unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    add(&redis, "work", 1..=200, |_| ms(20));
    ledger.wait_begun(20);
    drop((child.stdout.take(), child.stderr.take()));
    assert!(ledger.ended() < 200, "the pipes were closed too late");
    within(Duration::from_secs(20), "all jobs are done", || ledger.ended() == 200);
    all_completed(&redis, "work", 200);
    assert!(ledger.repeated().is_empty());
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    let mut status = None;
    eventually("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}
