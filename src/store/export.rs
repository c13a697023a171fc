//! Whole jobs out of a queue and back, as JSON: fields, log, children, place.
//!
//! Called by the command line, for backups and moves between servers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::connection::Value;
use super::error::Error;
use super::family::{Children, pairs};
use super::script::{EXPORT_JOBS, IMPORT_JOBS};
use super::walk::{Cursor, Entry, strings};
use super::{Queue, keys, reply};
use crate::job::{JobId, QueueName, State, UnixMillis};

/// Jobs read in one call.
const STEP: usize = 100;
/// Log rows, and children, of a job that come with it; where there are more they are read on their own.
const ROWS: i64 = 100;
/// Log rows read in one call.
const LOG_STEP: i64 = 1000;
/// Jobs, values and bytes written in one call, bytes read in one. One job is never divided.
const MOST_JOBS: usize = 100;
const MOST_VALUES: usize = 10_000;
const MOST_BYTES: usize = 4 << 20;

/// Everything stored about one job. Text that is not UTF-8 comes with its broken bytes replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportedJob {
    pub id: JobId,
    pub queue: QueueName,
    pub state: State,
    /// When a delayed job is due, a finished one ended, or one began to wait for its children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixMillis>,
    /// The hash as it is stored.
    pub fields: BTreeMap<String, String>,
    /// Oldest row first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// Of a parent: keys of children that have not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// Of a parent: keys of completed children, and their return values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub processed: BTreeMap<String, String>,
    /// Of a parent: keys of children whose failure was ignored, and their reasons.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
    /// Of a parent: keys of children that failed it, and when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsuccessful: BTreeMap<String, UnixMillis>,
    /// Time left of the deduplication window the job owns, in ms; −1 for one that lasts until the job ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplication_left: Option<i64>,
}

/// What became of a job to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    Restored,
    /// A job with this id is there; it was left alone.
    Exists,
    /// Nothing was written, for this reason.
    Refused(String),
}

impl Queue {
    /// The next jobs of a state, whole, at most `limit`, and where to go on; `None` there says that these are the last.
    /// Those served first come first, of finished jobs the oldest.
    ///
    /// Jobs that move from state to state meanwhile may be met in both or in none: pause the queue for a full picture.
    /// Changes nothing; cancel safe.
    pub async fn export(
        &self,
        state: State,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<ExportedJob>, Option<Cursor>), Error> {
        let mut cursor = after.unwrap_or_else(|| Cursor::start(self.store.now()));
        let mut jobs = Vec::new();
        while jobs.len() < limit {
            let entries = self.walk(&mut cursor, state, None, STEP.min(limit - jobs.len())).await?;
            if entries.is_empty() {
                return Ok((jobs, None));
            }
            let read = self.export_entries(state, &entries, &mut jobs).await?;
            if let Some(last) = read.checked_sub(1).filter(|_| read < entries.len()) {
                cursor.back(&entries[last], &entries[read..]);
            }
        }
        Ok((jobs, Some(cursor)))
    }

    /// One job, whole; `None` where there is none. Changes nothing.
    pub async fn export_job(&self, id: &JobId) -> Result<Option<ExportedJob>, Error> {
        let Some(job) = self.job(id).await? else { return Ok(None) };
        let entry = self.entry(id, job.state).await?;
        let mut jobs = Vec::new();
        self.export_entries(job.state, std::slice::from_ref(&entry), &mut jobs).await?;
        Ok(jobs.pop())
    }

    /// Answers how many of the entries were read, one at least.
    async fn export_entries(
        &self,
        state: State,
        entries: &[Entry],
        jobs: &mut Vec<ExportedJob>,
    ) -> Result<usize, Error> {
        let mut args: Vec<Value> = vec![self.keys.base().into(), ROWS.into(), MOST_BYTES.to_string().into()];
        args.extend(entries.iter().map(|entry| Value::from(entry.id.as_str())));
        let answer = self.store.command().script(&EXPORT_JOBS, &self.keys.meta(), args).await?;
        let answers = reply::array(EXPORT_JOBS.name, answer)?;
        let read = answers.len();
        for (found, entry) in answers.into_iter().zip(entries) {
            if !found.is_null() {
                jobs.push(self.exported(state, entry, found).await?);
            }
        }
        Ok(read)
    }

    async fn exported(&self, state: State, entry: &Entry, found: Value) -> Result<ExportedJob, Error> {
        let what = EXPORT_JOBS.name;
        let mut parts = reply::array(what, found)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let mut fields = pairs(reply::texts(what, part())?);
        // meant for the worker that runs it now, and not for whoever runs it where it is imported
        fields.remove(keys::CANCEL_MARK);
        let logs = match strings(what, part())? {
            Some(rows) => rows,
            None => self.all_logs(&entry.id).await?,
        };
        let mut group = || strings(what, part());
        let read = (group()?, group()?, group()?, group()?);
        let mut children = Children::default();
        if let (Some(dependencies), Some(processed), Some(failed), Some(unsuccessful)) = read {
            children.unprocessed = dependencies;
            children.processed = pairs(processed);
            children.ignored = pairs(failed);
            children.failed = pairs(unsuccessful);
            children.unprocessed.sort_unstable();
        } else {
            children = self.children(&entry.id).await?;
        }
        let Children { unprocessed, processed, ignored, failed } = children;
        Ok(ExportedJob {
            id: entry.id.clone(),
            queue: self.name.clone(),
            state,
            at: entry.moment(state),
            fields,
            logs,
            dependencies: unprocessed,
            processed,
            failed: ignored,
            unsuccessful: failed.into_iter().map(|(key, at)| (key, whole(&at))).collect(),
            deduplication_left: part().as_i64(),
        })
    }

