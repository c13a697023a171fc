//! The configuration in force, every default written out and every secret covered, for
//! `oxherd config show`. It is TOML that loads again, but for covered secrets and plain `${`.

mod admin;
mod app;
mod handler;
mod origin;
mod traces;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::SecondsFormat;
use toml::{Table, Value};

use super::locate::{is_secret_name, mask_urls};
use super::units::{show_duration, show_size};
use super::{
    AtStart, CatchUp, Config, List, LogFormat, Overlap, Queue, Schedule, Secret, Status, StatusFormat, StatusStream,
    Unmatched,
};
use crate::job::schedule::local;
use crate::job::{Backoff, BackoffKind, Keep, UnixMillis};

pub use self::origin::{show_origins, show_origins_json};

const COVERED: &str = "***";

/// As TOML.
#[must_use]
pub fn show(config: &Config) -> String {
    toml::to_string(&table(config)).expect("a table of plain values is always TOML")
}

/// As JSON, with the same keys.
#[must_use]
pub fn show_json(config: &Config) -> serde_json::Value {
    serde_json::to_value(table(config)).expect("a table without dates is always JSON")
}

/// One schedule as JSON, with the keys of its section.
#[must_use]
pub fn show_schedule(schedule: &Schedule) -> serde_json::Value {
    serde_json::to_value(schedule_table(schedule)).expect("a table without dates is always JSON")
}

/// With every secret covered, also those whose name does not tell.
fn table(config: &Config) -> Table {
    let mut table = open_table(config);
    table.iter_mut().for_each(|(_, value)| cover(value, &config.secrets));
    table
}

fn cover(value: &mut Value, secrets: &[Secret]) {
    match value {
        Value::String(text) if secrets.iter().any(|secret| secret.reveal() == text) => COVERED.clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(|value| cover(value, secrets)),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| cover(value, secrets)),
        _ => {}
    }
}

fn open_table(config: &Config) -> Table {
    let queues = config.queues.iter().map(|(name, queue)| {
        let mut table = queue_table(queue);
        table.extend(config.status.queues.get(name).map(|own| ("status".to_owned(), status_table(own).into())));
        (name.clone(), table.into())
    });
    let mut status = status_table(&config.status);
    status.insert("stream".into(), config.status.stream.as_ref().map_or(false.into(), stream_table));
    let handlers =
        config.handlers.iter().map(|(name, handler)| (name.clone(), handler::handler_table(handler).into())).collect();
    let schedules =
        config.schedules.iter().map(|(name, schedule)| (name.clone(), schedule_table(schedule).into())).collect();
    let shutdown = [("drain", duration(config.shutdown.drain)), ("cancel", duration(config.shutdown.cancel))];
    let format = match config.log.format {
        LogFormat::Auto => "auto",
        LogFormat::Pretty => "pretty",
        LogFormat::Json => "json",
    };
    let mut table = named([
        ("redis", redis_table(config).into()),
        ("queues", Value::Table(queues.collect())),
        ("handlers", Value::Table(handlers)),
        ("schedules", Value::Table(schedules)),
        ("status", status.into()),
        ("app", app::app_table(&config.app).into()),
        ("traces", traces::traces_table(config.traces.as_ref()).into()),
        ("daemon", daemon_table(config).into()),
        ("shutdown", named(shutdown).into()),
        ("log", named([("level", config.log.level.clone().into()), ("format", format.into())]).into()),
    ]);
    if let Some(callbacks) = &config.callbacks {
        let listen = callbacks.listen.to_string().into();
        table.insert("callbacks".into(), named([("listen", listen), ("url", mask_urls(&callbacks.url).into())]).into());
    }
    if let Some(admin) = &config.admin {
        table.insert("admin".into(), admin::admin_table(admin).into());
    }
    table
}

fn redis_table(config: &Config) -> Table {
    let redis = &config.redis;
    let at_start = match redis.at_start {
        AtStart::Wait => "wait",
        AtStart::Fail => "fail",
    };
    named([
        ("url", redis.shown_url().into()),
        ("prefix", redis.prefix.clone().into()),
        ("at_start", at_start.into()),
        ("announce_workers", redis.announce_workers.into()),
    ])
}

