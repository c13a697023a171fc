//! Everything stored about the queue, in one text a key.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::{Store, Value, reply};

/// Key after the base → content.
pub(super) type Entries = BTreeMap<String, String>;

pub(super) struct Stored {
    pub(super) keys: Entries,
    /// The marker says that a job may be taken.
    pub(super) rings: bool,
    /// When the marker says that the next delayed job is due, in ms.
    pub(super) alarm: Option<i64>,
}

/// Type and content of every key but the event stream; the order of hashes and sets does not count.
const READ: &str = r"
local out = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind, values = redis.call('TYPE', key).ok, {}
  if kind == 'string' then values = {redis.call('GET', key)}
  elseif kind == 'list' then values = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'zset' then values = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'set' then values = redis.call('SMEMBERS', key) table.sort(values)
  elseif kind == 'hash' then values = redis.call('HGETALL', key)
  end
  table.insert(values, 1, kind)
  table.insert(values, 1, string.sub(key, #ARGV[1] + 1))
  out[#out + 1] = values
end
return out
";

/// Fields of a job the model knows of.
pub(super) const FIELDS: [&str; 10] =
    ["priority", "delay", "atm", "ats", "stc", "defa", "parentKey", "deid", "oxherd.cancel", "finishedOn"];

pub(super) async fn forget_marker(store: &Store, base: &str) {
    store.command().call("DEL", vec![format!("{base}marker").into()]).await.unwrap();
}

pub(super) async fn read(store: &Store, base: &str) -> Stored {
    let args: Vec<Value> = vec![READ.into(), "0".into(), base.into()];
    let answer = store.command().call("EVAL", args).await.unwrap();
    let mut stored = Stored { keys: Entries::new(), rings: false, alarm: None };
    for entry in reply::array("keys", answer).unwrap() {
        let mut words = reply::texts("key", entry).unwrap().into_iter();
        let (key, kind) = (words.next().unwrap(), words.next().unwrap());
        let values: Vec<String> = words.collect();
        match key.as_str() {
            // kept by every operation alike, and compared in the golden suite
            "events" | "meta" | "stalled-check" | "pc" => {}
            "marker" => {
                for pair in values.chunks(2) {
                    match pair[0].as_str() {
                        "0" => stored.rings = true,
                        _ => stored.alarm = pair[1].parse::<f64>().ok().map(whole),
                    }
                }
            }
            _ => {
                stored.keys.insert(key, content(&kind, &values));
            }
        }
    }
    stored
}

#[expect(clippy::cast_possible_truncation, reason = "a moment in ms")]
fn whole(score: f64) -> i64 {
    score.floor() as i64
}

fn content(kind: &str, values: &[String]) -> String {
    let pairs = || values.chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str()));
    match kind {
        "hash" if pairs().any(|(field, _)| field == "timestamp") => {
            let fields: BTreeMap<_, _> = pairs().collect();
            job(|field| fields.get(field).map(ToString::to_string))
        }
        "hash" => {
            let fields: BTreeMap<_, _> = pairs().collect();
            format!("hash {}", fields.keys().copied().collect::<Vec<_>>().join(" "))
        }
        "zset" => {
            let entries: Vec<_> =
                pairs().map(|(id, score)| format!("{id}={}", score.parse::<f64>().unwrap())).collect();
            format!("zset {}", entries.join(" "))
        }
        _ => format!("{kind} {}", values.join(" ")),
    }
}

/// The text of a job's hash.
pub(super) fn job(field: impl Fn(&str) -> Option<String>) -> String {
    let mut text = "job".to_owned();
    for name in FIELDS {
        if let Some(value) = field(name) {
            write!(text, " {name}={value}").unwrap();
        }
    }
    text
}

/// One line for each key that is not as expected.
pub(super) fn differences(expected: &Entries, found: &Entries) -> String {
    let mut text = String::new();
    for key in expected.keys().chain(found.keys().filter(|key| !expected.contains_key(*key))) {
        let (expected, found) = (expected.get(key), found.get(key));
        if expected != found {
            let show = |content: Option<&String>| content.map_or("nothing", String::as_str).to_owned();
            writeln!(text, "  {key}\n    expected {}\n    found    {}", show(expected), show(found)).unwrap();
        }
    }
    text
}
