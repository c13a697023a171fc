//! Values that can be made again, kept for a while so that they need not be.

use std::sync::Arc;

use crate::config;
use crate::store::AppStore;

/// Cheap to clone.
#[derive(Clone)]
#[allow(dead_code, reason = "read by the operations")]
pub struct Cache {
    inner: Arc<Inner>,
}

#[allow(dead_code, reason = "read by the operations")]
struct Inner {
    store: AppStore,
    settings: config::app::Cache,
}

impl Cache {
    pub(super) fn new(store: AppStore, settings: config::app::Cache) -> Self {
        Self { inner: Arc::new(Inner { store, settings }) }
    }
}
