//! Waits for work in a queue whose producers ring nothing and rings its pool's door: one task and one connection per such
//! queue. [`super::fetcher`] does it for all others together.

use std::sync::Arc;
use std::time::Duration;

use super::fetcher::Door;
use crate::store::Bell;

/// Pause after a wait that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits and rings for ever. Nothing is lost when it is dropped in the middle.
pub(crate) async fn ring(mut bell: Bell, door: Arc<Door>) {
    loop {
        door.opened().await;
        match Box::pin(bell.wait()).await {
            // it may have been closed meanwhile: then the pool looks by itself
            Ok(true) if door.is_open() => door.ring(),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "waiting for work failed");
                tokio::time::sleep(PAUSE).await;
                door.ring();
            }
        }
    }
}
