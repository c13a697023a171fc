//! Adds jobs as BullMQ would. Protocol: §4.2, §4.3, §5.3.

use serde_json::json;

use super::error::Error;
use super::script::ADD_JOBS;
use super::work::status_arguments;
use super::{Queue, Value, keys, reply};
use crate::config;
use crate::job::{JobId, JobOptions, NewJob, ParentRef, millis};

/// Jobs in one call: a thousand small ones keep Redis from others for about ten milliseconds.
const BATCH: usize = 500;

impl Queue {
    /// Adds jobs in order and answers their ids. A job whose own id is taken already is not added
    /// again; its id is answered all the same. For a job held back by its [`Deduplication`](crate::Deduplication) the
    /// id of the job that is there instead is answered.
    ///
    /// Jobs go in calls of 500, each of which is wholly done or not at all; after an error the calls
    /// before it stay done. An ambiguous error may have added its call's jobs: repeat it only when
    /// they carry ids of their own. A job whose parent is missing, or that is there as the child of another parent, is
    /// refused on its own: the others are added, and then the first refusal is the error. It names the job by its id,
    /// or by its name when it has none.
    ///
    /// ```no_run
    /// # async fn example(store: oxherd::Store) -> Result<(), Box<dyn std::error::Error>> {
    /// use oxherd::{Deduplication, JobOptions, NewJob, QueueName};
    ///
    /// let queue = store.queue(&QueueName::new("email")?);
    /// let digest = NewJob {
    ///     name: "digest".into(),
    ///     data: serde_json::value::to_raw_value(&serde_json::json!({ "user": 7 }))?,
    ///     opts: JobOptions {
    ///         // one digest per user at a time; while one runs, the last one asked for comes after it
    ///         deduplication: Some(Deduplication {
    ///             id: "digest-7".into(),
    ///             keep_last_if_active: true,
    ///             ..Deduplication::default()
    ///         }),
    ///         ..JobOptions::default()
    ///     },
    /// };
    /// let ids = queue.add(&[digest]).await?;
    /// # Ok(()) }
    /// ```
    pub async fn add(&self, jobs: &[NewJob]) -> Result<Vec<JobId>, Error> {
        self.add_with(jobs, &config::Status { enabled: false, ..config::Status::default() }).await
    }

    /// What a job added as a child of this queue's job `id` has as its [`JobOptions::parent`].
    #[must_use]
    pub fn parent(&self, id: &JobId) -> ParentRef {
        ParentRef { id: id.to_string(), queue: self.keys.queue_key().to_owned() }
    }

    /// As [`Queue::add`], with a status message for each job.
    pub async fn add_with(&self, jobs: &[NewJob], status: &config::Status) -> Result<Vec<JobId>, Error> {
        self.add_each(jobs, status).await?.into_iter().collect()
    }

    /// As [`Queue::add_with`], with what became of each job.
    pub(crate) async fn add_each(
        &self,
        jobs: &[NewJob],
        status: &config::Status,
    ) -> Result<Vec<Result<JobId, Error>>, Error> {
        for job in jobs {
            check(job).map_err(Error::Setup)?;
        }
        let mut added = Vec::with_capacity(jobs.len());
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
                    ties(&job.opts),
                ]);
            }
            let answer = self.store.command().script(&ADD_JOBS, &self.keys.meta(), args).await?;
            for (job, answer) in batch.iter().zip(reply::array(ADD_JOBS.name, answer)?) {
                added.push(match answer {
                    Value::Integer(_) => refused(job, &answer),
                    answer => reply::text(ADD_JOBS.name, answer).map(|id| JobId::stored(&id)),
                });
            }
        }
        Ok(added)
    }
}

/// A code in place of an id.
fn refused(job: &NewJob, code: &Value) -> Result<JobId, Error> {
    let name = JobId::stored(job.opts.job_id.as_deref().unwrap_or(&job.name));
    reply::accepted("add", &name, code)?;
    Err(reply::unexpected(ADD_JOBS.name, "an id or a code it documents", code))
}

/// What else than the job itself a job is about, as `add_jobs` wants it.
fn ties(opts: &JobOptions) -> Value {
    match (&opts.parent, &opts.deduplication) {
        (None, None) if opts.lifo => "1".into(),
        (None, None) => "".into(),
        (parent, deduplication) => {
            let mut ties = json!({ "front": opts.lifo });
            if let Some(parent) = parent {
                ties["parentKey"] = parent.key().into();
                ties["parent"] = parent_field(parent, opts).into();
            }
            if let Some(deduplication) = deduplication {
                ties["de"] = deduplication.value();
            }
            ties.to_string().into()
        }
    }
}

/// The hash field `parent`. Protocol: §3.1.
pub(super) fn parent_field(parent: &ParentRef, opts: &JobOptions) -> String {
    let mut field = json!({ "id": parent.id, "queueKey": parent.queue });
    if let Some(failure) = opts.on_failure {
        field[failure.stored_name()] = true.into();
    }
    field.to_string()
}

/// Why this job cannot be added, if it cannot; found before anything is sent.
pub(crate) fn check(job: &NewJob) -> Result<(), String> {
    job.check()?;
    // BullMQ takes some of these, and the queue fails at the first operation that finds a job in a key of its own
    match job.opts.job_id.as_deref().map(JobId::stored) {
        Some(id) if !keys::is_free(&id) => {
            Err(format!("job id {:?} is refused: the queue keeps a key of that name; prefix it", id.as_str()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
