//! Which keys there are, as data: for refusing unknown ones with the nearest name, and for
//! matching the names of environment variables, which have no case.

use super::{Answer, Status};

/// What may stand under a key.
#[derive(Debug)]
pub enum Shape {
    /// A text, number, flag or list.
    Value,
    /// A table of these keys; where a key has a short form, a plain value too.
    Table(&'static [(&'static str, Shape)]),
    /// A table of names the operator chooses, each holding the same.
    Named(&'static Shape),
    /// A table of names the operator chooses, each holding a value.
    Free,
    /// The same, from a list of names.
    Words(fn() -> Vec<&'static str>),
    /// A list, each element the same; one of them stands for a list of one.
    List(&'static Shape),
    /// A value or a table of values, as deep as the operator likes.
    Any,
}

use Shape::{Any, Free, List, Named, Table, Value, Words};

/// Everything that may stand in a file.
pub const ROOT: Shape = Table(&[
    ("include", Value),
    ("redis", Table(REDIS)),
    ("defaults", Table(QUEUE)),
    ("queues", Named(&Table(QUEUE))),
    ("handlers", Named(&Table(HANDLER))),
    ("schedules", Named(&Table(SCHEDULE))),
    ("status", Table(STATUS)),
    ("callbacks", Table(&[("listen", Value), ("url", Value)])),
    ("app", Table(APP)),
    ("admin", Table(&[("listen", Value), ("token", SECRET), ("events", Table(EVENTS))])),
    ("daemon", Table(&[("name", Value), ("state_dir", Value), ("timezone", Value)])),
    ("shutdown", Table(&[("drain", Value), ("cancel", Value)])),
    ("log", Table(&[("level", Value), ("format", Value)])),
]);

const EVENTS: &[(&str, Shape)] = &[
    ("secrets", List(&SECRET)),
    ("allow_origins", Value),
    ("max_viewers", Value),
    ("heartbeat", Value),
    ("buffer", Value),
];

const REDIS: &[(&str, Shape)] = &[
    ("url", SECRET),
    ("username", Value),
    ("password", SECRET),
    ("prefix", Value),
    ("at_start", Value),
    ("announce_workers", Value),
];

const QUEUE: &[(&str, Shape)] = &[
    ("concurrency", Value),
    ("attempts", Value),
    ("backoff", Table(&[("type", Value), ("delay", Value), ("max", Value), ("jitter", Value)])),
    ("timeout", Value),
    ("lock", Value),
    ("stalled_interval", Value),
    ("max_stalled", Value),
    ("keep_completed", KEEP),
    ("keep_failed", KEEP),
    ("global_concurrency", Value),
    ("rate_limit", RATE),
    ("expires_after", Value),
    ("max_payload", Value),
    ("metrics", Value),
    ("handler", Value),
    ("routes", Free),
    ("unmatched", Value),
    ("placement", Value),
    ("status", Table(QUEUE_STATUS)),
    ("list", Table(LIST)),
];

const LIST: &[(&str, Shape)] = &[
    ("key", Value),
    ("take", Value),
    ("mode", Value),
    ("payload", Value),
    ("id", Value),
    ("name", Value),
    ("lease", Value),
    ("block", Value),
];

const SCHEDULE: &[(&str, Shape)] = &[
    ("cron", Value),
    ("every", Value),
    ("timezone", Value),
    ("queue", Value),
    ("name", Value),
    ("data", Any),
    ("attempts", Value),
    ("backoff", Table(&[("type", Value), ("delay", Value), ("jitter", Value)])),
    ("priority", Value),
    ("keep_completed", KEEP),
    ("keep_failed", KEEP),
    ("overlap", Value),
    ("catch_up", Value),
    ("catch_up_window", Value),
    ("jitter", Value),
    ("starts", Value),
    ("ends", Value),
    ("limit", Value),
    ("description", Value),
    ("enabled", Value),
    ("revision", Value),
];

const KEEP: Shape = Table(&[("count", Value), ("age", Value), ("limit", Value)]);

const BREAKER: Shape = Table(&[("failures", Value), ("cool_down", Value), ("max", Value)]);

const RATE: Shape = Table(&[("max", Value), ("per", Value)]);

const SECRET: Shape = Table(&[("file", Value), ("env", Value), ("credential", Value)]);

const LIMITS: Shape =
    Table(&[("memory", Value), ("cpu", Value), ("files", Value), ("processes", Value), ("file_size", Value)]);

const HANDLER: &[(&str, Shape)] = &[
    (
        "http",
        Table(&[
            ("url", Value),
            ("allow", Value),
            ("socket", Value),
            ("ca", Value),
            ("http2", Value),
            ("headers", Named(&SECRET)),
            ("signing_secrets", List(&SECRET)),
            ("connect_timeout", Value),
            ("response_timeout", Value),
            ("min_rate", Value),
            ("max_response", Value),
            ("max_defer", Value),
            ("breaker", BREAKER),
            ("gone", Value),
            ("callback", Value),
            ("batch", Table(&[("max", Value), ("wait", Value), ("max_body", Value)])),
            ("status", Free),
        ]),
    ),
    (
        "command",
        Table(&[
            ("argv", Value),
            ("directory", Value),
            ("env", Named(&SECRET)),
            ("env_allow", Value),
            ("kill_after", Value),
            ("max_output", Value),
            ("user", Value),
            ("group", Value),
            ("limits", LIMITS),
            ("work_dir", Value),
            ("exit", Named(&Table(&[("outcome", Value), ("after", Value)]))),
        ]),
    ),
    (
        "process",
        Table(&[
            ("argv", Value),
            ("directory", Value),
            ("env", Named(&SECRET)),
            ("env_allow", Value),
            ("kill_after", Value),
            ("user", Value),
            ("group", Value),
            ("limits", LIMITS),
            ("workers", Table(&[("min", Value), ("max", Value)])),
            ("transport", Value),
            ("slots", Value),
            ("start_timeout", Value),
            ("idle", Value),
            ("max_jobs", Value),
            ("max_age", Value),
            ("max_memory", Value),
            ("ping", Value),
            ("max_frame", Value),
            ("app", Value),
        ]),
    ),
    (
        "smtp",
        Table(&[
            ("url", SECRET),
            ("username", Value),
            ("password", SECRET),
            ("tls", Value),
            ("ca", Value),
            ("hello", Value),
            ("from", Value),
            ("envelope_from", Value),
            ("reply_to", Value),
            ("allow_from", Value),
            ("redirect_all_to", Value),
            ("templates", Value),
            ("attachments_dir", Value),
            ("rate", RATE),
            ("domain_rates", Named(&RATE)),
            ("max_recipients", Value),
            ("max_attachment", Value),
            ("max_message", Value),
            ("on_partial", Value),
            ("on_ambiguous", Value),
            ("greylist", Value),
            ("connect_timeout", Value),
            ("timeout", Value),
            ("data_timeout", Value),
            ("connections", Value),
            ("idle", Value),
            ("breaker", BREAKER),
        ]),
    ),
    ("log", Table(&[("duration", Value)])),
    (
        "redis",
        Table(&[
            ("action", Value),
            ("match", Value),
            ("type", Value),
            ("ttl", Value),
            ("jitter", Value),
            ("only", Value),
            ("tag", Value),
            ("member", Value),
            ("grace", Value),
            ("count", Value),
            ("older", Value),
            ("score", Value),
            ("keep", Value),
            ("fetch", Value),
            ("headers", Named(&SECRET)),
            ("connect_timeout", Value),
            ("max_size", Value),
            ("key", Value),
            ("busy", Value),
            ("dry_run", Value),
            ("max_keys", Value),
            ("rate", Value),
            ("max_excess", Value),
            ("protect", Value),
            ("url", SECRET),
            ("database", Value),
        ]),
    ),
];

const APP: &[(&str, Shape)] = &[
    ("prefix", Value),
    (
        "cache",
        Table(&[
            ("ttl", Value),
            ("ttls", Free),
            ("absent_ttl", Value),
            ("jitter", Value),
            ("max_size", Value),
            ("lock", Value),
            ("wait", Value),
        ]),
    ),
    ("sessions", Table(&[("ttl", Value), ("max_age", Value), ("limit", Value), ("at_limit", Value)])),
];

const STATUS: &[(&str, Shape)] = &[
    ("enabled", Value),
    ("channel", Value),
    ("tenant", Value),
    ("format", Value),
    ("names", Words(|| Status::WORDS.iter().map(|(state, _)| *state).collect())),
    ("only", Value),
    ("except", Value),
    ("stream", Table(&[("key", Value), ("max_length", Value)])),
];

/// As [`STATUS`], but for the stream, which is one for all queues.
const QUEUE_STATUS: &[(&str, Shape)] = &[
    ("enabled", Value),
    ("channel", Value),
    ("tenant", Value),
    ("format", Value),
    ("names", Words(|| Status::WORDS.iter().map(|(state, _)| *state).collect())),
    ("only", Value),
    ("except", Value),
];

impl Shape {
    /// The names that may stand here, if the operator does not choose them.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&'static str>> {
        match self {
            Table(keys) => Some(keys.iter().map(|(name, _)| *name).collect()),
            Words(names) => Some(names()),
            List(element) => element.names(),
            Value | Named(_) | Free | Any => None,
        }
    }

    /// What stands under a name, if the name may be here.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Shape> {
        match self {
            Table(keys) => keys.iter().find(|(key, _)| *key == name).map(|(_, shape)| shape),
            Named(shape) => Some(shape),
            Free => Some(&Value),
            Any => Some(&Any),
            List(element) => element.child(name),
            Words(names) => names().contains(&name).then_some(&Value),
            Value => None,
        }
    }
}

