//! The keys of `[schedules.NAME]`.

use super::Shape::{Any, Duration, Either, Flag, Number, Off, Table, Text, Whole, Word};
use super::queue::{BACKOFF_DELAY, BACKOFF_TYPE, KEEP};
use super::{DURATION_OR_OFF, Key, MOST, Shape, TEXT, ZONE, key, optional, required};
use crate::job::options::MAX_PRIORITY;

/// A moment, or a day.
const MOMENT: Shape = Text("moment or day", "^[0-9]{4}-[0-9]{2}-[0-9]{2}");

pub(super) const SCHEDULE: &[Key] = &[
    optional(
        "cron",
        TEXT,
        "Minute, hour, day, month and weekday as in Unix, six fields with seconds first, or a word such as @daily.",
    ),
    optional("every", DURATION_OR_OFF, "An interval, instead of cron."),
    optional("timezone", ZONE, "A name of the tz database; without it, that of [daemon], else the host's."),
    required("queue", TEXT, "Where the jobs go."),
    optional("name", TEXT, "The jobs' name; without it, the schedule's."),
    key(
        "data",
        Any,
        "{}",
        "The jobs' data; {scheduled.date}, {scheduled.time} and {scheduled.ms} in its texts are filled in.",
    ),
    optional("attempts", Either(&[Whole(1, MOST), Off]), "Total tries of a job; without it, the queue's."),
    optional("backoff", Table(BACKOFF), "How long to wait after a failure; without it, as the queue says."),
    key("priority", Whole(0, MAX_PRIORITY as i64), "0", "Priority of the jobs; 0 for none, 1 is the highest."),
    optional("keep_completed", KEEP, "What stays of completed jobs; without it, as the queue says."),
    optional("keep_failed", KEEP, "What stays of failed jobs; without it, as the queue says."),
    key(
        "overlap",
        Word(&["skip", "queue", "allow"]),
        "skip",
        "The job before has not ended: skip this time, queue one job behind it, or allow both.",
    ),
    key(
        "catch_up",
        Word(&["none", "last", "all"]),
        "last",
        "Times missed while nobody was there: none of them, the last, or all.",
    ),
    key("catch_up_window", Duration, "24h", "Times missed for longer are gone."),
    key("jitter", Duration, "0s", "Each job comes up to this much later, always the same for one time."),
    optional("starts", MOMENT, "No time before this moment, or the beginning of this day."),
    optional("ends", MOMENT, "No time after this moment, or the end of this day."),
    key("limit", Either(&[Whole(1, 1 << 53), Off]), "false", "So many jobs in all."),
    optional("description", TEXT, "For people."),
    key("enabled", Flag, "true", "false stops it without forgetting it."),
    key("revision", Whole(0, MOST), "0", "Of different definitions under one name the higher one holds."),
];

const BACKOFF: &[Key] = &[
    BACKOFF_TYPE,
    BACKOFF_DELAY,
    optional("jitter", Number(0.0, 1.0), "Share of a wait that is random; without it, as the queue says."),
];
