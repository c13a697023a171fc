//! Deletes values of the cache by pattern: in slices, and never a key of a queue.

use std::time::Duration;

use bytes::Bytes;

use super::super::keyspace::{Cursor, Guard, Keyspace, Sieve};
use super::super::{Error, keys};
use super::AppStore;
use crate::config::KeyType;

/// How often a walk begins again when the connection is lost: a cursor is of no use to another server process.
const RESTARTS: u32 = 6;

/// What a deletion by pattern came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Values that went.
    pub deleted: u64,
    /// Keys left alone because they belong to queues.
    pub protected: u64,
    /// Keys left alone because they hold something else than a value.
    pub other: u64,
    /// How often it began again because the connection was lost; the two counts above begin anew with it.
    pub restarts: u32,
}

impl AppStore {
    /// Deletes the values whose name matches and is `wanted`, and has nobody store what is being made of them.
    pub(crate) async fn drop_matching(&self, pattern: &str, wanted: impl Fn(&str) -> bool) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        loop {
            let error = match Box::pin(self.sweep(pattern, &wanted, &mut swept)).await {
                Err(error) if error.is_temporary() && swept.restarts < RESTARTS => error,
                ended => return ended.map(|()| swept),
            };
            tracing::warn!(pattern, %error, "deleting by pattern begins again");
            swept = Swept { deleted: swept.deleted, restarts: swept.restarts + 1, ..Swept::default() };
            tokio::time::sleep(Duration::from_millis(100 << swept.restarts)).await;
        }
    }

    async fn sweep(&self, pattern: &str, wanted: impl Fn(&str) -> bool, swept: &mut Swept) -> Result<(), Error> {
        let keyspace = Keyspace::over(self.connection().await?.clone()).await?;
        let guard = Guard::new(self.store.prefix(), &[]);
        let mut sieve = Sieve::new(&keyspace, &guard);
        let pattern = self.keys.cached_pattern(pattern);
        // locks first: of a value that is stored while this is looked for, the key is there for the second walk
        for (pattern, is_lock) in [(Self::lock_pattern(&pattern), true), (pattern, false)] {
            let mut cursor = Cursor::start();
            while !cursor.is_at_end() {
                let met = keyspace.scan(&mut cursor, &pattern, is_lock.then_some(KeyType::String)).await?;
                let met = met.into_iter().filter_map(|key| if is_lock { keys::warmed(&key) } else { Some(key) });
                let met: Vec<Bytes> = met.filter(|key| self.keys.name(key).is_some_and(&wanted)).collect();
                let (free, protected) = sieve.sift(met, |key| key).await?;
                swept.protected += if is_lock { 0 } else { protected };
                let names: Vec<String> = free.iter().filter_map(|key| self.keys.name(key)).map(str::to_owned).collect();
                let (deleted, other) = self.drop_cached(&names).await?;
                swept.deleted += deleted;
                swept.other += if is_lock { 0 } else { other };
            }
        }
        Ok(())
    }
}
