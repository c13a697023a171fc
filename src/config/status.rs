//! `[status]`: what is told over pub/sub when a job changes state.

use std::collections::{BTreeMap, BTreeSet};

use super::Config;

/// `[status]`
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// No message at all when false.
    pub enabled: bool,
    /// Channels, each published to; `{queue}` and `{tenant}` are filled in.
    pub channels: Vec<String>,
    /// JSON pointer into the job's data.
    pub tenant: String,
    pub format: StatusFormat,
    /// The states that are told, of those in [`Status::WORDS`].
    pub told: BTreeSet<&'static str>,
    /// State (BullMQ's word, or `retrying`, `stalled`, `cancelled`, `expired`, `progress`) → the
    /// word published for it.
    pub names: BTreeMap<String, String>,
    /// Keeps the messages for those who must not miss one.
    pub stream: Option<StatusStream>,
    /// What holds for single queues instead, by name.
    pub queues: BTreeMap<String, Self>,
}

/// A Redis stream to which each message goes too, in the same step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusStream {
    pub key: String,
    /// Entries kept at least; older ones are trimmed a hundred or so at a time.
    pub max_length: u64,
}

/// How much a status message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusFormat {
    /// `tenantId`, `jobId`, `status`, and `error` in final states.
    Simple,
    /// The same four first, then queue, name, attempts, progress and times.
    #[default]
    Full,
}

impl Status {
    /// State → word, unless the file says otherwise.
    pub const WORDS: [(&'static str, &'static str); 10] = [
        ("waiting", "PENDING"),
        ("active", "RUNNING"),
        ("progress", "PROGRESS"),
        ("delayed", "DELAYED"),
        ("retrying", "RETRYING"),
        ("completed", "COMPLETED"),
        ("failed", "FAILED"),
        ("stalled", "STALLED"),
        ("cancelled", "CANCELLED"),
        ("expired", "EXPIRED"),
    ];

    /// What holds for a queue.
    #[must_use]
    pub fn of(&self, queue: &str) -> &Self {
        self.queues.get(queue).unwrap_or(self)
    }

    /// Every state there is.
    #[must_use]
    pub fn states() -> BTreeSet<&'static str> {
        Self::WORDS.iter().map(|(state, _)| *state).collect()
    }

    /// The word published for a state.
    #[must_use]
    pub fn word<'a>(&'a self, state: &'a str) -> &'a str {
        let built_in = || Self::WORDS.iter().find(|(name, _)| *name == state).map_or(state, |(_, word)| word);
        self.names.get(state).map_or_else(built_in, String::as_str)
    }

    /// The one of its channels to follow: each message goes to all of them. In the simple format one that names the queue
    /// is the best; else a name without placeholders, since a pattern costs the server a look at every message.
    fn followed(&self) -> Option<&String> {
        let plain = self.channels.iter().find(|channel| !channel.contains('{'));
        let telling = self.channels.iter().find(|channel| channel.contains("{queue}"));
        let best = if self.format == StatusFormat::Simple { telling.or(plain) } else { plain };
        best.or(self.channels.first()).filter(|_| self.enabled)
    }
}

impl Default for StatusStream {
    fn default() -> Self {
        Self { key: "job_updates:stream".into(), max_length: 100_000 }
    }
}

impl Default for Status {
    fn default() -> Self {
        Self {
            enabled: true,
            channels: vec!["job_updates".into()],
            tenant: "/tenantId".into(),
            format: StatusFormat::default(),
            told: Self::states(),
            names: BTreeMap::new(),
            stream: None,
            queues: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The channels on which all status messages come, as few as may be; they may hold `{queue}` and `{tenant}`.
    #[must_use]
    pub fn followed(&self) -> Vec<String> {
        let mut chosen: Vec<String> = Vec::new();
        for status in std::iter::once(&self.status).chain(self.status.queues.values()) {
            if !status.channels.iter().any(|channel| chosen.contains(channel)) {
                chosen.extend(status.followed().cloned());
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(format: StatusFormat, channels: &[&str]) -> Status {
        Status { format, channels: channels.iter().map(ToString::to_string).collect(), ..Status::default() }
    }

    #[test]
    fn one_channel_of_several_is_followed_the_one_that_tells_most_for_least() {
        let followed = |status: Status| Config { status, ..Config::default() }.followed();
        assert_eq!(followed(status(StatusFormat::Full, &["j:{queue}", "all"])), ["all"]);
        assert_eq!(followed(status(StatusFormat::Simple, &["all", "j:{queue}"])), ["j:{queue}"]);
        assert_eq!(followed(status(StatusFormat::Full, &["t:{tenant}"])), ["t:{tenant}"]);
        assert_eq!(followed(Status { enabled: false, ..Status::default() }), [""; 0]);
    }

    #[test]
    fn channels_of_single_queues_are_followed_too_and_none_twice() {
        let mut base = status(StatusFormat::Full, &["all"]);
        base.queues.insert("a".into(), status(StatusFormat::Full, &["own"]));
        base.queues.insert("b".into(), status(StatusFormat::Full, &["other", "own"]));
        base.queues.insert("c".into(), Status { enabled: false, ..status(StatusFormat::Full, &["silent"]) });
        assert_eq!(Config { status: base.clone(), ..Config::default() }.followed(), ["all", "own"]);
        assert_eq!((base.of("a").channels[0].as_str(), base.of("x").channels[0].as_str()), ("own", "all"));
    }
}
