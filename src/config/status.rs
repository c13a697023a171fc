//! `[status]`: what is told over pub/sub when a job changes state.

use std::collections::BTreeMap;

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
    /// State (BullMQ's word, or `retrying`, `stalled`, `cancelled`, `expired`, `progress`) → the
    /// word published for it.
    pub names: BTreeMap<String, String>,
    /// Keeps the messages for those who must not miss one.
    pub stream: Option<StatusStream>,
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
            names: BTreeMap::new(),
            stream: None,
        }
    }
}

impl Config {
    /// The channels on which all status messages come, each once; they may hold `{queue}` and `{tenant}`.
    #[must_use]
    pub fn followed(&self) -> Vec<String> {
        self.status.followed().cloned().into_iter().collect()
    }
}
