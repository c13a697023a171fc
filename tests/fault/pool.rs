//! Processes of a pool that die, hang or never start, under jobs of a real queue: the Node helper runs a processor file.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::scene::{USUAL, add, add_with, all_completed, field, finished, key, wait_finished, within};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

/// Does what the data says, and answers with the process it was done in.
const PROCESSOR: &str = r"
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
module.exports = async (job, token, signal) => {
  const { how, ms = 0 } = job.data;
  if (how === 'exit') process.exit(3);
  if (how === 'kill') process.kill(process.pid, 'SIGKILL');
  if (how === 'segfault') process.kill(process.pid, 'SIGSEGV');
  if (how === 'block') for (;;);
  if (how === 'deaf') await wait(60_000);
  await wait(ms);
  return process.pid;
};";

/// The queue `work` and a pool of Node processes. `how` is more of the handler's table.
fn settings(workers: usize, slots: usize, how: &str) -> String {
    let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helpers/oxherd.mjs");
    let argv = json!(["node", helper, "processor.js", "--slots", slots.to_string()]);
    format!(
        "{USUAL}[queues.work]\nhandler = \"node\"\nconcurrency = {}\ntimeout = \"20s\"\n\
         backoff = {{ type = \"fixed\", delay = \"50ms\" }}\nattempts = 5\n\
         [handlers.node.process]\nargv = {argv}\ndirectory = \".\"\nworkers = {workers}\nkill_after = \"300ms\"\n{how}\n",
        workers * slots + 2,
    )
}

fn start(redis: &Redis, toml: &str) -> Daemon {
    let daemon = Daemon::start(redis, toml);
    // the processes that start before it is there fail, as they may
    std::fs::write(daemon.directory().join("processor.js"), PROCESSOR).unwrap();
    daemon
}

fn how(how: &str) -> String {
    json!({ "how": how }).to_string()
}

/// The jobs that failed, once as many have ended.
#[track_caller]
fn failed(redis: &Redis, count: usize) -> BTreeSet<String> {
    wait_finished(redis, "work", count);
    assert_eq!(finished(redis, "work"), count);
    redis.list(&["ZRANGE", &key("work", "failed"), "0", "-1"]).into_iter().collect()
}

/// The process that did the job.
fn done_by(redis: &Redis, id: &str) -> i32 {
    field(redis, "work", id, "returnvalue").parse().unwrap()
}

fn is_alive(id: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.starts_with(" Z")))
}

