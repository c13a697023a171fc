//! Every Redis key is spelled here and nowhere else. Protocol: §2 and §6.3 of the protocol notes.

#[cfg(feature = "app")]
mod app;

use std::sync::Arc;

use bytes::Bytes;

use crate::config::OWN_ROOT;
use crate::config::list::hash_tag;
use crate::job::{JobId, QueueName, State};

#[cfg(feature = "app")]
pub(crate) use app::AppKeys;

/// The keys of one queue. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// `P:Q:`
    base: Arc<str>,
    /// Length of `P`.
    prefix: usize,
}

impl Keys {
    pub(crate) fn new(prefix: &str, queue: &QueueName) -> Self {
        Self { base: format!("{prefix}:{queue}:").into(), prefix: prefix.len() }
    }

    /// `P:Q:`, what scripts build the other keys from.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// `P:Q`
    pub(crate) fn queue_key(&self) -> &str {
        &self.base[..self.base.len() - 1]
    }

    /// The `MATCH` pattern that finds every key of the queue.
    pub(crate) fn pattern(&self) -> String {
        format!("{}*", escaped(&self.base))
    }

    fn queue(&self) -> &str {
        &self.queue_key()[self.prefix + 1..]
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    pub(crate) fn meta(&self) -> String {
        self.key("meta")
    }

    pub(crate) fn marker(&self) -> String {
        self.key("marker")
    }

    pub(crate) fn job(&self, id: &JobId) -> String {
        self.key(id.as_str())
    }

    /// The channel on which workers are told of orders for jobs that run, one for all queues of a prefix.
    pub(crate) fn orders(&self) -> String {
        orders(&self.base[..self.prefix])
    }

    /// The rows of a job's log.
    pub(crate) fn logs(&self, id: &JobId) -> String {
        format!("{}{id}:logs", self.base)
    }

    /// Held by the worker that runs the job.
    #[cfg(feature = "daemon")]
    pub(crate) fn lock(&self, id: &JobId) -> String {
        format!("{}{id}:lock", self.base)
    }

    /// The collection of a state: a list of waiting and active jobs, else a sorted set.
    pub(crate) fn state(&self, state: State) -> String {
        self.key(if state == State::Waiting { "wait" } else { state.as_str() })
    }

    /// Where 5.x clients have the waiting jobs of a paused queue.
    pub(crate) fn paused(&self) -> String {
        self.key("paused")
    }

    /// What a parent keeps of its children: `dependencies`, `processed`, `failed` or `unsuccessful`.
    pub(crate) fn children(&self, id: &JobId, kind: &str) -> String {
        children(&self.job(id), kind)
    }

    /// Job schedulers by the moment of their next job.
    pub(crate) fn schedulers(&self) -> String {
        self.key("repeat")
    }

    /// Of ours alone: the handlers that can do nothing for now.
    pub(crate) fn gates(&self) -> String {
        self.key("oxherd.gates")
    }

    pub(crate) fn limiter(&self) -> String {
        self.key("limiter")
    }

    /// What workers with metrics have counted.
    pub(crate) fn metrics(&self, state: State) -> String {
        format!("{}metrics:{state}", self.base)
    }

    /// The two lists a waiting job can be in: `wait`, and the one that 5.x clients use while the queue is paused.
    pub(crate) fn waiting(&self) -> [String; 2] {
        ["wait", "paused"].map(|name| self.key(name))
    }

    /// Where there is nothing, no job waits, is delayed or active, and none is suspected to be stalled. What waits in a
    /// paused queue's list of 5.x clients is not to be taken.
    pub(crate) fn unfinished(&self) -> [String; 5] {
        ["wait", "prioritized", "delayed", "active", "stalled"].map(|name| self.key(name))
    }

    /// What workers in other languages than JavaScript and Rust call themselves; a worker's name follows as in
    /// [`Keys::client_name`].
    pub(crate) fn plain_client_name(&self) -> String {
        self.queue_key().to_owned()
    }

    pub(crate) fn events(&self) -> String {
        self.key("events")
    }

    pub(crate) fn deduplication(&self, id: &str) -> String {
        format!("{}de:{id}", self.base)
    }

    /// The `MATCH` patterns that find every key of deduplication.
    pub(crate) fn deduplication_patterns(&self) -> [String; 2] {
        ["de", "dn"].map(|name| format!("{}{name}:*", escaped(&self.base)))
    }

    /// What BullMQ's `getWorkers` looks for: `P:<base64(Q)>`, and `:w:<name>` when the worker has a name.
    pub(crate) fn client_name(&self, worker: Option<&str>) -> String {
        let plain = format!("{}:{}", &self.base[..self.prefix], base64(self.queue().as_bytes()));
        match worker {
            // CLIENT SETNAME refuses spaces and control characters
            Some(worker) => format!("{plain}:w:{}", worker.replace(|c: char| !c.is_ascii_graphic(), "-")),
            None => plain,
        }
    }
}

/// The keys of a list that is a queue. Cheap to clone.
///
/// All but the list itself begin with `KEY:oxherd:`, KEY in braces where it has no hash tag, so that all are in one slot.
#[derive(Debug, Clone)]
pub(crate) struct ListKeys {
    key: Arc<str>,
    root: Arc<str>,
}

impl ListKeys {
    pub(crate) fn new(key: &str) -> Self {
        let root = match hash_tag(key) {
            Some(_) => format!("{key}:{OWN_ROOT}:"),
            None => format!("{{{key}}}:{OWN_ROOT}:"),
        };
        Self { key: key.into(), root: root.into() }
    }

