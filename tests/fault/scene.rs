//! What most scenes share: settings, jobs with known ids, and the check that a queue came out whole.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::support::eventually;
use super::support::redis::Redis;

/// Locks that lapse soon: recovery is due within 1.5 s + 2 · 0.5 s.
pub const SHORT: &str =
    "[defaults]\nlock = \"1500ms\"\nstalled_interval = \"500ms\"\nkeep_completed = true\nkeep_failed = true\n";
/// [`SHORT`] settings' recovery, and what a busy machine may add.
pub const RECOVERY: Duration = Duration::from_millis(2500 + 1000);
/// The settings of a file that says nothing about locks.
pub const USUAL: &str = "[defaults]\nkeep_completed = true\nkeep_failed = true\n";

/// `[queues.NAME]` with this many slots, its jobs sent to the endpoint.
pub fn queue(name: &str, slots: usize) -> String {
    format!("[queues.{name}]\nhandler = \"endpoint\"\nconcurrency = {slots}\n")
}

/// Defaults, the queue `work` with 10 slots, and the endpoint.
pub fn one_queue(defaults: &str, ledger: &Ledger) -> String {
    format!("{defaults}{}{}", queue("work", 10), ledger.handler())
}

/// Adds jobs as a producer does, in one step; `data` makes each one's data out of its number.
pub fn add(redis: &Redis, queue: &str, numbers: std::ops::RangeInclusive<usize>, data: impl Fn(usize) -> String) {
    add_with(redis, queue, numbers, data, "{}");
}

/// As [`add`], with options.
pub fn add_with(
    redis: &Redis,
    queue: &str,
    numbers: std::ops::RangeInclusive<usize>,
    data: impl Fn(usize) -> String,
    opts: &str,
) {
    const SCRIPT: &str = "local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        for at = 2, #ARGV, 2 do
          redis.call('HSET', KEYS[1] .. ARGV[at], 'name', 'task', 'data', ARGV[at + 1], 'opts', ARGV[1],
            'timestamp', now, 'delay', 0, 'priority', 0)
          redis.call('LPUSH', KEYS[1] .. 'wait', ARGV[at])
        end
        return redis.call('ZADD', KEYS[1] .. 'marker', 0, '0')";
    let mut words = vec!["EVAL".to_owned(), SCRIPT.into(), "1".into(), key(queue, ""), opts.into()];
    for number in numbers {
        words.extend([number.to_string(), data(number)]);
    }
    redis.ask(&words).unwrap();
}

/// Data of a job that takes so long.
pub fn ms(duration: usize) -> String {
    format!("{{\"ms\":{duration}}}")
}

/// A key of a queue; of a job with its id.
pub fn key(queue: &str, part: &str) -> String {
    format!("bull:{queue}:{part}")
}

/// A field of a job; empty when it has none.
pub fn field(redis: &Redis, queue: &str, id: &str, name: &str) -> String {
    redis.call(&["HGET", &key(queue, id), name])
}

/// Jobs in their final state.
pub fn finished(redis: &Redis, queue: &str) -> usize {
    let count = |state| usize::try_from(redis.number(&["ZCARD", &key(queue, state)])).unwrap();
    count("completed") + count("failed")
}

/// Waits until as many jobs are finished.
#[track_caller]
pub fn wait_finished(redis: &Redis, queue: &str, count: usize) {
    eventually(&format!("{count} jobs of {queue} are finished"), || finished(redis, queue) >= count);
}

/// Waits until it is so, and fails when that takes longer than `limit`; answers how long it took.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    begin.elapsed()
}

/// The queue came out whole: the jobs 1 to `count` each ended once, in one final state; nothing is left
/// on the way, and no key is there that should not be. Answers the ids of the failed ones.
#[track_caller]
pub fn is_whole(redis: &Redis, queue: &str, count: usize) -> BTreeSet<String> {
    wait_finished(redis, queue, count);
    let members = |state| redis.list(&["ZRANGE", &key(queue, state), "0", "-1"]).into_iter().collect::<BTreeSet<_>>();
    let (completed, failed) = (members("completed"), members("failed"));
    let both: Vec<_> = completed.intersection(&failed).collect();
    assert!(both.is_empty(), "both completed and failed: {both:?}");
    let expected: BTreeSet<String> = (1..=count).map(|number| number.to_string()).collect();
    let ended: BTreeSet<String> = completed.union(&failed).cloned().collect();
    assert_eq!(ended, expected, "jobs that ended, and those that should have");
    // the stalled check may have marked a job in the moment before its end
    eventually("nothing is left on the way", || leftovers(redis, queue).is_empty());
    let mut ends = endings(redis, queue);
    ends.sort();
    let twice: Vec<_> = ends.windows(2).filter(|two| two[0].0 == two[1].0).collect();
    assert!(twice.is_empty(), "ended more than once: {twice:?}");
    failed
}

/// As [`is_whole`], and all have completed.
#[track_caller]
pub fn all_completed(redis: &Redis, queue: &str, count: usize) {
    let failed = is_whole(redis, queue, count);
    let reasons: Vec<_> =
        failed.iter().map(|id| format!("{id}: {}", field(redis, queue, id, "failedReason"))).collect();
    assert!(reasons.is_empty(), "failed: {reasons:?}");
}

/// Keys of the queue that hold work on the way, or should not be there at all.
fn leftovers(redis: &Redis, queue: &str) -> Vec<String> {
    let expected = ["completed", "failed", "events", "meta", "id", "marker", "stalled-check", "limiter"];
    let prefix = key(queue, "");
    let is_expected = |name: &str| expected.contains(&name) || name.bytes().all(|byte| byte.is_ascii_digit());
    let keys = redis.list(&["KEYS", &key(queue, "*")]);
    keys.into_iter().filter(|key| !is_expected(key.trim_start_matches(&prefix))).collect()
}

/// The events of a queue: name and job id, oldest first.
pub fn events(redis: &Redis, queue: &str) -> Vec<(String, String)> {
    const SCRIPT: &str = "local out = {}
        for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
          local fields = {}
          for at = 1, #entry[2], 2 do fields[entry[2][at]] = entry[2][at + 1] end
          out[#out + 1] = fields.event .. ' ' .. (fields.jobId or '')
        end
        return out";
    let lines = redis.list(&["EVAL", SCRIPT, "1", &key(queue, "events")]);
    lines.iter().filter_map(|line| line.split_once(' ')).map(|(name, id)| (name.to_owned(), id.to_owned())).collect()
}

/// Every end there was, as the events tell: job id and final state.
pub fn endings(redis: &Redis, queue: &str) -> Vec<(String, String)> {
    let is_end = |(name, _): &(String, String)| ["completed", "failed"].contains(&name.as_str());
    events(redis, queue).into_iter().filter(is_end).map(|(name, id)| (id, name)).collect()
}

/// The source of a test's random choices, said so that a run can be repeated.
pub fn dice(test: &str) -> fastrand::Rng {
    let seed = std::env::var("OXHERD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    say(&format!("{test}: OXHERD_SEED={seed}"));
    fastrand::Rng::with_seed(seed)
}

/// What a test has to say about its faults; shown when it fails, or with `--nocapture`.
pub fn say(text: &str) {
    #[expect(clippy::print_stderr, reason = "tests speak there")]
    {
        eprintln!("{text}");
    }
}

/// Whether the runs that take minutes are wanted.
pub fn is_soak() -> bool {
    std::env::var_os("OXHERD_SOAK").is_some_and(|value| value == "1")
}
