//! Adds jobs as BullMQ would. Protocol: §5.3.

use super::error::Error;
use super::script::ADD_JOBS;
use super::work::status_arguments;
use super::{Queue, Value, reply};
use crate::config;
use crate::job::{JobId, NameError, NewJob, millis};

/// Jobs in one call: a thousand small ones keep Redis from others for about ten milliseconds.
const BATCH: usize = 500;

impl Queue {
    /// Adds jobs in order and answers their ids. A job whose own id is taken already is not added
    /// again; its id is answered all the same.
    ///
    /// Jobs go in calls of 500, each of which is wholly done or not at all; after an error the calls
    /// before it stay done. An ambiguous error may have added its call's jobs: repeat it only when
    /// they carry ids of their own.
    pub async fn add(&self, jobs: &[NewJob]) -> Result<Vec<JobId>, Error> {
        self.add_with(jobs, &config::Status { enabled: false, ..config::Status::default() }).await
    }

    /// As [`Queue::add`], with a status message for each job.
    pub async fn add_with(&self, jobs: &[NewJob], status: &config::Status) -> Result<Vec<JobId>, Error> {
        for job in jobs {
            check_id(job)?;
        }
        let mut ids = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(BATCH) {
            let now = self.store.now();
            let mut args: Vec<Value> = Vec::with_capacity(3 + 8 * batch.len());
            args.push(self.keys.base().into());
            args.extend(status_arguments(status, &self.name, 1, false));
            for job in batch {
                let timestamp = job.opts.timestamp.unwrap_or(now);
                args.extend([
                    job.opts.job_id.as_deref().unwrap_or_default().into(),
                    job.name.as_str().into(),
                    job.data.get().into(),
                    job.opts.encode().into(),
                    timestamp.0.into(),
                    job.opts.delay.map_or(0, millis).into(),
                    i64::from(job.opts.priority).into(),
                    if job.opts.lifo { "1" } else { "0" }.into(),
                ]);
            }
            let added = self.store.command().script(&ADD_JOBS, &self.keys.meta(), args).await?;
            ids.extend(reply::ids("add_jobs", added)?);
        }
        Ok(ids)
    }
}

fn check_id(job: &NewJob) -> Result<(), Error> {
    let refused = |error: NameError| Error::Setup(error.to_string());
    match &job.opts.job_id {
        Some(id) => JobId::custom(id).map(drop).map_err(refused),
        None => Ok(()),
    }
}
