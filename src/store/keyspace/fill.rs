//! Stores a value in a key under a lock, so that of many who make it one does.

use std::time::Duration;

use bytes::Bytes;

use super::super::connection::Value;
use super::super::error::Error;
use super::super::script::FILL_KEY;
use super::super::{keys, reply};
use super::Keyspace;
use crate::job::millis;

/// What became of a value that was to be stored under a lock.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "what is stored is fetched"))]
pub(crate) enum Filled {
    Done,
    /// The lock has gone over to somebody else.
    LockLost,
    /// The key holds something that is no string.
    Other(String),
}

#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "what is stored is fetched"))]
impl Keyspace {
    /// Takes the lock under which a key is filled; false when somebody else has it.
    pub(crate) async fn lock(&self, key: &Bytes, token: &str, lasts: Duration) -> Result<bool, Error> {
        let lock = keys::warm_lock(key);
        let args = vec![lock.into(), token.into(), "NX".into(), "PX".into(), millis(lasts).into()];
        Ok(!matches!(self.connection.call("SET", args).await?, Value::Null))
    }

    /// Stores a value under the lock and gives that back.
    pub(crate) async fn fill(&self, key: &Bytes, token: &str, value: Bytes, ttl: Duration) -> Result<Filled, Error> {
        self.settle(key, token, "store", value, ttl).await
    }

    /// Gives the lock back; the value stays what it was.
    pub(crate) async fn unlock(&self, key: &Bytes, token: &str) -> Result<(), Error> {
        self.settle(key, token, "leave", Bytes::new(), Duration::ZERO).await.map(drop)
    }

    async fn settle(&self, key: &Bytes, token: &str, how: &str, value: Bytes, ttl: Duration) -> Result<Filled, Error> {
        let args = vec![token.into(), how.into(), value.into(), millis(ttl).into()];
        Ok(match self.connection.script_on(&FILL_KEY, key.clone().into(), args).await? {
            Value::Integer(1) => Filled::Done,
            Value::Integer(_) => Filled::LockLost,
            kind => Filled::Other(reply::text(FILL_KEY.name, kind)?),
        })
    }
}
