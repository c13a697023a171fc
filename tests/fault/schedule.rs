//! Schedules of daemons that are killed, and of files that change.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::scene::{dice, is_soak, key, say};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

/// Jobs are done at once and kept by nobody: what is added a second time is seen.
const WORK: &str = "[queues.work]\nhandler = \"note\"\nconcurrency = 20\nkeep_completed = false\n[handlers.note.log]\n";

/// How the numbers of those end that make up for the last time alone: [`each_second`].
const CARRIED: [char; 5] = ['1', '3', '5', '7', '9'];

/// So many schedules for every second; each other one is BullMQ's to carry.
fn each_second(count: usize) -> String {
    let mut toml = WORK.to_owned();
    for n in 0..count {
        let catch_up = if n % 2 == 0 { "all" } else { "last" };
        let when = if n % 4 < 2 { "every = \"1s\"" } else { "cron = \"* * * * * *\"" };
        write!(
            toml,
            "[schedules.s{n}]\n{when}\ntimezone = \"Europe/Oslo\"\nqueue = \"work\"\noverlap = \"allow\"\ncatch_up = \"{catch_up}\"\n"
        )
        .unwrap();
    }
    toml.replace("every = \"1s\"\ntimezone = \"Europe/Oslo\"", "every = \"1s\"")
}

/// A server that forgets no event.
fn redis() -> Redis {
    let redis = Redis::start();
    redis.call(&["HSET", &key("work", "meta"), "opts.maxLenEvents", "10000000"]);
    redis
}

/// How often a job was added for each time, by schedule.
fn added(redis: &Redis) -> BTreeMap<String, BTreeMap<u64, usize>> {
    let mut found: BTreeMap<String, BTreeMap<u64, usize>> = BTreeMap::new();
    let events = redis.list(&["XRANGE", &key("work", "events"), "-", "+"]);
    for fields in events.windows(4).filter(|fields| fields[0] == "event" && fields[1] == "added") {
        let Some((schedule, slot)) = fields[3].strip_prefix("repeat:").and_then(|id| id.rsplit_once(':')) else {
            continue;
        };
        *found.entry(schedule.to_owned()).or_default().entry(slot.parse().unwrap()).or_default() += 1;
    }
    found
}

/// When each job was taken first, by the server's clock, in ms: by schedule and time.
fn taken(redis: &Redis) -> BTreeMap<(String, u64), u64> {
    let mut found = BTreeMap::new();
    let events = redis.list(&["XRANGE", &key("work", "events"), "-", "+"]);
    for fields in events.windows(5).filter(|fields| fields[1] == "event" && fields[2] == "active") {
        let slot = fields[4].strip_prefix("repeat:").and_then(|id| id.rsplit_once(':'));
        let (Some((schedule, slot)), Some((at, _))) = (slot, fields[0].split_once('-')) else { continue };
        found.entry((schedule.to_owned(), slot.parse().unwrap())).or_insert(at.parse().unwrap());
    }
    found
}

fn now(redis: &Redis) -> u64 {
    redis.list(&["TIME"])[0].parse::<u64>().unwrap() * 1000
}

