//! What has grown in a queue's keys, looked at in samples.

use futures_util::future::try_join_all;

use super::super::{OrphanKind, Queue, Store, YOUNGEST, keys, reply};
use super::codes::{QUEUE_EVENTS, QUEUE_KEPT, QUEUE_LARGE, QUEUE_ORPHANS};
use super::facts::{in_time, words};
use super::finding::{Finding, Known};
use crate::job::{JobId, State};
use crate::store::Counts;

/// Entries of the event stream, which clients trim to ten thousand or so.
const EVENTS: u64 = 100_000;
/// Jobs whose data is measured, those that are served next.
const SAMPLE: i64 = 20;
/// Data that is large, in bytes.
const LARGE: u64 = 1024 * 1024;
/// Finished jobs that are many.
const MANY: u64 = 200_000;
/// Steps through the key space, of a thousand keys each.
const STEPS: usize = 20;
/// Keys that are looked at closely.
const CANDIDATES: usize = 100;
/// Lists longer than this are not walked along for jobs in no state.
const WALKED: u64 = 10_000;

/// Looks at one queue. `orphans` costs a walk through a part of the key space.
pub async fn examine(store: &Store, queue: &Queue, counts: &Counts, orphans: bool) -> Known<Vec<Finding>> {
    let mut findings = Vec::new();
    let length = in_time("XLEN", store.command().call("XLEN", vec![queue.keys.events().into()])).await?;
    let length = words(reply::count("XLEN", &length))?;
    if length > EVENTS {
        findings.push(QUEUE_EVENTS.warning(format_args!("{length} events are kept")));
    }
    let ended = counts.completed + counts.failed;
    if ended > MANY {
        findings.push(QUEUE_KEPT.note(format_args!("{ended} finished jobs are kept")));
    }
    let largest = largest(store, queue).await?;
    if largest > LARGE {
        findings.push(QUEUE_LARGE.warning(format_args!("the data of a job that waits has {} KiB", largest / 1024)));
    }
    if orphans {
        findings.extend(left_over(store, queue, counts).await?);
    }
    Ok(findings)
}

async fn largest(store: &Store, queue: &Queue) -> Known<u64> {
    let args = vec![queue.keys.state(State::Waiting).into(), (-SAMPLE).into(), (-1).into()];
    let ids = in_time("LRANGE", store.command().call("LRANGE", args)).await?;
    let ids = words(reply::texts("LRANGE", ids))?;
    let lengths = ids.iter().map(|id| async move {
        let args = vec![queue.keys.job(&JobId::stored(id)).into(), "data".into()];
        words(reply::count("HSTRLEN", &in_time("HSTRLEN", store.command().call("HSTRLEN", args)).await?))
    });
    Ok(try_join_all(lengths).await?.into_iter().max().unwrap_or(0))
}

async fn left_over(store: &Store, queue: &Queue, counts: &Counts) -> Known<Option<Finding>> {
    let are_short = counts.waiting + counts.active < WALKED;
    let mut candidates: Vec<(OrphanKind, String)> = Vec::new();
    let (mut seen, mut cursor) = (0, Some("0".to_owned()));
    for _ in 0..STEPS {
        let Some(from) = cursor.take().filter(|_| candidates.len() < CANDIDATES) else { break };
        let met;
        (cursor, met) = in_time("SCAN", store.scan(&from, &queue.keys.pattern())).await?;
        seen += met.len();
        for key in met {
            let kind = match keys::kind_of(key.strip_prefix(queue.keys.base()).unwrap_or_default()) {
                keys::Kind::Job if are_short => OrphanKind::Job,
                keys::Kind::Part => OrphanKind::Part,
                keys::Kind::Marker => OrphanKind::Marker,
                keys::Kind::Deduplication => OrphanKind::Deduplication,
                keys::Kind::Job | keys::Kind::Queue => continue,
            };
            candidates.push((kind, key));
        }
    }
    let mut found = 0;
    for part in candidates.chunks(CANDIDATES) {
        let ask = |mode: &'static str, asked: Vec<(OrphanKind, String)>| async move {
            let pairs = asked.iter().map(|(kind, key)| (*kind, key.as_str()));
            let ages = in_time("orphans", queue.are_orphans(mode, YOUNGEST, pairs)).await?;
            Ok::<_, String>(asked.into_iter().zip(ages).filter(|(_, age)| age.is_some()).map(|(one, _)| one).collect())
        };
        // the first look does not go through lists, the second does, for the few that are left
        let suspects: Vec<(OrphanKind, String)> = ask("look", part.to_vec()).await?;
        let still: Vec<(OrphanKind, String)> =
            if suspects.is_empty() { Vec::new() } else { ask("check", suspects).await? };
        found += still.len();
    }
    let all = if cursor.is_none() { "all" } else { "a sample of" };
    Ok((found > 0).then(|| QUEUE_ORPHANS.note(format_args!("{found} keys are left over, of {all} {seen} keys"))))
}
