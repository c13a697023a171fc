//! The keys of `[defaults]` and `[queues.NAME]`.

use super::Shape::{Duration, Either, Flag, Named, Number, Off, Size, Table, Whole, Word};
use super::root::QUEUE_STATUS;
use super::{DURATION_OR_OFF, Key, MOST, POINTER, Shape, TEXT, key, optional, required};

/// What a queue or schedule may be called.
pub(super) const LEGAL_NAME: &str = "^[^:]+$";

pub(super) const QUEUE: &[Key] = &[
    key("concurrency", Whole(1, 10_000), "5", "Jobs at once in this process."),
    key("attempts", Whole(1, MOST), "3", "Total tries of a job."),
    optional("backoff", Table(BACKOFF), "How long to wait after a failure."),
    key("timeout", Duration, "60s", "Of one attempt; then the work is stopped."),
    key("lock", Duration, "15s", "How long a job stays ours without renewal; it is renewed at a third of it."),
    key("stalled_interval", Duration, "5s", "How often abandoned jobs are looked for."),
    key("max_stalled", Whole(0, MOST), "1", "How often a job may be found abandoned before it fails."),
    key("keep_completed", KEEP, "{ count = 100, age = \"24h\" }", "What stays of completed jobs."),
    key("keep_failed", KEEP, "{ count = 500, age = \"7d\" }", "What stays of failed jobs."),
    key(
        "global_concurrency",
        Either(&[Whole(1, MOST), Off]),
        "false",
        "Jobs at once over all processes; stored in the queue, BullMQ workers obey it too.",
    ),
    key("rate_limit", RATE_OR_OFF, "false", "At most max jobs started in any per, over all processes."),
    key("expires_after", DURATION_OR_OFF, "false", "A job that waited longer is failed as expired instead of started."),
    key("max_payload", Size, "16MiB", "Longer data fails for good."),
    key("metrics", Whole(0, 20_160), "0", "Minutes of counts kept for BullMQ dashboards; 0 writes none."),
    optional("handler", TEXT, "Who does the jobs of this queue."),
    optional(
        "routes",
        Named(".", &TEXT),
        "Name or glob of jobs, and their handler: the exact name wins, then the longest glob, then handler.",
    ),
    key(
        "unmatched",
        Word(&["release", "fail"]),
        "release",
        "A job that no handler is named for is put back for other workers, or fails.",
    ),
    key(
        "placement",
        Word(&["auto", "v5", "v6"]),
        "auto",
        "Where jobs wait while the queue is paused: as BullMQ 5 or 6 has it, or as the client that opened it last.",
    ),
    optional("status", Table(QUEUE_STATUS), "What [status] says, but for this queue."),
    // the last one, see DEFAULTS
    optional("list", Table(LIST), "The queue is a plain Redis list, filled by programs that know nothing of queues."),
];

/// What `[defaults]` can hold: a list is one queue's own.
pub(super) const DEFAULTS: &[Key] = match QUEUE {
    [common @ .., _list] => common,
    [] => &[],
};

const BACKOFF: &[Key] = &[
    BACKOFF_TYPE,
    BACKOFF_DELAY,
    key("max", DURATION_OR_OFF, "10m", "No wait is longer, be it the job's own; false for no bound."),
    key("jitter", Number(0.0, 1.0), "0.2", "Share of a wait that is random, where the job's own backoff names none."),
];

pub(super) const BACKOFF_TYPE: Key =
    key("type", Word(&["fixed", "exponential"]), "exponential", "Always delay, or delay doubled each time.");
pub(super) const BACKOFF_DELAY: Key = key("delay", Duration, "1s", "The first wait.");

/// `true` keeps all, `false` none, a number so many.
pub(super) const KEEP: Shape = Either(&[
    Flag,
    Whole(0, MOST),
    Table(&[
        optional("count", Either(&[Whole(0, MOST), Off]), "The newest so many."),
        optional("age", DURATION_OR_OFF, "None older than this."),
        optional("limit", Either(&[Whole(1, MOST), Off]), "At most so many are removed at a time for their age."),
    ]),
]);

pub(super) const RATE: &[Key] = &[
    required("max", Whole(1, MOST), "So many at most …"),
    required("per", Duration, "… in any time as long as this."),
];
pub(super) const RATE_OR_OFF: Shape = Either(&[Table(RATE), Off]);

const LIST: &[Key] = &[
    required("key", TEXT, "The list; two queues cannot have the same."),
    key(
        "take",
        Word(&["right", "left"]),
        "right",
        "The end that is taken from: right for producers that LPUSH, left for those that RPUSH.",
    ),
    key(
        "mode",
        Word(&["reliable", "at-most-once"]),
        "reliable",
        "Elements stay in Redis until they are done, or a plain pop: what is in hand is lost with the process.",
    ),
    key(
        "payload",
        Word(&["id", "json", "text", "base64"]),
        "id",
        "What an element is: the job's id; its data as JSON, or as a text; or any bytes, as a text in base64.",
    ),
    optional("id", POINTER, "JSON pointer to the job's id in an element, with payload = \"json\"."),
    optional("name", POINTER, "JSON pointer to the job's name in an element, with payload = \"json\"."),
    key("lease", Duration, "30s", "How long elements stay ours without renewal; it is renewed at a third of it."),
    key("block", Duration, "5s", "Longest wait in the server for an element."),
];
