//! How fast jobs are added in bulk.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::Error;
use super::drain::fill;
use super::usage::Usage;
use super::{Figures, rounded};
use crate::job::QueueName;
use crate::store::Store;

pub async fn measure(store: &Store, queue: &QueueName, jobs: u64, payload: usize) -> Result<Figures, Error> {
    let before = Usage::now(store).await?;
    let begin = Instant::now();
    fill(store, queue, jobs, payload).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let used = Usage::now(store).await?.since(&before);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 jobs")]
    let count = jobs as f64;
    let micros = |used: Duration| rounded(used.as_secs_f64() * 1e6 / count);
    let figures = json!({
        "mode": "add",
        "jobs": jobs,
        "payloadBytes": payload,
        "seconds": rounded(seconds),
        "jobsPerSecond": (count / seconds).round(),
        "cpuUsPerJob": micros(used.own),
        "redisCpuUsPerJob": micros(used.server.cpu),
        "server": store.server().await?.to_string(),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}
