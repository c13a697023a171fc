//! Reads `[handlers.NAME.process]`.

use std::time::Duration;

use super::program::program;
use super::{DAY, LARGEST, MS, placeholder_in};
use crate::config::read::{Item, Scalar};
use crate::config::{AppPart, ProcessHandler, Transport, Workers};

/// Processes, and jobs in one of them, nobody means to exceed.
const MOST: i128 = 10_000;
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn process(item: &Item) -> Option<ProcessHandler> {
    let program = program(item, "process", check_argument);
    let base = ProcessHandler::new(Vec::new());
    let given = |name| item.child(name);
    let ages = SECOND..=365 * DAY;
    let settings = ProcessHandler {
        workers: workers(&given("workers"), base.workers),
        transport: given("transport").word(&Transport::NAMES, base.transport),
        slots: given("slots").whole(1..=MOST, base.slots),
        start_timeout: given("start_timeout").duration(MS..=DAY, base.start_timeout),
        idle: given("idle").optional_duration(MS..=365 * DAY, base.idle),
        max_jobs: given("max_jobs").optional_whole(1..=i128::from(u64::MAX), base.max_jobs),
        max_age: given("max_age").optional_duration(ages, base.max_age),
        max_memory: optional_size(&given("max_memory"), base.max_memory),
        ping: given("ping").optional_duration(MS * 100..=DAY, base.ping),
        max_frame: given("max_frame").size(1024..=LARGEST, base.max_frame),
        app: parts(&given("app")),
        program: base.program,
    };
    program.map(|program| ProcessHandler { program, ..settings })
}

/// What stands beside the queues and may be used.
fn parts(item: &Item) -> Vec<AppPart> {
    let words = AppPart::NAMES.map(|(name, part)| (name, Some(part)));
    let named = item.texts().unwrap_or_default();
    named.iter().filter_map(|item| item.word(&words, None)).collect()
}

fn check_argument(item: &Item, _: usize, text: &str) {
    if let Some(placeholder) = placeholder_in(text) {
        item.error(
            format!("placeholder {placeholder} cannot be filled in: the processes of a pool are started before there is a job"),
            "write the argument out; each job comes over the channel",
        );
    }
}

/// A number, or a table of the least and the most.
fn workers(item: &Item, default: Workers) -> Workers {
    if !item.is_table() {
        let number = match item.scalar() {
            None => return default,
            Some(Scalar::Whole(_)) => item.whole(1..=MOST, default.max),
            Some(_) => item
                .wrong("a number, or a table of min and max", "write workers = 4 or workers = { min = 2, max = 8 }")
                .unwrap_or(default.max),
        };
        return Workers { min: number, max: number };
    }
    let (least, most) = (item.child("min"), item.child("max"));
    let min = least.whole(0..=MOST, default.min);
    let max = most.whole(1..=MOST, min.max(default.max));
    if min > max {
        item.error(format!("min must not be greater than max, got {min} and {max}"), "raise max or lower min");
    }
    Workers { min, max }
}

fn optional_size(item: &Item, default: Option<usize>) -> Option<usize> {
    if item.is_off() || !item.is_given() { default } else { Some(item.size(1024 * 1024..=LARGEST * 1024, LARGEST)) }
}
