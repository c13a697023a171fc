//! A queue that is a plain Redis list, filled by programs that know nothing of queues. [`List`] is what can be seen of one and
//! done to it from outside; the engine works it through [`crate::store::WorkQueue`].
//!
//! Beside the list stand keys of oxherd's own, all of them in its slot: what is in hand, delayed and dead, and some notes.
//! `docs/lists.md` tells of each.

mod bell;
mod element;
mod records;
#[cfg(test)]
mod tests;
mod work;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) use bell::Bell;
pub use records::ElementRecord;
pub(crate) use work::ListQueue;

use element::{Note, Reader};

use super::connection::Value;
use super::gates::{self, StoredGate};
use super::keys::ListKeys;
use super::queue::{Counts, MAX_PAGE, StoredRateLimit};
use super::script::{LIST_CLEAN, LIST_OVERVIEW, LIST_PAUSE, LIST_RETRY};
use super::{Error, Store, reply};
use crate::config::{self, Side};
use crate::job::{QueueName, State, UnixMillis};

/// Elements handled in one call: they may be long.
const BATCH: u64 = 500;
/// Elements pushed in one call.
const PUSH: usize = 1000;
/// Takes that are told of in one call.
const TAKES: usize = 1000;

/// A list of the store, as a queue of the configuration describes it. Cheap to clone.
#[derive(Clone)]
pub struct List {
    store: Store,
    keys: ListKeys,
    name: QueueName,
    settings: config::List,
    max_payload: usize,
}

/// How a list stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListOverview {
    pub queue: QueueName,
    /// The list's key.
    pub list: String,
    /// `reliable` or `at-most-once`
    pub mode: &'static str,
    pub paused: bool,
    /// `waiting` is the length of the list, `active` what is in hand over all processes, `failed` the dead list.
    pub counts: Counts,
    /// Elements in hand at once over all processes.
    pub concurrency: Option<u64>,
    /// Elements taken per window over all processes.
    pub rate_limit: Option<StoredRateLimit>,
    /// Processes that work the list, and such as have gone and left something in hand.
    pub holders: Vec<Holder>,
}

/// A process that works a list, or has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its name, or, where it is not known any more, the random end of that.
    pub instance: String,
    pub in_hand: u64,
    /// When the first of its leases ends; what it holds goes back to the list then unless it renews it.
    pub lease_until: Option<UnixMillis>,
    /// Whether it has shown itself of late.
    pub present: bool,
}

/// An element that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub bytes: Bytes,
    /// Where the element itself says it.
    pub id: Option<String>,
    /// What a handler would be given, or why it cannot be.
    pub data: Result<Box<RawValue>, String>,
}

/// An element that waits for its next attempt.
#[derive(Debug, Clone)]
pub struct Delayed {
    pub id: String,
    pub bytes: Bytes,
    pub due: UnixMillis,
    pub attempts_made: u32,
    /// Of its last failure.
    pub reason: Option<String>,
    /// When it was first taken.
    pub since: Option<UnixMillis>,
    /// The note and the element as Redis holds them.
    pub entry: Bytes,
}

/// An element that is given up.
#[derive(Debug, Clone)]
pub struct Dead {
    pub id: String,
    pub bytes: Bytes,
    pub attempts_made: u32,
    pub reason: String,
    pub at: Option<UnixMillis>,
    /// When it was first taken.
    pub since: Option<UnixMillis>,
    /// The queue it was worked as.
    pub queue: Option<String>,
    /// The process that gave it up.
    pub by: Option<String>,
    /// Stack traces of its attempts, a JSON array of texts.
    pub stacktrace: Option<String>,
    /// The element and its note as the dead list holds them: what [`List::retry`] wants.
    pub entry: Bytes,
}

impl Store {
    /// The list that a queue of the configuration is; `None` where it is one of BullMQ's. Nothing is read or written yet.
    #[must_use]
    pub fn list(&self, queue: &config::Queue) -> Option<List> {
        queue.list.as_ref().map(|list| List::new(self, queue, list))
    }
}

