//! One line that says how the daemon is, for `systemctl status`.

use std::time::Duration;

use crate::config::{Place, Problem};
use crate::daemon::escape;
use crate::engine::{Health, Phase, RedisHealth, Snapshot, Weight};

/// Longest line, in bytes: it is read in a terminal.
const LONGEST: usize = 400;

/// What [`line`] is made of.
pub(super) struct View<'a> {
    pub(super) health: &'a Health,
    /// None before the queues are worked.
    pub(super) snapshot: Option<&'a Snapshot>,
    /// Until running jobs are cancelled.
    pub(super) drain_left: Option<Duration>,
    /// What is wrong with the files, where they say something else than what is in force.
    pub(super) refused: Option<&'a str>,
}

/// What it does, what is amiss, and whether the last reload was refused.
pub(super) fn line(view: &View) -> String {
    let mut parts = vec![doing(view)];
    // the phase and Redis stand in the first part
    let told = ["redis_away", "quiet", "draining", "handing_back", "stopped", "starting"];
    let amiss = view.health.findings.iter().filter(|finding| {
        finding.weight >= Weight::Unready && !told.contains(&finding.code) && view.health.phase == Phase::Running
    });
    let amiss: Vec<String> = amiss
        .map(|finding| match (&finding.queue, &finding.handler) {
            (Some(queue), _) => format!("{queue}: {}", finding.text),
            (None, Some(handler)) => format!("{handler}: {}", finding.text),
            (None, None) => finding.text.clone(),
        })
        .collect();
    match amiss.as_slice() {
        [] => {}
        [one] => parts.push(one.clone()),
        [first, others @ ..] => parts.push(format!("{first} (and {} more)", others.len())),
    }
    if let Some(problem) = view.refused {
        parts.push(format!("configuration refused: {problem}"));
    }
    one_line(&parts.join("; "))
}

fn doing(view: &View) -> String {
    let empty = Snapshot::default();
    let snapshot = view.snapshot.unwrap_or(&empty);
    let busy: usize = snapshot.queues.iter().map(|queue| queue.running.len()).sum();
    let slots: u64 = snapshot.queues.iter().map(|queue| u64::from(queue.slots)).sum();
    match (view.health.phase, &view.health.redis) {
        (Phase::Running, RedisHealth::Away { since: None, why }) => format!("waiting for Redis: {why}"),
        (Phase::Running, RedisHealth::Away { since: Some(since), why }) => {
            format!("Redis away for {} s: {why}; {busy} of {slots} slots busy", since.as_secs())
        }
        (Phase::Running, RedisHealth::Connected) if view.snapshot.is_none() => "starting".into(),
        (Phase::Running, RedisHealth::Connected) if snapshot.queues.is_empty() => "firing schedules".into(),
        (Phase::Running, RedisHealth::Connected) => {
            format!("working {}, {busy} of {slots} slots busy", counted(snapshot.queues.len(), "queue"))
        }
        (Phase::Quiet, _) => format!("quiet: {}", counted(busy, "job")),
        (Phase::Draining, _) => match view.drain_left {
            Some(left) => format!("draining: {}, {} s left", counted(busy, "job"), left.as_secs()),
            None => format!("draining: {}", counted(busy, "job")),
        },
        (Phase::HandingBack, _) => format!("handing back: {}", counted(busy, "job")),
        (Phase::Closed, _) => "stopped".into(),
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// What is wrong with a configuration: the first mistake and its place.
pub(super) fn refusal(problems: &[Problem]) -> String {
    let Some(first) = problems.first() else { return "it could not be read".into() };
    let place = first.place.as_ref().map(|Place { source, position }| match position {
        Some(at) => format!("{source}:{}: ", at.line),
        None => format!("{source}: "),
    });
    let more = match problems.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    format!("{}{}{more}", place.unwrap_or_default(), first.message)
}

/// A line break would begin another message to the manager.
fn one_line(text: &str) -> String {
    let mut line = escape::text(text).into_owned();
    if line.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}
