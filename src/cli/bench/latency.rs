//! One job every 5 ms into an idle worker: from before the add to the handler's first line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::super::Error;
use super::{Figures, NOOP, instance};
use crate::config::Config;
use crate::engine::Engine;
use crate::job::{Job, JobOptions, NewJob, Outcome, QueueName};
use crate::store::Store;

const PAUSE: Duration = Duration::from_millis(5);
/// Jobs before counting begins: scripts are loaded and caches filled by then.
const WARM_UP: u64 = 50;
/// A job that is not picked up within this time will not be.
const LOST: Duration = Duration::from_secs(30);

pub async fn measure(
    store: &Store,
    config: Config,
    queue: &QueueName,
    jobs: u64,
    payload: usize,
) -> Result<Figures, Error> {
    let pad = "x".repeat(payload.saturating_sub(20));
    let base = Instant::now();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let engine = Engine::builder(config)
        .inline_handler(NOOP, move |job: Arc<Job>, _| {
            let now = micros(base);
            let _ = arrived.send(now.saturating_sub(added_at(&job)));
            async { Outcome::done() }
        })
        .instance(instance())
        .build()
        .map_err(crate::daemon::Error::from)?;
    let handle = engine.handle();
    let running = tokio::spawn(engine.run_here());
    let queue = store.queue(queue);
    let mut waits = Vec::new();
    for n in 0..WARM_UP + jobs {
        tokio::time::sleep(PAUSE).await;
        let text = format!("{{\"t\":{},\"x\":\"{pad}\"}}", micros(base));
        let data = RawValue::from_string(text).expect("an object of a number and a text is JSON");
        queue.add(&[NewJob { name: "noop".into(), data, opts: JobOptions::default() }]).await?;
        let wait = tokio::time::timeout(LOST, arrivals.recv()).await.ok().flatten();
        let Some(wait) = wait else {
            return Err(Error::No(format!("job {n} was not picked up within {}s", LOST.as_secs())));
        };
        if n >= WARM_UP {
            waits.push(wait);
        }
    }
    handle.stop();
    running.await.map_err(|_| crate::daemon::Error::Panicked)?.map_err(crate::daemon::Error::from)?;
    waits.sort_unstable();
    let figures = json!({
        "mode": "latency",
        "jobs": jobs,
        "unit": "us",
        "p50": percentile(&waits, 50),
        "p95": percentile(&waits, 95),
        "p99": percentile(&waits, 99),
        "max": waits.last(),
        "server": store.server().await?.to_string(),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}

fn micros(base: Instant) -> u64 {
    u64::try_from(base.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// The moment the payload carries.
fn added_at(job: &Job) -> u64 {
    let data: serde_json::Value = serde_json::from_str(job.data.get()).unwrap_or_default();
    data["t"].as_u64().unwrap_or(0)
}

/// The smallest value that `percent` of all do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<u64> = (1..=200).collect();
        assert_eq!([50, 95, 99, 100].map(|p| percentile(&sorted, p)), [Some(100), Some(190), Some(198), Some(200)]);
        assert_eq!(percentile(&[7], 50), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }
}
