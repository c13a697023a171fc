//! A job and its context, for the tests of this room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::{Attempt, JobContext};
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
        deferred_since: None,
        element: None,
    }
}

pub(crate) fn context() -> JobContext {
    context_of(job("null"))
}

pub(crate) fn context_of(job: Job) -> JobContext {
    let timeout = Duration::from_secs(60);
    let attempt = Attempt {
        job: Arc::new(job),
        token: "token".into(),
        started: Instant::now(),
        timeout,
        deadline_ms: 1_788_253_260_000,
        max_attempts: 3,
        prefix: "bull".into(),
        tenant: "/tenantId".into(),
        may_be_parent: false,
        trace: None,
    };
    JobContext::new(attempt, None)
}

/// The cells of the table of a page whose first head is this, row by row.
pub(crate) fn rows<'a>(page: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let table = page.split_once(&format!("\n| {head} |")).unwrap_or_else(|| panic!("no table of {head:?}")).1;
    let table = table.split("\n\n").next().unwrap_or_default();
    let rows: Vec<Vec<&str>> =
        table.lines().skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert!(!rows.is_empty(), "the table of {head:?} is empty");
    rows
}
