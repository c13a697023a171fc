//! Values that can be made again, kept for a while so that they need not be.
//!
//! A value is a string in Redis under `PREFIX:entity:operation:k=v:variant`: bytes as they are, or JSON. `null` is the note
//! that there is nothing, which is worth as much as a value to those who would look for it. Tags are sets of whole keys,
//! `PREFIX:tag:NAME`.

mod figures;
mod fill;
mod flights;
mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use figures::Figures;
pub use fill::{Begun, Ticket};
pub use key::{Key, Pattern};

use super::Error;
use crate::config;
use crate::store::{AppStore, Stored, Swept};
use figures::Counts;
use flights::Flights;

/// The note that there is nothing.
const ABSENT: &[u8] = b"null";

fn is_absent(value: &[u8]) -> bool {
    value == ABSENT
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    store: AppStore,
    settings: config::app::Cache,
    counts: Arc<Counts>,
    flights: Arc<Flights>,
}

/// What is found under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    Hit(T),
    /// It is known that there is nothing.
    Absent,
    /// Nothing is known.
    Miss,
}

impl<T> Lookup<T> {
    /// The value, if there is one.
    #[must_use]
    pub fn hit(self) -> Option<T> {
        match self {
            Self::Hit(value) => Some(value),
            Self::Absent | Self::Miss => None,
        }
    }
}

impl Lookup<Bytes> {
    fn read<T: DeserializeOwned>(self, key: &Key) -> Result<Lookup<T>, Error> {
        Ok(match self {
            Self::Hit(value) => Lookup::Hit(read(key, &value)?),
            Self::Absent => Lookup::Absent,
            Self::Miss => Lookup::Miss,
        })
    }
}

/// How a value is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    tags: Vec<String>,
    ttl: Option<Duration>,
}

impl Keep {
    /// Deleting by this tag takes the value away.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// How long it lives at most, instead of what the table says for its entity.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

impl Cache {
    pub(super) fn new(store: AppStore, settings: config::app::Cache) -> Self {
        let (counts, flights) = Default::default();
        Self { inner: Arc::new(Inner { store, settings, counts, flights }) }
    }

    /// Another that counts on.
    pub(super) fn renew(&self, store: AppStore, settings: config::app::Cache) -> Self {
        let (counts, flights) = (Arc::clone(&self.inner.counts), Arc::default());
        Self { inner: Arc::new(Inner { store, settings, counts, flights }) }
    }

    /// A value. Cancel safe.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Lookup<T>, Error> {
        self.get_bytes(key).await?.read(key)
    }

    /// A value as it stands there. Cancel safe.
    pub async fn get_bytes(&self, key: &Key) -> Result<Lookup<Bytes>, Error> {
        Ok(self.looked_up(self.inner.store.cached(&key.to_string()).await?))
    }

    /// Several values, in the order asked for. Cancel safe.
    pub async fn get_many<T: DeserializeOwned>(&self, keys: &[Key]) -> Result<Vec<Lookup<T>>, Error> {
        let found = self.get_many_bytes(keys).await?;
        keys.iter().zip(found).map(|(key, found)| found.read(key)).collect()
    }

    /// Several values as they stand there, in the order asked for. Cancel safe.
    pub async fn get_many_bytes(&self, keys: &[Key]) -> Result<Vec<Lookup<Bytes>>, Error> {
        let found = self.inner.store.all_cached(&names(keys)).await?;
        Ok(found.into_iter().map(|value| self.looked_up(value)).collect())
    }

    /// Stores a value; what serializes to `null` is the note that there is nothing. What others are making of it at the
    /// moment is not stored.
    pub async fn set<T: Serialize + ?Sized>(&self, key: &Key, value: &T, keep: &Keep) -> Result<(), Error> {
        self.set_bytes(key, json(key, value)?, keep).await
    }

    /// Stores a value as it is; the bytes `null` are the note that there is nothing.
    pub async fn set_bytes(&self, key: &Key, value: Bytes, keep: &Keep) -> Result<(), Error> {
        self.store_all(vec![(key, value)], keep).await
    }

    /// Stores several values, all of them kept alike, in calls of a bounded size. One that is too large keeps all of them
    /// from being stored.
    pub async fn set_many<T: Serialize>(&self, values: &[(Key, T)], keep: &Keep) -> Result<(), Error> {
        let values = values.iter().map(|(key, value)| Ok((key, json(key, value)?))).collect::<Result<_, Error>>()?;
        self.store_all(values, keep).await
    }

