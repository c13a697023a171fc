//! The sections of a file, and the keys of those that no queue, handler or schedule has.

use super::Shape::{
    Duration, Either, Flag, List, Named, Number, Off, One, Secret, Size, Table, Text, Whole, Word, Words,
};
use super::handler::{HANDLER, HEADERS};
use super::queue::{DEFAULTS, LEGAL_NAME, QUEUE};
use super::schedule::SCHEDULE;
use super::{ADDRESS, ANY_TEXT, DURATION_OR_OFF, Key, PATH, Shape, TEXT, TEXTS, URL, ZONE, key, optional, required};
use crate::config::Status;

/// Everything that may stand in a file.
pub const ROOT: Shape = Table(&[
    optional("include", TEXTS, "More files, relative to this one; * and ? stand for characters within one name."),
    optional("redis", Table(REDIS), "Where Redis is, and how its keys begin."),
    optional("defaults", Table(DEFAULTS), "What every queue inherits; what a producer stored with a job wins over it."),
    optional("queues", Named(LEGAL_NAME, &Table(QUEUE)), "The queues that are worked, by name."),
    optional("handlers", Named(".", &One(HANDLER)), "What does the jobs, by name; the kind is the name of its table."),
    optional("schedules", Named(LEGAL_NAME, &Table(SCHEDULE)), "Jobs that come again and again, by name."),
    optional("status", Table(STATUS), "Messages that are published whenever a job changes state."),
    optional("callbacks", Table(CALLBACKS), "Where endpoints with callback = true call back."),
    optional("app", Table(APP), "What an application keeps in Redis beside its queues."),
    optional("admin", Table(ADMIN), "What is served over HTTP; without this section nothing listens."),
    optional("traces", Table(TRACES), "Spans of attempts, sent to a collector by OTLP; this section switches them on."),
    optional("daemon", Table(DAEMON), "The process."),
    optional("shutdown", Table(SHUTDOWN), "How long an orderly stop may take."),
    optional("log", Table(LOG), "What is logged, and how it looks."),
]);

const REDIS: &[Key] = &[
    key(
        "url",
        Secret,
        "redis://127.0.0.1:6379/0",
        "Where Redis is: redis://, rediss://, redis+unix:// or embedded:DIR, a private server with its data in DIR.",
    ),
    optional("username", TEXT, "The user; wins over the one in the URL."),
    optional("password", Secret, "The password; wins over the one in the URL."),
    key("prefix", TEXT, "bull", "First segment of every key; \"{bull}\" on a cluster."),
    key(
        "at_start",
        Word(&["wait", "fail"]),
        "wait",
        "Redis not there at start: wait for it, or fail with exit code 69.",
    ),
    key(
        "announce_workers",
        Flag,
        "true",
        "One idle connection per queue with BullMQ's worker name, so that dashboards count this process.",
    ),
];

const STATUS: &[Key] = &[
    ENABLED,
    CHANNEL,
    TENANT,
    FORMAT,
    NAMES,
    ONLY,
    EXCEPT,
    key(
        "stream",
        Either(&[Flag, Table(STREAM)]),
        "false",
        "Keeps each message in a Redis stream too; true stands for the defaults of its keys.",
    ),
];

/// As [`STATUS`], but for the stream, which is one for all queues.
pub(super) const QUEUE_STATUS: &[Key] = &[ENABLED, CHANNEL, TENANT, FORMAT, NAMES, ONLY, EXCEPT];

const STATES: Shape = List(&Word(&[
    "waiting",
    "active",
    "progress",
    "delayed",
    "retrying",
    "completed",
    "failed",
    "stalled",
    "cancelled",
    "expired",
]));
const ENABLED: Key = key("enabled", Flag, "true", "Whether messages are published.");
const CHANNEL: Key =
    key("channel", TEXTS, "job_updates", "The channel, or several; {queue} and {tenant} are filled in.");
const TENANT: Key = key(
    "tenant",
    Text("JSON pointer", "^(/|$)"),
    "/tenantId",
    "Where a job's data names its tenant, as a JSON pointer.",
);
const FORMAT: Key = key(
    "format",
    Word(&["simple", "full"]),
    "full",
    "How much a message says: tenantId, jobId, status and error, or queue, name, attempts, progress and times as well.",
);
const NAMES: Key = optional(
    "names",
    Words(|| Status::WORDS.iter().map(|(state, _)| *state).collect()),
    "The words that are published for states, where they are to differ from the built-in ones.",
);
const ONLY: Key = optional("only", STATES, "The states that are told; without it, all of them.");
const EXCEPT: Key = optional("except", STATES, "States that are not told.");

