//! The whole keyspace in the form of the golden files, and back. The rules are in `tests/golden/README.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use crate::store::{Store, Value};

/// The moment every scenario starts at, in ms since 1970.
pub(super) const T0: i64 = 1_700_000_000_000;
/// Moments further from it are plain numbers.
const NEAR: i64 = 10_000_000_000;
/// Hash fields that hold JSON text.
const JSON_FIELDS: [&str; 5] = ["opts", "data", "parent", "returnvalue", "progress"];
const UUID: &str = "00000000-0000-4000-8000-";

/// Keys as `{type, ttl?, value}`, and the events of each stream.
#[derive(Debug, Default)]
pub(super) struct Keyspace {
    pub(super) keys: BTreeMap<String, Json>,
    pub(super) events: BTreeMap<String, Vec<Json>>,
}

/// Everything in the store's database.
pub(super) async fn read(store: &Store) -> Keyspace {
    const EVERYTHING: &str = "
        local out = {}
        local read = {
          string = function(key) return {redis.call('GET', key)} end,
          list = function(key) return redis.call('LRANGE', key, 0, -1) end,
          set = function(key) return redis.call('SMEMBERS', key) end,
          hash = function(key) return redis.call('HGETALL', key) end,
          zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
          stream = function(key)
            local entries = {}
            for at, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do entries[at] = entry[2] end
            return entries
          end
        }
        for _, key in ipairs(redis.call('KEYS', '*')) do
          local kind = redis.call('TYPE', key).ok
          out[#out + 1] = {key, kind, redis.call('PTTL', key), read[kind](key)}
        end
        return out";
    let mut found = Keyspace::default();
    for entry in list(raw(store, EVERYTHING, &[]).await) {
        let [key, kind, ttl, value] = <[Value; 4]>::try_from(list(entry)).unwrap();
        let (key, kind) = (text(&key), text(&kind));
        let shown = stamped(&key);
        if kind == "stream" {
            found.events.insert(shown, list(value).into_iter().map(event).collect());
            continue;
        }
        let values: Vec<String> = list(value).iter().map(text).collect();
        let mut entry =
            Map::from_iter([("type".into(), json!(kind)), ("value".into(), shown_value(&key, &kind, values))]);
        let ttl = ttl.as_i64().unwrap();
        if ttl >= 0 {
            entry.insert("ttl".into(), json!(format!("<={}ms", (ttl + 499) / 500 * 500)));
        }
        found.keys.insert(shown, entry.into());
    }
    found
}

/// Writes the keys of a checkpoint into an empty database.
pub(super) async fn load(store: &Store, keys: &Map<String, Json>) {
    for (key, entry) in keys {
        let key = restored(key);
        let value = &entry["value"];
        let texts = |value: &Json| restored(value.as_str().unwrap());
        let mut args: Vec<String> = match entry["type"].as_str().unwrap() {
            "string" => vec!["SET".into(), key.clone(), texts(value)],
            "list" => {
                ["RPUSH".into(), key.clone()].into_iter().chain(value.as_array().unwrap().iter().map(texts)).collect()
            }
            "set" => {
                ["SADD".into(), key.clone()].into_iter().chain(value.as_array().unwrap().iter().map(texts)).collect()
            }
            "hash" => {
                let mut args = vec!["HSET".into(), key.clone()];
                for (field, value) in value.as_object().unwrap() {
                    args.extend([restored(field), restored_field(value)]);
                }
                args
            }
            "zset" => {
                let mut args = vec!["ZADD".into(), key.clone()];
                for pair in value.as_array().unwrap() {
                    args.extend([restored_score(&pair[1]), texts(&pair[0])]);
                }
                args
            }
            other => panic!("{key}: type {other}"),
        };
        raw(store, CALL, &std::mem::take(&mut args)).await;
        if let Some(ttl) = entry.get("ttl") {
            let ttl = ttl.as_str().unwrap().trim_start_matches("<=").trim_end_matches("ms").to_owned();
            raw(store, CALL, &["PEXPIRE".into(), key, ttl]).await;
        }
    }
}

/// One command, whatever it is.
pub(super) const CALL: &str = "return redis.call(unpack(ARGV))";

/// Runs Lua text with arguments.
pub(super) async fn raw(store: &Store, script: &'static str, args: &[String]) -> Value {
    let mut full: Vec<Value> = vec![script.into(), "0".into()];
    full.extend(args.iter().map(|arg| Value::from(arg.as_str())));
    store.command().call("EVAL", full).await.unwrap()
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        Value::Null => Vec::new(),
        other => panic!("a list, not {other:?}"),
    }
}

fn text(value: &Value) -> String {
    value.as_string().unwrap()
}

fn event(fields: Value) -> Json {
    let fields: Vec<String> = list(fields).iter().map(text).collect();
    Json::Object(fields.chunks(2).map(|pair| (pair[0].clone(), json!(stamped(&pair[1])))).collect())
}