#[test]
fn f08_f111_daemons_killed_at_random_miss_and_double_no_time() {
    let (daemons, schedules, seconds) = if is_soak() { (5, 200, 120) } else { (3, 20, 8) };
    let mut dice = dice("f08 f111");
    let redis = redis();
    let toml = each_second(schedules);
    let mut daemons: Vec<(Daemon, Option<Instant>)> =
        (0..daemons).map(|_| (Daemon::start(&redis, &toml), None)).collect();
    eventually("every schedule has begun", || added(&redis).len() == schedules);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut kills = 0;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(dice.u64(50..400)));
        let alive = daemons.iter().filter(|(_, back)| back.is_none()).count();
        let which = dice.usize(..daemons.len());
        let (daemon, back) = &mut daemons[which];
        match back {
            // one is always there: what a series misses while nobody is, is not made up for
            None if alive > 1 => {
                daemon.kill();
                kills += 1;
                *back = Some(Instant::now() + Duration::from_millis(dice.u64(..2000)));
            }
            Some(at) if *at <= Instant::now() => {
                daemon.again();
                *back = None;
            }
            _ => {}
        }
    }
    for (daemon, back) in &mut daemons {
        if back.is_some() {
            daemon.again();
        }
    }
    say(&format!("{kills} kills"));
    assert!(kills > seconds / 2, "only {kills} kills");
    // all that is due by now has come when the next one has
    let until = now(&redis);
    eventually("the schedules go on", || {
        added(&redis).values().all(|times| times.keys().next_back().is_some_and(|last| *last > until + 1000))
    });
    let taken = taken(&redis);
    let (mut wrong, mut late) = (Vec::new(), 0);
    for (schedule, times) in added(&redis) {
        let first = *times.keys().next().unwrap();
        for at in (first..=until).step_by(1000).filter(|at| !times.contains_key(at)) {
            // a job that is taken makes the next one of its series: of a time that has passed by then `last` makes none
            let before = times.range(..at).next_back().map(|(before, _)| (schedule.clone(), *before));
            match before.and_then(|before| taken.get(&before)) {
                Some(taken) if *taken >= at && CARRIED.iter().any(|n| schedule.ends_with(*n)) => late += 1,
                _ => wrong.push(format!("{schedule} missed {at}")),
            }
        }
        wrong.extend(times.iter().filter(|(_, count)| **count > 1).map(|(at, _)| format!("{schedule} doubled {at}")));
    }
    say(&format!("{late} times had passed before their turn came"));
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(late <= schedules, "{late} times had passed before their turn came");
}

#[test]
fn f120_f123_a_reload_changes_and_removes_for_every_instance() {
    let redis = redis();
    let with = |schedules: &str| format!("{WORK}{schedules}");
    let both = "[schedules.a]\nevery = \"200ms\"\nqueue = \"work\"\n[schedules.b]\nevery = \"1h\"\nqueue = \"work\"\n";
    let first = Daemon::start(&redis, &with(both));
    let _second = Daemon::start(&redis, &with(both));
    eventually("it is fired", || added(&redis).get("a").is_some_and(|times| times.len() > 3));
    // the first one's file is another one now
    let only_b = "[schedules.b]\nevery = \"300ms\"\nqueue = \"work\"\ndata = { n = 2 }\n";
    let file = first.directory().join("oxherd.toml");
    let head: String =
        std::fs::read_to_string(&file).unwrap().lines().take(4).fold(String::new(), |text, line| text + line + "\n");
    std::fs::write(&file, head + &with(only_b)).unwrap();
    first.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("the other one is fired", || added(&redis).get("b").is_some_and(|times| times.len() > 5));
    // gone, and not brought back by the instance that still has it in its file
    let count = added(&redis)["a"].len();
    let goal = added(&redis)["b"].len() + 5;
    eventually("time passes", || added(&redis)["b"].len() > goal);
    assert_eq!(added(&redis)["a"].len(), count);
    assert_eq!(redis.list(&["ZRANGE", &key("work", "repeat"), "0", "-1"]), ["b"]);
    assert!(added(&redis)["b"].values().all(|count| *count == 1));
}

#[test]
fn run_drain_ends_although_a_scheduler_has_its_next_job_ready() {
    let redis = redis();
    let toml = format!("{WORK}[schedules.a]\nevery = \"1h\"\nqueue = \"work\"\noverlap = \"allow\"\n");
    let mut daemon = Daemon::start(&redis, &toml);
    eventually("its job is ready", || redis.number(&["ZCARD", &key("work", "delayed")]) == 1);
    assert_eq!(daemon.stop(), Some(0));
    let mut drained = Daemon::start_with(&redis, &toml, &["--drain"]);
    assert_eq!(drained.exit_code(), Some(0));
    assert_eq!(redis.number(&["ZCARD", &key("work", "delayed")]), 1);
}
