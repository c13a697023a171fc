//! What does an application keep in Redis beside its queues? Caches, log-ins, request limits, who is there.
//!
//! An [`App`] is a cheap handle on the connections of a [`Store`]. Programs make one of their own; handlers are given
//! that of the engine. Each operation is one command or one script, over a connection that no job waits for. Keys stand
//! below one prefix (`[app] prefix`), in layouts that the handlers which keep house in Redis know.

pub mod cache;
mod error;

use crate::config;
use crate::store::{self, AppStore, Store};

pub use cache::Cache;
pub use error::Error;

/// Cheap to clone.
#[derive(Clone)]
pub struct App {
    cache: Cache,
}

impl App {
    /// Opens nothing: the connection is made by the first operation. An error when the settings would mix up keys with
    /// those of queues.
    pub fn new(store: &Store, settings: config::App) -> Result<Self, Error> {
        if let Some((key, invalid)) = settings.problems(store.prefix()).into_iter().next() {
            return Err(store::Error::Setup(format!("[app] {key}: {invalid}")).into());
        }
        let shelf = AppStore::new(store, &settings.prefix);
        Ok(Self { cache: Cache::new(shelf, settings.cache) })
    }

    /// Values that can be made again.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}