fn shown_value(key: &str, kind: &str, mut values: Vec<String>) -> Json {
    match kind {
        "string" => json!(stamped(&values[0])),
        "list" => values.iter().map(|value| json!(stamped(value))).collect(),
        "set" => {
            values.sort();
            values.iter().map(|value| json!(stamped(value))).collect()
        }
        "zset" => values.chunks(2).map(|pair| json!([stamped(&pair[0]), shown_score(key, &pair[1])])).collect(),
        _ => {
            let fields: BTreeMap<_, _> =
                values.chunks(2).map(|pair| (stamped(&pair[0]), shown_field(&pair[0], &pair[1]))).collect();
            Json::Object(fields.into_iter().collect())
        }
    }
}

fn shown_field(field: &str, value: &str) -> Json {
    if field == "stacktrace"
        && let Ok(entries) = serde_json::from_str::<Vec<String>>(value)
    {
        let entries: Vec<_> =
            entries.iter().map(|entry| format!("{} <stack>", entry.lines().next().unwrap_or_default())).collect();
        return json!({ "$json": entries });
    }
    match serde_json::from_str::<Json>(value) {
        Ok(parsed) if JSON_FIELDS.contains(&field) => json!({ "$json": stamped_json(parsed) }),
        _ => json!(stamped(value)),
    }
}

fn stamped_json(value: Json) -> Json {
    match value {
        Json::String(text) => json!(stamped(&text)),
        Json::Number(number) => match number.as_i64().and_then(stamp) {
            Some(shown) => json!(shown),
            None => Json::Number(number),
        },
        Json::Array(values) => values.into_iter().map(stamped_json).collect(),
        Json::Object(members) => {
            let sorted: BTreeMap<_, _> =
                members.into_iter().map(|(name, value)| (stamped(&name), stamped_json(value))).collect();
            Json::Object(sorted.into_iter().collect())
        }
        other => other,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "scores are whole numbers below 2^53, or that over 4096")]
fn shown_score(key: &str, score: &str) -> Json {
    let score: f64 = score.parse().unwrap();
    let whole = score.floor() as i64;
    if key.ends_with(":delayed") {
        return json!(format!("{}*4096+{}", stamp(whole / 4096).unwrap_or_default(), whole % 4096));
    }
    if key.ends_with(":prioritized") {
        return json!(format!("{}*2^32+{}", whole >> 32, whole & 0xffff_ffff));
    }
    let part = ((score - score.floor()) * 4096.0).round() as i64;
    match stamp(whole) {
        Some(shown) if part > 0 => json!(format!("{shown}+{part}/4096")),
        Some(shown) => json!(shown),
        None => json!(whole),
    }
}

/// A moment near T0 as its distance.
fn stamp(ms: i64) -> Option<String> {
    match ms - T0 {
        0 => Some("<ts>".to_owned()),
        after @ 1..NEAR => Some(format!("<ts+{after}>")),
        before if (-NEAR..0).contains(&before) => Some(format!("<ts{before}>")),
        _ => None,
    }
}

/// Text with every moment in it shown as its distance from T0, and uuids by their number.
fn stamped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| start + end);
        shown.push_str(&rest[..start]);
        let number = &rest[start..digits];
        match number.parse().ok().filter(|_| number.len() == 13).and_then(stamp) {
            Some(moment) => shown.push_str(&moment),
            None => shown.push_str(number),
        }
        rest = &rest[digits..];
    }
    shown.push_str(rest);
    while let Some(at) = shown.find(UUID) {
        let number: u64 = shown[at + UUID.len()..at + UUID.len() + 12].parse().unwrap();
        shown.replace_range(at..at + UUID.len() + 12, &format!("<uuid:{number}>"));
    }
    shown
}

/// The other way round.
pub(super) fn restored(shown: &str) -> String {
    let mut text = String::with_capacity(shown.len());
    let mut rest = shown;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
        let mark = &rest[start..end];
        if let Some(offset) = mark.strip_prefix("<ts") {
            let offset = offset.trim_end_matches('>').trim_start_matches('+');
            let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().unwrap() };
            text.push_str(&(T0 + offset).to_string());
        } else if let Some(number) = mark.strip_prefix("<uuid:") {
            let number: u64 = number.trim_end_matches('>').parse().unwrap();
            write!(text, "{UUID}{number:012}").unwrap();
        } else {
            text.push_str(mark);
        }
        rest = &rest[end..];
    }
    text.push_str(rest);
    text
}

fn restored_field(value: &Json) -> String {
    match value.get("$json") {
        Some(value) => restored(&value.to_string().replace(" <stack>", "")),
        None => restored(value.as_str().unwrap()),
    }
}

fn restored_score(score: &Json) -> String {
    let Some(text) = score.as_str() else { return score.to_string() };
    if let Some((priority, turn)) = text.split_once("*2^32+") {
        let (priority, turn): (i64, i64) = (priority.parse().unwrap(), turn.parse().unwrap());
        return ((priority << 32) + turn).to_string();
    }
    if let Some((due, order)) = text.split_once("*4096+") {
        let (due, order): (i64, i64) = (restored(due).parse().unwrap(), order.parse().unwrap());
        return (due * 4096 + order).to_string();
    }
    restored(text)
}
