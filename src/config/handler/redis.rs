//! Settings of a handler that keeps house in Redis.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Invalid, Redis};

/// Characters a pattern or key has to begin with before the first that stands for others.
pub const LITERAL: usize = 3;

/// `[handlers.NAME.redis]`: caches, indexes and logs in Redis are cleaned, or filled.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisHandler {
    pub task: Housekeeping,
    /// Another server than that of the queues.
    pub server: Option<Redis>,
    /// Another database there.
    pub database: Option<u8>,
    /// Count, and change nothing.
    pub dry_run: bool,
    /// Keys, or members of collections, changed by one attempt; then it ends.
    pub max_keys: u64,
    /// The same per second.
    pub rate: Option<u32>,
    /// How many times what a dry run counted a real run may change before it is given up.
    pub max_excess: f64,
    /// Keys that are left alone beside those of queues; `*` and `?` stand for others.
    pub protect: Vec<String>,
}

/// What is done. Texts hold placeholders, filled in from the job.
#[derive(Debug, Clone, PartialEq)]
pub enum Housekeeping {
    /// Keys go.
    Delete { pattern: String, kind: Option<KeyType> },
    /// Keys are given a time to live.
    Expire {
        pattern: String,
        kind: Option<KeyType>,
        ttl: Duration,
        /// Each key may live up to this much longer.
        jitter: Duration,
        /// Also those that have one.
        always: bool,
    },
    /// The keys named by the members of a set go, and the set with them.
    TagDelete {
        tag: String,
        /// `{member}` stands for the member.
        member: String,
    },
    /// Members of sets and sorted sets go whose key is gone.
    SetPrune {
        pattern: String,
        member: String,
        /// How long a key has to be gone.
        grace: Duration,
    },
    /// Lists, sorted sets and streams are shortened.
    Trim {
        pattern: String,
        /// Entries that stay.
        count: Option<u64>,
        /// Entries older than this go.
        older: Option<Duration>,
        unit: ScoreUnit,
        /// Which end of a list or sorted set stays.
        keep: Option<End>,
    },
    /// The answer of an endpoint is stored.
    Warm(Warm),
}

/// Settings of [`Housekeeping::Warm`].
#[derive(Debug, Clone, PartialEq)]
pub struct Warm {
    /// What is fetched, as the url of an http handler.
    pub fetch: String,
    pub headers: BTreeMap<String, String>,
    pub connect_timeout: Duration,
    /// A longer answer is refused, in bytes.
    pub max_size: usize,
    pub key: String,
    pub ttl: Duration,
    /// The value may live up to this much longer.
    pub jitter: Duration,
    pub busy: Busy,
}

/// When somebody else is fetching the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Busy {
    #[default]
    Discard,
    Defer,
}

/// Types of keys, as `TYPE` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    String,
    List,
    Set,
    Zset,
    Hash,
    Stream,
}

/// What scores of sorted sets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScoreUnit {
    #[default]
    Millis,
    Seconds,
}

/// An end of a list or sorted set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The head of a list, the lowest scores.
    Left,
    Right,
}

impl KeyType {
    pub const NAMES: [(&'static str, Self); 6] = [
        ("string", Self::String),
        ("list", Self::List),
        ("set", Self::Set),
        ("zset", Self::Zset),
        ("hash", Self::Hash),
        ("stream", Self::Stream),
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl Housekeeping {
    /// The word of `action`.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::Delete { .. } => "delete",
            Self::Expire { .. } => "expire",
            Self::TagDelete { .. } => "tag-delete",
            Self::SetPrune { .. } => "set-prune",
            Self::Trim { .. } => "trim",
            Self::Warm(_) => "warm",
        }
    }
}

impl RedisHandler {
    #[must_use]
    pub fn new(task: Housekeeping) -> Self {
        Self {
            task,
            server: None,
            database: None,
            dry_run: false,
            max_keys: 1_000_000,
            rate: Some(100_000),
            max_excess: 1.5,
            protect: Vec::new(),
        }
    }

