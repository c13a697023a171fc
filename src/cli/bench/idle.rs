//! What waiting costs: queues without jobs, looked at for a while.

use std::time::Duration;

use serde_json::json;

use super::super::Error;
use super::usage::{Usage, resident};
use super::{Figures, NOOP, instance, rounded};
use crate::config::Config;
use crate::engine::Engine;
use crate::job::Outcome;
use crate::store::Store;

/// From the start until everything is connected and quiet.
const SETTLE: Duration = Duration::from_secs(2);

pub async fn measure(store: &Store, config: Config, span: Duration) -> Result<Figures, Error> {
    let queues = config.queues.len();
    let engine = Engine::builder(config)
        .inline_handler(NOOP, |_, _| async { Outcome::done() })
        .instance(instance())
        .build()
        .map_err(crate::daemon::Error::from)?;
    let handle = engine.handle();
    let running = tokio::spawn(engine.run_here());
    tokio::time::sleep(SETTLE).await;
    let before = Usage::now(store).await?;
    tokio::time::sleep(span).await;
    let used = Usage::now(store).await?.since(&before);
    let memory = resident();
    handle.stop();
    running.await.map_err(|_| crate::daemon::Error::Panicked)?.map_err(crate::daemon::Error::from)?;
    let seconds = span.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 commands")]
    let commands = used.server.commands as f64;
    let figures = json!({
        "mode": "idle",
        "queues": queues,
        "seconds": seconds,
        "cpuMsPerSecond": rounded(used.own.as_secs_f64() * 1e3 / seconds),
        "rssBytes": memory,
        "redisCpuMsPerSecond": rounded(used.server.cpu.as_secs_f64() * 1e3 / seconds),
        "redisCommandsPerSecond": rounded(commands / seconds),
        "server": store.server().await?.to_string(),
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}
