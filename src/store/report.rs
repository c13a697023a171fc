//! What running jobs tell while they run: progress, data, rows for the log. Protocol: §5.15.
//!
//! The engine's courier calls it for many jobs at once. Others, who hold no lock, use [`super::Queue`].

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Value;
use super::error::Error;
use super::reply::{self, Code};
use super::script::{REPORT_JOBS, TELL_RUNNING};
use super::work::{BullQueue, Token};
use crate::job::{Job, JobId};

/// Jobs told of in one call.
const BATCH: usize = 100;

/// What one job tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobReport<'a> {
    pub(crate) id: &'a JobId,
    pub(crate) token: &'a Token,
    pub(crate) progress: Option<&'a RawValue>,
    pub(crate) data: Option<&'a RawValue>,
    pub(crate) rows: &'a [String],
    /// How many of the rows, from the first, may be there already, from a call that had no answer.
    pub(crate) doubtful: usize,
    /// Rows kept of the log.
    pub(crate) keep_logs: Option<u32>,
    /// The job itself, where it is an element of a list.
    pub(crate) element: Option<&'a Job>,
}

impl<'a> JobReport<'a> {
    /// Of a job that has nothing to tell so far.
    pub(crate) fn of(job: &'a Job, token: &'a Token) -> Self {
        let keep_logs = job.opts.keep_logs;
        Self {
            id: &job.id,
            token,
            progress: None,
            data: None,
            rows: &[],
            doubtful: 0,
            keep_logs,
            element: job.element.is_some().then_some(job),
        }
    }
}

impl BullQueue {
    /// Writes reports and answers each. Safe to repeat when the rows that may be there already are counted.
    pub(crate) async fn report_jobs(&self, reports: &[JobReport<'_>]) -> Result<Vec<Result<(), Code>>, Error> {
        let rows: usize = reports.iter().map(|report| report.rows.len()).sum();
        let mut args = Vec::with_capacity(4 + 7 * reports.len() + rows);
        args.extend([self.base.clone(), self.now()]);
        args.extend(self.status.clone());
        for report in reports {
            let json = |value: Option<&RawValue>| Value::from(value.map_or("", RawValue::get));
            let keep = report.keep_logs.map(|rows| rows.to_string()).unwrap_or_default();
            args.extend([report.id.as_str().into(), Value::from(&**report.token)]);
            args.extend([json(report.progress), json(report.data), keep.into()]);
            args.extend([report.doubtful.to_string().into(), report.rows.len().to_string().into()]);
            args.extend(report.rows.iter().map(|row| Value::from(row.as_str())));
        }
        let reply = self.store.command().script(&REPORT_JOBS, &self.slot_key, args).await?;
        let answers = reply::array(REPORT_JOBS.name, reply)?;
        if answers.len() != reports.len() {
            let got = format!("{} answers for {} reports", answers.len(), reports.len());
            return Err(Error::Reply { what: REPORT_JOBS.name, expected: "an answer per report", got });
        }
        answers.into_iter().map(answer).collect()
    }

    /// Publishes that these jobs run, those whose lock is still theirs; answers how many. Safe to repeat.
    pub(crate) async fn tell_running(&self, jobs: &[(Arc<Job>, Token)]) -> Result<u64, Error> {
        let mut told = 0;
        for batch in jobs.chunks(BATCH) {
            let mut args = vec![self.base.clone(), self.now()];
            args.extend(self.status.clone());
            args.extend(batch.iter().flat_map(|(job, token)| [job.id.as_str().into(), Value::from(&**token)]));
            let answer = self.store.command().script(&TELL_RUNNING, &self.slot_key, args).await?;
            told += reply::count(TELL_RUNNING.name, &answer)?;
        }
        Ok(told)
    }
}

fn answer(value: Value) -> Result<Result<(), Code>, Error> {
    Ok(match value {
        Value::Integer(0) => Ok(()),
        Value::Integer(-1) => Err(Code::Missing),
        Value::Integer(-2) => Err(Code::NoLock),
        Value::Integer(-6) => Err(Code::OtherLock),
        Value::Integer(_) => return Err(reply::unexpected(REPORT_JOBS.name, "0 or a code it documents", &value)),
        text => Err(Code::Broken(reply::text(REPORT_JOBS.name, text)?)),
    })
}
