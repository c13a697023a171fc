//! Fill a queue, then time how fast it is worked off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::Error;
use super::usage::{Usage, resident};
use super::{Figures, NOOP, instance, rounded};
use crate::config::Config;
use crate::engine::{Engine, Event, Observer, Until};
use crate::job::{JobOptions, NewJob, Outcome, QueueName};
use crate::store::Store;

/// Jobs added in one call, and calls under way at once.
const BATCH: u64 = 1000;
const ADDING: usize = 4;

pub async fn measure(
    store: &Store,
    config: Config,
    queue: &QueueName,
    jobs: u64,
    payload: usize,
) -> Result<Figures, Error> {
    let adding = Instant::now();
    fill(store, queue, jobs, payload).await?;
    let adding = adding.elapsed();

    let clock = Clock::start();
    let concurrency = config.queues[queue.as_str()].concurrency;
    let before = Usage::now(store).await?;
    work(config, &clock).await?;
    let used = Usage::now(store).await?.since(&before);

    let seconds = clock.seconds(jobs, queue)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 jobs and commands")]
    let (count, commands) = (jobs as f64, used.server.commands as f64);
    let micros = |used: Duration| rounded(used.as_secs_f64() * 1e6 / count);
    let figures = json!({
        "mode": "drain",
        "jobs": jobs,
        "concurrency": concurrency,
        "payloadBytes": payload,
        "seconds": rounded(seconds),
        "jobsPerSecond": (count / seconds).round(),
        "cpuUsPerJob": micros(used.own),
        "redisCpuUsPerJob": micros(used.server.cpu),
        "commandsPerJob": rounded(commands / count),
        "addJobsPerSecond": (count / adding.as_secs_f64()).round(),
        "rssBytes": resident(),
        "server": store.server().await?.to_string(),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}

/// Works the queues of the configuration until nothing is left, with a handler that does nothing.
pub async fn work(config: Config, clock: &Arc<Clock>) -> Result<(), Error> {
    Engine::builder(config)
        .inline_handler(NOOP, |_, _| async { Outcome::done() })
        .observer(Arc::clone(clock) as Arc<dyn Observer>)
        .instance(instance())
        .until(Until { drained: true, ..Until::default() })
        .build()
        .map_err(crate::daemon::Error::from)?
        .run_here()
        .await
        .map_err(crate::daemon::Error::from)?;
    Ok(())
}

/// Data of that many bytes.
pub fn payload(bytes: usize) -> Box<RawValue> {
    // {"x":"…"} is eight bytes around the text
    let text = format!("{{\"x\":\"{}\"}}", "x".repeat(bytes.saturating_sub(8)));
    RawValue::from_string(text).expect("an object of one text is JSON")
}

pub async fn fill(store: &Store, queue: &QueueName, jobs: u64, bytes: usize) -> Result<(), Error> {
    let job = NewJob { name: "noop".into(), data: payload(bytes), opts: JobOptions::default() };
    let full = vec![job; usize::try_from(BATCH.min(jobs)).expect("a batch is small")];
    let queue = store.queue(queue);
    stream::iter((0..jobs).step_by(usize::try_from(BATCH).expect("a batch is small")))
        .map(|from| {
            let size = usize::try_from(BATCH.min(jobs - from)).expect("a batch is small");
            let (queue, batch) = (&queue, &full[..size]);
            async move { queue.add(batch).await.map(drop) }
        })
        .buffer_unordered(ADDING)
        .try_collect::<()>()
        .await?;
    Ok(())
}

/// Notes when the last job was recorded as completed.
pub struct Clock {
    begin: Instant,
    /// In µs after `begin`.
    last: AtomicU64,
    done: AtomicU64,
}

impl Clock {
    pub fn start() -> Arc<Self> {
        Arc::new(Self { begin: Instant::now(), last: AtomicU64::new(0), done: AtomicU64::new(0) })
    }

    /// How long it took until the last of these jobs was done.
    pub fn seconds(&self, jobs: u64, queue: &QueueName) -> Result<f64, Error> {
        let done = self.done.load(Ordering::Relaxed);
        if done != jobs {
            return Err(Error::No(format!("{jobs} jobs were added, {done} completed; is another worker on {queue}?")));
        }
        Ok(Duration::from_micros(self.last.load(Ordering::Relaxed)).as_secs_f64())
    }
}

impl Observer for Clock {
    fn observe(&self, event: &Event) {
        if let Event::Completed { .. } = event {
            self.done.fetch_add(1, Ordering::Relaxed);
            let now = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.last.fetch_max(now, Ordering::Relaxed);
        }
    }
}
