//! Parents with ten children each: added whole, then worked off, children first.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::super::Error;
use super::drain::{Clock, payload, work};
use super::usage::Usage;
use super::{Figures, rounded};
use crate::config::{self, Config};
use crate::job::{Flow, JobOptions, NewJob, QueueName};
use crate::store::Store;

const CHILDREN: u64 = 10;
/// Flows added in one call, and calls under way at once.
const BATCH: u64 = 50;
const ADDING: usize = 4;

pub async fn measure(
    store: &Store,
    config: Config,
    queue: &QueueName,
    parents: u64,
    bytes: usize,
) -> Result<Figures, Error> {
    let before = Usage::now(store).await?;
    let begin = Instant::now();
    let job = |name: &str| NewJob { name: name.into(), data: payload(bytes), opts: JobOptions::default() };
    let node = |name: &str, children| Flow { queue: queue.clone(), job: job(name), children };
    let flow = node("parent", (0..CHILDREN).map(|_| node("child", Vec::new())).collect());
    let silent = config::Status { enabled: false, ..config::Status::default() };
    let full = vec![flow; usize::try_from(BATCH.min(parents)).expect("a batch is small")];
    stream::iter((0..parents).step_by(usize::try_from(BATCH).expect("a batch is small")))
        .map(|from| {
            let size = usize::try_from(BATCH.min(parents - from)).expect("a batch is small");
            let (batch, silent) = (&full[..size], &silent);
            async move { store.add_flows(batch, silent).await.map(drop) }
        })
        .buffer_unordered(ADDING)
        .try_collect::<()>()
        .await?;
    let adding = begin.elapsed().as_secs_f64();
    let clock = Clock::start();
    work(config, &clock).await?;
    let used = Usage::now(store).await?.since(&before);
    let jobs = parents * (CHILDREN + 1);
    let seconds = clock.seconds(jobs, queue)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 jobs")]
    let (count, parents) = (jobs as f64, parents as f64);
    let micros = |used: Duration| rounded(used.as_secs_f64() * 1e6 / count);
    let figures = json!({
        "mode": "flows",
        "jobs": jobs,
        "payloadBytes": bytes,
        "flowsAddedPerSecond": (parents / adding).round(),
        "seconds": rounded(seconds),
        "jobsPerSecond": (count / seconds).round(),
        "cpuUsPerJob": micros(used.own),
        "redisCpuUsPerJob": micros(used.server.cpu),
        "server": store.server().await?.to_string(),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}
