//! Those who listen to status messages: cut off, asleep, or away while things are said.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::ledger::Ledger;
use super::scene::{USUAL, add, all_completed, ms, one_queue, wait_finished};
use super::support::daemon::{Daemon, answered};
use super::support::redis::Redis;
use super::support::{PATIENCE, eventually};

/// `oxherd watch --json` and the lines it prints.
struct Watch {
    child: Child,
    lines: Receiver<Value>,
}

impl Watch {
    fn start(daemon: &Daemon, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_oxherd"))
            .args(["watch", "--json", "-c", "oxherd.toml"])
            .args(arguments)
            .current_dir(daemon.directory())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = send.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("watch prints a line")
    }

    /// Lines until one is so, that one included.
    fn until(&self, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut lines = vec![self.next()];
        while !is_it(&lines[lines.len() - 1]) {
            lines.push(self.next());
        }
        lines
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listeners(redis: &Redis) -> String {
    redis.ask(&["PUBSUB", "NUMSUB", "job_updates"]).unwrap_or_default()
}

fn is(line: &Value, id: &str, status: &str) -> bool {
    line["jobId"] == id && line["status"] == status
}

/// Redis goes and comes: who listens hears of the gap, then what runs, then how it ends.
#[test]
fn f59_after_an_outage_subscribers_hear_what_runs() {
    let mut redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    let watch = Watch::start(&daemon, &[]);
    eventually("watch listens", || listeners(&redis) == "job_updates\n1");
    add(&redis, "work", 1..=3, |_| ms(6000));
    let taken = watch.until(|line| is(line, "3", "RUNNING"));
    assert_eq!(taken.len(), 3, "{taken:?}");
    redis.stop();
    std::thread::sleep(Duration::from_millis(500));
    redis.again();
    let gap = watch.next();
    assert!(gap["gapMs"].as_u64().is_some_and(|ms| ms >= 400), "{gap}");
    let mut told: Vec<String> = (0..3)
        .map(|_| {
            let line = watch.next();
            assert_eq!((&line["status"], &line["attempt"]), (&"RUNNING".into(), &1.into()), "{line}");
            line["jobId"].as_str().unwrap().to_owned()
        })
        .collect();
    told.sort();
    assert_eq!(told, ["1", "2", "3"], "one message for each job in hand");
    let ends: Vec<Value> = (0..3).map(|_| watch.until(|line| line["status"] == "COMPLETED").pop().unwrap()).collect();
    assert_eq!(
        ends.iter().map(|line| line["jobId"].as_str().unwrap()).collect::<std::collections::BTreeSet<_>>().len(),
        3
    );
    all_completed(&redis, "work", 3);
    assert_eq!(daemon.stop(), Some(0));
}

/// The link of the subscriber alone is cut: it subscribes again, to all channels, and says so.
#[test]
fn f59_a_cut_subscriber_hears_all_its_channels_again() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let status = "[status]\nchannel = \"plain\"\n[queues.work.status]\nchannel = \"jobs:{queue}\"\n";
    let mut daemon = Daemon::start(&redis, &format!("{}{status}", one_queue(USUAL, &ledger)));
    let watch = Watch::start(&daemon, &[]);
    let subscribed =
        || redis.call(&["PUBSUB", "NUMPAT"]) == "1" && redis.call(&["PUBSUB", "NUMSUB", "plain"]) == "plain\n1";
    eventually("watch listens", subscribed);
    for round in 1..=3 {
        redis.call(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        assert!(watch.next()["gapMs"].is_u64());
        eventually("watch listens again", subscribed);
        add(&redis, "work", round..=round, |_| ms(0));
        watch.until(|line| is(line, &round.to_string(), "COMPLETED"));
        redis.call(&["PUBLISH", "plain", r#"{"tenantId":null,"jobId":"x","status":"HELLO"}"#]);
        watch.until(|line| line["status"] == "HELLO");
    }
    assert_eq!(daemon.stop(), Some(0));
}

/// A stream keeps what a reader who is cut off again and again, and Redis restarted between, would miss.
#[test]
fn f59_no_message_of_the_stream_is_missed_over_outages() {
    let mut redis = Redis::start();
    redis.call(&["CONFIG", "SET", "appendfsync", "always"]);
    let ledger = Ledger::start();
    let status = "[status]\nstream = { key = \"updates\" }\nexcept = [\"active\"]\n";
    let mut daemon = Daemon::start(&redis, &format!("{}{status}", one_queue(USUAL, &ledger)));
    let watch = Watch::start(&daemon, &["--from", "0"]);
    add(&redis, "work", 1..=200, |_| ms(20));
    ledger.wait_ended(20);
    for _ in 0..2 {
        redis.call(&["CLIENT", "KILL", "TYPE", "normal"]);
        std::thread::sleep(Duration::from_millis(50));
    }
    redis.stop();
    std::thread::sleep(Duration::from_millis(300));
    redis.again();
    wait_finished(&redis, "work", 200);
    let mut seen: Vec<u64> = (0..200)
        .map(|_| {
            let line = watch.next();
            assert_eq!(line["status"], "COMPLETED", "{line}");
            line["jobId"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=200).collect::<Vec<_>>(), "each end once");
    assert_eq!(redis.number(&["XLEN", "updates"]), 200);
    assert_eq!(daemon.stop(), Some(0));
}

/// Nobody hears the orders: they stand in Redis and are followed all the same.
#[test]
fn f59_orders_given_while_nobody_could_hear_them_are_followed() {
    let mut redis = Redis::start();
    let ledger = Ledger::start();
    let defaults = "[defaults]\nlock = \"3s\"\nkeep_completed = true\nkeep_failed = true\n";
    let mut daemon = Daemon::start(&redis, &one_queue(defaults, &ledger));
    add(&redis, "work", 1..=1, |_| ms(60_000));
    eventually("it runs", || ledger.begun() == 1);
    redis.stop();
    redis.again();
    // from now on nobody can hear anything
    redis.call(&["ACL", "SETUSER", "default", "resetchannels"]);
    eventually("deaf", || redis.call(&["PUBSUB", "CHANNELS"]).is_empty());
    answered(&redis, &["job", "cancel", "work", "1", "--because", "not this one", "--wait", "0s"]);
    assert_eq!(answered(&redis, &["queue", "pause", "work"]).0, 0);
    eventually("the job was cancelled", || {
        redis.call(&["HGET", "bull:work:1", "failedReason"]).contains("not this one")
    });
    add(&redis, "work", 2..=2, |_| ms(0));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(ledger.begun(), 1, "the queue is paused");
    assert_eq!(answered(&redis, &["queue", "resume", "work"]).0, 0);
    wait_finished(&redis, "work", 2);
    assert_eq!(daemon.stop(), Some(0));
}

/// A subscriber that reads nothing: Redis drops it, nobody waits for it.
#[test]
fn f60_a_subscriber_that_never_reads_holds_up_nobody() {
    use std::io::Write as _;
    let redis = Redis::start();
    redis.call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0"]);
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    let mut sleeper = std::os::unix::net::UnixStream::connect(redis.socket()).unwrap();
    sleeper.write_all(b"SUBSCRIBE job_updates noise\r\n").unwrap();
    eventually("it listens", || listeners(&redis) == "job_updates\n1");
    let watch = Watch::start(&daemon, &["--queue", "work"]);
    eventually("watch listens", || listeners(&redis) == "job_updates\n2");
    add(&redis, "work", 1..=200, |_| ms(0));
    all_completed(&redis, "work", 200);
    // enough for any buffer between it and us
    for _ in 0..60 {
        redis.call(&["PUBLISH", "noise", &"x".repeat(100_000)]);
    }
    eventually("it was dropped", || listeners(&redis) == "job_updates\n1");
    add(&redis, "work", 201..=220, |_| ms(0));
    all_completed(&redis, "work", 220);
    let mut ended: Vec<Value> = Vec::new();
    while ended.len() < 220 {
        ended.extend(watch.until(|line| line["status"] == "COMPLETED").pop());
    }
    assert_eq!(daemon.stop(), Some(0));
}

/// A reader that sleeps learns how much it has missed.
#[test]
fn f60_a_slow_watch_says_how_many_it_has_missed() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    let mut child = Command::new(env!("CARGO_BIN_EXE_oxherd"))
        .args(["watch", "--json", "-c", "oxherd.toml"])
        .current_dir(daemon.directory())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("watch listens", || listeners(&redis) == "job_updates\n1");
    let sent = 12_000;
    let script = "for n = 1, 12000 do redis.call('PUBLISH', 'job_updates', '{\"tenantId\":null,\"jobId\":\"' .. n .. '\",\"status\":\"X\"}') end return 1";
    redis.call(&["EVAL", script, "0"]);
    redis.call(&["PUBLISH", "job_updates", r#"{"tenantId":null,"jobId":"last","status":"X"}"#]);
    std::thread::sleep(Duration::from_millis(500));
    let (mut seen, mut missed) = (0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        missed += line["missed"].as_u64().unwrap_or(0);
        if line["jobId"] == "last" {
            break;
        }
        seen += u64::from(line["jobId"].is_string());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen + missed, sent, "{seen} seen, {missed} missed");
    assert!(missed > 0, "the pipe and the buffers were too large for this test");
}
