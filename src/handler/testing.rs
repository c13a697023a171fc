//! A job and its context, for the tests of this room.

use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::JobContext;
use crate::job::{Job, JobId, JobOptions, QueueName, UnixMillis};

pub(crate) fn job(data: &str) -> Job {
    Job {
        id: JobId::stored("1042"),
        queue: QueueName::new("email").unwrap(),
        name: "welcome".into(),
        data: RawValue::from_string(data.into()).unwrap(),
        opts: JobOptions::default(),
        timestamp: UnixMillis(1_788_253_198_120),
        processed_on: UnixMillis(1_788_253_200_000),
        priority: 0,
        attempts_made: 0,
        attempts_started: 1,
        stalled: 0,
        deferred_failure: None,
        parent_key: None,
        scheduler: None,
        stacktrace: None,
    }
}

pub(crate) fn context() -> JobContext {
    JobContext::new(Instant::now() + Duration::from_secs(60), 1_788_253_260_000, 3, "bull".into(), "/tenantId".into())
}
