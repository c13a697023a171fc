//! Connections: how many there may be, and what closes them.

use super::codes::{REDIS_CLIENTS, REDIS_IDLE, REDIS_PUBSUB};
use super::facts::Facts;
use super::finding::{Finding, Known};
use crate::config::Config;

/// Of the connections allowed, in percent, from which on it is worth a warning.
const CROWDED: u64 = 80;
/// A subscriber should have room for this much, in bytes: a few thousand messages.
const ROOM: u64 = 1024 * 1024;

pub fn examine(facts: &Facts, config: &Config) -> Vec<Finding> {
    vec![clients(facts, config), idle(facts), pubsub(facts)]
}

/// Connections that a daemon with this configuration holds at most.
fn needed(config: &Config) -> u64 {
    let (lists, queues): (Vec<_>, Vec<_>) = config.queues.values().partition(|queue| queue.list.is_some());
    let named = if config.redis.announce_workers { queues.len() } else { 0 };
    // commands, the wait for jobs, the locks, the orders; and two for each viewers' hub
    let common = 4 + if config.admin.is_some() { 2 } else { 0 };
    u64::try_from(common + named + lists.len()).unwrap_or(u64::MAX)
}

fn clients(facts: &Facts, config: &Config) -> Finding {
    let figures = || -> Known<_> {
        let most = facts.number("maxclients").or_else(|why| facts.parameter("maxclients")?.parse().map_err(|_| why))?;
        Ok((facts.number("connected_clients")?, most))
    };
    REDIS_CLIENTS.judge(figures(), |code, (there, most)| {
        let needed = needed(config);
        let seen = format!("{there} of {most} connections; a daemon with this configuration holds up to {needed}");
        if there + needed > most {
            code.error(seen)
        } else if (there + needed) * 100 >= most * CROWDED {
            code.warning(seen)
        } else {
            code.ok(seen)
        }
    })
}

fn idle(facts: &Facts) -> Finding {
    let figures = || Ok::<_, String>((facts.parameter("timeout")?, facts.parameter("tcp-keepalive")?));
    REDIS_IDLE.judge(figures(), |code, (timeout, keepalive)| {
        let seen = format!("timeout {timeout}, tcp-keepalive {keepalive}");
        match (timeout, keepalive) {
            ("0", "0") => code.note(seen),
            ("0", _) => code.ok(seen),
            _ => code.warning(seen),
        }
    })
}

fn pubsub(facts: &Facts) -> Finding {
    let limits = || -> Known<_> {
        let text = facts.parameter("client-output-buffer-limit")?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "pubsub").ok_or("there is no limit for pubsub")?;
        let number = |n: usize| words.get(at + n).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        Ok((number(1), number(2), number(3)))
    };
    REDIS_PUBSUB.judge(limits(), |code, (hard, soft, seconds)| {
        let seen = format!("pubsub {hard} {soft} {seconds}");
        let small = |limit: u64| limit > 0 && limit < ROOM;
        if small(hard) || small(soft) { code.warning(seen) } else { code.ok(seen) }
    })
}
