//! The handler's own connection: opened by the first job, shared by those that run together, closed when none has come
//! for a while.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::config;
use crate::store::{self, Keyspace};

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct Line {
    redis: config::Redis,
    held: Mutex<Option<Held>>,
}

struct Held {
    keyspace: Arc<Keyspace>,
    asked: Instant,
}

impl Line {
    pub(super) fn new(redis: config::Redis) -> Arc<Self> {
        Arc::new(Self { redis, held: Mutex::new(None) })
    }

    /// The connection, opened if need be. Cancel safe.
    pub(super) async fn keyspace(self: &Arc<Self>) -> Result<Arc<Keyspace>, store::Error> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_mut() {
            held.asked = Instant::now();
            return Ok(Arc::clone(&held.keyspace));
        }
        let keyspace = Arc::new(Keyspace::open(&self.redis).await?);
        *held = Some(Held { keyspace: Arc::clone(&keyspace), asked: Instant::now() });
        tokio::spawn(close_when_idle(Arc::downgrade(self), IDLE));
        Ok(keyspace)
    }
}

async fn close_when_idle(line: Weak<Line>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        let Some(line) = line.upgrade() else { return };
        let mut held = line.held.lock().await;
        let is_idle =
            held.as_ref().is_none_or(|held| Arc::strong_count(&held.keyspace) == 1 && held.asked.elapsed() >= idle);
        if is_idle {
            *held = None;
            return;
        }
    }
}

/// As if nobody had used the connection for long.
#[cfg(test)]
pub(super) fn close_soon(line: &Arc<Line>) {
    tokio::spawn(close_when_idle(Arc::downgrade(line), Duration::ZERO));
}
