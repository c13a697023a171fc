//! Schedules: those of the file and those in Redis.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{ScheduleStep, Store, StoredScheduler};
use super::codes::{SCHEDULE_CONFLICT, SCHEDULE_DIFFERS, SCHEDULE_LATE, SCHEDULE_LEGACY, SCHEDULE_MISSING};
use super::facts::in_time;
use super::finding::{Code, Finding, Known};
use crate::config::{self, Config, Daemon, Schedule};
use crate::job::{QueueName, millis};

const CODES: [&Code; 5] = [&SCHEDULE_MISSING, &SCHEDULE_DIFFERS, &SCHEDULE_CONFLICT, &SCHEDULE_LATE, &SCHEDULE_LEGACY];
/// Schedules of a queue that are looked at.
const MOST: usize = 1000;
/// A time that has passed for longer should have been fired.
const LATE: Duration = Duration::from_secs(60);

/// `queues` are looked at; what the file says is compared where it has any queue.
pub async fn examine(store: &Store, config: &Config, queues: &[config::Queue]) -> Vec<Finding> {
    let mut wanted: BTreeMap<&QueueName, Vec<&Schedule>> =
        queues.iter().map(|queue| (&queue.name, Vec::new())).collect();
    for schedule in config.schedules.values() {
        wanted.entry(&schedule.queue).or_default().push(schedule);
    }
    let (mut findings, mut unread, mut seen) = (Vec::new(), None, 0);
    for (name, own) in &wanted {
        match look(store, config, name, own).await {
            Ok((found, schedulers)) => {
                findings.extend(found);
                seen += schedulers;
            }
            // the queue itself is told of elsewhere
            Err(why) => unread = Some(why),
        }
    }
    for code in CODES {
        if findings.iter().all(|found: &Finding| found.code != code.name) {
            findings.push(match &unread {
                Some(why) => code.unknown(why),
                None => code.ok(format_args!("{seen} in Redis, {} in the file", config.schedules.len())),
            });
        }
    }
    findings
}

async fn look(store: &Store, config: &Config, name: &QueueName, own: &[&Schedule]) -> Known<(Vec<Finding>, usize)> {
    let queue = store.queue(name);
    let owner = config.daemon.name.as_deref().unwrap_or(Daemon::NAME);
    let mut findings = Vec::new();
    if !config.queues.is_empty() {
        let steps = in_time("the schedules", queue.diff_schedules(own, owner)).await?;
        findings.extend(steps.iter().filter_map(|(schedule, step)| Some(compared(step)?.of(schedule))));
    }
    let schedulers = in_time("the schedules", queue.schedulers(0, MOST)).await?;
    findings.extend(schedulers.iter().filter_map(|found| Some(legacy(found)?.of(&found.id))));
    let now = store.now();
    let late = |found: &StoredScheduler| {
        let is_paused = found.own.as_ref().is_some_and(|own| own.is_paused);
        let behind = found.next.map(|next| now.since(next)).filter(|behind| *behind > LATE && !is_paused)?;
        Some(SCHEDULE_LATE.warning(format_args!("was due {} s ago in {name}", millis(behind) / 1000)).of(&found.id))
    };
    findings.extend(schedulers.iter().filter_map(late));
    Ok((findings, schedulers.len()))
}

fn compared(step: &ScheduleStep) -> Option<Finding> {
    match step {
        ScheduleStep::Create => Some(SCHEDULE_MISSING.warning("stands in the file, and not in Redis")),
        ScheduleStep::Change => Some(SCHEDULE_DIFFERS.warning("is another one in Redis than in the file")),
        ScheduleStep::Remove => Some(SCHEDULE_DIFFERS.warning("stands in Redis, and no longer in the file")),
        ScheduleStep::Outranked { revision } => {
            Some(SCHEDULE_CONFLICT.warning(format_args!("revision {revision} is in force, and higher than the file's")))
        }
        ScheduleStep::Taken { .. } => {
            Some(SCHEDULE_CONFLICT.error("the file's never runs: somebody else's has the name"))
        }
        ScheduleStep::Keep | ScheduleStep::Foreign { .. } => None,
    }
}

/// A repeatable job of an old release, which counts nothing.
fn legacy(found: &StoredScheduler) -> Option<Finding> {
    let is_old = found.definition.as_ref().is_none_or(|definition| definition.iterations.is_none());
    (found.own.is_none() && is_old).then(|| SCHEDULE_LEGACY.note("a repeatable job of an old release of BullMQ"))
}
