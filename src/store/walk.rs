//! Goes through the jobs of a state while they move: neither skips one that stays nor meets one twice.
//!
//! Offsets would do both. In a sorted set a walk goes on behind the entry it came to, there or not; of a list it takes
//! down all ids when it begins. [`Queue::select`] and [`Queue::export`] go this way.

use std::collections::{HashSet, VecDeque};

use super::connection::Value;
use super::error::Error;
use super::script::WALK;
use super::{Queue, reply};
use crate::job::{JobId, State, UnixMillis};

/// Ids of a list read in one call.
const LIST_STEP: i64 = 10_000;

/// How far a walk has come: handed back to go on. It may be kept as long as the caller likes.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// Of several states, the one the walk is in.
    pub(super) state: usize,
    place: Place,
    /// When the walk began. What ends later, maybe because of what the caller does, is not met.
    began: UnixMillis,
}

#[derive(Debug, Clone)]
enum Place {
    Start,
    /// Behind this entry of a sorted set.
    Behind(Entry),
    /// Ids of a list that are still to come.
    Ahead(VecDeque<Entry>),
}

/// A job met.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: JobId,
    /// As Redis prints it; empty in lists.
    score: String,
}

impl Entry {
    /// What the score says in a sorted set of this state: when the job is due, ended, or began to wait for children.
    pub(super) fn moment(&self, state: State) -> Option<UnixMillis> {
        let score: f64 = self.score.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds")]
        match state {
            State::Delayed => Some(UnixMillis((score / 4096.0) as i64)),
            State::Completed | State::Failed | State::WaitingChildren => Some(UnixMillis(score as i64)),
            _ => None,
        }
    }
}

impl Cursor {
    pub(super) fn start(now: UnixMillis) -> Self {
        Self { state: 0, place: Place::Start, began: now }
    }

    /// On to the next state.
    pub(super) fn next_state(&mut self) {
        self.state += 1;
        self.place = Place::Start;
    }

    /// As if only `met` had been met and not `rest`, which came behind it.
    pub(super) fn back(&mut self, met: &Entry, rest: &[Entry]) {
        match &mut self.place {
            Place::Ahead(ahead) => rest.iter().rev().for_each(|entry| ahead.push_front(entry.clone())),
            place => *place = Place::Behind(met.clone()),
        }
    }
}

impl Queue {
    /// The next `wanted` jobs of a state; none at its end. Those served first come first, of finished jobs the oldest;
    /// of these only the ones that ended before `before`.
    pub(super) async fn walk(
        &self,
        cursor: &mut Cursor,
        state: State,
        before: Option<UnixMillis>,
        wanted: usize,
    ) -> Result<Vec<Entry>, Error> {
        if matches!(state, State::Waiting | State::Active) {
            if matches!(cursor.place, Place::Start) {
                cursor.place = Place::Ahead(self.take_down(state).await?);
            }
            let Place::Ahead(ahead) = &mut cursor.place else { return Ok(Vec::new()) };
            return Ok(ahead.drain(..wanted.min(ahead.len())).collect());
        }
        let highest = match state {
            State::Completed | State::Failed => {
                let last = before.map_or(cursor.began, |before| UnixMillis(before.0.saturating_sub(1)));
                last.min(cursor.began).0.to_string()
            }
            State::Unknown => return Ok(Vec::new()),
            _ => "+inf".to_owned(),
        };
        let (score, last) = match &cursor.place {
            Place::Behind(entry) => (entry.score.clone(), entry.id.to_string()),
            _ => (String::new(), String::new()),
        };
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let args = vec![wanted.into(), highest.into(), score.into(), last.into()];
        let answer = self.store.command().script(&WALK, &self.keys.state(state), args).await?;
        let mut flat = reply::texts(WALK.name, answer)?.into_iter();
        let mut entries = Vec::with_capacity(flat.len() / 2);
        while let (Some(id), Some(score)) = (flat.next(), flat.next()) {
            entries.push(Entry { id: JobId::stored(&id), score });
        }
        if let Some(entry) = entries.last() {
            cursor.place = Place::Behind(entry.clone());
        }
        Ok(entries)
    }

    /// A job of this state as a walk would meet it.
    pub(super) async fn entry(&self, id: &JobId, state: State) -> Result<Entry, Error> {
        let score = match state {
            State::Waiting | State::Active | State::Unknown => None,
            _ => {
                let args = vec![self.keys.state(state).into(), id.as_str().into()];
                self.store.command().call("ZSCORE", args).await?.as_string()
            }
        };
        Ok(Entry { id: id.clone(), score: score.unwrap_or_default() })
    }

    /// All ids of a list, those served first in front. Read from the end jobs are added to, so that one taken meanwhile
    /// moves none of those still unread out of sight; one met twice counts once.
    async fn take_down(&self, state: State) -> Result<VecDeque<Entry>, Error> {
        let mut ids = VecDeque::new();
        let mut known = HashSet::new();
        // a 5.x client's queue has its jobs elsewhere while paused; they are served last
        let lists = match state {
            State::Waiting => vec![self.keys.paused(), self.keys.state(state)],
            _ => vec![self.keys.state(state)],
        };
        for key in lists {
            let mut from = 0;
            loop {
                let args = vec![key.as_str().into(), from.into(), (from + LIST_STEP - 1).into()];
                let page = reply::texts("LRANGE", self.store.command().call("LRANGE", args).await?)?;
                let all = i64::try_from(page.len()).unwrap_or(0) < LIST_STEP;
                for id in page {
                    // wake-up calls of old releases
                    if !id.starts_with("0:") && known.insert(id.clone()) {
                        ids.push_front(Entry { id: JobId::stored(&id), score: String::new() });
                    }
                }
                if all {
                    break;
                }
                from += LIST_STEP;
            }
        }
        Ok(ids)
    }
}

/// A list of strings out of a part that may be false.
pub(super) fn strings(what: &'static str, value: Value) -> Result<Option<Vec<String>>, Error> {
    if value.is_null() { Ok(None) } else { reply::texts(what, value).map(Some) }
}

#[cfg(test)]
mod tests;
