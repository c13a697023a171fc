//! The states a job can be in, by BullMQ's names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job is. Protocol: one collection per state, §5.1 of the protocol notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Waiting,
    Active,
    Delayed,
    Prioritized,
    Completed,
    Failed,
    WaitingChildren,
    Unknown,
}

impl State {
    /// Every state that has a collection of its own, in the order counts are shown.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Active,
        Self::Delayed,
        Self::Prioritized,
        Self::Completed,
        Self::Failed,
        Self::WaitingChildren,
    ];

    /// BullMQ's word for the state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Delayed => "delayed",
            Self::Prioritized => "prioritized",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::WaitingChildren => "waiting-children",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is no state's name.
#[derive(Debug, thiserror::Error)]
#[error("unknown state {0:?}: expected waiting, active, delayed, prioritized, completed, failed or waiting-children")]
pub struct UnknownState(String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .or((text == "wait").then_some(Self::Waiting))
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}