    /// The list itself.
    pub(crate) fn list(&self) -> &str {
        &self.key
    }

    /// What the keys beside it begin with.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    fn beside(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// Whether it is paused, and its limits.
    pub(crate) fn meta(&self) -> String {
        self.beside("meta")
    }

    /// Rings for those who could not take anything.
    pub(crate) fn marker(&self) -> String {
        self.beside("marker")
    }

    /// The same for one process, by the first part of its tokens.
    pub(crate) fn marker_of(&self, incarnation: &str) -> String {
        self.beside(&format!("marker:{incarnation}"))
    }

    /// Elements that wait for their next attempt.
    pub(crate) fn delayed(&self) -> String {
        self.beside("delayed")
    }

    pub(crate) fn dead(&self) -> String {
        self.beside("dead")
    }

    /// As [`Keys::gates`].
    pub(crate) fn gates(&self) -> String {
        self.beside("gates")
    }

    /// Settings, and what is noted of elements and their failures: nothing that is an element.
    pub(crate) fn notes(&self) -> [String; 4] {
        ["meta", "crashes", "suspects", "limiter"].map(|name| self.beside(name))
    }

    /// Whether a key is the list or one beside it.
    pub(crate) fn covers(&self, key: &[u8]) -> bool {
        key == self.key.as_bytes() || key.starts_with(self.root.as_bytes())
    }
}

/// As [`Keys::orders`].
pub(crate) fn orders(prefix: &str) -> String {
    format!("{prefix}:oxherd.orders")
}

/// Where it stands who has done what by hand.
pub(crate) fn audit(prefix: &str) -> String {
    format!("{prefix}:oxherd.audit")
}

/// Whether a key stands beside some list that is a queue, whoever works it.
pub(crate) fn is_beside_a_list(key: &[u8]) -> bool {
    let part = format!(":{OWN_ROOT}:");
    key.windows(part.len()).any(|window| window == part.as_bytes())
}

/// The field of a job's hash that says it is to be cancelled.
pub(crate) const CANCEL_MARK: &str = "oxherd.cancel";

/// The `MATCH` pattern that finds the meta key of every queue.
pub(crate) fn meta_pattern(prefix: &str) -> String {
    format!("{}:*:meta", escaped(prefix))
}

/// The lock under which a key is filled, as `fill_key.lua` has it.
pub(crate) fn warm_lock(key: &[u8]) -> Bytes {
    [OWN_ROOT.as_bytes(), b":warm:", key].concat().into()
}

/// The key that is filled under a lock.
#[cfg(feature = "app")]
pub(crate) fn warmed(lock: &Bytes) -> Option<Bytes> {
    let key = lock.strip_prefix(OWN_ROOT.as_bytes())?.strip_prefix(b":warm:")?;
    Some(lock.slice_ref(key))
}

/// What a key of a queue begins with, `P:Q:`, if this can be one. Neither prefix nor name hold a colon as a rule.
pub(crate) fn queue_base(key: &[u8]) -> Option<&[u8]> {
    let mut colons = key.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
    let (first, second) = (colons.next()?, colons.next()?);
    (first > 0 && second > first + 1).then(|| &key[..=second])
}

/// The meta key of the queue with this base.
pub(crate) fn meta_of(base: &[u8]) -> Bytes {
    [base, b"meta"].concat().into()
}

/// Text in which a `MATCH` pattern sees nothing special.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The queue a key found by [`meta_pattern`] belongs to; `None` when it is no queue's.
pub(crate) fn queue_of_meta(prefix: &str, key: &str) -> Option<QueueName> {
    let name = key.strip_prefix(prefix)?.strip_prefix(':')?.strip_suffix(":meta")?;
    QueueName::new(name).ok()
}

/// The queue and id in a job's key, as parents hold it; `None` when it is not under the prefix. Cut at the last colon, as
/// scripts do.
pub(crate) fn split_job(prefix: &str, key: &str) -> Option<(QueueName, JobId)> {
    let (queue, id) = key.strip_prefix(prefix)?.strip_prefix(':')?.rsplit_once(':')?;
    Some((QueueName::new(queue).ok()?, JobId::stored(id)))
}

/// What the parent under a job's key keeps of its children, as [`Keys::children`].
pub(crate) fn children(job: &str, kind: &str) -> String {
    format!("{job}:{kind}")
}

/// Whether a job may have the id: its keys are none that a queue has anyway.
pub(crate) fn is_free(id: &JobId) -> bool {
    let id = id.as_str();
    let of_the_queue = State::ALL.iter().any(|state| state.as_str() == id)
        || matches!(
            id,
            "" | "0"
                | "wait"
                | "paused"
                | "id"
                | "meta"
                | "pc"
                | "marker"
                | "stalled"
                | "stalled-check"
                | "limiter"
                | "events"
                | "repeat"
                | "delay"
                | "priority"
                | "oxherd.cancel"
                | "oxherd.gates"
        );
    let below = ["0:", "de:", "dn:", "metrics:"].iter().any(|start| id.starts_with(start))
        || id.rsplit_once(':').is_some_and(|(_, last)| PARTS.contains(&last));
    // of what belongs to schedulers only iterations are jobs
    let scheduler = id.strip_prefix("repeat:").is_some_and(|rest| {
        !rest.rsplit_once(':').is_some_and(|(_, at)| !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit()))
    });
    !(of_the_queue || below || scheduler)
}

