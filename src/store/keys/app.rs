//! The keys of what an application keeps beside its queues.

use std::sync::Arc;

use super::escaped;

/// The keys below one prefix. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AppKeys {
    /// `P:`
    base: Arc<str>,
}

impl AppKeys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { base: format!("{prefix}:").into() }
    }

    /// A value of the cache, under the name its key builder made.
    pub(crate) fn cached(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// The `MATCH` pattern for values of the cache, `name` being one already.
    pub(crate) fn cached_pattern(&self, name: &str) -> String {
        format!("{}{name}", escaped(&self.base))
    }

    /// The set of the keys that bear a tag, by their whole names: what the `tag-delete` handler works on.
    pub(crate) fn tag(&self, tag: &str) -> String {
        format!("{}tag:{tag}", self.base)
    }
}
