//! What oxherd sends, by what it is for. The commands inside of scripts are read from the scripts; those that are sent as
//! they are stand here, and tests hold this list against the source and against a server that allows nothing else.

use std::collections::BTreeSet;
use std::sync::LazyLock;

#[allow(clippy::wildcard_imports, reason = "nearly all of them")]
use crate::store::script::*;

/// Something oxherd does in Redis.
pub(crate) struct Part {
    pub(crate) what: &'static str,
    commands: &'static [&'static str],
    scripts: &'static [&'static LazyLock<Script>],
}

impl Part {
    #[cfg(test)]
    pub(super) fn scripts(&self) -> impl Iterator<Item = &'static str> {
        self.scripts.iter().map(|script| script.name)
    }

    /// The commands, those of its scripts included, as rules spell them.
    pub(crate) fn commands(&self) -> BTreeSet<String> {
        let sent = self.commands.iter().map(ToString::to_string);
        sent.chain(self.scripts.iter().flat_map(|script| script.commands())).collect()
    }
}

pub(crate) static CONNECTION: Part = Part {
    what: "every connection",
    commands: &["client|id", "eval", "evalsha", "info", "ping", "time"],
    scripts: &[],
};

pub(crate) static DATABASE: Part = Part { what: "another database than 0", commands: &["select"], scripts: &[] };

pub(crate) static WORK: Part = Part {
    what: "working BullMQ queues",
    commands: &[
        "bzpopmin",
        "client|list",
        "client|unblock",
        "exists",
        "hdel",
        "hmget",
        "hset",
        "hsetnx",
        "llen",
        "zadd",
    ],
    scripts: &[
        &ADD_FLOWS,
        &ADOPT_JOBS,
        &CHECK_QUEUE,
        &EXTEND_LOCKS,
        &FINISH_JOBS,
        &MOVE_STALLED_JOBS_TO_WAIT,
        &MOVE_TO_ACTIVE,
        &OVERVIEW,
        &PAUSE,
        &POST_GATES,
        &PRUNE_FINISHED,
        &RELEASE_LOCKS,
        &REPORT_JOBS,
        &TELL_RUNNING,
    ],
};

pub(crate) static CHILDREN: Part =
    Part { what: "what jobs ask about their children", commands: &["hscan", "sscan", "zscan"], scripts: &[] };

pub(crate) static NAMES: Part =
    Part { what: "being seen as a worker by BullMQ", commands: &["client|setname"], scripts: &[] };

pub(crate) static ORDERS: Part =
    Part { what: "hearing of cancellations at once", commands: &["subscribe"], scripts: &[] };

pub(crate) static SCHEDULES: Part = Part {
    what: "schedules",
    commands: &["exists", "hget", "zscan"],
    scripts: &[&ADD_NEXT_ITERATION, &FIRE_SCHEDULES, &ITERATIONS_AHEAD, &PUT_SCHEDULES, &SCHEDULE_MARKS],
};

pub(crate) static LISTS: Part = Part {
    what: "working plain lists",
    commands: &["blmove", "bzpopmin", "client|unblock", "hset", "zadd"],
    scripts: &[
        &LIST_ADOPT,
        &LIST_CHECK,
        &LIST_FINISH,
        &LIST_OVERVIEW,
        &LIST_PRUNE,
        &LIST_RECOVER,
        &LIST_RENEW,
        &LIST_REPORT,
        &LIST_TAKE,
        &POST_GATES,
    ],
};

/// Inside of scripts alone; taken out again where no status is told.
pub(crate) static STATUS: Part =
    Part { what: "status messages", commands: &["publish", "pubsub|numpat", "pubsub|numsub"], scripts: &[] };

pub(crate) static STREAM: Part = Part { what: "keeping status messages", commands: &["type", "xadd"], scripts: &[] };

pub(crate) static FIGURES: Part =
    Part { what: "counting what waits, for /live and /metrics", commands: &[], scripts: &[&DEPTHS, &LIST_OVERVIEW] };

pub(crate) static VIEWERS: Part = Part { what: "following status messages", commands: &["subscribe"], scripts: &[] };

pub(crate) static PATTERNS: Part =
    Part { what: "following channels of every tenant or queue", commands: &["psubscribe"], scripts: &[] };

pub(crate) static KEPT: Part = Part {
    what: "following the stream of status messages",
    commands: &["xinfo|stream", "xrange", "xread"],
    scripts: &[],
};

pub(crate) static DELETE: Part =
    Part { what: "deleting keys", commands: &["hmget", "scan", "type", "unlink"], scripts: &[] };

pub(crate) static EXPIRE: Part =
    Part { what: "giving keys a time to live", commands: &["hmget", "scan", "type"], scripts: &[&EXPIRE_KEYS] };

pub(crate) static TAG_DELETE: Part = Part {
    what: "deleting keys by tag",
    commands: &["exists", "hmget", "sscan", "type", "zscan"],
    scripts: &[&DROP_MEMBERS],
};

pub(crate) static SET_PRUNE: Part = Part {
    what: "pruning sets",
    commands: &["exists", "hmget", "scan", "sscan", "type", "zscan"],
    scripts: &[&DROP_MEMBERS],
};

pub(crate) static TRIM: Part =
    Part { what: "shortening collections", commands: &["hmget", "scan", "type"], scripts: &[&TRIM_KEY] };

