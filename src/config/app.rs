//! `[app]`: what an application keeps in Redis beside its queues.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::handler::{LITERAL, OWN_ROOT};
use super::invalid::Invalid;

/// `[app]`
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// First segment of every key.
    pub prefix: String,
    pub cache: Cache,
    pub sessions: Sessions,
}

/// What a handler may be allowed to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppPart {
    Cache,
    Session,
    Limit,
    Presence,
}

impl AppPart {
    /// Also the first word of what processes ask for.
    pub const NAMES: [(&'static str, Self); 4] =
        [("cache", Self::Cache), ("session", Self::Session), ("limit", Self::Limit), ("presence", Self::Presence)];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, part)| *part == self).map_or("", |(name, _)| name)
    }
}

/// `[app.cache]`
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// How long a value lives at most.
    pub ttl: Duration,
    /// The same by entity.
    pub ttls: BTreeMap<String, Duration>,
    /// The same for the note that there is nothing.
    pub absent_ttl: Duration,
    /// Share of its time, from 0 to 1, by which a value lives shorter at most: so that not all end at once.
    pub jitter: f64,
    /// A longer value is not stored, in bytes.
    pub max_size: usize,
    /// How long one caller may compute a value for all; then the next one may.
    pub lock: Duration,
    /// How long a caller waits for another's value before it computes its own.
    pub wait: Duration,
}

/// `[app.sessions]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    /// How long a session lasts that is not used.
    pub ttl: Duration,
    /// How long one lasts at most, used or not.
    pub max_age: Option<Duration>,
    /// Sessions of one user.
    pub limit: Option<u32>,
    /// What becomes of one too many.
    pub at_limit: AtLimit,
}

/// What a user who has all sessions that are allowed gets for another log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtLimit {
    /// A session; the one that would end first makes room.
    Oldest,
    /// None.
    Refuse,
}

impl AtLimit {
    /// How the file and the frames spell them.
    pub const NAMES: [(&'static str, Self); 2] = [("oldest", Self::Oldest), ("refuse", Self::Refuse)];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        if self == Self::Oldest { "oldest" } else { "refuse" }
    }
}

impl App {
    /// What makes the settings dangerous or senseless, each with its key. `queues` is the prefix of the queues.
    #[must_use]
    pub fn problems(&self, queues: &str) -> Vec<(&'static str, Invalid)> {
        let prefix = &self.prefix;
        let help = "write a plain word such as \"app\"";
        let mut problems = Vec::new();
        let mut note = |is_wrong: bool, message: String, help: &str| {
            if is_wrong {
                problems.push(("prefix", Invalid::new(message, help)));
            }
        };
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || "*?[]^\\".contains(c);
        note(prefix.contains(is_odd), format!("prefix must hold no spaces and none of *?[]^\\, got {prefix:?}"), help);
        note(prefix.chars().count() < LITERAL, format!("prefix must have {LITERAL} characters, got {prefix:?}"), help);
        note(prefix.ends_with(':'), format!("prefix must not end with ':', got {prefix:?}"), "leave the ':' out");
        let is_below =
            |root: &str| prefix == root || prefix.strip_prefix(root).is_some_and(|rest| rest.starts_with(':'));
        let message = format!("prefix {prefix:?} is where the keys of queues are");
        note(is_below(queues) || is_below(OWN_ROOT), message, help);
        problems
    }
}

impl Default for App {
    fn default() -> Self {
        Self { prefix: "app".into(), cache: Cache::default(), sessions: Sessions::default() }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            ttl: Duration::from_secs(14 * DAY),
            max_age: Some(Duration::from_secs(90 * DAY)),
            limit: None,
            at_limit: AtLimit::Oldest,
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            ttls: BTreeMap::new(),
            absent_ttl: Duration::from_secs(30),
            jitter: 0.1,
            max_size: 1024 * 1024,
            lock: Duration::from_secs(5),
            wait: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f149_a_prefix_keeps_away_from_queues_and_is_long_enough_to_search_by() {
        let wrong = |prefix: &str| !App { prefix: prefix.into(), ..App::default() }.problems("bull").is_empty();
        for prefix in ["", "ab", "bull", "bull:app", "oxherd", "oxherd:x", "a b c", "app*", "app:", "[app]"] {
            assert!(wrong(prefix), "{prefix:?}");
        }
        for prefix in ["app", "{app}", "bulls", "shop:web"] {
            assert!(!wrong(prefix), "{prefix:?}");
        }
    }
}
