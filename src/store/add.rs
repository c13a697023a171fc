//! Adds jobs as BullMQ would. Protocol: §4.2, §4.3, §5.3.

use serde_json::json;

use super::error::Error;
use super::script::ADD_JOBS;
use super::work::status_arguments;
use super::{Queue, Value, keys, reply};
use crate::config;
use crate::job::options::MAX_PRIORITY;
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

/// What BullMQ's producers refuse before anything is sent. Protocol: §3.2.
pub(super) fn check(job: &NewJob) -> Result<(), String> {
    let opts = &job.opts;
    if let Some(id) = &opts.job_id {
        let id = JobId::custom(id).map_err(|error| error.to_string())?;
        // BullMQ takes some of these, and the queue fails at the first operation that finds a job in a key of its own
        if !keys::is_free(&id) {
            return Err(format!("job id {:?} is refused: the queue keeps a key of that name; prefix it", id.as_str()));
        }
    }
    if opts.priority > MAX_PRIORITY {
        return Err(format!("expected a priority from 0 to {MAX_PRIORITY}, got {}", opts.priority));
    }
    if let Some(jitter) = opts.backoff.as_ref().and_then(|backoff| backoff.jitter)
        && !(0.0..=1.0).contains(&jitter)
    {
        return Err(format!("expected a jitter from 0 to 1, got {jitter}"));
    }
    if let Some(parent) = &opts.parent {
        if parent.id.is_empty() || parent.id.contains(':') || !parent.queue.contains(':') {
            let ParentRef { id, queue } = parent;
            return Err(format!(
                "expected a parent of an id without ':' and a queue as \"PREFIX:NAME\", got id {id:?} and queue {queue:?}"
            ));
        }
        if opts.deduplication.is_some() {
            return Err("deduplication cannot be used on a job with a parent".into());
        }
    }
    if opts.deduplication.as_ref().is_some_and(|deduplication| deduplication.id.is_empty()) {
        return Err("deduplication needs an id".into());
    }
    if opts.extra.is_empty() {
        return Ok(());
    }
    if let Some(limit) = opts.extra.get("sizeLimit").and_then(serde_json::Value::as_u64)
        && job.data.get().len() as u64 > limit
    {
        let length = job.data.get().len();
        return Err(format!("data is {length} bytes long, longer than its sizeLimit of {limit}"));
    }
    for (name, instead) in [("debounce", "use deduplication"), ("repeat", "use a job scheduler")] {
        if opts.extra.contains_key(name) {
            return Err(format!("the option {name} is no longer part of BullMQ; {instead} instead"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
