//! One queue worked by oxherd, Node and Python at once, and what becomes of it when some of them are killed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::oxherd::Oxherd;
use super::support::program::{Program, node, python};
use super::support::redis::Redis;
use super::support::{PATIENCE, eventually};

/// `OXHERD_SOAK=1` asks for the variants that take minutes.
fn soak() -> bool {
    std::env::var_os("OXHERD_SOAK").is_some_and(|value| value == "1")
}

fn completed(redis: &Redis) -> u64 {
    redis.number(&["ZCARD", "bull:email:completed"])
}

fn began(said: &[Value]) -> impl Iterator<Item = String> {
    said.iter().filter(|line| line["event"] == "processed").map(|line| line["id"].as_str().unwrap().to_owned())
}

#[test]
fn thousands_of_jobs_are_each_worked_once_by_one_of_four() {
    let jobs = if soak() { 50_000 } else { 2000 };
    let redis = Redis::start();
    let words = ["--concurrency", "4", "--work", "4"];
    let workers = [
        node("worker.mjs", 6, &redis, &words),
        node("worker.mjs", 5, &redis, &words),
        python("worker.py", &redis, &words),
    ]
    .map(Program::ready);
    let oxherd = Oxherd::start(&redis, &["email"], "concurrency = 4");
    let kinds = ["--jobs", &jobs.to_string(), "--kinds", "standard,prioritized,delayed,lifo,custom,bulk"];
    node("producer.mjs", 6, &redis, &kinds).end();
    let begin = Instant::now();
    while completed(&redis) < jobs {
        assert!(begin.elapsed() < PATIENCE * 10, "{} of {jobs} completed", completed(&redis));
        std::thread::sleep(Duration::from_millis(50));
    }

    let shares: Vec<Vec<String>> =
        std::iter::once(oxherd.began()).chain(workers.map(|worker| began(&worker.stop()).collect())).collect();
    let mut times: HashMap<&str, usize> = HashMap::new();
    for id in shares.iter().flatten() {
        *times.entry(id).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "begun more than once: {twice:?}");
    assert_eq!(times.len() as u64, jobs);
    let counts: Vec<usize> = shares.iter().map(Vec::len).collect();
    assert!(counts.iter().all(|count| *count as u64 > jobs / 40), "not shared: {counts:?}");
}

/// Lone jobs at random times: none waits for somebody's sleep to end, which is 5 s at most in Node.
fn trickle(redis: &Redis, delay: &str) {
    let oxherd = Oxherd::start(redis, &["email"], "concurrency = 3");
    let jobs = if soak() { "3000" } else { "30" };
    let said = node("trickle.mjs", 6, redis, &["--jobs", jobs, "--gap", "60", "--delay", delay]).end();
    let mut late: Vec<i64> = said.iter().map(|line| line["late"].as_i64().unwrap()).collect();
    late.sort_unstable();
    let p99 = late[late.len() * 99 / 100];
    let worst = late[late.len() - 1];
    assert!(p99 < 1000 && worst < 3000, "p99 {p99} ms, at worst {worst} ms");
    assert!(oxherd.receiver.count() > 0);
}

#[test]
fn lone_jobs_start_at_once_whoever_sleeps() {
    let redis = Redis::start();
    let words = ["--concurrency", "3"];
    let _workers = [node("worker.mjs", 6, &redis, &words), python("worker.py", &redis, &words)].map(Program::ready);
    trickle(&redis, "0");
}

#[test]
fn lone_delayed_jobs_start_when_they_are_due_whoever_sleeps() {
    let redis = Redis::start();
    // without Python, whose workers sleep for whole seconds until a job is due, by themselves too
    let words = ["--concurrency", "3"];
    let _workers = [5, 6].map(|version| node("worker.mjs", version, &redis, &words).ready());
    trickle(&redis, "100");
}

/// Short enough to see many recoveries. The lock is as short as oxherd allows.
const LOCK: Duration = Duration::from_secs(1);
const STALLED: Duration = Duration::from_millis(500);
const OURS: &str = "concurrency = 4\nlock = \"1s\"\nstalled_interval = \"500ms\"\nmax_stalled = 50";
const THEIRS: [&str; 6] = ["--concurrency", "4", "--lock", "1000", "--stalled", "500"];

/// The lock runs out, and two checks later at the latest the job is back; the rest is for a busy machine.
const BOUND: Duration =
    LOCK.saturating_add(STALLED).saturating_add(STALLED).saturating_add(Duration::from_millis(1500));