    async fn store_all(&self, values: Vec<(&Key, Bytes)>, keep: &Keep) -> Result<(), Error> {
        let count = values.len() as u64;
        let limit = self.inner.settings.max_size;
        let stored = values.into_iter().map(|(key, value)| {
            if value.len() > limit {
                return Err(Error::TooLarge { key: key.to_string(), size: value.len(), limit });
            }
            let ttl = if is_absent(&value) { self.absent_ttl(key, keep) } else { self.ttl(key, keep) };
            Ok(Stored { name: key.to_string(), value, life: self.life(ttl) })
        });
        self.inner.store.put_cached(stored.collect::<Result<_, _>>()?, &keep.tags).await?;
        self.inner.counts.stored.add(count);
        Ok(())
    }

    /// The value, made by `make` where it is not there, and by one caller over all processes at a time; the others are
    /// given what that one made. An `Option` that is `None` is kept as well, for `absent_ttl`.
    ///
    /// A value is not stored that was deleted or replaced while it was made; its caller gets it all the same. While Redis
    /// is away every caller makes its own.
    ///
    /// Dropping the future leaves the making to the next caller.
    pub async fn get_or_set<T, E, F, Fut>(&self, key: &Key, keep: &Keep, make: F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<Error>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut begun = self.begin(key, keep).await;
        if let Ok(Begun::There(value)) = &begun {
            match serde_json::from_slice(value) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    // stored by an older program, or another one
                    tracing::debug!(%key, %error, "a cached value does not read; making it again");
                    begun = match self.delete(std::slice::from_ref(key)).await {
                        Ok(_) => self.begin(key, keep).await,
                        Err(error) => Err(error),
                    };
                }
            }
        }
        let ticket = match begun {
            Ok(Begun::There(value)) => return Ok(read(key, &value)?),
            Ok(Begun::Make(ticket)) => ticket,
            Err(error) => return Err(error.into()),
        };
        let value = match make().await {
            Ok(value) => value,
            Err(error) => {
                // or its time gives the lock back
                let _ = ticket.leave().await;
                return Err(error);
            }
        };
        match ticket.fill(json(key, &value)?).await {
            Err(error) if !error.is_temporary() => Err(error.into()),
            _ => Ok(value),
        }
    }

    /// Deletes values; how many there were. What others are making of them at the moment is not stored.
    pub async fn delete(&self, keys: &[Key]) -> Result<u64, Error> {
        let (deleted, _) = self.inner.store.drop_cached(&names(keys)).await?;
        self.inner.counts.deleted.add(deleted);
        Ok(deleted)
    }

    /// Deletes every value that bears the tag; how many there were. What others are making under it at the moment is not
    /// stored.
    pub async fn delete_tag(&self, tag: &str) -> Result<u64, Error> {
        let deleted = self.inner.store.drop_tag(tag).await?;
        self.inner.counts.deleted.add(deleted);
        Ok(deleted)
    }

    /// Deletes every value that a pattern covers, in slices over the whole key space: for clean-ups, tags are quicker. What
    /// others are making of them at the moment is not stored.
    pub async fn delete_matching(&self, pattern: &Pattern) -> Result<Swept, Error> {
        let swept = self.inner.store.drop_matching(pattern.as_glob(), |name| pattern.covers(name)).await?;
        self.inner.counts.deleted.add(swept.deleted);
        Ok(swept)
    }

    /// Counts since the start of the process.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.inner.counts.read()
    }

    fn looked_up(&self, value: Option<Bytes>) -> Lookup<Bytes> {
        let counts = &self.inner.counts;
        let (count, lookup) = match value {
            Some(value) if is_absent(&value) => (&counts.hits, Lookup::Absent),
            Some(value) => (&counts.hits, Lookup::Hit(value)),
            None => (&counts.misses, Lookup::Miss),
        };
        count.one();
        lookup
    }

    fn ttl(&self, key: &Key, keep: &Keep) -> Duration {
        let settings = &self.inner.settings;
        keep.ttl.or_else(|| settings.ttls.get(key.entity()).copied()).unwrap_or(settings.ttl)
    }

    /// Never longer than a value.
    fn absent_ttl(&self, key: &Key, keep: &Keep) -> Duration {
        self.inner.settings.absent_ttl.min(self.ttl(key, keep))
    }

    /// How long one value lives.
    fn life(&self, ttl: Duration) -> Duration {
        ttl.mul_f64(1.0 - self.inner.settings.jitter * fastrand::f64()).max(Duration::from_millis(1))
    }
}

fn names(keys: &[Key]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

fn json<T: Serialize + ?Sized>(key: &Key, value: &T) -> Result<Bytes, Error> {
    let bytes = serde_json::to_vec(value).map_err(|source| Error::NotJson { key: key.to_string(), source })?;
    Ok(bytes.into())
}

fn read<T: DeserializeOwned>(key: &Key, value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|source| Error::Unreadable { key: key.to_string(), source })
}
