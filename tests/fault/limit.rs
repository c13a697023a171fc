//! Jobs that take longer than they may.

use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::redis::Redis;

/// Notes when it begins and when it is told to stop, and then claims to have done its job.
const PROGRAM: &str = r#"
[queues.work]
handler = "slow"
timeout = "1s"
attempts = 3
backoff = { delay = "10ms" }
[handlers.slow.command]
argv = ["sh", "-c", "trap 'date +%s%N >> times; echo 7; exit 0' TERM; date +%s%N >> times; while :; do sleep 0.01; done"]
directory = "DIRECTORY"
"#;

#[test]
fn f91_a_program_over_its_time_is_stopped_at_its_limit_and_its_late_result_ignored() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    let toml = PROGRAM.replace("DIRECTORY", directory.path().to_str().unwrap());
    let mut daemon = Daemon::start(&redis, &toml);
    oxherd(&redis, &["job", "add", "work", "n"]);
    eventually("its attempts are used up", || !redis.call(&["ZSCORE", "bull:work:failed", "1"]).is_empty());
    let field = |name: &str| redis.call(&["HGET", "bull:work:1", name]);
    assert_eq!((field("failedReason"), field("atm")), ("timed out after 1s".into(), "3".into()));
    assert_eq!(field("returnvalue"), "", "what came late is not looked at");
    let times = std::fs::read_to_string(directory.path().join("times")).unwrap();
    let times: Vec<u64> = times.lines().map(|line| line.parse::<u64>().unwrap() / 1_000_000).collect();
    assert_eq!(times.len(), 6, "begun and stopped three times: {times:?}");
    let mut took: Vec<u64> = times.chunks(2).map(|pair| pair[1] - pair[0]).collect();
    took.sort_unstable();
    // a machine that does other things at the moment may spoil one of them
    assert!((750..=1250).contains(&took[1]), "{took:?} ms");
    assert_eq!(daemon.stop(), Some(0));
}
