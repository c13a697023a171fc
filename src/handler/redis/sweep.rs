//! Goes through keys and deletes them, gives them a time to live, or shortens what they hold.

use std::time::Duration;

use bytes::Bytes;

use super::Run;
use super::tally::Stop;
use super::text::Keys;
use crate::config::{End, KeyType, ScoreUnit};
use crate::job::{UnixMillis, millis};
use crate::store::{Error, KeyCursor, Keyspace, Trimmed, Trimming};

/// Keys changed in one call.
const SLICE: usize = 1000;
/// Entries of a sorted set removed in one call, some three milliseconds; of a list a thousand times as many cost less.
const ENTRIES: usize = 2000;

/// The keys a job is about, a slice at a time.
pub(super) struct Walk<'a> {
    keyspace: &'a Keyspace,
    keys: &'a Keys,
    kind: Option<KeyType>,
    cursor: KeyCursor,
    is_done: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(keyspace: &'a Keyspace, keys: &'a Keys, kind: Option<KeyType>) -> Self {
        Self { keyspace, keys, kind, cursor: KeyCursor::start(), is_done: false }
    }

    /// The next ones, maybe none; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        match self.keys {
            Keys::Like(pattern) => {
                let keys = self.keyspace.scan(&mut self.cursor, pattern, self.kind).await?;
                self.is_done = self.cursor.is_at_end();
                Ok(Some(keys))
            }
            Keys::One(key) => {
                self.is_done = true;
                let found = self.keyspace.kind(key).await?;
                let fits = found.is_some_and(|found| self.kind.is_none_or(|kind| kind.as_str() == found));
                Ok(Some(if fits { vec![key.clone()] } else { Vec::new() }))
            }
        }
    }
}

/// How long keys are to live.
#[derive(Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) ttl: Duration,
    pub(super) jitter: Duration,
    pub(super) always: bool,
}

impl Lifetime {
    /// Of one key.
    pub(super) fn draw(self) -> Duration {
        self.ttl + self.jitter.mul_f64(fastrand::f64())
    }
}

/// What is to stay of a list, sorted set or stream.
pub(super) struct Shape {
    pub(super) count: Option<u64>,
    pub(super) older: Option<Duration>,
    pub(super) unit: ScoreUnit,
    pub(super) keep: Option<End>,
}

impl Run<'_, '_> {
    pub(super) async fn delete(&mut self, keys: &Keys, kind: Option<KeyType>) -> Result<(), Stop> {
        let mut walk = Walk::new(self.keyspace, keys, kind);
        while let Some(met) = walk.next().await? {
            let free = self.free(met).await?;
            for slice in free.chunks(self.tally.slice(SLICE)) {
                let granted = self.tally.grant(slice.len())?;
                let gone = if self.tally.is_dry_run() {
                    slice.len() as u64
                } else {
                    self.keyspace.unlink(&slice[..granted]).await?
                };
                self.tally.deleted(gone);
                self.tally.pause().await?;
            }
            self.tally.pause().await?;
        }
        Ok(())
    }

    pub(super) async fn expire(&mut self, keys: &Keys, kind: Option<KeyType>, life: Lifetime) -> Result<(), Stop> {
        let mut walk = Walk::new(self.keyspace, keys, kind);
        self.tally.expiring(0);
        while let Some(met) = walk.next().await? {
            let free = self.free(met).await?;
            for slice in free.chunks(self.tally.slice(SLICE)) {
                let drawn: Vec<_> = slice.iter().map(|key| (key.clone(), life.draw())).collect();
                let dry_run = self.tally.is_dry_run();
                if self.tally.is_promised() {
                    // most have a time to live already, and those are no reason to stop
                    let wanted = self.keyspace.expire(&drawn, life.always, true, drawn.len()).await?;
                    self.tally.grant(usize::try_from(wanted).unwrap_or(usize::MAX))?;
                }
                let most = self.tally.left(drawn.len())?;
                let changed = self.keyspace.expire(&drawn, life.always, dry_run, most).await?;
                self.tally.expiring(changed);
                self.tally.pause().await?;
            }
            self.tally.pause().await?;
        }
        Ok(())
    }

    pub(super) async fn trim(&mut self, keys: &Keys, shape: &Shape) -> Result<(), Stop> {
        let before = match shape.older {
            Some(older) => Some(UnixMillis(self.keyspace.now().await?.0.saturating_sub(millis(older)))),
            None => None,
        };
        let unit = Duration::from_millis(if shape.unit == ScoreUnit::Millis { 1 } else { 1000 });
        let to = Trimming { count: shape.count, before, unit, keep: shape.keep };
        let mut walk = Walk::new(self.keyspace, keys, None);
        while let Some(met) = walk.next().await? {
            for key in self.free(met).await? {
                self.trim_key(&key, &to).await?;
            }
            self.tally.pause().await?;
        }
        Ok(())
    }

    async fn trim_key(&mut self, key: &Bytes, to: &Trimming) -> Result<(), Stop> {
        if self.tally.is_dry_run() || self.tally.is_promised() {
            let Some(excess) = self.excess(key, to).await? else { return Ok(()) };
            if self.tally.is_dry_run() {
                self.tally.deleted(excess);
                return Ok(());
            }
            self.tally.grant(usize::try_from(excess).unwrap_or(usize::MAX))?;
        }
        loop {
            let most = self.tally.left(self.tally.slice(ENTRIES))?;
            match self.keyspace.trim(key, to, most, None).await? {
                Trimmed::Entries(0) => return Ok(()),
                Trimmed::Entries(gone) | Trimmed::Part(gone, _) => self.tally.deleted(gone),
                Trimmed::Other(kind) => {
                    self.tally.error(key, &not_trimmable(&kind));
                    return Ok(());
                }
            }
            self.tally.pause().await?;
        }
    }

    /// How many entries are too many; `None`: the key cannot be trimmed, which was said.
    async fn excess(&mut self, key: &Bytes, to: &Trimming) -> Result<Option<u64>, Stop> {
        let mut from = "-".to_owned();
        let mut excess = 0;
        loop {
            match self.keyspace.trim(key, to, 0, Some(&from)).await? {
                Trimmed::Entries(entries) => return Ok(Some(excess + entries)),
                Trimmed::Part(entries, next) => (excess, from) = (excess + entries, next),
                Trimmed::Other(kind) => {
                    self.tally.error(key, &not_trimmable(&kind));
                    return Ok(None);
                }
            }
            self.tally.pause().await?;
        }
    }
}

fn not_trimmable(kind: &str) -> String {
    format!("a {kind}, expected a list, a sorted set or a stream")
}
