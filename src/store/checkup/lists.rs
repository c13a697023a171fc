//! Queues that are plain lists: what waits, what nobody holds any more, what was given up.

use super::super::{ListOverview, Store, StoredGate};
use super::codes::{LIST_DEAD, LIST_HELD, LIST_LIMITS, LIST_LOOK, LIST_PAUSED, LIST_WORKERS};
use super::facts::in_time;
use super::finding::{Code, Finding, Known};
use super::queues::{gate, limits_differ};
use crate::config;

/// What is asked of each list.
const CODES: [&Code; 6] = [&LIST_LOOK, &LIST_PAUSED, &LIST_WORKERS, &LIST_HELD, &LIST_DEAD, &LIST_LIMITS];

pub async fn examine(store: &Store, lists: &[&config::Queue]) -> Vec<Finding> {
    if lists.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut looked_at = 0;
    for settings in lists {
        match look(store, settings).await {
            Ok((overview, gates)) => {
                looked_at += 1;
                let found = verdicts(&overview, settings).into_iter().chain(gates.iter().map(gate));
                findings.extend(found.map(|found| found.of(&settings.name)));
            }
            Err(why) if why.contains("not allowed") || why.contains("no answer") => {
                findings.push(LIST_LOOK.unknown(why).of(&settings.name));
            }
            Err(why) => findings.push(LIST_LOOK.error(why).of(&settings.name)),
        }
    }
    for code in CODES {
        if findings.iter().all(|found| found.code != code.name) {
            findings.push(match looked_at {
                0 => code.unknown("no list could be looked at"),
                n => code.ok(format_args!("{n} lists")),
            });
        }
    }
    findings
}

async fn look(store: &Store, settings: &config::Queue) -> Known<(ListOverview, Vec<StoredGate>)> {
    let list = store.list(settings).ok_or("it is no list")?;
    Ok((in_time("the overview", list.overview()).await?, in_time("ZRANGEBYSCORE", list.gates()).await?))
}

fn verdicts(list: &ListOverview, settings: &config::Queue) -> Vec<Finding> {
    let mut found = Vec::new();
    let waiting = list.counts.waiting;
    if list.paused {
        found.push(LIST_PAUSED.note(format_args!("paused, {waiting} elements wait")));
    }
    if waiting > 0 && !list.holders.iter().any(|holder| holder.present) {
        found.push(LIST_WORKERS.warning(format_args!("{waiting} elements wait, no process works the list")));
    }
    let gone: Vec<_> = list.holders.iter().filter(|holder| !holder.present && holder.in_hand > 0).collect();
    if !gone.is_empty() {
        let held: u64 = gone.iter().map(|holder| holder.in_hand).sum();
        found
            .push(LIST_HELD.warning(format_args!("{held} elements are in the hands of {} that have gone", gone.len())));
    }
    if list.counts.failed > 0 {
        found.push(LIST_DEAD.note(format_args!("{} elements were given up", list.counts.failed)));
    }
    if let Some(differ) = limits_differ(list.concurrency, list.rate_limit.as_ref(), settings) {
        found.push(LIST_LIMITS.warning(differ));
    }
    found
}
