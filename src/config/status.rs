//! `[status]`: what is told over pub/sub when a job changes state.

use std::collections::BTreeMap;

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
}

impl Default for Status {
    fn default() -> Self {
        Self {
            enabled: true,
            channels: vec!["job_updates".into()],
            tenant: "/tenantId".into(),
            format: StatusFormat::default(),
            names: BTreeMap::new(),
        }
    }
}
