//! Status messages out of the stream that keeps them.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{EntryId, StatusMessage};
use crate::config;
use crate::store::connection::{Connection, Role, Value};
use crate::store::error::Error;
use crate::store::subscription::Heard;
use crate::store::{Store, reply};

/// Entries read at once.
const BATCH: usize = 200;
/// How long one call waits for entries.
const WAIT: Duration = Duration::from_secs(5);
/// Pause after a call that failed.
const PAUSE: Duration = Duration::from_millis(300);

/// Reads on in a task of its own, so that dropping a wait for the next message leaves no call behind.
pub(super) struct Kept {
    updates: mpsc::Receiver<Heard<StatusMessage>>,
    _reader: AbortOnDropHandle<()>,
}

impl Kept {
    pub(super) async fn open(
        store: &Store,
        stream: &config::StatusStream,
        after: Option<EntryId>,
    ) -> Result<Self, Error> {
        let connection = Connection::open(&store.inner.redis, Role::Blocking).await?;
        let mut reader = Reader { connection, key: stream.key.clone(), last: EntryId::NONE };
        reader.last = match after {
            Some(after) => after,
            None => Overview::of(&reader.connection, &reader.key).await?.last,
        };
        let (sender, updates) = mpsc::channel(BATCH);
        let reader = AbortOnDropHandle::new(tokio::spawn(reader.read(sender)));
        Ok(Self { updates, _reader: reader })
    }

    pub(super) async fn next(&mut self) -> Option<Heard<StatusMessage>> {
        self.updates.recv().await
    }
}

struct Reader {
    connection: Connection,
    key: String,
    /// Everything up to here has been read.
    last: EntryId,
}

/// Some entries in a row.
#[derive(Debug)]
pub struct KeptPage {
    /// Messages, behind a gap where some before them are gone.
    pub heard: Vec<Heard<StatusMessage>>,
    /// Everything up to here has been read.
    pub last: EntryId,
    /// There were no more.
    pub is_end: bool,
}

/// What a stream says of itself.
struct Overview {
    first: Option<EntryId>,
    last: EntryId,
    /// Entries have been removed; servers before 7.0 do not tell.
    trimmed: bool,
}

impl Reader {
    async fn read(mut self, sender: mpsc::Sender<Heard<StatusMessage>>) {
        while !sender.is_closed() {
            let heard = match self.batch().await {
                Ok(heard) => heard,
                Err(error) => {
                    tracing::debug!(stream = self.key, %error, "cannot read the stream; trying again");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            for heard in heard {
                if sender.send(heard).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The next entries, behind a gap where some before them are gone; nothing when none came.
    async fn batch(&mut self) -> Result<Vec<Heard<StatusMessage>>, Error> {
        let wait = i64::try_from(WAIT.as_millis()).unwrap_or(i64::MAX);
        let count = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let mut args: Vec<Value> = vec!["COUNT".into(), count.into(), "BLOCK".into(), wait.into()];
        args.extend(["STREAMS".into(), Value::from(self.key.as_str()), self.last.to_string().into()]);
        let Value::Array(streams) = self.connection.call_blocking("XREAD", args, WAIT).await? else {
            return Ok(Vec::new());
        };
        let mut parts = streams.into_iter().next().map(Value::into_array).unwrap_or_default().into_iter();
        let entries = reply::array("XREAD", parts.nth(1).unwrap_or(Value::Null))?;
        let page = KeptPage::read(&self.connection, &self.key, self.last, entries).await?;
        self.last = page.last;
        Ok(page.heard)
    }
}

impl Overview {
    async fn of(connection: &Connection, key: &str) -> Result<Self, Error> {
        let none = Self { first: None, last: EntryId::NONE, trimmed: false };
        let args = vec!["STREAM".into(), Value::from(key)];
        let answer = match connection.call("XINFO", args).await {
            Err(Error::Command { message, .. }) if message.contains("no such key") => return Ok(none),
            answer => reply::array("XINFO", answer?)?,
        };
        let mut overview = none;
        let (mut length, mut added) = (0, None);
        for pair in answer.chunks(2) {
            let [name, value] = pair else { continue };
            let id = |value: &Value| value.as_string().and_then(|id| id.parse().ok());
            match name.as_string().as_deref() {
                Some("length") => length = value.as_i64().unwrap_or(0),
                Some("entries-added") => added = value.as_i64(),
                Some("last-generated-id") => overview.last = id(value).unwrap_or(EntryId::NONE),
                Some("first-entry") => {
                    let entry = value.clone().into_array();
                    overview.first = entry.first().and_then(id);
                }
                _ => {}
            }
        }
        overview.trimmed = added.is_none_or(|added| added > length);
        Ok(overview)
    }

    /// Over how long a time entries behind this one are gone.
    fn gap_after(&self, last: EntryId) -> Option<Duration> {
        let first = self.first.filter(|first| self.trimmed && *first > last)?;
        Some(if last == EntryId::NONE { Duration::ZERO } else { first.at.since(last.at) })
    }
}

impl KeptPage {
    /// At most `count` entries behind `after`.
    pub(super) async fn after(connection: &Connection, key: &str, after: EntryId, count: usize) -> Result<Self, Error> {
        let most = i64::try_from(count).unwrap_or(i64::MAX);
        let args = vec![Value::from(key), format!("({after}").into(), "+".into(), "COUNT".into(), most.into()];
        let entries = reply::array("XRANGE", connection.call("XRANGE", args).await?)?;
        let is_end = entries.len() < count;
        Ok(Self { is_end, ..Self::read(connection, key, after, entries).await? })
    }

    /// What was read behind `after`.
    async fn read(connection: &Connection, key: &str, after: EntryId, entries: Vec<Value>) -> Result<Self, Error> {
        let mut page = Self { heard: Vec::with_capacity(entries.len() + 1), last: after, is_end: false };
        // looked at after the entries: what is there then was not gone when they were read
        if let Some(gap) = Overview::of(connection, key).await?.gap_after(after) {
            page.heard.push(Heard::Gap(gap));
        }
        for entry in entries {
            let mut entry = reply::array("entries", entry)?.into_iter();
            let id = reply::text("entries", entry.next().unwrap_or(Value::Null))?;
            let fields = reply::texts("entries", entry.next().unwrap_or(Value::Null))?;
            if let Ok(id) = id.parse() {
                page.last = id;
                page.heard.extend(message(id, &fields).map(Heard::Message));
            }
        }
        Ok(page)
    }
}

fn message(id: EntryId, fields: &[String]) -> Option<StatusMessage> {
    let field = |name: &str| fields.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1));
    let mut message = StatusMessage::read(field("message")?.clone()).ok()?;
    message.entry = Some(id);
    if message.queue.is_none() {
        message.queue = field("queue").cloned();
    }
    Some(message)
}
