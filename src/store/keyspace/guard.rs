//! Which keys housekeeping must never touch, whatever pattern found them.

use std::collections::HashMap;

use bytes::Bytes;

use super::Keyspace;
use crate::config::OWN_ROOT;
use crate::job::glob;
use crate::store::keys::ListKeys;
use crate::store::{Error, keys};

/// Bases that are remembered; beyond that they are asked for again.
const REMEMBERED: usize = 50_000;

/// What is protected by its name: everything under the queues' prefix, oxherd's own keys, those beside lists that are queues too,
/// and what the operator lists.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    roots: Vec<String>,
    /// Names of keys, with `*` and `?` for others.
    listed: Vec<String>,
    lists: Vec<ListKeys>,
}

impl Guard {
    pub(crate) fn new(prefix: &str, listed: &[String]) -> Self {
        let roots = [prefix, OWN_ROOT].map(|root| format!("{root}:")).into();
        Self { roots, listed: listed.to_vec(), lists: Vec::new() }
    }

    /// And these lists, which are queues.
    pub(crate) fn with_lists(mut self, keys: &[String]) -> Self {
        self.lists = keys.iter().map(|key| ListKeys::new(key)).collect();
        self
    }

    /// Whether the key is protected by its name alone.
    pub(crate) fn covers(&self, key: &[u8]) -> bool {
        let own = self.roots.iter().any(|root| key.starts_with(root.as_bytes()))
            || self.lists.iter().any(|list| list.covers(key))
            || keys::is_beside_a_list(key);
        own || {
            let text = String::from_utf8_lossy(key);
            self.listed.iter().any(|listed| glob::covers(listed, &text))
        }
    }
}

/// Takes protected keys out of what is to be changed: by name, and keys of queues under other prefixes that are on the
/// server.
pub(crate) struct Sieve<'a> {
    keyspace: &'a Keyspace,
    guard: &'a Guard,
    /// Whether a base is that of a queue.
    known: HashMap<Bytes, bool>,
}

impl<'a> Sieve<'a> {
    pub(crate) fn new(keyspace: &'a Keyspace, guard: &'a Guard) -> Self {
        Self { keyspace, guard, known: HashMap::new() }
    }

    /// Of `items` those whose key may be changed, and how many may not.
    pub(crate) async fn sift<T>(
        &mut self,
        items: Vec<T>,
        key_of: impl Fn(&T) -> &Bytes,
    ) -> Result<(Vec<T>, u64), Error> {
        let before = items.len();
        let items: Vec<T> = items.into_iter().filter(|item| !self.guard.covers(key_of(item))).collect();
        let base = |item: &T| {
            let key = key_of(item);
            keys::queue_base(key).map(|base| key.slice_ref(base))
        };
        let mut unknown: Vec<Bytes> = items.iter().filter_map(base).filter(|b| !self.known.contains_key(b)).collect();
        unknown.sort();
        unknown.dedup();
        if !unknown.is_empty() {
            if self.known.len() > REMEMBERED {
                self.known.clear();
                unknown = items.iter().filter_map(base).collect();
                unknown.sort();
                unknown.dedup();
            }
            let found = self.keyspace.are_queues(&unknown).await?;
            self.known.extend(unknown.into_iter().map(|base| Bytes::copy_from_slice(&base)).zip(found));
        }
        let is_queue = |item: &T| base(item).is_some_and(|base| self.known.get(&base).copied().unwrap_or(true));
        let free: Vec<T> = items.into_iter().filter(|item| !is_queue(item)).collect();
        let protected = before - free.len();
        Ok((free, protected as u64))
    }
}
