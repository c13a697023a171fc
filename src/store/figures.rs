//! Single figures of a queue, for dashboards and for who waits for one job. Protocol: §5.14 and §5.17.

use serde::Serialize;

use super::Queue;
use super::connection::Value;
use super::error::Error;
use super::reply::{self, Code};
use super::script::{COUNTS_PER_PRIORITY, FINISHED, METRICS, PRIORITIES};
use crate::job::{JobId, State, UnixMillis};

/// Priorities counted in one call, which takes a millisecond.
const PRIORITIES_AT_ONCE: i64 = 500;

/// What workers with metrics have counted of the jobs that ended in one way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// All that ended.
    pub count: u64,
    /// When the last minute in `data` was closed.
    pub prev_ts: Option<UnixMillis>,
    /// `count` at that moment.
    pub prev_count: u64,
    /// Jobs per minute, the newest first.
    pub data: Vec<u64>,
}

/// Whether a job has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    Pending,
    /// With this value, JSON text.
    Completed(String),
    /// With this reason.
    Failed(String),
}

impl Queue {
    /// How many jobs wait for a worker with each of these priorities; 0 stands for none.
    pub async fn counts_per_priority(&self, priorities: &[u32]) -> Result<Vec<u64>, Error> {
        let mut args = vec![self.keys.base().into()];
        args.extend(priorities.iter().map(|priority| Value::from(i64::from(*priority))));
        let answer = self.store.command().script(&COUNTS_PER_PRIORITY, &self.keys.meta(), args).await?;
        reply::array(COUNTS_PER_PRIORITY.name, answer)?.iter().map(|n| count(COUNTS_PER_PRIORITY.name, n)).collect()
    }

    /// The priorities that jobs wait for a worker with, the most urgent first, and how many jobs each; 0, for none, comes
    /// first, as it is served.
    pub async fn priorities(&self) -> Result<Vec<(u32, u64)>, Error> {
        let mut found: Vec<(u32, u64)> = Vec::new();
        loop {
            let from = found.last().map_or(0, |(priority, _)| i64::from(*priority) + 1);
            let args = vec![self.keys.base().into(), from.into(), PRIORITIES_AT_ONCE.into()];
            let answer = self.store.command().script(&PRIORITIES, &self.keys.meta(), args).await?;
            let numbers = reply::array(PRIORITIES.name, answer)?;
            let is_last = numbers.len() < 2 * usize::try_from(PRIORITIES_AT_ONCE).unwrap_or(usize::MAX);
            for pair in numbers.chunks_exact(2) {
                let priority = u32::try_from(count(PRIORITIES.name, &pair[0])?).unwrap_or(u32::MAX);
                found.push((priority, count(PRIORITIES.name, &pair[1])?));
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    /// How many delayed jobs are due before `moment`.
    pub async fn delayed_before(&self, moment: UnixMillis) -> Result<u64, Error> {
        let highest = moment.0.saturating_mul(4096).saturating_sub(1);
        let args = vec![self.keys.state(State::Delayed).into(), "-inf".into(), highest.into()];
        count("ZCOUNT", &self.store.command().call("ZCOUNT", args).await?)
    }

    /// The metrics of completed or of failed jobs; all zero where no worker keeps any.
    pub async fn metrics(&self, state: State) -> Result<Metrics, Error> {
        if !matches!(state, State::Completed | State::Failed) {
            let message = format!("there are no metrics of {state} jobs: expected completed or failed");
            return Err(Error::Setup(message));
        }
        let answer = self.store.command().script(&METRICS, &self.keys.metrics(state), Vec::new()).await?;
        let mut parts = reply::array(METRICS.name, answer)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let mut number = || part().as_string().and_then(|text| text.parse::<i64>().ok());
        let (total, prev_ts, prev_count) = (number(), number(), number());
        let positive = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let data = reply::texts(METRICS.name, part())?;
        Ok(Metrics {
            count: positive(total),
            prev_ts: prev_ts.map(UnixMillis),
            prev_count: positive(prev_count),
            data: data.iter().map(|text| text.parse().unwrap_or(0)).collect(),
        })
    }

    /// Whether the job has ended, with its value or reason. Rejected where there is none.
    pub async fn finished(&self, id: &JobId) -> Result<Finished, Error> {
        let args = vec![self.keys.base().into(), id.as_str().into()];
        let answer = self.store.command().script(&FINISHED, &self.keys.job(id), args).await?;
        let mut parts = reply::array(FINISHED.name, answer)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let outcome = reply::integer(FINISHED.name, &part())?;
        Ok(match outcome {
            1 => Finished::Completed(reply::text(FINISHED.name, part())?),
            2 => Finished::Failed(reply::text(FINISHED.name, part())?),
            -1 => return Err(Error::Rejected { operation: "look at", id: id.clone(), code: Code::Missing }),
            _ => Finished::Pending,
        })
    }
}

fn count(what: &'static str, value: &Value) -> Result<u64, Error> {
    reply::integer(what, value).map(|n| u64::try_from(n).unwrap_or(0))
}

#[cfg(test)]
mod tests;