const STREAM: &[Key] = &[
    key("key", TEXT, "job_updates:stream", "The key of the stream."),
    key("max_length", Whole(1000, 1_000_000_000), "100000", "Entries kept at least; older ones are trimmed."),
];

const CALLBACKS: &[Key] = &[
    required("listen", ADDRESS, "Address and port."),
    optional("url", URL, "The same as endpoints see it; required when it listens on every address of the host."),
];

const APP: &[Key] = &[
    key("prefix", TEXT, "app", "First segment of every key; another than that of the queues."),
    optional("cache", Table(CACHE), "Values that are computed once and kept for a while."),
    optional("sessions", Table(SESSIONS), "Log-in sessions."),
];

const CACHE: &[Key] = &[
    key("ttl", Duration, "5m", "How long a value lives at most."),
    optional("ttls", Named(".", &Duration), "The same by entity."),
    key("absent_ttl", Duration, "30s", "How long the note lives that there is nothing."),
    key("jitter", Number(0.0, 1.0), "0.1", "Share of its time by which a value lives shorter at most."),
    key("max_size", Size, "1MiB", "A longer value is not stored."),
    key("lock", Duration, "5s", "How long one caller may compute a value for all."),
    key("wait", Duration, "10s", "How long others wait for that value before they compute their own."),
];

const SESSIONS: &[Key] = &[
    key("ttl", Duration, "14d", "How long a session lasts that is not used."),
    key("max_age", DURATION_OR_OFF, "90d", "How long one lasts at most, used or not; false for no end."),
    key("limit", Either(&[Whole(1, 500), Off]), "false", "Sessions of one user; false for any number."),
    key(
        "at_limit",
        Word(&["oldest", "refuse"]),
        "oldest",
        "For one session too many, the one that would end first goes, or there is no new one.",
    ),
];

const ADMIN: &[Key] = &[
    key("listen", ADDRESS, "127.0.0.1:7117", "Address and port."),
    optional("token", Secret, "Who has it sees everything; required when others than this host can connect."),
    optional("events", Table(EVENTS), "The status of jobs for browsers, at /v1/events."),
];

const EVENTS: &[Key] = &[
    optional("secrets", List(&Secret), "What tokens of tenants are signed with, or several for rotation."),
    optional(
        "allow_origins",
        TEXTS,
        "Pages of other origins that may read, each as https://HOST or https://HOST:PORT.",
    ),
    key("max_viewers", Whole(1, 1_000_000), "1000", "Viewers at a time; more are told to come later."),
    key("heartbeat", Duration, "15s", "Longest silence towards a viewer."),
    key("buffer", Whole(1, 100_000), "256", "Messages kept for a viewer that does not keep up."),
];

const TRACES: &[Key] = &[
    key("enabled", Flag, "true", "Whether spans are made, whatever the environment says."),
    key(
        "endpoint",
        URL,
        "http://localhost:4318",
        "The collector; /v1/traces is added where the path does not end in it.",
    ),
    optional("headers", HEADERS, "Sent with every request."),
    optional("ca", PATH, "PEM file with the authorities that vouch for the collector, and no others."),
    key("timeout", Duration, "10s", "Longest wait for an answer of the collector; jobs never wait."),
    key("sample", Number(0.0, 1.0), "1.0", "Share of the traces that is kept, of those that begin with their job."),
    key("parent_based", Flag, "true", "Whether the producer decides of a trace that comes with its job."),
    key("service", TEXT, "oxherd", "What this process is called in traces."),
    optional("attributes", Named(".", &ANY_TEXT), "What else is said of this process."),
];

const DAEMON: &[Key] = &[
    optional("name", TEXT, "First part of the instance's name; the worker name stored with each job it does."),
    optional("state_dir", PATH, "Remembers this instance, so that a restart in place takes its own jobs back at once."),
    optional("timezone", ZONE, "The time zone of schedules that name none; without it, the host's."),
];

const SHUTDOWN: &[Key] = &[
    key("drain", Duration, "25s", "How long running jobs may go on after TERM."),
    key("cancel", Duration, "5s", "How long cancelled jobs have to end before they are handed back."),
];

const LOG: &[Key] = &[
    key(
        "level",
        TEXT,
        "info",
        "off, error, warn, info, debug, trace, or a filter such as \"info,oxherd::store=debug\".",
    ),
    key(
        "format",
        Word(&["auto", "pretty", "json"]),
        "auto",
        "How lines look; auto is pretty on a terminal, else json.",
    ),
];
