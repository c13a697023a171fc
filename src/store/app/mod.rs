//! What an application keeps beside its queues, as Redis holds it. The room `app` gives it meaning.
//!
//! One connection of its own carries it all, opened by the first call.

mod cache;
pub(crate) mod presence;
pub(crate) mod rate_limit;
pub(crate) mod session;
mod sweep;

pub(crate) use cache::{Begun, Stored};
pub use sweep::Swept;

use super::keys::AppKeys;
use super::{Connection, Error, Store};
use crate::job::UnixMillis;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppStore {
    store: Store,
    keys: AppKeys,
}

impl AppStore {
    pub(crate) fn new(store: &Store, prefix: &str) -> Self {
        Self { store: store.clone(), keys: AppKeys::new(prefix) }
    }

    /// The server's time.
    pub(super) fn now(&self) -> UnixMillis {
        self.store.now()
    }

    pub(super) async fn connection(&self) -> Result<&Connection, Error> {
        self.store.app().await
    }
}
