//! The queues: what waits in them, who works them, and what stands still.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::super::connection::Value;
use super::super::{Overview, Queue, Store, StoredGate, StoredRateLimit, reply};
use super::codes::{
    QUEUE_AGE, QUEUE_CLIENTS, QUEUE_EVENTS, QUEUE_FAILED, QUEUE_GATES, QUEUE_KEPT, QUEUE_LARGE, QUEUE_LIMITS,
    QUEUE_LOOK, QUEUE_ORPHANS, QUEUE_OVERDUE, QUEUE_PAUSED, QUEUE_STALLED, QUEUE_WORKERS,
};
use super::contents;
use super::facts::{in_time, words};
use super::finding::{Code, Finding, Known};
use crate::config;
use crate::job::{JobId, QueueName, State, UnixMillis, millis};
use crate::store::Neighbours;

/// Queues looked at beside each other.
const AT_ONCE: usize = 16;
/// Active jobs whose locks are looked for, in each queue.
const ACTIVE: i64 = 500;
/// Between two looks at a job without a lock: it may just be ending.
const MOMENT: Duration = Duration::from_millis(300);
/// A job that waits for longer is late, in ms.
const LATE: i64 = 600_000;
/// A delayed job that is due for longer should have been promoted, in ms.
const DUE: i64 = 5000;

/// What is asked of each queue.
const CODES: [&Code; 13] = [
    &QUEUE_PAUSED,
    &QUEUE_WORKERS,
    &QUEUE_AGE,
    &QUEUE_FAILED,
    &QUEUE_OVERDUE,
    &QUEUE_STALLED,
    &QUEUE_CLIENTS,
    &QUEUE_LIMITS,
    &QUEUE_GATES,
    &QUEUE_EVENTS,
    &QUEUE_LARGE,
    &QUEUE_KEPT,
    &QUEUE_ORPHANS,
];
/// Queues that are searched for keys left over.
const SEARCHED: usize = 10;

/// One queue as it was found.
struct Seen {
    overview: Overview,
    neighbours: Neighbours,
    /// Whose names are not known: the server does not tell them.
    names_hidden: Option<String>,
    overdue: u64,
    /// Active jobs looked at, and those without a lock.
    active: (usize, usize),
    gates: Vec<StoredGate>,
    contents: Vec<Finding>,
}

pub async fn examine(store: &Store, queues: &[config::Queue]) -> Vec<Finding> {
    let names = client_names(store).await;
    let look = |(n, settings)| {
        let names = &names;
        async move { (settings, look(store, settings, names, n < SEARCHED).await) }
    };
    let numbered = stream::iter(queues.iter().enumerate());
    let seen: Vec<(&config::Queue, Known<Seen>)> = numbered.map(look).buffered(AT_ONCE).collect().await;
    let mut findings = Vec::new();
    let mut looked_at = 0;
    for (settings, seen) in &seen {
        match seen {
            Ok(seen) => {
                looked_at += 1;
                findings.extend(verdicts(seen, settings).into_iter().map(|found| found.of(&settings.name)));
            }
            Err(why) if why.contains("not allowed") || why.contains("no answer") => {
                findings.push(QUEUE_LOOK.unknown(why).of(&settings.name));
            }
            Err(why) => findings.push(QUEUE_LOOK.error(why).of(&settings.name)),
        }
    }
    for code in CODES.iter().chain([&&QUEUE_LOOK]) {
        if findings.iter().all(|found| found.code != code.name) {
            findings.push(match (looked_at, queues.len()) {
                (0, 0) => code.ok("there is no queue"),
                (0, _) => code.unknown("no queue could be looked at"),
                (n, _) => code.ok(format_args!("{n} queues")),
            });
        }
    }
    findings
}

/// The names of all connections, read once for all queues.
async fn client_names(store: &Store) -> Known<Vec<String>> {
    let queue = store.queue(&QueueName::new("oxherd-doctor").expect("the name is legal"));
    match in_time("CLIENT LIST", queue.client_names()).await? {
        Some(names) => Ok(names),
        None => Err("CLIENT LIST is not allowed".to_owned()),
    }
}

async fn look(store: &Store, settings: &config::Queue, names: &Known<Vec<String>>, is_searched: bool) -> Known<Seen> {
    let queue = store.queue(&settings.name);
    let now = store.now();
    let overview = in_time("the overview", queue.snapshot()).await?;
    let neighbours = in_time("HMGET", queue.neighbours_among(names.as_ref().ok().cloned())).await?;
    let overdue = in_time("ZCOUNT", queue.delayed_before(UnixMillis(now.0 - DUE))).await?;
    let gates = in_time("ZRANGEBYSCORE", queue.gates()).await?;
    let active = unlocked(store, &queue).await?;
    let contents = contents::examine(store, &queue, &overview.counts, is_searched).await?;
    Ok(Seen { contents, overview, neighbours, names_hidden: names.as_ref().err().cloned(), overdue, active, gates })
}