fn daemon_table(config: &Config) -> Table {
    let mut table = Table::new();
    if let Some(name) = &config.daemon.name {
        table.insert("name".into(), name.clone().into());
    }
    if let Some(directory) = &config.daemon.state_dir {
        table.insert("state_dir".into(), directory.display().to_string().into());
    }
    if let Some(zone) = &config.daemon.timezone {
        table.insert("timezone".into(), zone.clone().into());
    }
    table
}

fn status_table(status: &Status) -> Table {
    let format = match status.format {
        StatusFormat::Simple => "simple",
        StatusFormat::Full => "full",
    };
    let words = Status::WORDS.iter().map(|(state, _)| (*state, status.word(state).into()));
    let told: Vec<String> = status.told.iter().map(ToString::to_string).collect();
    named([
        ("enabled", status.enabled.into()),
        ("channel", texts(&status.channels)),
        ("tenant", status.tenant.clone().into()),
        ("format", format.into()),
        ("names", named(words).into()),
        ("only", texts(&told)),
        ("except", texts(&[])),
    ])
}

fn stream_table(stream: &StatusStream) -> Value {
    let length = i64::try_from(stream.max_length).unwrap_or(i64::MAX);
    named([("key", stream.key.clone().into()), ("max_length", length.into())]).into()
}

fn queue_table(queue: &Queue) -> Table {
    let policy = &queue.policy;
    let backoff = named([
        ("type", kind(&policy.backoff.kind).into()),
        ("delay", duration(policy.backoff.delay)),
        ("max", policy.backoff_max.map_or(false.into(), duration)),
        ("jitter", policy.jitter.into()),
    ]);
    let rate = |limit: super::RateLimit| named([("max", limit.max.into()), ("per", duration(limit.per))]).into();
    let unmatched = match queue.unmatched {
        Unmatched::Release => "release",
        Unmatched::Fail => "fail",
    };
    let mut table = named([
        ("concurrency", queue.concurrency.into()),
        ("attempts", policy.attempts.into()),
        ("backoff", backoff.into()),
        ("timeout", duration(queue.timeout)),
        ("lock", duration(queue.lock)),
        ("stalled_interval", duration(queue.stalled_interval)),
        ("max_stalled", queue.max_stalled.into()),
        ("keep_completed", keep(policy.keep_completed)),
        ("keep_failed", keep(policy.keep_failed)),
        ("global_concurrency", queue.global_concurrency.map_or(false.into(), Value::from)),
        ("rate_limit", queue.rate_limit.map_or(false.into(), rate)),
        ("expires_after", queue.expires_after.map_or(false.into(), duration)),
        ("max_payload", show_size(queue.max_payload).into()),
        ("metrics", queue.metrics.into()),
        ("routes", map(&queue.routes, |name| name.clone().into())),
        ("unmatched", unmatched.into()),
        ("placement", queue.placement.as_str().into()),
    ]);
    if let Some(handler) = &queue.handler {
        table.insert("handler".into(), handler.clone().into());
    }
    if let Some(list) = &queue.list {
        // what means nothing to a list is refused beside one
        for foreign in ["lock", "expires_after", "metrics", "placement", "keep_completed"] {
            table.remove(foreign);
        }
        table.insert("list".into(), list_table(list).into());
    }
    table
}

