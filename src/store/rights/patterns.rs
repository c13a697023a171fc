//! Keys and channels of a configuration, as patterns of a rule.

use std::collections::{BTreeMap, BTreeSet};

use super::super::keys::{self, ListKeys, escaped};
use super::super::{Keys, updates};
use crate::config::{Config, Housekeeping, OWN_ROOT, Status};
use crate::job::QueueName;

/// The keys of queues.
pub(super) struct Queues {
    /// BullMQ's.
    pub(super) bull: Vec<String>,
    pub(super) lists: Vec<String>,
}

impl Queues {
    pub(super) fn of(config: &Config, more: &[QueueName]) -> Self {
        let named = config.queues.values().filter(|queue| queue.list.is_none()).map(|queue| &queue.name);
        // jobs of schedules may be worked elsewhere
        let scheduled = config.schedules.values().map(|schedule| &schedule.queue);
        let bull = named.chain(scheduled).chain(more).map(|name| Keys::new(&config.redis.prefix, name).pattern());
        let lists = config.list_keys().into_iter().flat_map(|key| {
            let keys = ListKeys::new(&key);
            [escaped(keys.list()), format!("{}*", escaped(keys.root()))]
        });
        Self { bull: bull.collect(), lists: lists.collect() }
    }
}

/// The lists without what stands beside them.
pub(super) fn lists_alone(config: &Config) -> Vec<String> {
    config.list_keys().iter().map(|key| escaped(key)).collect()
}

/// Every queue under the prefix.
pub(super) fn whole_prefix(config: &Config) -> String {
    format!("{}:*", escaped(&config.redis.prefix))
}

/// The channel on which cancellations are told.
pub(super) fn orders(config: &Config) -> String {
    escaped(&keys::orders(&config.redis.prefix))
}

fn settings(config: &Config) -> impl Iterator<Item = (&QueueName, &Status)> {
    config
        .queues
        .values()
        .map(|queue| (&queue.name, config.status.of(queue.name.as_str())))
        .filter(|(_, status)| status.enabled)
}

/// The channels that status messages go to.
pub(super) fn told(config: &Config) -> BTreeSet<String> {
    let of = |(queue, status): (&QueueName, &Status)| {
        let fill = |channel: &String| escaped(&channel.replace("{queue}", queue.as_str())).replace("{tenant}", "*");
        status.channels.iter().map(fill).collect::<Vec<_>>()
    };
    settings(config).flat_map(of).collect()
}

/// The streams that keep status messages.
pub(super) fn streams(config: &Config) -> BTreeSet<String> {
    let stream = |status: &Status| status.stream.as_ref().map(|stream| escaped(&stream.key));
    settings(config).filter_map(|(_, status)| stream(status)).collect()
}

/// A channel without placeholders.
pub(super) fn plain(channel: &str) -> String {
    escaped(channel)
}

/// A channel with placeholders, exactly as it is subscribed to: a server compares the two letter by letter.
pub(super) fn followed(channel: &str) -> String {
    updates::pattern_of(channel)
}

/// What a handler that keeps house touches.
pub(super) fn housekeeping(task: &Housekeeping) -> Vec<String> {
    let keys = match task {
        Housekeeping::Delete { pattern, .. }
        | Housekeeping::Expire { pattern, .. }
        | Housekeeping::Trim { pattern, .. } => {
            vec![filled(pattern, true)]
        }
        Housekeeping::TagDelete { tag, member } => {
            [vec![filled(tag, false)], with_lock(filled(member, false))].concat()
        }
        Housekeeping::SetPrune { pattern, member, .. } => {
            [vec![filled(pattern, true)], with_lock(filled(member, false))].concat()
        }
        Housekeeping::Warm(warm) => with_lock(filled(&warm.key, false)),
    };
    // what looks like a key of a queue is not touched where there is one, so that is asked
    let is_lock = |key: &&String| key.split(':').next() == Some(OWN_ROOT);
    let asked: Vec<String> = keys.iter().filter(|key| !is_lock(key)).filter_map(|key| queue_asked(key)).collect();
    keys.into_iter().chain(asked).collect()
}

/// Keys that may be made at that moment, with the locks under which they are.
fn with_lock(keys: String) -> Vec<String> {
    let locks = String::from_utf8_lossy(&keys::warm_lock(keys.as_bytes())).into_owned();
    vec![locks, keys]
}

/// The meta key that is asked for before keys of this pattern are touched, where the pattern does not cover it.
fn queue_asked(pattern: &str) -> Option<String> {
    let literal = &pattern[..pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len())];
    let base = keys::queue_base(literal.as_bytes())?;
    let meta = String::from_utf8(keys::meta_of(base).to_vec()).ok()?;
    (literal.len() > base.len()).then_some(meta)
}

/// A text with placeholders as a pattern: anything may stand in their places. `{{` and `}}` stand for braces.
fn filled(text: &str, is_pattern: bool) -> String {
    let mut pattern = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        pattern.push_str(&if is_pattern { before.to_owned() } else { escaped(before) });
        if brace.starts_with("{{") || brace.starts_with("}}") {
            pattern.push_str(&brace[..1]);
            rest = &brace[2..];
        } else if brace.starts_with('{')
            && let Some((_, after)) = brace.split_once('}')
        {
            pattern.push('*');
            rest = after;
        } else {
            pattern.push_str(&brace[..1]);
            rest = &brace[1..];
        }
    }
    pattern.push_str(&if is_pattern { rest.to_owned() } else { escaped(rest) });
    pattern
}

/// What of an application's keys one of its parts touches.
#[cfg(feature = "app")]
pub(super) fn app(app: &crate::config::App, part: crate::config::AppPart) -> Vec<String> {
    use crate::config::AppPart;
    let keys = super::super::AppKeys::new(&app.prefix);
    let below = |name: &str| format!("{}{name}:*", escaped(keys.base()));
    match part {
        AppPart::Cache => with_lock(format!("{}*", escaped(keys.base()))),
        AppPart::Session => vec![below("session"), below("sessions")],
        AppPart::Limit => vec![below("limit")],
        AppPart::Presence => vec![below("presence")],
    }
}

/// Without the patterns that one ending in `*` covers by its beginning.
pub(super) fn without_covered(patterns: &BTreeSet<String>) -> BTreeSet<String> {
    let starts: BTreeMap<&str, &str> = patterns
        .iter()
        .filter_map(|pattern| Some((pattern.as_str(), pattern.strip_suffix('*')?)))
        .filter(|(_, start)| !start.contains(['*', '?', '[', '\\']))
        .collect();
    let is_covered =
        |pattern: &String| starts.iter().any(|(other, start)| *other != pattern.as_str() && pattern.starts_with(start));
    patterns.iter().filter(|pattern| !is_covered(pattern)).cloned().collect()
}
