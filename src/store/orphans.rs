//! Keys of a queue that nothing will ever come to: jobs in no state, locks and logs without their job, markers of an empty
//! queue. What crashes of old clients, keys deleted by hand and failed moves have left.
//!
//! A job that is being added or moved is never taken for one: clients do both in one step, what is young does not count,
//! and each find is looked at again, a moment later, in the same step that deletes it.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use serde::Serialize;

use super::connection::Value;
use super::error::Error;
use super::script::ORPHANS;
use super::{Queue, keys, reply};
use crate::job::{State, millis};

/// What is younger may be on its way.
pub const YOUNGEST: Duration = Duration::from_secs(3600);
/// Ids of a list read in one call.
const LIST_STEP: i64 = 10_000;
/// Finds that are looked at together.
const PAGE: usize = 1000;
/// Entries of lists that are looked through in one call.
const WALK: usize = 500_000;
/// Between the two looks.
const MOMENT: Duration = Duration::from_secs(1);

/// What a key that is left over was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OrphanKind {
    /// A job in no state.
    Job,
    /// A lock, log rows or notes on children, their job gone.
    Part,
    /// The wake-up call of a queue in which nothing waits.
    Marker,
    /// A window of deduplication that its job, gone, will never close.
    Deduplication,
}

/// A key that is left over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    pub kind: OrphanKind,
    pub key: String,
    /// How long nothing has happened to it.
    pub age_ms: u64,
}

/// Looks through a queue for what is left over; see [`Queue::orphans`].
pub struct Orphans<'a> {
    queue: &'a Queue,
    older: Duration,
    /// Hashes of the ids in lists when it began. Where two ids share one, what is left over is overlooked.
    listed: HashSet<u64>,
    hasher: RandomState,
    cursor: Option<String>,
}

impl OrphanKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Part => "part",
            Self::Marker => "marker",
            Self::Deduplication => "deduplication",
        }
    }
}

impl Queue {
    /// Begins to look for keys of the queue that are left over and at least this old, an hour at the very least. Reads the
    /// ids of all jobs that wait or are active, some 16 bytes each.
    pub async fn orphans(&self, older: Duration) -> Result<Orphans<'_>, Error> {
        let hasher = RandomState::new();
        let mut listed = HashSet::new();
        for list in self.keys.waiting().into_iter().chain([self.keys.state(State::Active)]) {
            let mut from = 0;
            loop {
                let args = vec![list.as_str().into(), from.into(), (from + LIST_STEP - 1).into()];
                let ids = reply::texts("LRANGE", self.store.command().call("LRANGE", args).await?)?;
                listed.extend(ids.iter().map(|id| hasher.hash_one(id.as_str())));
                if ids.is_empty() {
                    break;
                }
                from += LIST_STEP;
            }
        }
        Ok(Orphans { queue: self, older: older.max(YOUNGEST), listed, hasher, cursor: Some("0".to_owned()) })
    }
}

impl Orphans<'_> {
    /// The next ones; `None` at the end. Reads the whole key space in small steps.
    pub async fn next(&mut self) -> Result<Option<Vec<Orphan>>, Error> {
        let mut found = Vec::new();
        while found.len() < PAGE
            && let Some(cursor) = self.cursor.take()
        {
            let met;
            (self.cursor, met) = self.queue.store.scan(&cursor, &self.queue.keys.pattern()).await?;
            let candidates: Vec<_> = met.into_iter().filter_map(|key| Some((self.candidate(&key)?, key))).collect();
            for part in candidates.chunks(PAGE) {
                let asked = part.iter().map(|(kind, key)| (*kind, key.as_str()));
                let ages = self.queue.are_orphans("look", self.older, asked).await?;
                let seen = part.iter().zip(ages);
                found.extend(
                    seen.filter_map(|((kind, key), age)| Some(Orphan { kind: *kind, key: key.clone(), age_ms: age? })),
                );
            }
        }
        if found.is_empty() {
            return Ok(self.cursor.is_some().then(Vec::new));
        }
        tokio::time::sleep(MOMENT).await;
        self.queue.still_orphans("check", self.older, found).await.map(Some)
    }

    /// What a key is, if it can be left over.
    fn candidate(&self, key: &str) -> Option<OrphanKind> {
        let name = key.strip_prefix(self.queue.keys.base())?;
        Some(match keys::kind_of(name) {
            keys::Kind::Job if !self.listed.contains(&self.hasher.hash_one(name)) => OrphanKind::Job,
            keys::Kind::Part => OrphanKind::Part,
            keys::Kind::Marker => OrphanKind::Marker,
            keys::Kind::Deduplication => OrphanKind::Deduplication,
            keys::Kind::Job | keys::Kind::Queue => return None,
        })
    }
}

impl Queue {
    /// Deletes those that are left over still, and answers them. Parents that wait for such a job go on, as after a removal.
    ///
    /// May be repeated after an error.
    pub async fn delete_orphans(&self, found: Vec<Orphan>) -> Result<Vec<Orphan>, Error> {
        self.still_orphans("delete", YOUNGEST, found).await
    }

    async fn still_orphans(&self, mode: &str, older: Duration, found: Vec<Orphan>) -> Result<Vec<Orphan>, Error> {
        let mut waiting = 0;
        for list in self.keys.waiting() {
            waiting += reply::count("LLEN", &self.store.command().call("LLEN", vec![list.into()]).await?)?;
        }
        // lists are walked along once for each job
        let walks = WALK / usize::try_from(waiting).unwrap_or(WALK).max(1);
        let mut still = Vec::new();
        for part in found.chunks(walks.clamp(1, 100)) {
            let asked = part.iter().map(|orphan| (orphan.kind, orphan.key.as_str()));
            let ages = self.are_orphans(mode, older, asked).await?;
            still.extend(part.iter().zip(ages).filter(|(_, age)| age.is_some()).map(|(orphan, _)| orphan.clone()));
        }
        Ok(still)
    }

    /// The age in ms of each key that is left over.
    pub(super) async fn are_orphans(
        &self,
        mode: &str,
        older: Duration,
        asked: impl Iterator<Item = (OrphanKind, &str)>,
    ) -> Result<Vec<Option<u64>>, Error> {
        let base = self.keys.base();
        let mut args: Vec<Value> = vec![base.into(), self.store.now().0.into(), millis(older).into(), mode.into()];
        for (kind, key) in asked {
            args.extend([kind.as_str(), key.strip_prefix(base).unwrap_or_default()].map(Value::from));
        }
        let ages = self.store.command().script(&ORPHANS, &self.keys.meta(), args).await?;
        let ages = reply::array(ORPHANS.name, ages)?;
        ages.iter().map(|age| Ok(u64::try_from(reply::integer(ORPHANS.name, age)?).ok())).collect()
    }
}

#[cfg(test)]
mod tests;
