//! One queue as a worker sees it: the settings every script call repeats, made once.

use std::time::Duration;

use super::Value;
use serde_json::json;

use super::Store;
use super::keys::Keys;
use crate::config;
use crate::job::{JobId, QueueName, millis};

/// A worker's hold on one queue of BullMQ's. Its operations are in `claim`, `finish` and `upkeep`.
#[derive(Clone)]
pub(crate) struct BullQueue {
    pub(super) store: Store,
    pub(super) name: QueueName,
    pub(super) keys: Keys,
    /// Names the slot of every script call.
    pub(super) slot_key: String,
    pub(super) base: Value,
    pub(super) lock: Value,
    pub(super) worker: Value,
    pub(super) payload: Value,
    /// Takes tell which jobs have children.
    pub(super) family: Value,
    pub(super) metrics: Value,
    pub(super) status: [Value; 2],
    pub(super) settings: config::Queue,
}

impl BullQueue {
    /// `worker` is stored with each job taken; `always` publishes status messages also when
    /// nobody listens on this server, as somebody may on a replica.
    pub(crate) fn new(
        store: &Store,
        settings: &config::Queue,
        status: &config::Status,
        worker: Option<&str>,
        always: bool,
    ) -> Self {
        let keys = Keys::new(store.prefix(), &settings.name);
        Self {
            store: store.clone(),
            name: settings.name.clone(),
            slot_key: keys.meta(),
            base: keys.base().into(),
            keys,
            lock: millis(settings.lock).into(),
            worker: worker.unwrap_or_default().into(),
            payload: i64::try_from(settings.max_payload).unwrap_or(i64::MAX).into(),
            family: "".into(),
            metrics: i64::from(settings.metrics).into(),
            status: status_arguments(status, &settings.name, settings.policy.attempts, always),
            settings: settings.clone(),
        }
    }

    /// The same queue, whose takes tell which jobs have or had children when `told`.
    pub(crate) fn telling_parents(mut self, told: bool) -> Self {
        self.family = if told { "1" } else { "" }.into();
        self
    }

    pub(crate) fn tells_parents(&self) -> bool {
        self.family.as_str().is_some_and(|told| !told.is_empty())
    }

    pub(crate) fn name(&self) -> &QueueName {
        &self.name
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn marker(&self) -> String {
        self.keys.marker()
    }

    /// Length of a lock's life.
    pub(crate) fn lock_life(&self) -> Duration {
        self.settings.lock
    }

    pub(super) fn now(&self) -> Value {
        self.store.now().0.into()
    }
}

/// The two arguments that tell a script about status messages: whom to ask for listeners, and
/// everything a message is made of. A stream is written whether or not anybody listens.
pub(super) fn status_arguments(status: &config::Status, queue: &QueueName, attempts: u32, always: bool) -> [Value; 2] {
    let status = status.of(queue.as_str());
    if !status.enabled || status.channels.is_empty() {
        return ["".into(), "".into()];
    }
    let channels: Vec<String> = status.channels.iter().map(|c| c.replace("{queue}", queue.as_str())).collect();
    let stream = status.stream.as_ref();
    let probe = match channels.as_slice() {
        [one] if !always && stream.is_none() && !one.contains("{tenant}") => one.clone(),
        _ => "*".to_owned(),
    };
    let words: serde_json::Map<_, _> =
        status.told.iter().map(|state| ((*state).to_owned(), status.word(state).into())).collect();
    let settings = json!({
        "channels": channels,
        "tenant": pointer_steps(&status.tenant),
        "full": status.format == config::StatusFormat::Full,
        "words": words,
        "queue": queue,
        "attempts": attempts,
        "stream": stream.map_or(serde_json::Value::Bool(false), |stream| stream.key.as_str().into()),
        "kept": stream.map(|stream| stream.max_length.to_string()),
    });
    [probe.into(), settings.to_string().into()]
}

/// A JSON pointer's steps, escapes undone (RFC 6901).
pub(super) fn pointer_steps(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// A job whose lock is held.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) id: JobId,
    pub(crate) token: Token,
    /// Times started, as read with the take.
    pub(crate) started: u32,
}

/// Proof that a job was taken by us: one per take, `INCARNATION:NUMBER`.
pub(crate) type Token = std::sync::Arc<str>;

#[cfg(test)]
mod tests;
