//! Listens to Redis for all viewers together, while there are any.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::archive::Archive;
use super::hub::Hub;
use super::update::Update;
use crate::config::{AtStart, Config, Redis, StatusStream};
use crate::store::{Embedding, Error, Heard, Store};

/// How long the subscription outlives the last viewer, who may only be changing its token.
const LINGER: Duration = Duration::from_secs(5);
/// Pause before Redis is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where messages come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub redis: Redis,
    pub channels: Vec<String>,
    /// Where the messages are kept; read instead of the channels.
    pub stream: Option<StatusStream>,
}

impl Source {
    pub fn new(config: &Config) -> Self {
        Self { redis: config.redis.clone(), channels: config.followed(), stream: config.status.stream.clone() }
    }
}

/// Feeds the hub, without end.
pub async fn feed(hub: Arc<Hub>, mut source: watch::Receiver<Source>) {
    let mut count = hub.count();
    while count.wait_for(|count| *count > 0).await.is_ok() {
        let from = source.borrow_and_update().clone();
        tokio::select! {
            result = listen(&hub, &from) => if let Err(error) = result {
                if error.is_temporary() {
                    // the engine says that Redis is away
                    tracing::debug!(%error, "cannot listen for viewers; trying again");
                } else {
                    tracing::warn!(%error, "cannot listen for viewers; trying again");
                }
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
    let mut updates = match &from.stream {
        Some(stream) => {
            let updates = store.updates_kept(stream, None).await?;
            hub.keep(Archive::new(store.clone(), stream.clone()));
            updates
        }
        None => store.updates(&from.channels).await?,
    };
    hub.live();
    while let Some(heard) = updates.next().await {
        match heard {
            Heard::Message(message) => hub.tell(Update::new(message)),
            // whose they were nobody knows
            Heard::Missed(_) | Heard::Gap(_) => hub.live(),
        }
    }
    Ok(())
}