impl List {
    pub(super) fn new(store: &Store, queue: &config::Queue, list: &config::List) -> Self {
        Self {
            store: store.clone(),
            keys: ListKeys::new(&list.key),
            name: queue.name.clone(),
            settings: list.clone(),
            max_payload: queue.max_payload,
        }
    }

    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// The list's key.
    pub fn key(&self) -> &str {
        self.keys.list()
    }

    fn reader(&self) -> Reader {
        Reader::new(&self.name, &self.settings, self.max_payload)
    }

    async fn call(&self, command: &'static str, args: &[&str]) -> Result<Value, Error> {
        self.store.command().call(command, args.iter().map(|arg| Value::from(*arg)).collect()).await
    }

    /// Of the states a BullMQ queue has, those that an element can be in are counted.
    pub async fn counts(&self) -> Result<Counts, Error> {
        self.overview().await.map(|overview| overview.counts)
    }

    pub async fn is_paused(&self) -> Result<bool, Error> {
        self.overview().await.map(|overview| overview.paused)
    }

    /// What is known, and of the takes those behind so many.
    async fn overview_from(&self, passed: usize) -> Result<Value, Error> {
        let args = vec![self.keys.root().into(), passed.to_string().into(), TAKES.to_string().into()];
        self.store.command().script(&LIST_OVERVIEW, self.keys.list(), args).await
    }