    async fn all_logs(&self, id: &JobId) -> Result<Vec<String>, Error> {
        let mut rows = Vec::new();
        loop {
            let from = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let (page, _) = self.logs(id, from, from + LOG_STEP - 1, true).await?;
            if page.is_empty() {
                return Ok(rows);
            }
            rows.extend(page);
        }
    }

    /// Puts jobs back into this queue, each into the state it was in, and answers each in order. An active one becomes
    /// ready, in front of the others. One whose id is there is left alone.
    ///
    /// Each job is restored wholly or not at all, a hundred or so in each call; safe to repeat.
    pub async fn import(&self, jobs: &[ExportedJob]) -> Result<Vec<Imported>, Error> {
        let mut answers = vec![Imported::Exists; jobs.len()];
        let mut batch = Batch::default();
        for (at, job) in jobs.iter().enumerate() {
            if let Some(reason) = refusal(job) {
                answers[at] = Imported::Refused(reason);
                continue;
            }
            if batch.is_full() {
                self.import_batch(std::mem::take(&mut batch), &mut answers).await?;
            }
            batch.push(at, job);
        }
        self.import_batch(batch, &mut answers).await?;
        Ok(answers)
    }

    async fn import_batch(&self, batch: Batch, answers: &mut [Imported]) -> Result<(), Error> {
        if batch.places.is_empty() {
            return Ok(());
        }
        let mut args: Vec<Value> = vec![self.keys.base().into(), self.store.now().0.into()];
        args.extend(self.status.clone());
        args.extend(batch.values);
        let answer = self.store.command().script(&IMPORT_JOBS, &self.keys.meta(), args).await?;
        for (value, at) in reply::array(IMPORT_JOBS.name, answer)?.into_iter().zip(batch.places) {
            answers[at] = match value {
                Value::Integer(1) => Imported::Restored,
                Value::Integer(_) => Imported::Exists,
                other => Imported::Refused(reply::text(IMPORT_JOBS.name, other)?),
            };
        }
        Ok(())
    }
}

/// Jobs written in one call.
#[derive(Default)]
struct Batch {
    /// Of its jobs in the whole list.
    places: Vec<usize>,
    values: Vec<Value>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.places.len() >= MOST_JOBS || self.values.len() >= MOST_VALUES || self.bytes >= MOST_BYTES
    }

    fn push(&mut self, place: usize, job: &ExportedJob) {
        self.places.push(place);
        self.text(job.id.as_str());
        self.text(job.state.as_str());
        self.text(&job.at.map(|at| at.0.to_string()).unwrap_or_default());
        self.text(&job.deduplication_left.map(|left| left.to_string()).unwrap_or_default());
        self.pairs(&job.fields);
        self.group(job.logs.iter().map(String::as_str));
        self.group(job.dependencies.iter().map(String::as_str));
        self.pairs(&job.processed);
        self.pairs(&job.failed);
        let failed: Vec<(String, &str)> =
            job.unsuccessful.iter().map(|(key, at)| (at.0.to_string(), key.as_str())).collect();
        self.group(failed.iter().flat_map(|(at, key)| [at.as_str(), key]));
    }

    fn pairs(&mut self, map: &BTreeMap<String, String>) {
        self.group(map.iter().flat_map(|(key, value)| [key.as_str(), value]));
    }

    fn group<'a>(&mut self, values: impl Iterator<Item = &'a str>) {
        let length = self.values.len();
        self.values.push(Value::Null);
        values.for_each(|value| self.text(value));
        self.values[length] = (self.values.len() - length - 1).to_string().into();
    }

    fn text(&mut self, text: &str) {
        self.bytes += text.len();
        self.values.push(text.into());
    }
}

/// Why a job cannot be put back: what is written by hand may say anything.
fn refusal(job: &ExportedJob) -> Option<String> {
    if job.state == State::Unknown {
        Some("it was in no state".to_owned())
    } else if job.fields.is_empty() {
        Some("it has no fields".to_owned())
    } else if !keys::is_free(&job.id) {
        Some(format!("the id {:?} is the name of a key that every queue has; a job cannot have it", job.id.as_str()))
    } else {
        None
    }
}

/// A score in whole milliseconds; 0 for what is none.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn whole(score: &str) -> UnixMillis {
    UnixMillis(score.parse::<f64>().unwrap_or(0.0) as i64)
}

#[cfg(test)]
mod tests;
