//! Finds the jobs a bulk operation is about, page by page.
//!
//! Called by the command line, which shows them first and then acts on each by its id.

use std::collections::BTreeMap;

use super::connection::Value;
use super::error::Error;
use super::script::SUMMARIES;
use super::walk::{Cursor, Entry};
use super::{Queue, reply};
use crate::job::{JobId, State, UnixMillis, glob};

/// Jobs looked at in one call.
const STEP: usize = 1000;

/// Which jobs are meant: all of the states that pass every test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// In this order.
    pub states: Vec<State>,
    /// A pattern the whole name must match: `*` is any text, `?` any one character.
    pub name: Option<String>,
    /// Only jobs that ended before; where they have not, that started before, or else were added before. Protocol:
    /// §5.16.3, as `clean` has it.
    pub before: Option<UnixMillis>,
    /// A text the reason of a failure must hold.
    pub reason: Option<String>,
}

/// A job that is meant, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    pub id: JobId,
    /// When it was met; it may have moved on.
    pub state: State,
    /// Empty when the producer stored none.
    pub name: String,
    /// When it was added.
    pub timestamp: Option<UnixMillis>,
    /// When it was started last.
    pub processed_on: Option<UnixMillis>,
    pub finished_on: Option<UnixMillis>,
    pub attempts_made: u32,
    /// Of the last attempt that failed.
    pub failed_reason: Option<String>,
}

impl Queue {
    /// The next jobs that are meant, at most `limit`, and where to go on; `None` there says that these are the last.
    ///
    /// Those served first come first, of finished jobs the oldest; what ends after the first page was asked for is not
    /// met, so a walk that retries jobs comes to its end. Jobs may be moved or removed between pages. Reads no more than
    /// a few fields of each job, a thousand jobs a call; where few pass, a page takes many calls. Cancel safe.
    pub async fn select(
        &self,
        selection: &Selection,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<Selected>, Option<Cursor>), Error> {
        let mut cursor = after.unwrap_or_else(|| Cursor::start(self.store.now()));
        let mut found = Vec::new();
        while let Some(state) = selection.states.get(cursor.state).copied() {
            if found.len() >= limit {
                return Ok((found, Some(cursor)));
            }
            let entries = self.walk(&mut cursor, state, selection.before, STEP).await?;
            if entries.is_empty() {
                cursor.next_state();
                continue;
            }
            let jobs = self.summaries(state, &entries).await?;
            for (at, job) in jobs.into_iter().enumerate() {
                if let Some(job) = job.filter(|job| selection.takes(job)) {
                    found.push(job);
                    if found.len() == limit {
                        cursor.back(&entries[at], &entries[at + 1..]);
                        break;
                    }
                }
            }
        }
        Ok((found, None))
    }

    async fn summaries(&self, state: State, entries: &[Entry]) -> Result<Vec<Option<Selected>>, Error> {
        let mut args = vec![Value::from(self.keys.base())];
        args.extend(entries.iter().map(|entry| Value::from(entry.id.as_str())));
        let answer = self.store.command().script(&SUMMARIES, &self.keys.meta(), args).await?;
        let jobs = reply::array(SUMMARIES.name, answer)?.into_iter().zip(entries);
        Ok(jobs.map(|(fields, entry)| Selected::read(state, &entry.id, fields)).collect())
    }
}

impl Selected {
    fn read(state: State, id: &JobId, fields: Value) -> Option<Self> {
        let Value::Array(fields) = fields else { return None };
        let mut fields = fields.into_iter().map(|field| reply::text(SUMMARIES.name, field).ok());
        let mut next = || fields.next().flatten();
        let name = next().unwrap_or_default();
        let mut moment = || next().and_then(|text| text.parse().ok()).map(UnixMillis);
        let (timestamp, processed_on, finished_on) = (moment(), moment(), moment());
        let (made, made_before_5) = (next(), next());
        let attempts_made = made_before_5.or(made).and_then(|text| text.parse().ok()).unwrap_or(0);
        let failed_reason = next();
        let id = id.clone();
        Some(Self { id, state, name, timestamp, processed_on, finished_on, attempts_made, failed_reason })
    }
}

impl Selection {
    fn takes(&self, job: &Selected) -> bool {
        let at = job.finished_on.or(job.processed_on).or(job.timestamp);
        self.passes(&job.name, at, job.failed_reason.as_deref())
    }

    /// Whether a job with these fields passes every test, whatever its state.
    #[must_use]
    pub fn covers(&self, fields: &BTreeMap<String, String>) -> bool {
        let text = |name: &str| fields.get(name).map(String::as_str);
        let moment = |name| text(name).and_then(|text| text.parse().ok()).map(UnixMillis);
        let at = moment("finishedOn").or_else(|| moment("processedOn")).or_else(|| moment("timestamp"));
        self.passes(text("name").unwrap_or_default(), at, text("failedReason"))
    }

    fn passes(&self, name: &str, at: Option<UnixMillis>, failed_reason: Option<&str>) -> bool {
        self.name.as_deref().is_none_or(|pattern| glob::covers(pattern, name))
            && self.before.is_none_or(|before| at.is_some_and(|at| at < before))
            && self.reason.as_deref().is_none_or(|text| failed_reason.is_some_and(|reason| reason.contains(text)))
    }
}

#[cfg(test)]
mod tests;
