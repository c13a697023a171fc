//! How full queues are, many of them in one call: for metrics.

use std::time::Duration;

use super::connection::Value;
use super::list::List;
use super::queue::Counts;
use super::script::DEPTHS;
use super::work::BullQueue;
use super::{Error, WorkQueue, reply};
use crate::job::{QueueName, UnixMillis};

/// Queues in one call: each costs Redis about 10 µs.
const CHUNK: usize = 64;

/// One queue, as Redis has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depths {
    pub queue: QueueName,
    pub counts: Counts,
    pub paused: bool,
    /// For how long the job that is served next has waited, since it was added, its delay was over or it ran last. `None`
    /// when none waits, and for lists, whose elements do not tell.
    pub oldest_waiting: Option<Duration>,
}

impl WorkQueue {
    /// Those of these queues that can be read, in order.
    pub(crate) async fn depths(queues: &[&Self]) -> Result<Vec<Depths>, Error> {
        let mut found = Vec::with_capacity(queues.len());
        let bulls: Vec<&BullQueue> =
            queues.iter().filter_map(|queue| if let Self::Bull(bull) = queue { Some(&**bull) } else { None }).collect();
        for some in bulls.chunks(CHUNK) {
            BullQueue::depths(some, &mut found).await?;
        }
        for queue in queues {
            if let Self::List(list) = queue {
                found.extend(list.depths().await?);
            }
        }
        Ok(found)
    }
}

impl BullQueue {
    async fn depths(queues: &[&Self], found: &mut Vec<Depths>) -> Result<(), Error> {
        let args = queues.iter().map(|queue| queue.base.clone()).collect();
        let answer = queues[0].store.command().script(&DEPTHS, &queues[0].slot_key, args).await?;
        let now = queues[0].store.now();
        for (queue, answer) in queues.iter().zip(reply::array(DEPTHS.name, answer)?) {
            // one that is broken keeps the others from nothing
            let Value::Array(parts) = answer else { continue };
            let mut parts = parts.iter().map(Value::as_i64);
            let mut number = || parts.next().flatten();
            let mut count = || number().and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
            let counts = Counts {
                waiting: count(),
                active: count(),
                delayed: count(),
                prioritized: count(),
                completed: count(),
                failed: count(),
                waiting_children: count(),
            };
            let paused = count() == 1;
            let oldest_waiting = number().map(|since| now.since(UnixMillis(since)));
            found.push(Depths { queue: queue.name.clone(), counts, paused, oldest_waiting });
        }
        Ok(())
    }
}

impl List {
    pub(super) async fn depths(&self) -> Result<Option<Depths>, Error> {
        match self.overview().await {
            Ok(overview) => Ok(Some(Depths {
                queue: self.name().clone(),
                counts: overview.counts,
                paused: overview.paused,
                oldest_waiting: None,
            })),
            Err(error) if error.is_connection() => Err(error),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::testing::{Server, redis};
    use super::*;
    use crate::config;

    fn work(store: &Store, name: &str) -> WorkQueue {
        let settings = config::Queue::new(QueueName::new(name).unwrap());
        WorkQueue::new(store, &settings, &config::Status::default(), None, false)
    }

    #[tokio::test]
    async fn many_queues_are_read_at_once_and_a_broken_one_is_left_out() {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        store.freeze(UnixMillis(1_700_000_100_000));
        for command in [
            "HSET bull:a:1 timestamp 1700000000000 opts {\"delay\":40000} processedOn 1700000050000",
            "HSET bull:a:2 timestamp 1700000000000 opts {\"backoff\":{\"delay\":1}}",
            "RPUSH bull:a:wait 2 1",
            "HSET bull:a:meta paused 1",
            "ZADD bull:a:completed 1 x 2 y",
            "ZADD bull:a:delayed 1 z",
            "SET bull:b:wait nonsense",
            "HSET bull:c:1 timestamp 1700000000000 opts {\"delay\":40000}",
            "ZADD bull:c:prioritized 1 1",
        ] {
            redis(&store, command).await;
        }
        let queues = ["a", "b", "c", "d"].map(|name| work(&store, name));
        let depths = WorkQueue::depths(&queues.iter().collect::<Vec<_>>()).await.unwrap();
        let names: Vec<&str> = depths.iter().map(|depths| depths.queue.as_str()).collect();
        assert_eq!(names, ["a", "c", "d"]);
        let [a, c, d] = depths.as_slice() else { panic!("{depths:?}") };
        assert_eq!(a.counts, Counts { waiting: 2, completed: 2, delayed: 1, ..Counts::default() });
        assert!(a.paused && !c.paused);
        let oldest = |depths: &Depths| depths.oldest_waiting.map(|oldest| oldest.as_secs());
        assert_eq!((oldest(a), oldest(c), oldest(d)), (Some(50), Some(60), None));
        assert_eq!(c.counts.prioritized, 1);
        redis(&store, "RPOP bull:a:wait").await;
        let depths = WorkQueue::depths(&[&queues[0]]).await.unwrap();
        assert_eq!(oldest(&depths[0]), Some(100), "no delay but that of its own options");
    }
}
