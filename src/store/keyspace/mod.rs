//! Keys that are no queue's: found, deleted, given a time to live, shortened and filled, in calls of a bounded size.
//!
//! The redis handler works on these, over a connection of its own: what it looks through can be long, and the queues'
//! commands do not wait behind it. Every call may be repeated after any error.

mod fill;
mod guard;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;

#[cfg(feature = "http")]
pub(crate) use fill::Filled;
pub(crate) use guard::{Guard, Sieve};

use super::connection::{Connection, Role, Value};
use super::error::Error;
use super::script::{DROP_MEMBERS, EXPIRE_KEYS, TRIM_KEY};
use super::server::ServerInfo;
use super::{keys, reply};
use crate::config::{self, End, KeyType};
use crate::job::{UnixMillis, millis};

/// Keys or members looked at in one call.
const SLICE: u32 = 1000;

/// One connection to a server, for everything but queues.
pub(crate) struct Keyspace {
    connection: Connection,
}

/// How far a walk through keys or members has come.
#[derive(Debug)]
pub(crate) struct Cursor {
    at: String,
    is_at_end: bool,
    /// The server process whose cursor this is.
    process: Option<String>,
}

impl Cursor {
    pub(crate) fn start() -> Self {
        Self { at: "0".to_owned(), is_at_end: false, process: None }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.is_at_end
    }
}

/// What a key holds, as far as it has members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collection {
    Set,
    Zset,
    /// The key is gone.
    None,
    Other(&'static str),
}

/// What is to stay of a list, sorted set or stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trimming {
    pub(crate) count: Option<u64>,
    pub(crate) before: Option<UnixMillis>,
    /// What one unit of a score is.
    pub(crate) unit: Duration,
    pub(crate) keep: Option<End>,
}

/// What a step of trimming did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trimmed {
    /// This many entries went, or would go.
    Entries(u64),
    /// Entries counted, and where to go on counting.
    Part(u64, String),
    /// The key holds nothing that can be trimmed.
    Other(String),
}

impl Keyspace {
    /// Connects and checks the server. A cluster is refused: what is looked through here lives on one server.
    pub(crate) async fn open(redis: &config::Redis) -> Result<Self, Error> {
        let connection = Connection::open(redis, Role::Command).await?;
        ServerInfo::read(&connection).await?.require()?;
        Self::over(connection).await
    }

    /// As [`Keyspace::open`], over a connection that is there.
    pub(super) async fn over(connection: Connection) -> Result<Self, Error> {
        let cluster = reply::text("INFO", connection.call("INFO", vec!["cluster".into()]).await?)?;
        if cluster.lines().any(|line| line.trim() == "cluster_enabled:1") {
            let text = format!("{} is a cluster, which is not supported yet; name one server", connection.server());
            return Err(Error::Setup(text));
        }
        Ok(Self { connection })
    }

    /// One step through the key space: the keys met. Keys that are there from beginning to end are met, some maybe twice.
    pub(crate) async fn scan(
        &self,
        cursor: &mut Cursor,
        pattern: &str,
        kind: Option<KeyType>,
    ) -> Result<Vec<Bytes>, Error> {
        let mut args: Vec<Value> = [cursor.at.as_str(), "MATCH", pattern, "COUNT"].map(Value::from).to_vec();
        args.push(SLICE.into());
        if let Some(kind) = kind {
            args.extend(["TYPE", kind.as_str()].map(Value::from));
        }
        self.step(cursor, "SCAN", args).await
    }

    /// One call that moves a cursor. The server tells with it which process it is: the cursor of another one, that was
    /// restarted or has taken over in between, would skip what it likes, and is an error that passes.
    async fn step(&self, cursor: &mut Cursor, what: &'static str, args: Vec<Value>) -> Result<Vec<Bytes>, Error> {
        let (answer, process) =
            tokio::join!(self.connection.call(what, args), self.connection.call("INFO", vec!["server".into()]));
        let (at, met) = page(what, answer?)?;
        let process = ServerInfo::parse(&reply::text("INFO", process?)?).run_id;
        if cursor.process.get_or_insert_with(|| process.clone()) != &process {
            let reason = "another server process has taken over".to_owned();
            return Err(Error::Ambiguous { server: self.connection.server().to_owned(), command: what, reason });
        }
        cursor.is_at_end = at == "0";
        cursor.at = at;
        Ok(met)
    }

