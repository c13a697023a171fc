//! Fill a plain list with ids, then time how fast it is worked off in reliable mode.

use std::time::Instant;

use bytes::Bytes;
use serde_json::json;

use super::super::Error;
use super::drain::{Clock, work};
use super::usage::{Usage, resident};
use super::{Figures, rounded};
use crate::config::{self, Config};
use crate::job::QueueName;
use crate::store::Store;

/// The list that stands for a queue.
pub fn of(queue: &QueueName) -> config::List {
    config::List::new(format!("{queue}-list"))
}

pub async fn measure(store: &Store, config: Config, queue: &QueueName, jobs: u64) -> Result<Figures, Error> {
    let settings = &config.queues[queue.as_str()];
    let list = store.list(settings).ok_or_else(|| Error::No(format!("queue {queue} is no list")))?;
    if list.counts().await?.waiting > 0 {
        return Err(Error::Usage(format!(
            "list {} exists; name another queue, both are removed afterwards",
            list.key()
        )));
    }
    let concurrency = settings.concurrency;
    let adding = Instant::now();
    list.push((0..jobs).map(|number| Bytes::from(format!("job-{number:08}")))).await?;
    let adding = adding.elapsed().as_secs_f64();
    let clock = Clock::start();
    let before = Usage::now(store).await?;
    let worked = async {
        work(config, &clock).await?;
        let used = Usage::now(store).await?.since(&before);
        Ok::<_, Error>((clock.seconds(jobs, queue)?, used))
    };
    let worked = Box::pin(worked).await;
    list.erase().await?;
    let (seconds, used) = worked?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 jobs and commands")]
    let (count, commands) = (jobs as f64, used.server.commands as f64);
    let figures = json!({
        "mode": "list",
        "jobs": jobs,
        "concurrency": concurrency,
        "seconds": rounded(seconds),
        "jobsPerSecond": (count / seconds).round(),
        "cpuUsPerJob": rounded(used.own.as_secs_f64() * 1e6 / count),
        "redisCpuUsPerJob": rounded(used.server.cpu.as_secs_f64() * 1e6 / count),
        "commandsPerJob": rounded(commands / count),
        "addJobsPerSecond": (count / adding).round(),
        "rssBytes": resident(),
        "server": store.server().await?.to_string(),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}
