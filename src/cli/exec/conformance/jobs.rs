//! The jobs a program is given to be checked.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::super::super::Error;
use super::super::file::JobFile;
use crate::handler::{JobContext, job_frame};
use crate::job::{Job, QueueName, UnixMillis};

/// What jobs are told they may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Makes job frames, each of a job of its own.
pub struct Jobs {
    sample: Job,
}

impl Jobs {
    pub fn new(file: JobFile) -> Result<Self, Error> {
        let queue = file.queue.clone().unwrap_or_else(|| QueueName::new("conformance").expect("a name for a queue"));
        Ok(Self { sample: file.job(queue, super::super::once::now())? })
    }

    pub fn queue(&self) -> &QueueName {
        &self.sample.queue
    }

    /// The frame of a job with the data of the sample, or other data.
    pub fn frame(&self, reference: &str, data: Option<String>) -> Vec<u8> {
        let mut job = self.sample.clone();
        job.processed_on = UnixMillis(super::super::once::now().0);
        if let Some(data) = data {
            job.data = RawValue::from_string(data).expect("checks give JSON");
        }
        let job = Arc::new(job);
        let ctx = JobContext::detached(Arc::clone(&job), TIMEOUT);
        job_frame(reference, &job, &ctx, None)
    }
}