/// Lets one side take four jobs for ever, has the other one work four of its own, kills the first: the other completes
/// all eight, and has found each of the four once.
fn killed<V, S>(victim: impl FnOnce(&Redis) -> V, survivor: impl FnOnce(&Redis) -> S, kill: impl FnOnce(V)) {
    let redis = Redis::start();
    let ids = |kind: &str| (0..4).map(|n| format!("{kind}-{n}")).collect::<Vec<_>>();
    let (held, own) = (ids("held"), ids("own"));
    let mut control = node("control.mjs", 6, &redis, &["serve"]).ready();
    let mut add = |ids: &[String]| {
        for id in ids {
            control.press(&["add", "held", "{}", &format!(r#"{{"jobId":"{id}"}}"#)]);
        }
    };
    let victim = victim(&redis);
    add(&held);
    eventually("the first side holds its jobs", || redis.number(&["LLEN", "bull:email:active"]) == 4);
    let _survivor = survivor(&redis);
    add(&own);
    eventually("the second side works", || completed(&redis) == 4);
    kill(victim);
    let begin = Instant::now();
    eventually("the second side has done all", || completed(&redis) == 8);
    let took = begin.elapsed();
    assert!(took < BOUND, "recovered after {took:?}, expected {BOUND:?} at most");
    for (ids, stalled, starts) in [(&held, "1", "2"), (&own, "", "1")] {
        for id in ids {
            let field = |field: &str| redis.call(&["HGET", &format!("bull:email:{id}"), field]);
            assert_eq!((field("stc"), field("ats")), (stalled.to_owned(), starts.to_owned()), "{id}");
        }
    }
    // and said so in the words and the order of BullMQ
    let told = "local names = {} for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do \
                if entry[2][4] == ARGV[1] then names[#names + 1] = entry[2][2] end end return names";
    for id in &held {
        let events = redis.list(&["EVAL", told, "1", "bull:email:events", id]);
        assert_eq!(events, ["added", "waiting", "active", "waiting", "stalled", "active", "completed"], "{id}");
    }
}

/// A worker of the other side, its jobs taking this many milliseconds.
fn worker(which: &str, redis: &Redis, work: &str) -> Program {
    let words = [&THEIRS[..], &["--work", work]].concat();
    match which {
        "python" => python("worker.py", redis, &words),
        "node 5" => node("worker.mjs", 5, redis, &[&words[..], &["--max-stalled", "50"]].concat()),
        _ => node("worker.mjs", 6, redis, &[&words[..], &["--max-stalled", "50"]].concat()),
    }
    .ready()
}

fn against_each(round: impl Fn(&str) + Sync) {
    std::thread::scope(|scope| {
        for which in ["node 6", "node 5", "python"] {
            scope.spawn(|| round(which));
        }
    });
}

#[test]
fn jobs_of_killed_node_and_python_workers_are_recovered_by_oxherd() {
    against_each(|which| {
        let victim = |redis: &Redis| worker(which, redis, "600000");
        killed(victim, |redis| Oxherd::start(redis, &["email"], OURS), |victim| drop(victim.kill()));
    });
}

#[test]
fn jobs_of_a_killed_oxherd_are_recovered_by_node_and_python() {
    against_each(|which| {
        let victim = |redis: &Redis| Oxherd::start_at_work(redis, &["email"], OURS, Duration::from_secs(600));
        killed(victim, |redis| worker(which, redis, "0"), |mut victim| victim.daemon.kill());
    });
}

/// Two of each, killed in turn and started again while jobs flow: everything is done, and nothing twice but what
/// somebody held when killed.
#[test]
fn a_fleet_that_loses_members_all_the_time_does_every_job() {
    let (jobs, kills) = if soak() { (20_000, 120) } else { (500, 8) };
    let redis = Redis::start();
    let oxherd = || Oxherd::start_at_work(&redis, &["email"], OURS, Duration::from_millis(30));
    let mut theirs = ["node 6", "node 5"].map(|which| worker(which, &redis, "30"));
    let mut ours = [oxherd(), oxherd()];
    let kinds = ["--jobs", &jobs.to_string(), "--in-flight", "1", "--kinds", "standard,prioritized,delayed,lifo,bulk"];
    let producer = node("producer.mjs", 6, &redis, &kinds);

    let mut begun = Vec::new();
    for turn in 0..kills {
        let before = completed(&redis);
        eventually("work goes on", || completed(&redis) > before + 10 || completed(&redis) == jobs);
        if turn % 2 == 0 {
            ours[turn / 2 % 2].daemon.kill();
            ours[turn / 2 % 2].daemon.again();
        } else {
            let which = turn / 2 % 2;
            let killed = std::mem::replace(&mut theirs[which], worker(["node 6", "node 5"][which], &redis, "30"));
            begun.extend(began(&killed.kill()));
        }
    }
    producer.end();
    eventually("all jobs are completed", || completed(&redis) == jobs);

    for empty in ["wait", "active", "paused"] {
        assert_eq!(redis.number(&["LLEN", &format!("bull:email:{empty}")]), 0, "{empty}");
    }
    for empty in ["delayed", "prioritized", "failed"] {
        assert_eq!(redis.number(&["ZCARD", &format!("bull:email:{empty}")]), 0, "{empty}");
    }
    for oxherd in &ours {
        begun.extend(oxherd.began());
    }
    for worker in theirs {
        begun.extend(began(&worker.stop()));
    }
    let again = begun.len() as u64 - jobs;
    assert!(again <= 4 * kills as u64, "{again} runs too many for {kills} kills of four slots each");
}
