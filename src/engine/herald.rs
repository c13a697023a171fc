//! Tells anew what runs here when Redis has been away: those who listen have lost it too, and with it what was said
//! meanwhile.
//!
//! One status message for each job that runs, soon after Redis is back, and once more for those who took longer to come
//! back than we did. To hear it twice does no harm. What had ended is recorded, and told, by its pool.

use std::sync::Arc;
use std::time::Duration;

use super::renewer::{Locks, Register};
use crate::config::StatusStream;
use crate::store::{Link, Store};

/// When Redis is back, those who listen are told after so long, and once more after so long again: first the locks are
/// renewed.
const ROUNDS: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(4500)];

/// The service; ends with the store.
pub(crate) async fn tell(store: Store, register: Register) {
    let mut link = store.link();
    let mut rounds = ROUNDS[ROUNDS.len()..].iter();
    loop {
        let pause = rounds.as_slice().first().copied();
        tokio::select! {
            changed = link.changed() => {
                if changed.is_err() {
                    return;
                }
                let is_back = matches!(*link.borrow_and_update(), Link::Up { away: Some(_) });
                rounds = ROUNDS[if is_back { 0 } else { ROUNDS.len() }..].iter();
            }
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {
                rounds.next();
                tell_all(&register).await;
            }
        }
    }
}

async fn tell_all(register: &Register) {
    let queues: Vec<Arc<Locks>> = register.lock().expect("no code panics while holding this lock").clone();
    for locks in queues {
        let running = locks.slots.running();
        match locks.queue.tell_running(&running).await {
            Ok(0) => {}
            Ok(jobs) => tracing::debug!(queue = %locks.queue.name(), jobs, "told anew what runs"),
            Err(error) => tracing::debug!(queue = %locks.queue.name(), %error, "cannot tell anew what runs"),
        }
    }
}

/// Says so when there is something else in the stream's place.
pub(crate) async fn check_stream(store: Store, stream: StatusStream) {
    match store.command().call("TYPE", vec![stream.key.as_str().into()]).await {
        Ok(kind) => {
            let kind = kind.as_string().unwrap_or_default();
            if !["none", "stream"].contains(&kind.as_str()) {
                tracing::error!(
                    key = stream.key,
                    kind,
                    "not a stream: no status message is kept; rename the key, or name another in [status] stream"
                );
            }
        }
        Err(error) => tracing::warn!(key = stream.key, %error, "cannot look at the stream of status messages"),
    }
}
