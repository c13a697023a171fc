//! Listens to Redis for all viewers together, while there are any.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::hub::Hub;
use super::update::Update;
use crate::config::{AtStart, Redis, Status};
use crate::store::{Embedding, Error, Store};

/// How long the subscription outlives the last viewer, who may only be changing its token.
const LINGER: Duration = Duration::from_secs(5);
/// Pause before Redis is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where messages come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub redis: Redis,
    pub status: Status,
}

/// Feeds the hub, without end.
pub async fn feed(hub: Arc<Hub>, mut source: watch::Receiver<Source>) {
    let mut count = hub.count();
    while count.wait_for(|count| *count > 0).await.is_ok() {
        let from = source.borrow_and_update().clone();
        tokio::select! {
            result = listen(&hub, &from) => if let Err(error) = result {
                tracing::debug!(%error, "cannot listen for viewers; trying again");
                tokio::time::sleep(PAUSE).await;
            },
            () = gone(&hub) => {}
            changed = source.changed() => if changed.is_err() { return },
        }
        hub.silent();
    }
}

/// Until there has been no viewer for a while.
async fn gone(hub: &Hub) {
    let mut count = hub.count();
    loop {
        let _ = count.wait_for(|count| *count == 0).await;
        if tokio::time::timeout(LINGER, count.wait_for(|count| *count > 0)).await.is_err() {
            return;
        }
    }
}

async fn listen(hub: &Hub, from: &Source) -> Result<(), Error> {
    let redis = Redis { at_start: AtStart::Fail, announce_workers: false, ..from.redis.clone() };
    let store = Store::open_with(&redis, "admin", Embedding::Join).await?;
    let channels = &from.status.channels;
    let (patterns, plain): (Vec<_>, Vec<_>) = channels.iter().cloned().partition(|channel| channel.contains('{'));
    let mut messages = store.subscribe(&plain, &patterns).await?;
    hub.live();
    while let Some(message) = messages.next().await {
        if message.missed > 0 {
            hub.live();
        }
        if let Some(update) = Update::read(None, message.payload) {
            hub.tell(update);
        }
    }
    Ok(())
}