pub(crate) static WARM: Part = Part { what: "warming a cache", commands: &["hmget", "set"], scripts: &[&FILL_KEY] };

#[cfg(feature = "app")]
pub(crate) static CACHE: Part = Part {
    what: "the cache beside the queues",
    commands: &["get", "hmget", "mget", "scan", "type", "unlink"],
    scripts: &[&BEGIN_FILL, &DROP_CACHED, &DROP_MEMBERS, &DROP_TAG, &FILL_KEY, &PUT_CACHED],
};

#[cfg(feature = "app")]
pub(crate) static SESSIONS: Part = Part {
    what: "log-in sessions",
    commands: &["hmget", "zcount"],
    scripts: &[&SESSION_CREATE, &SESSION_LIST, &SESSION_REVOKE, &SESSION_REVOKE_ALL, &SESSION_TOUCH],
};

#[cfg(feature = "app")]
pub(crate) static REQUESTS: Part =
    Part { what: "limits on requests", commands: &["del"], scripts: &[&CHECK_BUCKET, &CHECK_WINDOW] };

#[cfg(feature = "app")]
pub(crate) static PRESENCE: Part = Part {
    what: "who is there",
    commands: &["zcount", "zmscore"],
    scripts: &[&PRESENCE_BEAT, &PRESENCE_LEAVE, &PRESENCE_LIST],
};

pub(crate) static ADDING: Part = Part { what: "adding jobs", commands: &[], scripts: &[&ADD_FLOWS, &ADD_JOBS] };

pub(crate) static PUSHING: Part =
    Part { what: "pushing onto plain lists", commands: &["lpush", "rpush"], scripts: &[] };

pub(crate) static LOOKING: Part = Part {
    what: "looking at queues and jobs",
    commands: &[
        "client|list",
        "hget",
        "hmget",
        "hscan",
        "llen",
        "lrange",
        "scan",
        "sscan",
        "zcount",
        "zrangebyscore",
        "zscan",
        "zscore",
        "xrevrange",
    ],
    scripts: &[
        &EXPORT_JOBS,
        &FAMILY_MEMBER,
        &ITERATIONS_AHEAD,
        &JOB,
        &JOBS,
        &LAST_RUNS,
        &LOGS,
        &METRICS,
        &OVERVIEW,
        &PRIORITIES,
        &RATE_LIMIT_TTL,
        &SCHEDULERS,
        &SCHEDULE_MARKS,
        &SUMMARIES,
        &WALK,
    ],
};

pub(crate) static LOOKING_AT_LISTS: Part = Part {
    what: "looking at plain lists",
    commands: &["llen", "lrange", "zrange", "zrangebyscore"],
    scripts: &[&LIST_OVERVIEW],
};

pub(crate) static CHANGING: Part = Part {
    what: "changing queues, jobs and schedules",
    commands: &[],
    scripts: &[
        &CANCEL,
        &CHANGE_DELAY,
        &CHANGE_PRIORITY,
        &CLEAN,
        &DRAIN,
        &FIRE_SCHEDULES,
        &IMPORT_JOBS,
        &MOVE_JOBS_TO_WAIT,
        &OBLITERATE,
        &ORPHANS,
        &PAUSE,
        &PROMOTE,
        &PUT_SCHEDULES,
        &REMOVE,
        &REMOVE_SCHEDULER,
        &RESUME,
        &RETRY,
        &SET_LIMITS,
        &UPDATE_JOBS,
        &UPSERT_SCHEDULER,
    ],
};

pub(crate) static PROGRAMS: Part = Part {
    what: "what programs ask and change, and no verb does",
    commands: &["del", "get", "ltrim", "set", "xtrim"],
    scripts: &[&COUNTS_PER_PRIORITY, &FINISHED, &REMOVE_CHILD_DEPENDENCY],
};

pub(crate) static CHANGING_LISTS: Part = Part {
    what: "changing plain lists",
    commands: &["lrem", "unlink", "zrem"],
    scripts: &[&LIST_CLEAN, &LIST_PAUSE, &LIST_RETRY],
};

#[cfg(feature = "daemon")]
pub(crate) static EXAMINING: Part = Part {
    what: "examining the server",
    commands: &["config|get", "exists", "hstrlen", "latency|latest", "lpos", "slowlog|get", "xlen"],
    scripts: &[&CHECK_RIGHTS],
};

/// All of them.
#[cfg(test)]
pub(super) fn every() -> Vec<&'static Part> {
    vec![
        &CONNECTION,
        &DATABASE,
        &WORK,
        &CHILDREN,
        &NAMES,
        &ORDERS,
        &SCHEDULES,
        &LISTS,
        &STATUS,
        &STREAM,
        &FIGURES,
        &VIEWERS,
        &PATTERNS,
        &KEPT,
        &DELETE,
        &EXPIRE,
        &TAG_DELETE,
        &SET_PRUNE,
        &TRIM,
        &WARM,
        #[cfg(feature = "app")]
        &CACHE,
        #[cfg(feature = "app")]
        &SESSIONS,
        #[cfg(feature = "app")]
        &REQUESTS,
        #[cfg(feature = "app")]
        &PRESENCE,
        &ADDING,
        &PUSHING,
        &LOOKING,
        &LOOKING_AT_LISTS,
        &CHANGING,
        &CHANGING_LISTS,
        &PROGRAMS,
        #[cfg(feature = "daemon")]
        &EXAMINING,
    ]
}
