//! The elements of a list as records of jobs, for who looks at them and changes single ones: the verbs of the command line.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Dead, Delayed, List};
use crate::job::{JobId, State, UnixMillis};
use crate::store::connection::Value;
use crate::store::{Error, JobRecord, reply};

/// An element that waits, is delayed or has failed.
#[derive(Debug, Clone)]
pub struct ElementRecord {
    /// As a job of the queue is told of. Its id is empty where an element that waits does not say it.
    pub job: JobRecord,
    /// What Redis holds for it in that state: what [`List::remove`] and [`List::retry`] want.
    pub entry: Bytes,
}

impl List {
    /// Whether a handler could be given this element; its id where it says it, or what is wrong with it.
    pub fn check(&self, element: &Bytes) -> Result<Option<String>, String> {
        let reader = self.reader();
        reader.data(element).map(|_| reader.id(element))
    }

    /// A page of a state, as [`List::waiting`], [`List::delayed`] and [`List::dead`] have it; empty for any other state.
    pub async fn records(&self, state: State, offset: usize, limit: usize) -> Result<Vec<ElementRecord>, Error> {
        Ok(match state {
            State::Waiting => {
                let record = |element: super::Waiting| {
                    let job = self.record(state, element.id.as_deref().unwrap_or_default(), &element.bytes);
                    ElementRecord { job, entry: element.bytes }
                };
                self.waiting(offset, limit).await?.into_iter().map(record).collect()
            }
            State::Delayed => {
                self.delayed(offset, limit).await?.into_iter().map(|one| self.delayed_record(one)).collect()
            }
            State::Failed => self.dead(offset, limit).await?.into_iter().map(|one| self.dead_record(one)).collect(),
            _ => Vec::new(),
        })
    }

    fn delayed_record(&self, element: Delayed) -> ElementRecord {
        let mut job = self.record(State::Delayed, &element.id, &element.bytes);
        let mut field = |name: &str, value: String| job.fields.insert(name.to_owned(), value);
        field("atm", element.attempts_made.to_string());
        if let Some(since) = element.since {
            field("timestamp", since.0.to_string());
            field("delay", element.due.since(since).as_millis().to_string());
        }
        if let Some(reason) = element.reason {
            field("failedReason", reason);
        }
        ElementRecord { job, entry: element.entry }
    }

    fn dead_record(&self, element: Dead) -> ElementRecord {
        let mut job = self.record(State::Failed, &element.id, &element.bytes);
        let moment = |at: Option<UnixMillis>| at.map(|at| at.0.to_string());
        let fields = [
            ("atm", Some(element.attempts_made.to_string())),
            ("failedReason", Some(element.reason)),
            ("timestamp", moment(element.since)),
            ("finishedOn", moment(element.at)),
            ("stacktrace", element.stacktrace),
            ("pb", element.by),
        ];
        job.fields.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        ElementRecord { job, entry: element.entry }
    }

    /// What the bytes alone say.
    fn record(&self, state: State, id: &str, element: &Bytes) -> JobRecord {
        let reader = self.reader();
        let mut fields = BTreeMap::from([("name".to_owned(), reader.name(element))]);
        let data = match reader.data(element) {
            Ok(data) => data.get().to_owned(),
            Err(reason) => {
                fields.insert("defa".to_owned(), reason);
                String::from_utf8_lossy(element).into_owned()
            }
        };
        fields.insert("data".to_owned(), data);
        JobRecord { id: JobId::stored(id), queue: self.name.clone(), state, logs: None, fields }
    }

    /// Removes one element for good that waits, is delayed or has failed, of equal ones that wait the one next in turn.
    /// Whether it was still there.
    pub async fn remove(&self, state: State, entry: &Bytes) -> Result<bool, Error> {
        let entry = Value::Bytes(entry.clone());
        let from = |count: i64, key: &str| vec![Value::from(key), count.into(), entry.clone()];
        let (command, args) = match state {
            State::Waiting if self.settings.take == crate::config::Side::Left => ("LREM", from(1, self.keys.list())),
            State::Waiting => ("LREM", from(-1, self.keys.list())),
            State::Failed => ("LREM", from(-1, &self.keys.dead())),
            State::Delayed => ("ZREM", vec![Value::from(self.keys.delayed().as_str()), entry]),
            _ => return Ok(false),
        };
        let answer = self.store.command().call(command, args).await?;
        Ok(reply::integer(command, &answer)? == 1)
    }

    /// Forgets the list's settings and what is noted of its elements: whether it is paused, its limits, who has crashed on
    /// what. What is in hand stays there.
    pub async fn forget(&self) -> Result<(), Error> {
        let notes = self.keys.notes();
        let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
        self.call("UNLINK", &notes).await.map(drop)
    }
}
