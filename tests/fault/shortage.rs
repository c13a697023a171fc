//! The machine runs out of what the daemon needs: descriptors, processes, memory, room for the log.

use super::ledger::Ledger;
use super::scene::{SHORT, USUAL, add, all_completed, field, key, ms, one_queue, queue, say};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

/// A queue whose jobs are short programs, beside the queue `work` of an endpoint.
const NAPS: &str = "[queues.naps]\nhandler = \"nap\"\nconcurrency = 40\nattempts = 1\n[handlers.nap.command]\nargv = [\"sleep\", \"0.3\"]\n";

/// Lines of the log at a level with this text.
fn lines(daemon: &Daemon, level: &str, text: &str) -> usize {
    let level = format!("\"level\":\"{level}\"");
    daemon.log().lines().filter(|line| line.contains(&level) && line.contains(text)).count()
}

/// Lets what was put off come back at once, and wakes who waits for it.
fn bring_back(redis: &Redis, queue: &str) {
    for id in redis.list(&["ZRANGE", &key(queue, "delayed"), "0", "-1"]) {
        redis.call(&["ZADD", &key(queue, "delayed"), "XX", "1", &id]);
    }
    redis.call(&["ZADD", &key(queue, "marker"), "0", "0"]);
}

/// Each job has begun once, and was charged one attempt.
fn began_once(redis: &Redis, queue: &str, jobs: usize) {
    for id in (1..=jobs).map(|id| id.to_string()) {
        let counts = ["ats", "atm"].map(|name| field(redis, queue, &id, name));
        assert_eq!(counts, ["1", "1"], "starts and attempts of job {id}");
    }
}

#[test]
fn f20_without_descriptors_no_job_is_taken_for_an_endpoint_and_those_in_flight_go_on() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    // longer than a lock lives: they need their renewals
    add(&redis, "work", 1..=3, |_| ms(3000));
    ledger.wait_begun(3);
    // fewer than it has open
    daemon.limit("nofile", "4");
    add(&redis, "work", 4..=40, |_| ms(0));
    daemon.says("out of file descriptors (EMFILE)");
    assert_eq!(ledger.begun(), 3);
    ledger.wait_ended(3);
    eventually("those in flight are done", || redis.number(&["ZCARD", &key("work", "completed")]) >= 3);
    // tried again meanwhile, and told once
    assert_eq!(lines(&daemon, "warn", "out of file descriptors (EMFILE)"), 1, "{}", daemon.log());
    daemon.limit("nofile", "1024");
    bring_back(&redis, "work");
    all_completed(&redis, "work", 40);
    assert_eq!(ledger.repeated(), Vec::<String>::new());
    began_once(&redis, "work", 40);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f20_without_descriptors_programs_that_cannot_be_started_cost_no_attempt() {
    let redis = Redis::start();
    let mut daemon = Daemon::start(&redis, &format!("{SHORT}{NAPS}"));
    add(&redis, "naps", 1..=1, |_| "{}".into());
    all_completed(&redis, "naps", 1);
    daemon.limit("nofile", "40");
    add(&redis, "naps", 2..=60, |_| "{}".into());
    daemon.says("out of file descriptors (EMFILE)");
    daemon.limit("nofile", "1024");
    bring_back(&redis, "naps");
    all_completed(&redis, "naps", 60);
    began_once(&redis, "naps", 60);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f22_without_processes_programs_wait_without_an_attempt_and_other_queues_go_on() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let settings = format!("{SHORT}{NAPS}{}{}", queue("work", 10), ledger.handler());
    let mut daemon = Daemon::start_unprivileged(&redis, &settings);
    for queue in ["naps", "work"] {
        add(&redis, queue, 1..=1, |_| "{}".into());
        all_completed(&redis, queue, 1);
    }
    daemon.limit("nproc", "1");
    add(&redis, "naps", 2..=60, |_| "{}".into());
    daemon.says("cannot start a process (EAGAIN)");
    add(&redis, "work", 2..=100, |_| "{}".into());
    all_completed(&redis, "work", 100);
    let unfinished = 60 - redis.number(&["ZCARD", &key("naps", "completed")]);
    assert!(unfinished > 0, "the limit was none");
    assert_eq!(lines(&daemon, "warn", "cannot start a process (EAGAIN)"), 1);
    daemon.limit("nproc", "4096");
    bring_back(&redis, "naps");
    all_completed(&redis, "naps", 60);
    began_once(&redis, "naps", 60);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f19_large_jobs_take_memory_for_those_in_the_slots_and_none_for_those_that_wait() {
    const SLOTS: usize = 4;
    const JOBS: usize = 200;
    let redis = Redis::start();
    let ledger = Ledger::start();
    let settings = one_queue(USUAL, &ledger).replace("concurrency = 10", &format!("concurrency = {SLOTS}"));
    let mut daemon = Daemon::start(&redis, &settings);
    let peak = || -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
    };
    add(&redis, "work", 1..=20, |_| "{}".into());
    all_completed(&redis, "work", 20);
    let small = peak();
    // just below what a job may be
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(1_000_000));
    for from in (21..=20 + JOBS).step_by(10) {
        add(&redis, "work", from..=from + 9, |_| large.clone());
    }
    all_completed(&redis, "work", 20 + JOBS);
    let grown = peak() - small;
    say(&format!("{small} MiB, {grown} more with {JOBS} jobs of a MiB"));
    // some copies of what is in the slots and on its way there, a fifth of what waited
    assert!(grown <= SLOTS * 10, "{grown} MiB more for {SLOTS} slots");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f21_a_log_on_a_full_disk_keeps_nobody_from_work() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start_on_a_full_disk(&redis, &one_queue(USUAL, &ledger));
    add(&redis, "work", 1..=50, |_| ms(0));
    all_completed(&redis, "work", 50);
    assert!(ledger.repeated().is_empty());
    assert_eq!(daemon.stop(), Some(0));
}