/// The kinds of handlers.
#[must_use]
pub fn handler_kinds() -> Vec<&'static str> {
    HANDLER.iter().map(|(name, _)| *name).collect()
}

/// The kind of handler that has this key.
#[must_use]
pub fn handler_kind_with(key: &str) -> Option<&'static str> {
    HANDLER.iter().find(|(_, shape)| shape.child(key).is_some()).map(|(name, _)| *name)
}

/// The outcomes an HTTP status may be given.
#[must_use]
pub fn answers() -> Vec<&'static str> {
    Answer::NAMES.iter().map(|(name, _)| *name).collect()
}

/// The known name that was probably meant.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let from = plain(written);
    let candidates = known.into_iter().map(|name| (distance(&from, &plain(name)), name));
    let (distance, name) = candidates.min_by_key(|(distance, name)| (*distance, name.len().abs_diff(written.len())))?;
    let bound = (name.chars().count() / 3).clamp(1, 3);
    (distance <= bound).then_some(name)
}

/// Letters to insert, remove, replace or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    // rows of the table: two back, one back
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let known = || ROOT.child("defaults").unwrap().names().unwrap();
        for (written, meant) in [
            ("concurency", Some("concurrency")),
            ("Concurrency", Some("concurrency")),
            ("keepCompleted", Some("keep_completed")),
            ("keep-failed", Some("keep_failed")),
            ("timeuot", Some("timeout")),
            ("lok", Some("lock")),
            ("ratelimit", Some("rate_limit")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known()), meant, "{written}");
        }
        assert_eq!(nearest("queue", ROOT.names().unwrap()), Some("queues"));
    }
}