    /// What makes the settings dangerous or senseless, each with its key. `prefix` is that of the queues.
    #[must_use]
    pub fn problems(&self, prefix: &str) -> Vec<(&'static str, Invalid)> {
        let mut problems = Vec::new();
        let mut note = |key, found: Option<Invalid>| problems.extend(found.map(|invalid| (key, invalid)));
        match &self.task {
            Housekeeping::Delete { pattern, .. } | Housekeeping::Expire { pattern, .. } => {
                note("match", pattern_problem(pattern, prefix));
            }
            Housekeeping::TagDelete { tag, member } => {
                note("tag", key_problem(tag, prefix));
                note("member", member_problem(member));
            }
            Housekeeping::SetPrune { pattern, member, .. } => {
                note("match", pattern_problem(pattern, prefix));
                note("member", member_problem(member));
            }
            Housekeeping::Trim { pattern, count, older, keep, .. } => {
                note("match", pattern_problem(pattern, prefix));
                let bounds = count.is_none() && older.is_none();
                let help = "write count = 1000, or older = \"30d\", or both";
                note("action", bounds.then(|| Invalid::new("trim says neither how many entries stay nor which", help)));
                let both = older.is_some() && *keep == Some(End::Left);
                let help = "remove keep: what is older than a moment stands at the left";
                note(
                    "keep",
                    both.then(|| Invalid::new("older takes the old entries away, and keep asks for them", help)),
                );
            }
            Housekeeping::Warm(warm) => note("key", key_problem(&warm.key, prefix)),
        }
        problems
    }
}

/// What is wrong with a pattern of keys.
fn pattern_problem(text: &str, prefix: &str) -> Option<Invalid> {
    let start = match literal_start(text, true) {
        Ok(start) => start,
        Err(invalid) => return Some(invalid),
    };
    short_problem(text, &start).or_else(|| queue_problem(text, &start, prefix))
}

/// What is wrong with the name of one key.
fn key_problem(text: &str, prefix: &str) -> Option<Invalid> {
    let start = literal_start(text, false).unwrap_or_default();
    short_problem(text, &start).or_else(|| queue_problem(text, &start, prefix))
}

fn short_problem(text: &str, start: &str) -> Option<Invalid> {
    (start.chars().count() < LITERAL).then(|| {
        let message = format!("{text:?} may cover keys that nobody had in mind");
        Invalid::new(message, format!("begin with {LITERAL} plain characters at least, such as \"session:*\""))
    })
}

fn queue_problem(text: &str, start: &str, prefix: &str) -> Option<Invalid> {
    [prefix, OWN_ROOT].iter().find(|root| start.strip_prefix(**root).is_some_and(|rest| rest.starts_with(':'))).map(
        |root| {
            let message = format!("{text:?} covers nothing but keys below \"{root}:\", which belong to queues");
            Invalid::new(message, "use oxherd queue clean or obliterate, or another pattern")
        },
    )
}

/// First segment of the keys that oxherd keeps beside those of queues.
pub const OWN_ROOT: &str = "oxherd";

fn member_problem(text: &str) -> Option<Invalid> {
    (text.matches("{member}").count() != 1).then(|| {
        let message = format!("{text:?} does not say which key a member stands for");
        Invalid::new(message, "write {member} once, as in \"session:{member}\"")
    })
}

/// What the text begins with before the first placeholder or, in a pattern, the first character that stands for others.
fn literal_start(text: &str, is_pattern: bool) -> Result<String, Invalid> {
    let mut start = String::new();
    let (mut is_open, mut is_plain) = (false, true);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' if rest.peek() != Some(&'{') => {
                is_plain = false;
                if is_open {
                    let message = format!("a placeholder stands inside [ ] of {text:?}, where a value becomes a range");
                    return Err(Invalid::new(message, "put it outside"));
                }
            }
            '\\' if is_pattern => match rest.next() {
                Some(c) if is_plain => start.push(c),
                Some(_) => {}
                None => {
                    return Err(Invalid::new(format!("{text:?} ends in the middle of an escape"), "write \\\\ for \\"));
                }
            },
            '[' if is_pattern => (is_open, is_plain) = (true, false),
            ']' if is_open => is_open = false,
            '*' | '?' if is_pattern => is_plain = false,
            c => {
                if matches!(c, '{' | '}') && rest.peek() == Some(&c) {
                    rest.next();
                }
                if is_plain {
                    start.push(c);
                }
            }
        }
    }
    if is_open {
        return Err(Invalid::new(format!("a '[' is never closed in {text:?}"), "write \\[ for the character"));
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delete(pattern: &str) -> Vec<String> {
        let handler = RedisHandler::new(Housekeeping::Delete { pattern: pattern.into(), kind: None });
        handler.problems("bull").into_iter().map(|(_, invalid)| invalid.message).collect()
    }

    #[test]
    fn f149_a_pattern_begins_with_what_it_is_about() {
        for pattern in ["*", "b*", "??????", "[bs]*", "ab*", "{data.prefix}*", "a{name}*", "\\**", "", "ab"] {
            let found = delete(pattern);
            assert!(found[0].contains("nobody had in mind"), "{pattern}: {found:?}");
        }
        for pattern in ["session:*", "abc*", "a\\*b*", "user:{data.id}:*", "{{a}}:*", "autosave:7", "key[a-z]*"] {
            assert_eq!(delete(pattern), Vec::<String>::new(), "{pattern}");
        }
    }

    #[test]
    fn f149_a_pattern_that_covers_queues_alone_is_refused() {
        for pattern in ["bull:*", "bull:email:*", "bull:{data.queue}:*", "oxherd:*"] {
            assert!(delete(pattern)[0].contains("belong to queues"), "{pattern}");
        }
        assert!(delete("bull*").is_empty(), "others may begin like that, and each key is looked at");
    }

    #[test]
    fn f149_a_value_cannot_become_a_range() {
        assert!(delete("abc[{data.x}]*")[0].contains("becomes a range"));
        assert!(delete("abc[x*")[0].contains("never closed"));
        assert!(delete("abc\\")[0].contains("middle of an escape"));
    }

    #[test]
    fn other_mistakes_are_named_with_their_key() {
        let trim = |count, older, keep| Housekeeping::Trim {
            pattern: "log:*".into(),
            count,
            older,
            unit: ScoreUnit::Millis,
            keep,
        };
        for (task, keys) in [
            (Housekeeping::TagDelete { tag: "{data.tag}".into(), member: "x".into() }, vec!["tag", "member"]),
            (Housekeeping::TagDelete { tag: "tag:{data.tag}".into(), member: "{member}".into() }, vec![]),
            (trim(None, None, None), vec!["action"]),
            (trim(None, Some(Duration::from_secs(1)), Some(End::Left)), vec!["keep"]),
            (trim(Some(1), None, Some(End::Left)), vec![]),
        ] {
            let found = RedisHandler::new(task.clone()).problems("bull");
            assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), keys, "{task:?}");
        }
    }
}
