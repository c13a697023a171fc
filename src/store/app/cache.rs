//! Values of the cache: strings, each with a time to live, and sets of the keys that bear a tag.
//!
//! Whoever makes a value that many want holds the lock `oxherd:warm:KEY` with a token, the same that the handler which
//! warms caches takes. Whatever stores or deletes the value otherwise takes the lock away, so that what was begun before
//! is never stored after.

use std::time::Duration;

use bytes::Bytes;

use super::super::connection::Value;
use super::super::keys::warm_lock;
use super::super::script::{BEGIN_FILL, DROP_CACHED, DROP_TAG, FILL_KEY, PUT_CACHED};
use super::super::{Error, reply};
use super::AppStore;
use crate::job::millis;

/// Keys in one call.
const SLICE: usize = 500;
/// Bytes of values in one call, but for a single one.
const BYTES: usize = 1024 * 1024;

/// How the making of a value begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It is there already.
    There(Bytes),
    /// The lock is ours.
    Ours,
    /// Somebody else makes it.
    Others,
}

/// A value to be stored, and how long it lives.
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) value: Bytes,
    pub(crate) life: Duration,
}

impl AppStore {
    /// A value, as its bytes stand there.
    pub(crate) async fn cached(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let key = self.keys.cached(name);
        bytes("GET", self.connection().await?.call("GET", vec![key.into()]).await?)
    }

    /// Values in the order asked for. A key that holds something else has none.
    pub(crate) async fn all_cached(&self, names: &[String]) -> Result<Vec<Option<Bytes>>, Error> {
        let connection = self.connection().await?;
        let mut found = Vec::with_capacity(names.len());
        for slice in names.chunks(SLICE) {
            let keys = slice.iter().map(|name| self.keys.cached(name).into()).collect();
            let values = reply::array("MGET", connection.call("MGET", keys).await?)?;
            for value in values {
                found.push(bytes("MGET", value)?);
            }
        }
        Ok(found)
    }

    /// Answers the value, or takes the lock to make it for `lock`; the key then bears the tags. `life` is the longest the
    /// value may live.
    pub(crate) async fn begin_fill(
        &self,
        name: &str,
        token: &str,
        lock: Duration,
        life: Duration,
        tags: &[String],
    ) -> Result<Begun, Error> {
        let mut args: Vec<Value> = vec![token.into(), millis(lock).into(), millis(lock + life).into()];
        args.extend(tags.iter().map(|tag| Value::from(self.keys.tag(tag))));
        let key = self.keys.cached(name);
        Ok(match self.connection().await?.script(&BEGIN_FILL, &key, args).await? {
            Value::Integer(1) => Begun::Ours,
            Value::Integer(_) => Begun::Others,
            value => bytes(BEGIN_FILL.name, value)?.map_or(Begun::Others, Begun::There),
        })
    }

    /// Stores the value and gives the lock back; false when the lock was not ours any more, and nothing was stored.
    pub(crate) async fn fill(&self, name: &str, token: &str, value: Bytes, life: Duration) -> Result<bool, Error> {
        self.settle(name, token, "store", value, life).await
    }

    /// Gives the lock back; false when it was not ours any more.
    pub(crate) async fn leave(&self, name: &str, token: &str) -> Result<bool, Error> {
        self.settle(name, token, "leave", Bytes::new(), Duration::ZERO).await
    }

    async fn settle(&self, name: &str, token: &str, how: &str, value: Bytes, life: Duration) -> Result<bool, Error> {
        let args = vec![token.into(), how.into(), value.into(), millis(life).into()];
        let key = self.keys.cached(name);
        match self.connection().await?.script(&FILL_KEY, &key, args).await? {
            Value::Integer(done) => Ok(done == 1),
            kind => {
                let kind = reply::text(FILL_KEY.name, kind)?;
                Err(Error::WrongType { command: FILL_KEY.name, message: format!("{key} is a {kind}") })
            }
        }
    }

    /// Stores values, in calls of a bounded size; all of them bear the tags.
    pub(crate) async fn put_cached(&self, values: Vec<Stored>, tags: &[String]) -> Result<(), Error> {
        let connection = self.connection().await?;
        let tags: Vec<Value> = tags.iter().map(|tag| self.keys.tag(tag).into()).collect();
        let mut values = values.into_iter().peekable();
        while let Some(first) = values.peek() {
            let key = self.keys.cached(&first.name);
            let (mut size, mut longest, mut triples) = (0, Duration::ZERO, Vec::new());
            while let Some(next) =
                values.next_if(|next| size == 0 || size + next.value.len() < BYTES && triples.len() < SLICE * 3)
            {
                size += next.value.len().max(1);
                longest = longest.max(next.life);
                let key = self.keys.cached(&next.name);
                triples.extend([Value::from(key), next.value.into(), millis(next.life).into()]);
            }
            let mut args: Vec<Value> =
                vec![i64::try_from(tags.len()).unwrap_or(i64::MAX).into(), millis(longest).into()];
            args.extend(tags.iter().cloned());
            args.extend(triples);
            connection.script(&PUT_CACHED, &key, args).await?;
        }
        Ok(())
    }

    /// Deletes values, and has nobody store what is being made of them; how many there were, and how many keys hold
    /// something else and were left alone.
    pub(crate) async fn drop_cached(&self, names: &[String]) -> Result<(u64, u64), Error> {
        let connection = self.connection().await?;
        let (mut deleted, mut left) = (0, 0);
        for slice in names.chunks(SLICE) {
            let keys: Vec<Value> = slice.iter().map(|name| self.keys.cached(name).into()).collect();
            let answer = connection.script_on(&DROP_CACHED, keys[0].clone(), keys).await?;
            let (gone, other) = pair(DROP_CACHED.name, answer)?;
            (deleted, left) = (deleted + gone, left + other);
        }
        Ok((deleted, left))
    }

    /// Deletes the values that bear a tag, and the tag; how many there were. What is being made under the tag is not
    /// stored.
    pub(crate) async fn drop_tag(&self, tag: &str) -> Result<u64, Error> {
        let connection = self.connection().await?;
        let key = self.keys.tag(tag);
        let mut deleted = 0;
        loop {
            let args = vec![self.keys.base().into(), i64::try_from(SLICE).unwrap_or(i64::MAX).into()];
            let (gone, left) = pair(DROP_TAG.name, connection.script(&DROP_TAG, &key, args).await?)?;
            deleted += gone;
            if left == 0 {
                return Ok(deleted);
            }
        }
    }

    /// The lock of a value that is being made.
    pub(super) fn lock_pattern(pattern: &str) -> String {
        String::from_utf8_lossy(&warm_lock(pattern.as_bytes())).into_owned()
    }
}

fn bytes(what: &'static str, value: Value) -> Result<Option<Bytes>, Error> {
    match value {
        Value::Null => Ok(None),
        Value::Array(_) | Value::Map(_) => Err(reply::unexpected(what, "bytes", &value)),
        value => Ok(value.into_bytes()),
    }
}

fn pair(what: &'static str, value: Value) -> Result<(u64, u64), Error> {
    let parts = reply::array(what, value)?;
    let [first, second] = parts.as_slice() else {
        return Err(reply::unexpected(what, "two numbers", &Value::Array(parts)));
    };
    Ok((reply::count(what, first)?, reply::count(what, second)?))
}