/// How many active jobs were looked at, and how many of them have no lock, twice.
async fn unlocked(store: &Store, queue: &Queue) -> Known<(usize, usize)> {
    let active = queue.keys.state(State::Active);
    let args = vec![active.as_str().into(), 0.into(), (ACTIVE - 1).into()];
    let ids = in_time("LRANGE", store.command().call("LRANGE", args)).await?;
    let ids = words(reply::texts("LRANGE", ids))?;
    let mut suspects = Vec::new();
    for id in &ids {
        if !has_lock(store, queue, id).await? {
            suspects.push(id);
        }
    }
    if suspects.is_empty() {
        return Ok((ids.len(), 0));
    }
    tokio::time::sleep(MOMENT).await;
    let mut lost = 0;
    for id in suspects {
        let args = vec![active.as_str().into(), id.as_str().into()];
        let place = in_time("LPOS", store.command().call("LPOS", args)).await?;
        if place != Value::Null && !has_lock(store, queue, id).await? {
            lost += 1;
        }
    }
    Ok((ids.len(), lost))
}

async fn has_lock(store: &Store, queue: &Queue, id: &str) -> Known<bool> {
    let key = queue.keys.lock(&JobId::stored(id));
    let there = in_time("EXISTS", store.command().call("EXISTS", vec![key.into()])).await?;
    words(reply::count("EXISTS", &there)).map(|there| there > 0)
}

fn verdicts(seen: &Seen, settings: &config::Queue) -> Vec<Finding> {
    let checks: [fn(&Seen, &config::Queue) -> Option<Finding>; 8] =
        [paused, workers, age, failed, overdue, stalled, clients, limits];
    let found = checks.iter().filter_map(|check| check(seen, settings));
    found.chain(seen.gates.iter().map(gate)).chain(seen.contents.iter().cloned()).collect()
}

fn waiting(seen: &Seen) -> u64 {
    seen.overview.counts.waiting + seen.overview.counts.prioritized
}

fn workers_seen(seen: &Seen) -> Option<usize> {
    Some(seen.neighbours.workers.as_ref()?.len() + seen.neighbours.hidden_workers.len())
}

fn paused(seen: &Seen, _: &config::Queue) -> Option<Finding> {
    seen.overview.paused.then(|| QUEUE_PAUSED.note(format_args!("paused, {} jobs wait", waiting(seen))))
}

fn workers(seen: &Seen, _: &config::Queue) -> Option<Finding> {
    if let Some(why) = &seen.names_hidden {
        return Some(QUEUE_WORKERS.unknown(why));
    }
    let nobody = workers_seen(seen) == Some(0);
    (waiting(seen) > 0 && nobody)
        .then(|| QUEUE_WORKERS.warning(format_args!("{} jobs wait, no worker is connected", waiting(seen))))
}

fn age(seen: &Seen, _: &config::Queue) -> Option<Finding> {
    let age = seen.overview.oldest_waiting_ms.filter(|age| *age > LATE && !seen.overview.paused)?;
    // else it is the want of workers that is told
    (workers_seen(seen) != Some(0))
        .then(|| QUEUE_AGE.warning(format_args!("the job that is next waits for {} min", age / 60_000)))
}

fn failed(seen: &Seen, _: &config::Queue) -> Option<Finding> {
    let failed = seen.overview.counts.failed;
    (failed > 0).then(|| QUEUE_FAILED.note(format_args!("{failed} jobs have failed")))
}

fn overdue(seen: &Seen, _: &config::Queue) -> Option<Finding> {
    (seen.overdue > 0 && !seen.overview.paused).then(|| {
        QUEUE_OVERDUE.warning(format_args!("{} delayed jobs were due more than {} s ago", seen.overdue, DUE / 1000))
    })
}

fn stalled(seen: &Seen, _: &config::Queue) -> Option<Finding> {
    let (looked_at, lost) = seen.active;
    (lost > 0).then(|| QUEUE_STALLED.warning(format_args!("{lost} of {looked_at} active jobs have no lock")))
}

fn clients(seen: &Seen, _: &config::Queue) -> Option<Finding> {
    let warnings = seen.neighbours.warnings();
    (!warnings.is_empty()).then(|| QUEUE_CLIENTS.warning(warnings.join("; ")))
}

fn limits(seen: &Seen, settings: &config::Queue) -> Option<Finding> {
    let Overview { concurrency, rate_limit, .. } = &seen.overview;
    limits_differ(*concurrency, rate_limit.as_ref(), settings).map(|differ| QUEUE_LIMITS.warning(differ))
}

/// How limits that are stored differ from those of the file, where the file has any.
pub fn limits_differ(
    concurrency: Option<u64>,
    rate_limit: Option<&StoredRateLimit>,
    settings: &config::Queue,
) -> Option<String> {
    let mut differ = Vec::new();
    if let Some(wanted) = settings.global_concurrency
        && concurrency != Some(u64::from(wanted))
    {
        let stored = concurrency.map_or("none".into(), |stored| stored.to_string());
        differ.push(format!("global concurrency is {stored}, the file says {wanted}"));
    }
    if let Some(config::RateLimit { max, per }) = settings.rate_limit {
        let wanted = StoredRateLimit { max: u64::from(max), duration: u64::try_from(millis(per)).ok() };
        if rate_limit != Some(&wanted) {
            let text = |limit: &StoredRateLimit| format!("{} per {} ms", limit.max, limit.duration.unwrap_or(0));
            let stored = rate_limit.map_or("none".into(), text);
            differ.push(format!("rate limit is {stored}, the file says {}", text(&wanted)));
        }
    }
    (!differ.is_empty()).then(|| differ.join("; "))
}

pub fn gate(gate: &StoredGate) -> Finding {
    QUEUE_GATES.warning(format_args!("{} is {}: {} ({})", gate.handler, gate.state, gate.why, gate.instance))
}
