//! The Lua scripts: found, expanded, hashed once per process, and called by hash.
//!
//! A script is a file in `scripts/`, a fragment one in `scripts/fragments/`; both are named in the lists at the end of
//! this file. A line `--@include name` is replaced by that fragment the first time and by nothing after that.

mod commands;

use std::fmt::Write as _;
use std::sync::LazyLock;

use fred::types::{ClusterHash, CustomCommand};

use super::connection::{Connection, Value};
use super::error::Error;

/// One script as it is sent.
pub(crate) struct Script {
    /// Its file, without the ending.
    pub(crate) name: &'static str,
    text: String,
    sha: String,
}

impl Script {
    /// Expands the text and hashes it. Panics on an unknown fragment or a ring; a test builds every script.
    pub(crate) fn new(name: &'static str, source: &str) -> Self {
        let mut text = String::with_capacity(source.len());
        expand(source, FRAGMENTS, &mut Includes::default(), &mut text)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let sha = sha1_smol::Sha1::from(text.as_bytes()).digest().to_string();
        Self { name, text, sha }
    }
}

impl Connection {
    /// Calls a script with one key. A server that does not know it is sent the text, once.
    pub(crate) async fn script(&self, script: &'static Script, key: &str, args: Vec<Value>) -> Result<Value, Error> {
        self.script_on(script, key.into(), args).await
    }

    /// As [`Connection::script`], on a key of any bytes.
    pub(super) async fn script_on(
        &self,
        script: &'static Script,
        key: Value,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let mut full = Vec::with_capacity(args.len() + 3);
        full.push(Value::from_static_str(&script.sha));
        full.push(Value::from_static_str("1"));
        full.push(key);
        full.extend(args);
        let by_hash = CustomCommand::new_static("EVALSHA", ClusterHash::Offset(2), false);
        let mut answer = self.send(script.name, by_hash, full.clone()).await;
        if matches!(&answer, Err(Error::Command { message, .. }) if message.starts_with("NOSCRIPT")) {
            full[0] = Value::from_static_str(&script.text);
            let by_text = CustomCommand::new_static("EVAL", ClusterHash::Offset(2), false);
            answer = self.send(script.name, by_text, full).await;
        }
        answer.map_err(|error| match error {
            Error::Command { message, .. } => Error::Script { script: script.name, message },
            other => other,
        })
    }
}

/// Has a server know all scripts; answers the name of each by its hash.
#[cfg(test)]
pub(crate) async fn load_all(connection: &Connection) -> std::collections::HashMap<String, &'static str> {
    for script in ALL {
        connection.call("SCRIPT", vec!["LOAD".into(), script.text.as_str().into()]).await.unwrap();
    }
    ALL.iter().map(|script| (script.sha.clone(), script.name)).collect()
}

/// The names of all scripts.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|script| script.name)
}

/// The script of ours that a server calls by this hash.
#[cfg(feature = "daemon")]
pub(super) fn by_hash(hash: &str) -> Option<&'static str> {
    ALL.iter().find(|script| script.sha.eq_ignore_ascii_case(hash)).map(|script| script.name)
}

#[derive(Default)]
struct Includes {
    done: Vec<String>,
    open: Vec<String>,
}

/// Writes the source without comment lines and indentation, fragments in place of their include lines.
fn expand(source: &str, fragments: &[(&str, &str)], includes: &mut Includes, into: &mut String) -> Result<(), String> {
    let mut in_block = false;
    for line in source.lines() {
        let line = line.trim();
        if in_block {
            in_block = !line.contains("]]");
        } else if let Some(name) = line.strip_prefix("--@include ") {
            include(name.trim(), fragments, includes, into)?;
        } else if line.starts_with("--[[") {
            in_block = !line.contains("]]");
        } else if !line.is_empty() && !line.starts_with("--") {
            writeln!(into, "{line}").expect("writing to a String cannot fail");
        }
    }
    Ok(())
}

fn include(name: &str, fragments: &[(&str, &str)], includes: &mut Includes, into: &mut String) -> Result<(), String> {
    if includes.open.iter().any(|open| open == name) {
        return Err(format!("fragments include each other in a ring: {} → {name}", includes.open.join(" → ")));
    }
    if includes.done.iter().any(|done| done == name) {
        return Ok(());
    }
    let (_, text) = fragments
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("unknown fragment {name}; list it in store/script.rs"))?;
    includes.open.push(name.to_owned());
    expand(text, fragments, includes, into)?;
    includes.open.pop();
    includes.done.push(name.to_owned());
    Ok(())
}

