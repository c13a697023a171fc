//! What is told about a job in any state: progress, log, data. Protocol: §5.15.
//!
//! No lock is needed. A worker tells through [`Queue::update_jobs`], for many jobs at once; the command line one by one.

use serde_json::value::RawValue;

use super::Queue;
use super::connection::Value;
use super::error::Error;
use super::reply::{self, Code};
use super::script::{LOGS, UPDATE_JOBS};
use crate::job::JobId;

/// Records in one call, which keep Redis from others for a few milliseconds.
const BATCH: usize = 1000;

/// One thing to be written.
#[derive(Debug, Clone)]
pub enum Update {
    Progress {
        id: JobId,
        value: Box<RawValue>,
    },
    Data {
        id: JobId,
        value: Box<RawValue>,
    },
    /// A row for the log, of which the newest `keep` stay, or all.
    Log {
        id: JobId,
        row: String,
        keep: Option<u32>,
    },
}

impl Queue {
    /// Writes records in order and answers each: of a row how many the log has now, else 0. One that is refused does
    /// not keep the others from being written.
    ///
    /// Not to be repeated after an ambiguous error where rows must not come twice.
    pub async fn update_jobs(&self, updates: &[Update]) -> Result<Vec<Result<u64, Code>>, Error> {
        let mut answers = Vec::with_capacity(updates.len());
        for batch in updates.chunks(BATCH) {
            let mut args: Vec<Value> = Vec::with_capacity(4 + 4 * batch.len());
            args.extend([self.keys.base().into(), self.store.now().0.into()]);
            args.extend(self.status.clone());
            for update in batch {
                match update {
                    Update::Progress { id, value } => args.extend(["p".into(), id.as_str().into(), value.get().into()]),
                    Update::Data { id, value } => args.extend(["d".into(), id.as_str().into(), value.get().into()]),
                    Update::Log { id, row, keep } => {
                        let keep = keep.map(|rows| rows.to_string()).unwrap_or_default();
                        args.extend(["l".into(), id.as_str().into(), keep.into(), row.as_str().into()]);
                    }
                }
            }
            let reply = self.store.command().script(&UPDATE_JOBS, &self.keys.meta(), args).await?;
            for answer in reply::array(UPDATE_JOBS.name, reply)? {
                answers.push(match answer {
                    Value::Integer(-1) => Err(Code::Missing),
                    Value::Integer(rows) => Ok(u64::try_from(rows).unwrap_or(0)),
                    other => Err(Code::Broken(reply::text(UPDATE_JOBS.name, other)?)),
                });
            }
        }
        Ok(answers)
    }

    async fn update_job(&self, operation: &'static str, update: Update) -> Result<u64, Error> {
        let mut answers = self.update_jobs(std::slice::from_ref(&update)).await?;
        let (Update::Progress { id, .. } | Update::Data { id, .. } | Update::Log { id, .. }) = update;
        answers.pop().unwrap_or(Err(Code::Missing)).map_err(|code| Error::Rejected { operation, id, code })
    }

    /// Replaces the job's progress, which is any JSON, and tells listeners. Safe to repeat.
    pub async fn update_progress(&self, id: &JobId, value: &RawValue) -> Result<(), Error> {
        let update = Update::Progress { id: id.clone(), value: value.to_owned() };
        self.update_job("set the progress of", update).await.map(drop)
    }

    /// Replaces the job's data; a job that runs has read its own already. Safe to repeat.
    pub async fn update_data(&self, id: &JobId, value: &RawValue) -> Result<(), Error> {
        let update = Update::Data { id: id.clone(), value: value.to_owned() };
        self.update_job("change the data of", update).await.map(drop)
    }

    /// Appends a row to the job's log, of which the newest `keep` rows stay, or all. Answers how many it has now.
    pub async fn add_log(&self, id: &JobId, row: &str, keep: Option<u32>) -> Result<u64, Error> {
        self.update_job("write the log of", Update::Log { id: id.clone(), row: row.to_owned(), keep }).await
    }

    /// Drops all but the newest `keep` rows of the job's log. Safe to repeat; nothing happens where there is none.
    pub async fn clear_logs(&self, id: &JobId, keep: u32) -> Result<(), Error> {
        let key = self.keys.logs(id);
        let (command, args) = match keep {
            0 => ("DEL", vec![key.into()]),
            keep => ("LTRIM", vec![key.into(), (-i64::from(keep)).into(), (-1).into()]),
        };
        self.store.command().call(command, args).await.map(drop)
    }

    /// Rows `start` to `end` of the job's log, both included, and how many there are. `asc` counts from the oldest row
    /// on, else from the newest back; an `end` of −1 is the last. All rows asked for come at once: a long log is read
    /// in pages.
    pub async fn logs(&self, id: &JobId, start: i64, end: i64, asc: bool) -> Result<(Vec<String>, u64), Error> {
        let args = vec![start.max(0).into(), end.max(-1).into(), if asc { "1" } else { "0" }.into()];
        let answer = self.store.command().script(&LOGS, &self.keys.logs(id), args).await?;
        let mut parts = reply::array(LOGS.name, answer)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let rows = reply::texts(LOGS.name, part())?;
        let total = reply::integer(LOGS.name, &part())?;
        Ok((rows, u64::try_from(total).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests;