#[test]
fn f90_a_job_that_kills_its_process_fails_at_its_third_crash_and_its_neighbours_never_notice() {
    let redis = Redis::start();
    let mut daemon = start(&redis, &settings(2, 10, ""));
    add(&redis, "work", 1..=4, |_| how("well"));
    eventually("the pool works", || finished(&redis, "work") == 4);
    let poison = [("7", "exit", "exit code 3"), ("15", "kill", "SIGKILL"), ("23", "segfault", "SIGSEGV")];
    add(&redis, "work", 5..=40, |number| match poison.iter().find(|(id, ..)| *id == number.to_string()) {
        Some((_, kind, _)) => how(kind),
        None => json!({ "ms": 150 }).to_string(),
    });
    let failed = failed(&redis, 40);
    assert_eq!(failed, poison.iter().map(|(id, ..)| (*id).to_owned()).collect::<BTreeSet<_>>());
    for (id, _, why) in poison {
        let reason = field(&redis, "work", id, "failedReason");
        assert!(reason.contains(why) && reason.ends_with("given up after 3 crashes"), "{reason}");
        assert_eq!(field(&redis, "work", id, "atm"), "3", "attempts of job {id}");
    }
    for id in (1..=40).map(|number: usize| number.to_string()).filter(|id| !failed.contains(id)) {
        let counts = ["atm", "ats"].map(|name| field(&redis, "work", &id, name));
        assert_eq!(counts, ["1", "1"], "attempts made and started of job {id}");
    }
    // each crash beside others tried them alone, and all of it shows
    daemon.says("any of several jobs may have ended the process");
    daemon.signal(Signal::SIGUSR2);
    daemon.says("\"message\":\"processes\"");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f90_a_program_that_does_not_start_costs_no_attempts_and_a_reload_mends_it() {
    let redis = Redis::start();
    let good = settings(2, 1, "start_timeout = \"5s\"");
    let mut daemon = Daemon::start(&redis, &good.replace("processor.js", "missing.js"));
    std::fs::write(daemon.directory().join("processor.js"), PROCESSOR).unwrap();
    add(&redis, "work", 1..=5, |_| how("well"));
    daemon.says("no process starts");
    assert_eq!(daemon.log().matches("processes in a row did not start").count(), 1, "said once");
    let starts = daemon.log().matches("a process has gone").count();
    assert!(starts <= 6, "{starts} starts");
    daemon.reload(&redis, &good);
    all_completed(&redis, "work", 5);
    for id in 1..=5 {
        assert_eq!(field(&redis, "work", &id.to_string(), "atm"), "1");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f91_f88_jobs_that_do_not_stop_time_out_and_their_neighbours_never_notice() {
    let redis = Redis::start();
    let toml = settings(1, 4, "ping = \"700ms\"").replace("timeout = \"20s\"", "timeout = \"3s\"");
    let mut daemon = start(&redis, &toml);
    add(&redis, "work", 1..=1, |_| how("well"));
    all_completed(&redis, "work", 1);
    // one is deaf to its signal, one keeps the whole process from hearing anything
    add_with(&redis, "work", 2..=2, |_| how("deaf"), r#"{"attempts":1}"#);
    add(&redis, "work", 3..=12, |_| json!({ "ms": 300 }).to_string());
    assert_eq!(failed(&redis, 12), BTreeSet::from(["2".to_owned()]));
    assert_eq!(field(&redis, "work", "2", "failedReason"), "timed out after 3s");
    add_with(&redis, "work", 13..=13, |_| how("block"), r#"{"attempts":1}"#);
    add(&redis, "work", 14..=20, |_| json!({ "ms": 300 }).to_string());
    assert_eq!(failed(&redis, 20), BTreeSet::from(["2".to_owned(), "13".to_owned()]));
    for id in (3..=12).chain(14..=20) {
        let stack = field(&redis, "work", &id.to_string(), "stacktrace");
        assert_eq!(field(&redis, "work", &id.to_string(), "atm"), "1", "job {id}: {stack}\n{}", daemon.log());
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f87_no_process_outlives_a_daemon_that_is_killed() {
    let redis = Redis::start();
    let mut daemon = start(&redis, &settings(2, 1, ""));
    add(&redis, "work", 1..=2, |_| json!({ "ms": 300 }).to_string());
    all_completed(&redis, "work", 2);
    let processes: Vec<i32> = ["1", "2"].map(|id| done_by(&redis, id)).into();
    assert!(processes.iter().all(|id| is_alive(*id)));
    daemon.kill();
    within(Duration::from_secs(5), "the processes end", || !processes.iter().any(|id| is_alive(*id)));
}

#[test]
fn a_reload_keeps_the_processes_of_a_pool_that_stays_and_lets_jobs_end_in_one_that_goes() {
    let redis = Redis::start();
    let toml = settings(1, 1, "");
    let mut daemon = start(&redis, &toml);
    add(&redis, "work", 1..=1, |_| how("well"));
    all_completed(&redis, "work", 1);
    let first = done_by(&redis, "1");
    let other_queue = toml.replace("concurrency = 3", "concurrency = 4");
    daemon.reload(&redis, &other_queue);
    add(&redis, "work", 2..=2, |_| json!({ "ms": 1500 }).to_string());
    daemon.says("new settings in force");
    eventually("the job runs", || redis.number(&["LLEN", &key("work", "active")]) == 1);
    daemon.reload(&redis, &(other_queue + "env = { OTHER = \"1\" }\n"));
    eventually("the old process ends with its job", || !is_alive(first));
    add(&redis, "work", 3..=3, |_| how("well"));
    all_completed(&redis, "work", 3);
    assert_eq!(done_by(&redis, "2"), first, "unchanged by the first reload, and ended in peace after the second");
    assert_ne!(done_by(&redis, "3"), first);
    assert_eq!(daemon.stop(), Some(0));
    assert!(!is_alive(done_by(&redis, "3")));
}

#[test]
fn f16_an_idle_process_that_hangs_is_replaced() {
    let redis = Redis::start();
    let mut daemon = start(&redis, &settings(1, 1, "ping = \"700ms\""));
    add(&redis, "work", 1..=1, |_| how("well"));
    all_completed(&redis, "work", 1);
    let first = done_by(&redis, "1");
    kill(Pid::from_raw(first), Signal::SIGSTOP).unwrap();
    within(Duration::from_secs(5), "it is ended", || !is_alive(first));
    add(&redis, "work", 2..=2, |_| how("well"));
    all_completed(&redis, "work", 2);
    assert_ne!(done_by(&redis, "2"), first);
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("no answer within 700ms")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["pid"], first);
    assert_eq!(daemon.stop(), Some(0));
}
