//! The stream that keeps messages, for viewers that come back or have fallen behind: they read on where they were, a few of
//! them at a time.

use tokio::sync::Semaphore;

use super::update::Update;
use super::viewer::{Filter, Notice};
use crate::config::StatusStream;
use crate::store::{EntryId, Heard, Store};

/// Entries read at once.
const PAGE: usize = 200;
/// Entries looked through for one viewer; who is further behind is better served by whoever knows the state of its jobs.
const MOST: usize = 50 * PAGE;
/// Viewers that read at the same time.
const TURNS: usize = 4;

pub struct Archive {
    store: Store,
    stream: StatusStream,
    turns: Semaphore,
}

/// A viewer on its way to the present.
pub struct Reading {
    /// Everything up to here has been read.
    pub last: EntryId,
    looked_through: usize,
}

/// What a step on that way found.
pub struct Step {
    pub notices: Vec<Notice>,
    /// The present is reached.
    pub is_end: bool,
}

impl Archive {
    pub fn new(store: Store, stream: StatusStream) -> Self {
        Self { store, stream, turns: Semaphore::new(TURNS) }
    }

    /// The next page of what the filter lets through. What cannot be read becomes a gap. Cancellation safe.
    pub async fn step(&self, reading: &mut Reading, filter: &Filter) -> Step {
        let _turn = self.turns.acquire().await;
        let gap = || Step { notices: vec![Notice::Gap], is_end: true };
        if reading.looked_through >= MOST {
            return gap();
        }
        let page = match self.store.kept_page(&self.stream, reading.last, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "cannot read the stream for a viewer");
                return gap();
            }
        };
        reading.last = page.last;
        reading.looked_through += PAGE;
        let notice = |heard| match heard {
            Heard::Message(message) => {
                let update = Update::new(message);
                filter.lets_through(&update).then(|| Notice::Status(update.into()))
            }
            Heard::Gap(_) | Heard::Missed(_) => Some(Notice::Gap),
        };
        Step { notices: page.heard.into_iter().filter_map(notice).collect(), is_end: page.is_end }
    }
}

impl Reading {
    pub fn behind(last: EntryId) -> Self {
        Self { last, looked_through: 0 }
    }
}
