//! `[handlers.NAME.redis]`. Which of the keys an action needs is for its reader.

use super::super::Shape::{Duration, Either, Flag, Number, Off, Secret, Size, Whole, Word};
use super::super::{DURATION_OR_OFF, Key, TEXT, TEXTS, URL, key, optional, required};
use super::http::HEADERS;

pub(super) const REDIS: &[Key] = &[
    required("action", Word(&["delete", "expire", "tag-delete", "set-prune", "trim", "warm"]), "What is done."),
    optional("match", TEXT, "Pattern, or name, of the keys; at least three plain characters first."),
    optional(
        "type",
        Word(&["string", "list", "set", "zset", "hash", "stream"]),
        "Keys of this type only, for delete and expire.",
    ),
    optional("ttl", DURATION_OR_OFF, "Time to live, for expire and warm."),
    key("jitter", Duration, "0s", "Up to this much longer, at random, for expire and warm."),
    key("only", Word(&["missing", "always"]), "missing", "Whether expire leaves keys alone that have a time to live."),
    optional("tag", TEXT, "The set whose members name what goes, for tag-delete."),
    optional("member", TEXT, "The key that a member stands for, for tag-delete and set-prune."),
    key("grace", Duration, "1s", "How long a key has been gone when its member goes, for set-prune."),
    optional("count", Either(&[Whole(0, u32::MAX as i64), Off]), "Entries that stay, for trim."),
    optional("older", DURATION_OR_OFF, "Entries that go by their age, for trim."),
    key("score", Word(&["ms", "s"]), "ms", "What scores of sorted sets count, for trim."),
    optional("keep", Word(&["left", "right"]), "Which end stays, for trim; without it, as the type of the key says."),
    optional("fetch", URL, "What warm fetches; placeholders fill path and query."),
    optional("headers", HEADERS, "Sent with what warm fetches."),
    key("connect_timeout", Duration, "5s", "Longest wait for the connection, for warm."),
    key("max_size", Size, "1MiB", "A longer answer is refused, for warm."),
    optional("key", TEXT, "Where warm stores the answer."),
    key(
        "busy",
        Word(&["discard", "defer"]),
        "discard",
        "What warm does with a job whose key is being warmed by another.",
    ),
    key("dry_run", Flag, "false", "Count, and change nothing."),
    key("max_keys", Whole(1, 1_000_000_000), "1000000", "Keys, members or entries changed in one attempt."),
    key("rate", Either(&[Whole(1, 100_000_000), Off]), "100000", "The same per second; false for no bound."),
    key("max_excess", Number(1.0, f64::INFINITY), "1.5", "How many times expected of the job's data may be changed."),
    optional("protect", TEXTS, "Keys that are left alone beside those of queues; * and ? stand for others."),
    optional("url", Secret, "Another server than that of [redis]."),
    optional("database", Either(&[Whole(0, 255), Off]), "Another database than that of the url."),
];
