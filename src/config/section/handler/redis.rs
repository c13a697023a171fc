//! Reads `[handlers.NAME.redis]`. What is dangerous in it is found later, when the queues' prefix is known.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::http::{check_url, headers};
use super::{DAY, LARGEST, MS};
use crate::config::read::{Item, Scalar};
use crate::config::section::placeholders;
use crate::config::section::secret::secret;
use crate::config::{Busy, End, Housekeeping, KeyType, Redis, RedisHandler, ScoreUnit, Warm};

/// The keys each action has, the first of them required.
const ACTIONS: [(&str, &[&str]); 6] = [
    ("delete", &["match", "type"]),
    ("expire", &["match", "type", "ttl", "jitter", "only"]),
    ("tag-delete", &["tag", "member"]),
    ("set-prune", &["match", "member", "grace"]),
    ("trim", &["match", "count", "older", "score", "keep"]),
    ("warm", &["fetch", "headers", "connect_timeout", "max_size", "key", "ttl", "jitter", "busy"]),
];
/// Keys of every action.
const SERVER: [&str; 4] = ["action", "protect", "url", "database"];
/// Keys of every action that goes through many keys.
const BOUNDS: [&str; 4] = ["dry_run", "max_keys", "rate", "max_excess"];
/// The longest time to live.
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

pub(super) fn redis(item: &Item) -> Option<RedisHandler> {
    let action = item.child("action");
    if !action.is_given() {
        let words: Vec<_> = ACTIONS.iter().map(|(word, _)| format!("{word:?}")).collect();
        item.missing("a redis handler needs action", format!("write action = one of {}", words.join(", ")));
    }
    let words = ACTIONS.map(|(word, keys)| (word, Some((word, keys))));
    let (word, keys) = action.word(&words, None)?;
    for (key, value) in item.entries() {
        let elsewhere = ACTIONS.iter().any(|(_, keys)| keys.contains(&key.as_str())) || BOUNDS.contains(&key.as_str());
        let here = keys.contains(&key.as_str())
            || SERVER.contains(&key.as_str())
            || BOUNDS.contains(&key.as_str()) && word != "warm";
        if elsewhere && !here {
            value.wrong_name(format!("action {word:?} has no use for {key}"), "remove it, or choose another action");
        }
    }
    let base = RedisHandler::new(task(item, word)?);
    Some(RedisHandler {
        server: server(&item.child("url")),
        database: item.child("database").optional_whole(0..=255, None),
        dry_run: item.child("dry_run").flag(base.dry_run),
        max_keys: item.child("max_keys").whole(1..=1_000_000_000, base.max_keys),
        rate: item.child("rate").optional_whole(1..=100_000_000, base.rate),
        max_excess: excess(&item.child("max_excess"), base.max_excess),
        protect: item.child("protect").texts().unwrap_or_default().iter().filter_map(Item::text).collect(),
        task: base.task,
    })
}

fn task(item: &Item, word: &str) -> Option<Housekeeping> {
    let pattern = || template(item, "match", word, "write match = \"session:*\"");
    let kind = || item.child("type").word(&KeyType::NAMES.map(|(name, kind)| (name, Some(kind))), None);
    let jitter = || item.child("jitter").duration(Duration::ZERO..=YEARS, Duration::ZERO);
    Some(match word {
        "delete" => Housekeeping::Delete { kind: kind(), pattern: pattern()? },
        "expire" => {
            let (kind, ttl, jitter) = (kind(), required_time(item, "ttl", word, MS..=YEARS), jitter());
            let always = item.child("only").word(&[("missing", false), ("always", true)], false);
            Housekeeping::Expire { pattern: pattern()?, kind, ttl: ttl?, jitter, always }
        }
        "tag-delete" => {
            let member = item.child("member").text().unwrap_or_else(|| "{member}".into());
            Housekeeping::TagDelete { tag: template(item, "tag", word, "write tag = \"tag:{data.tag}\"")?, member }
        }
        "set-prune" => {
            let member = item.child("member");
            let help = "write the key a member stands for: member = \"session:{member}\"";
            let member = required(&member, item, word, help);
            let grace = item.child("grace").duration(Duration::ZERO..=Duration::from_secs(60), Duration::from_secs(1));
            Housekeeping::SetPrune { pattern: pattern()?, member: member?, grace }
        }
        "trim" => Housekeeping::Trim {
            count: item.child("count").optional_whole(0..=i128::from(u32::MAX), None),
            older: item.child("older").optional_duration(MS..=YEARS, None),
            unit: item
                .child("score")
                .word(&[("ms", ScoreUnit::Millis), ("s", ScoreUnit::Seconds)], ScoreUnit::default()),
            keep: item.child("keep").word(&[("left", Some(End::Left)), ("right", Some(End::Right))], None),
            pattern: pattern()?,
        },
        _ => {
            let fetch = item.child("fetch");
            let url = required(&fetch, item, word, "write fetch = \"http://localhost:3000/front-page\"");
            if let Some(url) = &url {
                check_url(&fetch, url, None);
            }
            let key = template(item, "key", word, "write key = \"cache:front-page\"");
            let ttl = required_time(item, "ttl", word, MS..=YEARS);
            Housekeeping::Warm(Warm {
                headers: headers(&item.child("headers")),
                connect_timeout: item.child("connect_timeout").duration(MS..=DAY, Duration::from_secs(5)),
                max_size: item.child("max_size").size(1..=LARGEST / 2, 1024 * 1024),
                jitter: jitter(),
                busy: item.child("busy").word(&[("discard", Busy::Discard), ("defer", Busy::Defer)], Busy::default()),
                fetch: url?,
                key: key?,
                ttl: ttl?,
            })
        }
    })
}

/// A text the action cannot do without.
fn required(value: &Item, item: &Item, word: &str, help: &str) -> Option<String> {
    if !value.is_given() {
        item.missing(format!("action {word:?} needs {}", value.path().name()), help);
    }
    value.text()
}

/// The same with placeholders in it.
fn template(item: &Item, key: &str, word: &str, help: &str) -> Option<String> {
    let value = item.child(key);
    let text = required(&value, item, word, help)?;
    for invalid in placeholders(&text).1 {
        value.error(invalid.message, invalid.help);
    }
    Some(text)
}

fn required_time(item: &Item, key: &str, word: &str, bounds: RangeInclusive<Duration>) -> Option<Duration> {
    let value = item.child(key);
    if !value.is_given() {
        item.missing(format!("action {word:?} needs {key}"), format!("write {key} = \"24h\""));
    }
    value.optional_duration(bounds, None)
}

fn server(item: &Item) -> Option<Redis> {
    let url = secret(item)?;
    if url.reveal().starts_with("embedded:") {
        let help = "leave url out to work on the private server of [redis], or name a server";
        item.error("a handler cannot start a private server of its own", help);
        return None;
    }
    match Redis::default().with_url(url.reveal(), &item.directory()) {
        Ok(redis) => Some(redis),
        Err(invalid) => {
            item.error(invalid.message, invalid.help);
            None
        }
    }
}

/// A number of at least 1.
fn excess(item: &Item, default: f64) -> f64 {
    let number = match item.scalar() {
        None => return default,
        #[expect(clippy::cast_precision_loss, reason = "nobody asks for so many times")]
        Some(Scalar::Whole(number)) => number as f64,
        Some(Scalar::Float(number)) => number,
        Some(_) => f64::NAN,
    };
    if number.is_finite() && number >= 1.0 {
        return number;
    }
    item.wrong("a number of at least 1", &format!("remove the line to use the default, {default}")).unwrap_or(default)
}
