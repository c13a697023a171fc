//! Which handlers of a queue can do nothing for now, as the processes that work it say: for those who see only Redis.
//! Protocol: a key of oxherd's own, `K(oxherd.gates)`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::connection::Value;
use super::script::POST_GATES;
use super::work::BullQueue;
use super::{Error, Queue, Store, reply};
use crate::job::{UnixMillis, millis};

/// Processes looked at, at most.
const MOST: i64 = 1000;

/// A handler that no jobs are taken for by one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredGate {
    pub handler: String,
    /// The process, as its log names it.
    pub instance: String,
    /// `shut` or `half-open`
    pub state: String,
    pub why: String,
    /// When one job may try; `None`: nobody knows, or one tries now.
    pub until: Option<UnixMillis>,
}

/// What this process shows of one queue.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    /// Texts that may be there: more than one after a call without an answer.
    texts: Vec<String>,
}

impl Posted {
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl BullQueue {
    /// Shows these gates in place of what was shown before; it counts for `life`. The instance is filled in.
    ///
    /// Repeating it after an error is safe.
    pub(crate) async fn post_gates(
        &self,
        posted: &mut Posted,
        gates: Vec<StoredGate>,
        life: Duration,
    ) -> Result<(), Error> {
        post(&self.store, &self.keys.gates(), posted, gates, life).await
    }
}

/// As [`BullQueue::post_gates`], under this key.
pub(super) async fn post(
    store: &Store,
    key: &str,
    posted: &mut Posted,
    mut gates: Vec<StoredGate>,
    life: Duration,
) -> Result<(), Error> {
    for gate in &mut gates {
        store.instance().clone_into(&mut gate.instance);
    }
    let text = if gates.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&gates).expect("texts and numbers are always JSON")
    };
    let mut args = vec![store.now().0.into(), millis(life).into(), text.as_str().into()];
    args.extend(posted.texts.iter().filter(|old| **old != text).map(|old| Value::from(old.as_str())));
    if !text.is_empty() && !posted.texts.contains(&text) {
        posted.texts.push(text.clone());
    }
    store.command().script(&POST_GATES, key, args).await?;
    posted.texts.retain(|shown| *shown == text);
    Ok(())
}

impl Queue {
    /// The handlers of the queue that some process can do nothing with for now.
    pub async fn gates(&self) -> Result<Vec<StoredGate>, Error> {
        read(&self.store, &self.keys.gates()).await
    }
}

/// As [`Queue::gates`], under this key.
pub(super) async fn read(store: &Store, key: &str) -> Result<Vec<StoredGate>, Error> {
    let from = format!("({}", store.now());
    let args = vec![key.into(), from.into(), "+inf".into(), "LIMIT".into(), 0.into(), MOST.into()];
    let texts = reply::texts("ZRANGEBYSCORE", store.command().call("ZRANGEBYSCORE", args).await?)?;
    // what another version wrote in another way is left out
    let mut gates: Vec<StoredGate> =
        texts.iter().filter_map(|text| serde_json::from_str::<Vec<_>>(text).ok()).flatten().collect();
    gates.sort_by(|a, b| (&a.handler, &a.instance).cmp(&(&b.handler, &b.instance)));
    Ok(gates)
}

#[cfg(test)]
mod tests {
    use super::super::WorkQueue;
    use super::super::testing::Server;
    use super::*;
    use crate::config;
    use crate::job::QueueName;

    fn gate(handler: &str, until: i64) -> StoredGate {
        StoredGate {
            handler: handler.into(),
            instance: String::new(),
            state: "shut".into(),
            why: "no answer".into(),
            until: Some(UnixMillis(until)),
        }
    }

    async fn work(server: &Server, instance: &str) -> (Store, WorkQueue) {
        let store = Store::open(&server.config(), instance).await.unwrap();
        let settings = config::Queue::new(QueueName::new("q").unwrap());
        (store.clone(), WorkQueue::new(&store, &settings, &config::Status::default(), None, false))
    }

    async fn shown(queue: &Queue) -> Vec<(String, String, i64)> {
        let gates = queue.gates().await.unwrap();
        gates.into_iter().map(|gate| (gate.handler, gate.instance, gate.until.unwrap().0)).collect()
    }

    #[tokio::test]
    async fn each_process_shows_its_own_until_it_takes_it_away_or_dies() {
        const LIFE: Duration = Duration::from_secs(60);
        let server = Server::start().await;
        let ((store, one), (_, other)) = (work(&server, "one").await, work(&server, "other").await);
        let queue = store.queue(&QueueName::new("q").unwrap());
        let (mut posted, mut posted_there) = (Posted::default(), Posted::default());
        one.post_gates(&mut posted, vec![gate("app", 1)], LIFE).await.unwrap();
        other.post_gates(&mut posted_there, vec![gate("app", 2), gate("mail", 3)], LIFE).await.unwrap();
        // what an answer that got lost leaves behind is replaced too
        posted.texts.push("[]".into());
        one.post_gates(&mut posted, vec![gate("app", 4)], LIFE).await.unwrap();
        one.post_gates(&mut posted, vec![gate("app", 4)], LIFE).await.unwrap();
        let row = |handler: &str, instance: &str, until| (handler.to_owned(), instance.to_owned(), until);
        assert_eq!(shown(&queue).await, [row("app", "one", 4), row("app", "other", 2), row("mail", "other", 3)]);
        let left = store.command().call("PTTL", vec!["bull:q:oxherd.gates".into()]).await.unwrap();
        assert!((50_000..=60_000).contains(&left.as_i64().unwrap()), "{left:?}");
        one.post_gates(&mut posted, Vec::new(), LIFE).await.unwrap();
        assert!(posted.is_empty());
        assert_eq!(shown(&queue).await.len(), 2);
        // the other one has died
        other.post_gates(&mut posted_there, vec![gate("app", 5)], Duration::from_millis(50)).await.unwrap();
        one.post_gates(&mut posted, vec![gate("app", 6)], LIFE).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(shown(&queue).await, [row("app", "one", 6)]);
        one.post_gates(&mut posted, Vec::new(), LIFE).await.unwrap();
        let there = store.command().call("EXISTS", vec!["bull:q:oxherd.gates".into()]).await.unwrap();
        assert_eq!(there.as_i64(), Some(0));
    }
}