    /// What a key is, if it is there.
    pub(crate) async fn kind(&self, key: &Bytes) -> Result<Option<String>, Error> {
        let kind = reply::text("TYPE", self.connection.call("TYPE", vec![key.clone().into()]).await?)?;
        Ok((kind != "none").then_some(kind))
    }

    /// Deletes keys, their memory freed aside; how many there were.
    pub(crate) async fn unlink(&self, keys: &[Bytes]) -> Result<u64, Error> {
        let keys = keys.iter().cloned().map(Value::from).collect();
        reply::count("UNLINK", &self.connection.call("UNLINK", keys).await?)
    }

    /// Gives each key its time to live, `most` of them; how many were changed. Without `always` only those that have none.
    pub(crate) async fn expire(
        &self,
        keys: &[(Bytes, Duration)],
        always: bool,
        dry_run: bool,
        most: usize,
    ) -> Result<u64, Error> {
        let Some((first, _)) = keys.first() else { return Ok(0) };
        let only = if always { "always" } else { "missing" };
        let mut args: Vec<Value> =
            vec![only.into(), i64::from(dry_run).into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
        for (key, ttl) in keys {
            args.extend([Value::from(key.clone()), millis(*ttl).into()]);
        }
        reply::count(EXPIRE_KEYS.name, &self.connection.script_on(&EXPIRE_KEYS, first.clone().into(), args).await?)
    }

    /// Whether a key has members to go through.
    pub(crate) async fn collection(&self, key: &Bytes) -> Result<Collection, Error> {
        Ok(match self.kind(key).await?.as_deref() {
            None => Collection::None,
            Some("set") => Collection::Set,
            Some("zset") => Collection::Zset,
            Some(other) => {
                let known = KeyType::NAMES.iter().find(|(name, _)| *name == other);
                Collection::Other(known.map_or("something else", |(name, _)| name))
            }
        })
    }

    /// One step through the members of a collection, as [`Keyspace::scan`].
    pub(crate) async fn members(&self, cursor: &mut Cursor, key: &Bytes, of: Collection) -> Result<Vec<Bytes>, Error> {
        let args = vec![key.clone().into(), cursor.at.as_str().into(), "COUNT".into(), SLICE.into()];
        if of == Collection::Zset {
            // member, score, member, score
            return Ok(self.step(cursor, "ZSCAN", args).await?.into_iter().step_by(2).collect());
        }
        self.step(cursor, "SSCAN", args).await
    }

    /// Which of the keys are gone.
    pub(crate) async fn are_gone(&self, keys: &[Bytes]) -> Result<Vec<bool>, Error> {
        let asked = keys.iter().map(|key| self.connection.call("EXISTS", vec![key.clone().into()]));
        try_join_all(asked).await?.iter().map(|there| Ok(reply::count("EXISTS", there)? == 0)).collect()
    }

    /// Takes members whose key is gone out of a collection; how many. `Err` inside: the key is of this other type.
    pub(crate) async fn drop_gone(&self, key: &Bytes, pairs: &[(Bytes, Bytes)]) -> Result<Result<u64, String>, Error> {
        Ok(self.drop_members(key, "gone", pairs).await?.map(|(members, _)| members))
    }

    /// Takes members out of a collection and deletes their keys, in one step; how many keys there were.
    pub(crate) async fn drop_all(&self, key: &Bytes, pairs: &[(Bytes, Bytes)]) -> Result<Result<u64, String>, Error> {
        Ok(self.drop_members(key, "all", pairs).await?.map(|(_, keys)| keys))
    }

    async fn drop_members(
        &self,
        key: &Bytes,
        which: &str,
        pairs: &[(Bytes, Bytes)],
    ) -> Result<Result<(u64, u64), String>, Error> {
        let mut args: Vec<Value> = vec![which.into()];
        for (member, key) in pairs {
            args.extend([Value::from(member.clone()), key.clone().into()]);
        }
        match self.connection.script_on(&DROP_MEMBERS, key.clone().into(), args).await? {
            Value::Array(parts) => match parts.as_slice() {
                [members, keys] => {
                    let count = |part| reply::count(DROP_MEMBERS.name, part);
                    Ok(Ok((count(members)?, count(keys)?)))
                }
                other => Err(reply::unexpected(DROP_MEMBERS.name, "two numbers", &Value::Array(other.to_vec()))),
            },
            kind => reply::text(DROP_MEMBERS.name, kind).map(Err),
        }
    }

    /// Removes up to `most` entries; call again until none goes. With `count_from` it only counts, from there on.
    pub(crate) async fn trim(
        &self,
        key: &Bytes,
        to: &Trimming,
        most: usize,
        count_from: Option<&str>,
    ) -> Result<Trimmed, Error> {
        let number = |number: Option<i64>| number.map_or_else(|| Value::from(""), Value::from);
        let keep = to.keep.map_or("", |end| if end == End::Left { "left" } else { "right" });
        let args = vec![
            number(to.count.map(|count| i64::try_from(count).unwrap_or(i64::MAX))),
            number(to.before.map(|before| before.0)),
            millis(to.unit).into(),
            keep.into(),
            i64::try_from(most).unwrap_or(i64::MAX).into(),
            count_from.unwrap_or_default().into(),
        ];
        let what = TRIM_KEY.name;
        let parts = reply::array(what, self.connection.script_on(&TRIM_KEY, key.clone().into(), args).await?)?;
        let [kind, entries, next] = <[Value; 3]>::try_from(parts)
            .map_err(|parts| reply::unexpected(what, "a type, a number and an id", &Value::Array(parts)))?;
        let (kind, entries, next) = (reply::text(what, kind)?, reply::count(what, &entries)?, reply::text(what, next)?);
        Ok(match kind.as_str() {
            "list" | "zset" | "stream" if !next.is_empty() => Trimmed::Part(entries, next),
            "list" | "zset" | "stream" | "none" => Trimmed::Entries(entries),
            _ => Trimmed::Other(kind),
        })
    }

    /// The server's clock.
    pub(crate) async fn now(&self) -> Result<UnixMillis, Error> {
        let parts = reply::array("TIME", self.connection.call("TIME", Vec::new()).await?)?;
        let [seconds, micros] = parts.as_slice() else {
            return Err(reply::unexpected("TIME", "two numbers", &Value::Array(parts)));
        };
        let (seconds, micros) = (reply::integer("TIME", seconds)?, reply::integer("TIME", micros)?);
        Ok(UnixMillis(seconds * 1000 + micros / 1000))
    }

    /// Which of these bases, `P:Q:`, are those of queues that some BullMQ client has opened or added to.
    async fn are_queues(&self, bases: &[Bytes]) -> Result<Vec<bool>, Error> {
        let asked = bases.iter().map(|base| async {
            let args = [keys::meta_of(base).into(), "opts.maxLenEvents".into(), "version".into()];
            match self.connection.call("HMGET", args.into()).await {
                Ok(Value::Array(fields)) => Ok(fields.iter().any(|field| !matches!(field, Value::Null))),
                Ok(_) | Err(Error::WrongType { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        });
        try_join_all(asked).await
    }
}

/// What one of the SCAN commands answers: where to go on, and what was met.
fn page(what: &'static str, answer: Value) -> Result<(String, Vec<Bytes>), Error> {
    let mut parts = reply::array(what, answer)?.into_iter();
    let mut part = || parts.next().unwrap_or(Value::Null);
    let next = reply::text(what, part())?;
    let met = reply::array(what, part())?;
    let bytes = |value: Value| value.into_bytes().ok_or_else(|| reply::unexpected(what, "text", &Value::Null));
    Ok((next, met.into_iter().map(bytes).collect::<Result<_, _>>()?))
}