    /// All there is to know about the list; at one moment, but where very much is in hand.
    pub async fn overview(&self) -> Result<ListOverview, Error> {
        let what = LIST_OVERVIEW.name;
        let answer = self.overview_from(0).await?;
        let mut parts = reply::array(what, answer)?.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Null);
        let [waiting, delayed, failed, paused] = [next(), next(), next(), next()].map(|part| reply::count(what, &part));
        let mut number = || next().as_string().and_then(|text| text.parse::<u64>().ok());
        let (concurrency, max, duration) = (number(), number(), number());
        let mut holders: Vec<Holder> = Vec::new();
        let mut active = 0;
        let mut takes = reply::array(what, next())?;
        for process in reply::array(what, next())? {
            if let [name, _] = reply::texts(what, process)?.as_slice() {
                let holder = Holder { instance: name.clone(), in_hand: 0, lease_until: None, present: true };
                holders.push(holder);
            }
        }
        let mut told = takes.len();
        while told == TAKES {
            let more = reply::array(what, self.overview_from(takes.len()).await?)?.into_iter().nth(7);
            let more = reply::array(what, more.unwrap_or(Value::Null))?;
            told = more.len();
            takes.extend(more);
        }
        for take in takes {
            let take = reply::texts(what, take)?;
            let [token, until, count] = take.as_slice() else { continue };
            let incarnation = token.split(':').next().unwrap_or_default();
            let count: u64 = count.parse().unwrap_or(0);
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds, far below 2^53")]
            let until = until.parse::<f64>().ok().map(|ms| UnixMillis(ms as i64));
            active += count;
            let known = holders.iter().position(|holder| super::incarnation_of(&holder.instance) == incarnation);
            let at = known.unwrap_or_else(|| {
                let instance = incarnation.to_owned();
                holders.push(Holder { instance, in_hand: 0, lease_until: None, present: false });
                holders.len() - 1
            });
            let holder = &mut holders[at];
            holder.in_hand += count;
            holder.lease_until = [holder.lease_until, until].into_iter().flatten().min();
        }
        Ok(ListOverview {
            queue: self.name.clone(),
            list: self.keys.list().to_owned(),
            mode: self.settings.mode.as_str(),
            paused: paused? == 1,
            counts: Counts { waiting: waiting?, active, delayed: delayed?, failed: failed?, ..Counts::default() },
            concurrency,
            rate_limit: max.map(|max| StoredRateLimit { max, duration }),
            holders,
        })
    }

    /// The handlers of the queue that some process can do nothing with for now.
    pub async fn gates(&self) -> Result<Vec<StoredGate>, Error> {
        gates::read(&self.store, &self.keys.gates()).await
    }

    /// Nothing is taken from now on, by any process of oxherd; whether that is new. What is in hand is finished.
    pub async fn pause(&self) -> Result<bool, Error> {
        self.set_paused(true).await
    }

    /// Elements are taken again; whether that is new.
    pub async fn resume(&self) -> Result<bool, Error> {
        self.set_paused(false).await
    }

    async fn set_paused(&self, paused: bool) -> Result<bool, Error> {
        let args = vec![self.keys.root().into(), i64::from(paused).into()];
        let answer = self.store.command().script(&LIST_PAUSE, self.keys.list(), args).await?;
        Ok(reply::integer(LIST_PAUSE.name, &answer)? == 1)
    }

    /// Pushes elements behind those that wait, the first of them to be taken first; any bytes, as the list's producers push
    /// them. Returns the length of the list.
    ///
    /// In calls of a thousand; after an ambiguous error some may be there.
    pub async fn push(&self, elements: impl IntoIterator<Item = Bytes>) -> Result<u64, Error> {
        let command = if self.settings.take == Side::Left { "RPUSH" } else { "LPUSH" };
        let mut elements = elements.into_iter().peekable();
        let mut length = None;
        while elements.peek().is_some() {
            let mut args = vec![Value::from(self.keys.list())];
            args.extend(elements.by_ref().take(PUSH).map(Value::Bytes));
            length = Some(reply::count(command, &self.store.command().call(command, args).await?)?);
        }
        match length {
            Some(length) => Ok(length),
            None => reply::count("LLEN", &self.call("LLEN", &[self.keys.list()]).await?),
        }
    }

    /// A page of what waits, what is taken next first; at most [`MAX_PAGE`].
    pub async fn waiting(&self, offset: usize, limit: usize) -> Result<Vec<Waiting>, Error> {
        let limit = limit.min(MAX_PAGE);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (first, last) = if self.settings.take == Side::Left {
            (offset.to_string(), (offset + limit - 1).to_string())
        } else {
            (format!("-{}", offset + limit), format!("-{}", offset + 1))
        };
        let answer = self.call("LRANGE", &[self.keys.list(), &first, &last]).await?;
        let mut elements = bytes("LRANGE", answer)?;
        if self.settings.take == Side::Right {
            elements.reverse();
        }
        let reader = self.reader();
        let waiting = |bytes: Bytes| Waiting { id: reader.id(&bytes), data: reader.data(&bytes), bytes };
        Ok(elements.into_iter().map(waiting).collect())
    }

    /// A page of what waits for its next attempt, what is due first first; at most [`MAX_PAGE`].
    pub async fn delayed(&self, offset: usize, limit: usize) -> Result<Vec<Delayed>, Error> {
        let limit = limit.min(MAX_PAGE);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (first, last) = (offset.to_string(), (offset + limit - 1).to_string());
        let answer = self.call("ZRANGE", &[&self.keys.delayed(), &first, &last, "WITHSCORES"]).await?;
        let mut values = bytes("ZRANGE", answer)?.into_iter();
        let mut delayed = Vec::new();
        while let (Some(entry), Some(due)) = (values.next(), values.next()) {
            let (note, bytes) = Note::split(&entry);
            let due = std::str::from_utf8(&due).ok().and_then(|due| due.parse::<f64>().ok()).unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds, far below 2^53")]
            let due = UnixMillis(due as i64);
            let since = note.since.map(UnixMillis);
            delayed.push(Delayed {
                id: note.id,
                bytes,
                due,
                attempts_made: note.made,
                reason: note.reason,
                since,
                entry,
            });
        }
        Ok(delayed)
    }

    /// A page of the dead, the newest first; at most [`MAX_PAGE`].
    pub async fn dead(&self, offset: usize, limit: usize) -> Result<Vec<Dead>, Error> {
        let limit = limit.min(MAX_PAGE);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (first, last) = (offset.to_string(), (offset + limit - 1).to_string());
        let entries = bytes("LRANGE", self.call("LRANGE", &[&self.keys.dead(), &first, &last]).await?)?;
        Ok(entries.into_iter().map(Dead::read).collect())
    }

    /// Puts dead elements back into the list as they once were, behind those that wait; how many were still dead.
    pub async fn retry(&self, entries: impl IntoIterator<Item = Bytes>) -> Result<u64, Error> {
        let mut args = self.retry_arguments(0);
        args.extend(entries.into_iter().map(Value::Bytes));
        self.script_count(&LIST_RETRY, args).await
    }

    /// As [`List::retry`] for the oldest so many; asked for all, those that die meanwhile are among them.
    pub async fn retry_oldest(&self, most: u64) -> Result<u64, Error> {
        self.in_steps(most, async |step| self.script_count(&LIST_RETRY, self.retry_arguments(step)).await).await
    }

    fn retry_arguments(&self, oldest: u64) -> Vec<Value> {
        let end = Value::from_static_str(self.settings.take.as_str());
        vec![self.keys.root().into(), end, i64::try_from(oldest).unwrap_or(i64::MAX).into()]
    }

    /// Removes elements for good that wait, are delayed or have failed, at most so many: those next in turn, those due first, the
    /// oldest. How many went; none in any other state.
    pub async fn clean(&self, state: State, most: u64) -> Result<u64, Error> {
        if !matches!(state, State::Waiting | State::Delayed | State::Failed) {
            return Ok(0);
        }
        self.in_steps(most, async |step| {
            let args = vec![
                self.keys.root().into(),
                Value::from_static_str(state.as_str()),
                Value::from_static_str(self.settings.take.as_str()),
                i64::try_from(step).unwrap_or(i64::MAX).into(),
            ];
            self.script_count(&LIST_CLEAN, args).await
        })
        .await
    }

    async fn script_count(&self, script: &'static super::script::Script, args: Vec<Value>) -> Result<u64, Error> {
        reply::count(script.name, &self.store.command().script(script, self.keys.list(), args).await?)
    }

    /// In calls that do not keep Redis busy for long.
    async fn in_steps(&self, most: u64, step: impl AsyncFn(u64) -> Result<u64, Error>) -> Result<u64, Error> {
        let mut done = 0;
        while done < most {
            let want = BATCH.min(most - done);
            let went = step(want).await?;
            done += went;
            if went < want {
                break;
            }
        }
        Ok(done)
    }
}

#[cfg(feature = "daemon")]
impl List {
    /// Removes the list and every key beside it. For lists of our own making: nothing is checked. Reads the whole key space in
    /// small steps.
    pub(crate) async fn erase(&self) -> Result<(), Error> {
        self.call("UNLINK", &[self.keys.list()]).await?;
        self.store.unlink(&format!("{}*", super::escaped(self.keys.root()))).await
    }
}

impl Dead {
    fn read(entry: Bytes) -> Self {
        let (note, bytes) = Note::split(&entry);
        Self {
            id: note.id,
            bytes,
            attempts_made: note.made,
            reason: note.reason.unwrap_or_default(),
            at: note.at.map(UnixMillis),
            since: note.since.map(UnixMillis),
            queue: note.queue,
            by: note.by,
            stacktrace: note.stack,
            entry,
        }
    }
}

/// Every value of a reply as the bytes it is.
fn bytes(what: &'static str, value: Value) -> Result<Vec<Bytes>, Error> {
    let bytes = |value: Value| value.into_bytes().ok_or_else(|| reply::unexpected(what, "text", &Value::Null));
    reply::array(what, value)?.into_iter().map(bytes).collect()
}
