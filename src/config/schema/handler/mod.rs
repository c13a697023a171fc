//! The keys of `[handlers.NAME]`, one file per kind.

mod http;
mod program;
mod redis;
mod smtp;

pub(super) use self::http::HEADERS;
use super::Shape::{Duration, Either, Off, Secret, Table, Whole};
use super::{ANY_TEXT, Key, Shape, key, optional};
use crate::config::Answer;

/// The kinds of handlers: each has one.
pub(super) const HANDLER: &[Key] = &[
    optional("http", Table(http::HTTP), "The job is POSTed to an endpoint as JSON; the status of the answer decides."),
    optional("command", Table(program::COMMAND), "A program per job, run without a shell; its exit code decides."),
    optional("process", Table(program::PROCESS), "A pool of processes in any language that take job after job."),
    optional("smtp", Table(smtp::SMTP), "A mail per job."),
    optional("log", Table(LOG), "The job is written to the log and completed, for trying out and for measuring."),
    optional("redis", Table(redis::REDIS), "Keeps house among keys of Redis that are no queue's."),
];

const LOG: &[Key] = &[key("duration", Duration, "0s", "Pretend to work for this long.")];

const BREAKER: Shape = Either(&[
    Table(&[
        key("failures", Whole(1, 1_000_000), "5", "After so many failures in a row no jobs are taken for it …"),
        key("cool_down", Duration, "10s", "… for this long at first, then about twice as long each time …"),
        key("max", Duration, "5m", "… and never longer than this."),
    ]),
    Off,
]);

/// The value of a header or a variable, be it empty.
const VALUE: Shape = Either(&[ANY_TEXT, Secret]);

/// The outcomes a status or an exit code may be given.
const ANSWERS: &[&str] = &["complete", "retry", "defer", "fail", "discard", "waiting-children"];

/// The kinds of handlers.
#[must_use]
pub fn handler_kinds() -> Vec<&'static str> {
    HANDLER.iter().map(|kind| kind.name).collect()
}

/// The kind of handler that has this key.
#[must_use]
pub fn handler_kind_with(key: &str) -> Option<&'static str> {
    HANDLER.iter().find(|kind| kind.shape.child(key).is_some()).map(|kind| kind.name)
}

/// The outcomes an HTTP status may be given.
#[must_use]
pub fn answers() -> Vec<&'static str> {
    Answer::NAMES.iter().map(|(name, _)| *name).collect()
}
