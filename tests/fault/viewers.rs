//! Faults of those who watch over HTTP: they read slowly, or not at all, and Redis goes away under them.

use super::support::daemon::{Daemon, oxherd};
use super::support::redis::Redis;
use super::support::viewer::{ask, follow, free_port};

const TOKEN: &str = "the-token-of-the-admin";

fn toml(port: u16, more: &str) -> String {
    format!(
        "[queues.email]\nhandler = \"log\"\n[handlers.log.log]\n\
         [admin]\nlisten = \"127.0.0.1:{port}\"\ntoken = \"{TOKEN}\"\n[admin.events]\n{more}\n"
    )
}

/// Of the process, in KiB.
fn resident(daemon: &Daemon) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn f60_a_viewer_that_does_not_read_holds_up_nobody_and_is_told_what_it_missed() {
    const MESSAGES: u64 = 20_000;
    const ROUNDS: u64 = 50;
    let redis = Redis::start();
    let port = free_port();
    let daemon = Daemon::start(&redis, &toml(port, "buffer = 100"));
    let query = format!("token={TOKEN}");
    let mut slow = follow(port, &query);
    let mut quick = follow(port, &format!("{query}&queue=email"));
    let before = resident(&daemon);
    // 20 MB of messages that the slow one does not read
    let script = "for n = 1, tonumber(ARGV[1]) do
        redis.call('PUBLISH', 'job_updates', '{\"tenantId\":\"t1\",\"jobId\":\"' .. ARGV[2] + n .. '\",\"status\":\"RUNNING\",\"name\":\"' .. ARGV[3] .. '\"}')
      end";
    let filler = "x".repeat(1000);
    for round in 0..ROUNDS {
        redis.call(&[
            "EVAL",
            script,
            "0",
            &(MESSAGES / ROUNDS).to_string(),
            &(round * MESSAGES / ROUNDS).to_string(),
            &filler,
        ]);
        // jobs are done, and seen by who reads, as if nothing were
        let id = oxherd(&redis, &["job", "add", "email", "n", "{}"])["id"].as_str().unwrap().to_owned();
        loop {
            let event = quick.next().unwrap();
            if event.data["jobId"] == *id && event.data["status"] == "COMPLETED" {
                break;
            }
        }
    }
    let grown = resident(&daemon).saturating_sub(before);
    assert!(grown < 12 * 1024, "{grown} KiB more for what nobody reads");

    // once it reads: the number that is missing, and then the newest
    redis.call(&["PUBLISH", "job_updates", r#"{"tenantId":"t1","jobId":"last","status":"RUNNING"}"#]);
    let (mut seen, mut missed, mut last, mut gaps, mut others) = (0, 0, 0, 0, 0);
    loop {
        let event = slow.next().unwrap();
        match event.name.as_str() {
            "missed" => missed += event.data["count"].as_u64().unwrap(),
            "status" if event.data["jobId"] == "last" => break,
            "status" if event.data["queue"] == "email" => others += 1,
            "status" => {
                let number: u64 = event.data["jobId"].as_str().unwrap().parse().unwrap();
                assert!(number > last, "{number} after {last}");
                last = number;
                seen += 1;
            }
            // the process itself did not keep up for a moment
            "gap" => gaps += 1,
            other => panic!("{other}: {}", event.data),
        }
    }
    assert!(missed > 0 && seen > 0, "{seen} seen, {missed} missed");
    // of each job there are some messages of its own
    assert!(gaps > 0 || seen + others + missed >= MESSAGES + ROUNDS, "{seen} and {others} seen, {missed} missed");
    assert_eq!(last, MESSAGES, "the newest are kept");
}

#[test]
fn f59_redis_that_goes_away_is_a_gap_for_viewers_and_not_the_end() {
    let mut redis = Redis::start();
    let port = free_port();
    let _daemon = Daemon::start(&redis, &toml(port, ""));
    let mut viewer = follow(port, &format!("token={TOKEN}"));
    redis.stop();
    // whoever comes now is let in, and told when there is something to see
    let mut late = ask(port, "GET", &format!("/v1/events?token={TOKEN}"), &[]);
    assert_eq!(late.status, 200);
    redis.again();
    viewer.expect("gap");
    let id = oxherd(&redis, &["job", "add", "email", "n", "{}"])["id"].as_str().unwrap().to_owned();
    for viewer in [&mut viewer, &mut late] {
        while viewer.next().unwrap().data["jobId"] != *id {}
    }
}