/// What a key of a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Job,
    /// A job's lock, log, or notes on its children.
    Part,
    Marker,
    Deduplication,
    /// Anything else that belongs to the queue as a whole.
    Queue,
}

/// What a key is by its name behind the queue's base.
pub(crate) fn kind_of(name: &str) -> Kind {
    let part = |(job, last): (&str, &str)| PARTS.contains(&last) && is_free(&JobId::stored(job));
    match name {
        "marker" => Kind::Marker,
        _ if name.starts_with("de:") => Kind::Deduplication,
        _ if name.starts_with("dn:") || name.starts_with("metrics:") => Kind::Queue,
        _ if name.rsplit_once(':').is_some_and(part) => Kind::Part,
        _ if is_free(&JobId::stored(name)) => Kind::Job,
        _ => Kind::Queue,
    }
}

/// What is kept of a job beside its hash.
const PARTS: [&str; 6] = ["lock", "logs", "dependencies", "processed", "failed", "unsuccessful"];

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0, |bits, (i, byte)| bits | (usize::from(*byte) << (16 - 8 * i)));
        for place in 0..4 {
            let letter = char::from(ALPHABET[(bits >> (18 - 6 * place)) & 63]);
            text.push(if place <= group.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bullmqs() {
        let keys = Keys::new("bull", &QueueName::new("email").unwrap());
        assert_eq!(keys.base(), "bull:email:");
        assert_eq!(keys.queue_key(), "bull:email");
    }

    #[test]
    fn worker_names_are_bullmqs() {
        let keys = Keys::new("bull", &QueueName::new("q").unwrap());
        assert_eq!(keys.client_name(Some("w1")), "bull:cQ==:w:w1");
        assert_eq!(keys.client_name(None), "bull:cQ==");
        assert_eq!(keys.client_name(Some("my host")), "bull:cQ==:w:my-host");
    }

    #[test]
    fn base64_pads() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar", "\u{fc}\u{1f426}"];
        let encoded = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy", "w7zwn5Cm"];
        assert_eq!(texts.map(|text| base64(text.as_bytes())), encoded);
    }

    #[test]
    fn a_jobs_key_is_cut_at_its_last_colon() {
        let (queue, id) = split_job("bull", "bull:email:7").unwrap();
        assert_eq!((queue.as_str(), id.as_str()), ("email", "7"));
        for other in ["other:email:7", "bull:email", "bull:email:a:b"] {
            assert_eq!(split_job("bull", other), None, "{other}");
        }
    }

    #[test]
    fn a_jobs_keys_are_none_of_the_queues() {
        for id in ["1", "custom-1", "repeat:s:1700000000000", "repeat:a:b:5", "a:b:c", "waitx"] {
            assert!(is_free(&JobId::stored(id)), "{id}");
        }
        for id in
            ["", "0", "0:1", "wait", "completed", "meta", "repeat", "repeat:s", "de:x", "metrics:failed", "1:lock"]
        {
            assert!(!is_free(&JobId::stored(id)), "{id}");
        }
    }

    #[test]
    fn keys_of_a_queue_are_told_apart() {
        for (name, kind) in [
            ("1", Kind::Job),
            ("repeat:s:1700000000000", Kind::Job),
            ("1:lock", Kind::Part),
            ("repeat:s:1700000000000:logs", Kind::Part),
            ("marker", Kind::Marker),
            ("de:x", Kind::Deduplication),
            ("de:x:lock", Kind::Deduplication),
            ("dn:x", Kind::Queue),
            ("meta", Kind::Queue),
            ("wait", Kind::Queue),
            ("repeat:s", Kind::Queue),
            ("metrics:failed", Kind::Queue),
            ("metrics:completed:data", Kind::Queue),
            ("stalled-check", Kind::Queue),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }

    #[test]
    fn queues_are_found_again_by_their_meta_key() {
        assert_eq!(meta_pattern("a*b"), "a\\*b:*:meta");
        assert_eq!(queue_of_meta("bull", "bull:email:meta").unwrap().as_str(), "email");
        // an empty segment, a job of that name, another prefix
        for other in ["bull::meta", "bull:email:job:meta", "other:email:meta", "bull:meta"] {
            assert_eq!(queue_of_meta("bull", other), None, "{other}");
        }
    }
}
