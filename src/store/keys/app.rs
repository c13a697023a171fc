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
    /// What no entity of the cache may be called in a key, since other things stand there.
    pub(crate) const TAKEN: [&str; 1] = ["tag"];

    pub(crate) fn new(prefix: &str) -> Self {
        Self { base: format!("{prefix}:").into() }
    }

    /// `P:`, what all of them begin with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// A value of the cache, under the name its key builder made.
    pub(crate) fn cached(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// The `MATCH` pattern for values of the cache, `name` being one already.
    pub(crate) fn cached_pattern(&self, name: &str) -> String {
        format!("{}{name}", escaped(&self.base))
    }

    /// The name in a key of the cache, as [`AppKeys::cached`] was given it; `None`: it is no such key.
    pub(crate) fn name<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        let name = std::str::from_utf8(key).ok()?.strip_prefix(&*self.base)?;
        let entity = name.split(':').next().unwrap_or_default();
        (!Self::TAKEN.contains(&entity)).then_some(name)
    }

    /// The set of the keys that bear a tag, by their whole names: what the `tag-delete` handler works on.
    pub(crate) fn tag(&self, tag: &str) -> String {
        format!("{}tag:{tag}", self.base)
    }
}
