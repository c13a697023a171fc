//! Times of cron patterns as Node's cron-parser finds them, which is BullMQ's: thousands of patterns, around the changes
//! of the clocks of ten years in twelve zones.
//!
//! Each pattern meets four of the zones, each at one of its changes. With `OXHERD_SOAK=1` it meets all of them, at every
//! change from every side, which takes half an hour. `OXHERD_SEED` makes other patterns.

mod ask;
mod patterns;
mod reason;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use oxherd::job::UnixMillis;
use oxherd::job::schedule::Schedule;

use self::ask::{Chain, Node, Question};
use self::reason::{Change, reason};

const PATTERNS: usize = 3000;

const ZONES: [&str; 12] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Auckland",
];

/// 2016-01-01 to 2026-01-01, in seconds.
const YEARS: std::ops::Range<i64> = 1_451_606_400..1_767_225_600;

/// How many seconds before a change the times begin, and how many of them are looked at.
const STARTS: [(i64, usize); 3] = [(25 * 3600, 2), (70 * 60, 3), (-600, 2)];

/// When the clocks of a zone are changed.
fn changes(zone: &str) -> Vec<Change> {
    let zone = TimeZone::get(zone).unwrap();
    let offset = |at: i64| i64::from(zone.to_offset(Timestamp::from_second(at).unwrap()).seconds());
    let hours = YEARS.step_by(3600).filter(|hour| offset(*hour) != offset(hour + 3600));
    let change = |hour: i64| {
        // no zone changes its clocks within a minute
        let at = (hour..=hour + 3600).step_by(60).find(|at| offset(*at) != offset(hour)).unwrap();
        Change { at, before: offset(hour), after: offset(at) }
    };
    hours.map(change).collect()
}

/// The times behind a moment; `None` where there is no further one.
fn times(schedule: &Schedule, from: i64, count: usize) -> Vec<Option<i64>> {
    let mut times = Vec::new();
    let mut last = Some(UnixMillis(from));
    while let (Some(at), true) = (last, times.len() < count) {
        last = schedule.next_after(at);
        times.push(last.map(|at| at.0));
    }
    times
}

#[test]
#[expect(clippy::print_stderr, reason = "the differences are for people to read")]
fn times_are_those_of_the_node_parser() {
    let is_whole = std::env::var_os("OXHERD_SOAK").is_some();
    let seed = std::env::var("OXHERD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = fastrand::Rng::with_seed(seed);
    let patterns = patterns::some(PATTERNS, &mut random);
    let mut node = Node::start();
    let mut asked = 0;
    let mut differ: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (n, zone) in ZONES.into_iter().enumerate() {
        let changes = changes(zone);
        let meetings: Vec<(&Change, usize, i64)> = changes
            .iter()
            .flat_map(|change| STARTS.map(|(before, count)| (change, count, (change.at - before) * 1000)))
            .collect();
        assert!(!meetings.is_empty(), "the clocks of {zone} are never changed");
        let schedules: Vec<_> = patterns.iter().map(|pattern| Schedule::parse(pattern, Some(zone))).collect();
        let mut chains = Vec::new();
        for (pattern, schedule) in
            schedules.iter().enumerate().filter(|(pattern, _)| is_whole || (pattern + n) % 3 == 0)
        {
            let picked = random.usize(..meetings.len());
            // what is refused is so at any time
            let all = if is_whole && schedule.is_ok() { 0..meetings.len() } else { picked..picked + 1 };
            chains.extend(all.map(|meeting| Chain { pattern, meeting, count: meetings[meeting].1 }));
        }
        let moments: Vec<i64> = meetings.iter().map(|(_, _, from)| *from).collect();
        asked += chains.len();
        let answers = node.ask(&Question { zone, patterns: &patterns, moments: &moments, chains: &chains });
        for (Chain { pattern, meeting, count }, theirs) in chains.iter().zip(answers) {
            let (schedule, (change, _, from)) = (&schedules[*pattern], meetings[*meeting]);
            let ours = schedule.as_ref().map(|schedule| times(schedule, from, *count));
            if theirs.is(&ours) {
                continue;
            }
            let said = format!("{:?} in {zone} behind {from}: Node {theirs:?}, oxherd {ours:?}", patterns[*pattern]);
            match reason(schedule, &ours.unwrap_or_default(), &theirs, from, change) {
                Some(reason) => differ.entry(reason).or_default().push(said),
                None => wrong.push(said),
            }
        }
    }
    eprintln!("{asked} series of times of {} patterns, seed {seed}; these differ on purpose:", patterns.len());
    for (reason, cases) in &differ {
        eprintln!("  {}: {reason}\n      {}", cases.len(), cases[0]);
    }
    let shown: Vec<&String> = wrong.iter().take(10).collect();
    assert!(wrong.is_empty(), "{} differ without a reason, such as\n{shown:#?}", wrong.len());
}