fn list_table(list: &List) -> Table {
    let pointer = |pointer: &Option<String>| pointer.clone().map(Value::from);
    let entries = [
        ("key", Some(list.key.clone().into())),
        ("take", Some(list.take.as_str().into())),
        ("mode", Some(list.mode.as_str().into())),
        ("payload", Some(list.payload.as_str().into())),
        ("id", pointer(&list.id)),
        ("name", pointer(&list.name)),
        ("lease", Some(duration(list.lease))),
        ("block", Some(duration(list.block))),
    ];
    named(entries.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

fn schedule_table(schedule: &Schedule) -> Table {
    let (spec, opts) = (&schedule.spec, &schedule.opts);
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let word = |word: Option<&str>| word.map(Value::from);
    let moment = |at: UnixMillis| Value::from(local(at, "UTC").to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let backoff = |backoff: &Backoff| {
        let mut table = named([("type", kind(&backoff.kind).into()), ("delay", duration(backoff.delay))]);
        table.extend(backoff.jitter.map(|jitter| ("jitter".to_owned(), jitter.into())));
        Value::Table(table)
    };
    let data = serde_json::from_str(schedule.data.get()).unwrap_or_default();
    let entries = [
        ("cron", text(&spec.pattern)),
        ("every", spec.every.map(duration)),
        ("timezone", text(&spec.timezone)),
        ("queue", Some(schedule.queue.as_str().into())),
        ("name", Some(schedule.job_name.clone().into())),
        ("data", json("data", &data)),
        ("attempts", opts.attempts.map(Value::from)),
        ("backoff", opts.backoff.as_ref().map(backoff)),
        ("priority", Some(opts.priority.into())),
        ("keep_completed", opts.remove_on_complete.map(keep)),
        ("keep_failed", opts.remove_on_fail.map(keep)),
        ("overlap", word(Overlap::WORDS.iter().find(|(_, it)| *it == schedule.overlap).map(|(word, _)| *word))),
        ("catch_up", word(CatchUp::WORDS.iter().find(|(_, it)| *it == schedule.catch_up).map(|(word, _)| *word))),
        ("catch_up_window", Some(duration(schedule.catch_up_window))),
        ("jitter", Some(duration(schedule.jitter))),
        ("starts", spec.start.map(moment)),
        ("ends", spec.end.map(moment)),
        ("limit", Some(spec.limit.and_then(|limit| i64::try_from(limit).ok()).map_or(false.into(), Value::from))),
        ("description", text(&schedule.description)),
        ("enabled", Some(schedule.enabled.into())),
        ("revision", Some(schedule.revision.into())),
    ];
    named(entries.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// JSON as TOML, what sounds like a secret covered; TOML has no null.
fn json(name: &str, value: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match value {
        Json::Null => return None,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(_) if is_secret_name(name) => COVERED.into(),
        Json::String(text) => mask_urls(text).into(),
        Json::Array(values) => Value::Array(values.iter().filter_map(|value| json(name, value)).collect()),
        Json::Object(members) => {
            let member = |(name, value): (&String, &Json)| Some((name.clone(), json(name, value)?));
            Value::Table(members.iter().filter_map(member).collect())
        }
    })
}

fn kind(kind: &BackoffKind) -> &str {
    match kind {
        BackoffKind::Fixed => "fixed",
        BackoffKind::Exponential => "exponential",
        BackoffKind::Other(name) => name,
    }
}

fn keep(keep: Keep) -> Value {
    match keep {
        Keep::All => true.into(),
        Keep::Nothing => false.into(),
        Keep::Some { count, age, limit } => {
            let number = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
            let parts = [("count", count.map(number)), ("age", age.map(duration)), ("limit", limit.map(number))];
            named(parts.into_iter().filter_map(|(name, value)| Some((name, value?)))).into()
        }
    }
}

/// Values whose name sounds like a secret are covered, and passwords in URLs.
fn covered(map: &BTreeMap<String, String>) -> Value {
    let cover = |(name, value): (&String, &String)| {
        let shown = if is_secret_name(name) { COVERED.to_owned() } else { mask_urls(value) };
        (name.clone(), shown.into())
    };
    Value::Table(map.iter().map(cover).collect())
}

fn duration(duration: Duration) -> Value {
    show_duration(duration).into()
}

fn texts(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(|text| text.clone().into()).collect())
}

fn map<T>(map: &BTreeMap<String, T>, value: impl Fn(&T) -> Value) -> Value {
    Value::Table(map.iter().map(|(name, inner)| (name.clone(), value(inner))).collect())
}

fn named<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Table {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