/// `CONSTANT = "file"`: a script each, built at its first use, and the list of all sources for the tests.
macro_rules! scripts {
    ($($(#[$attribute:meta])* $constant:ident = $name:literal),* $(,)?) => {
        $($(#[$attribute])* pub(crate) static $constant: LazyLock<Script> =
            LazyLock::new(|| Script::new($name, include_str!(concat!("scripts/", $name, ".lua"))));)*

        #[cfg(any(test, feature = "daemon"))]
        static ALL: &[&LazyLock<Script>] = &[$($(#[$attribute])* &$constant),*];

        #[cfg(test)]
        const SOURCES: &[(&str, &str)] = &[$(($name, include_str!(concat!("scripts/", $name, ".lua")))),*];
    };
}

macro_rules! fragments {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("scripts/fragments/", $name, ".lua")))),*]
    };
}

scripts! {
    ADD_FLOWS = "add_flows",
    ADD_JOBS = "add_jobs",
    ADD_NEXT_ITERATION = "add_next_iteration",
    ADOPT_JOBS = "adopt_jobs",
    #[cfg(feature = "app")]
    BEGIN_FILL = "begin_fill",
    CANCEL = "cancel",
    CHANGE_DELAY = "change_delay",
    CHANGE_PRIORITY = "change_priority",
    #[cfg(feature = "app")]
    CHECK_BUCKET = "check_bucket",
    CHECK_QUEUE = "check_queue",
    CHECK_RIGHTS = "check_rights",
    #[cfg(feature = "app")]
    CHECK_WINDOW = "check_window",
    CLEAN = "clean",
    COUNTS_PER_PRIORITY = "counts_per_priority",
    EXPORT_JOBS = "export_jobs",
    DEPTHS = "depths",
    DRAIN = "drain",
    #[cfg(feature = "app")]
    DROP_CACHED = "drop_cached",
    DROP_MEMBERS = "drop_members",
    #[cfg(feature = "app")]
    DROP_TAG = "drop_tag",
    EXPIRE_KEYS = "expire_keys",
    EXTEND_LOCKS = "extend_locks",
    FAMILY_MEMBER = "family_member",
    FILL_KEY = "fill_key",
    FINISHED = "finished",
    FINISH_JOBS = "finish_jobs",
    FIRE_SCHEDULES = "fire_schedules",
    IMPORT_JOBS = "import_jobs",
    ITERATIONS_AHEAD = "iterations_ahead",
    JOB = "job",
    JOBS = "jobs",
    LAST_RUNS = "last_runs",
    LIST_ADOPT = "list_adopt",
    LIST_CHECK = "list_check",
    LIST_CLEAN = "list_clean",
    LIST_FINISH = "list_finish",
    LIST_OVERVIEW = "list_overview",
    LIST_PAUSE = "list_pause",
    LIST_PRUNE = "list_prune",
    LIST_RECOVER = "list_recover",
    LIST_RENEW = "list_renew",
    LIST_REPORT = "list_report",
    LIST_RETRY = "list_retry",
    LIST_TAKE = "list_take",
    LOGS = "logs",
    METRICS = "metrics",
    MOVE_JOBS_TO_WAIT = "move_jobs_to_wait",
    MOVE_STALLED_JOBS_TO_WAIT = "move_stalled_jobs_to_wait",
    MOVE_TO_ACTIVE = "move_to_active",
    OBLITERATE = "obliterate",
    ORPHANS = "orphans",
    OVERVIEW = "overview",
    PAUSE = "pause",
    POST_GATES = "post_gates",
    #[cfg(feature = "app")]
    PRESENCE_BEAT = "presence_beat",
    #[cfg(feature = "app")]
    PRESENCE_LEAVE = "presence_leave",
    #[cfg(feature = "app")]
    PRESENCE_LIST = "presence_list",
    PRIORITIES = "priorities",
    PROMOTE = "promote",
    PRUNE_FINISHED = "prune_finished",
    #[cfg(feature = "app")]
    PUT_CACHED = "put_cached",
    PUT_SCHEDULES = "put_schedules",
    RATE_LIMIT_TTL = "rate_limit_ttl",
    RELEASE_LOCKS = "release_locks",
    REMOVE = "remove",
    REMOVE_CHILD_DEPENDENCY = "remove_child_dependency",
    REMOVE_SCHEDULER = "remove_scheduler",
    REPORT_JOBS = "report_jobs",
    RESUME = "resume",
    RETRY = "retry",
    SCHEDULERS = "schedulers",
    SCHEDULE_MARKS = "schedule_marks",
    #[cfg(feature = "app")]
    SESSION_CREATE = "session_create",
    #[cfg(feature = "app")]
    SESSION_LIST = "session_list",
    #[cfg(feature = "app")]
    SESSION_REVOKE = "session_revoke",
    #[cfg(feature = "app")]
    SESSION_REVOKE_ALL = "session_revoke_all",
    #[cfg(feature = "app")]
    SESSION_TOUCH = "session_touch",
    SET_LIMITS = "set_limits",
    SUMMARIES = "summaries",
    TELL_RUNNING = "tell_running",
    TRIM_KEY = "trim_key",
    UPDATE_JOBS = "update_jobs",
    UPSERT_SCHEDULER = "upsert_scheduler",
    WALK = "walk",
}

const FRAGMENTS: &[(&str, &str)] = fragments![
    "add_delayed",
    "add_iteration",
    "add_prioritized",
    "among_active",
    "append_logs",
    "attach_child",
    "bury",
    "child_back",
    "child_completed",
    "child_failed",
    "claim_jobs",
    "count_in_hand",
    "count_metric",
    "count_states",
    "deduplicate",
    "delete_jobs",
    "drop_absent",
    "drop_deduplication",
    "drop_dependency",
    "drop_lapsed",
    "element_job",
    "emit",
    "end_job",
    "end_with_last",
    "finish_deduplication",
    "follows",
    "forget_end",
    "is_held",
    "is_iteration",
    "job_fields",
    "leave_set",
    "make_ready",
    "mark",
    "mark_delayed",
    "mark_room",
    "next_every",
    "open_status",
    "parents_among",
    "placement",
    "pointed",
    "print_of",
    "promote_due",
    "publish_message",
    "publish_status",
    "quarantine",
    "queue_state",
    "read_job",
    "read_keep",
    "recover_job",
    "release_if_free",
    "release_parent",
    "served_next",
    "set_progress",
    "split_key",
    "split_note",
    "state_of",
    "store_job",
    "take_elements",
    "sweep_jobs",
    "tag_key",
    "tokens_of",
    "trim_dead",
    "trim_finished",
];

#[cfg(test)]
mod tests;
