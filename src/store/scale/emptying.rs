//! What is done to the queue as a whole: paused, cleaned, emptied.

use super::Cost::{Flat, WalksWait};
use super::*;
use crate::job::{Keep, State};

pub(super) async fn all(long: &Long) {
    let queue = &long.queue;
    long.quick("pause, resume: placement v6", Flat, async |_| {
        queue.pause().await.unwrap();
        queue.resume().await.unwrap();
    })
    .await;
    let v5 = "redis.call('HSET', 'bull:q:meta', 'oxherd.placement', 'v5') return 1";
    long.quick_after(v5, "pause, resume: placement v5", Flat, async |_| {
        queue.pause().await.unwrap();
        assert_eq!(long.redis("EXISTS", "bull:q:wait").await, ["0"]);
        queue.resume().await.unwrap();
    })
    .await;
    let both = "for n = 1, 50000 do redis.call('LPUSH', 'bull:q:paused', n) end return 1";
    long.quick_after(both, "pause, resume: placement v5, both lists long", Flat, async |_| {
        queue.pause().await.unwrap();
        long.lua("return redis.call('LPUSH', 'bull:q:wait', unpack(redis.call('RPOP', 'bull:q:paused', 7900)))", &[])
            .await;
        a_while(queue.resume()).await;
    })
    .await;
    queue.resume().await.unwrap();
    let work = long.pruning(Keep::Some { count: Some(1000), age: None, limit: None });
    let finished = "for n = 1, 20000 do redis.call('ZADD', 'bull:q:completed', n, 'g' .. n)
        redis.call('HSET', 'bull:q:g' .. n, 'name', 'work') end return 1";
    long.quick_after(finished, "prune", Flat, async |_| assert!(work.prune_finished().await.unwrap() > 0)).await;
    let work = long.pruning(Keep::Some { count: None, age: Some(Duration::from_secs(60)), limit: Some(100_000) });
    long.quick_after(finished, "prune by age, without limit", Flat, async |_| {
        assert!(work.prune_finished().await.unwrap() > 0);
    })
    .await;
    for state in [State::Active, State::Delayed, State::Prioritized, State::Completed, State::Failed, State::Waiting] {
        // all is old, then all is young
        let cost = if state == State::Waiting { WalksWait } else { Flat };
        long.quick(&format!("clean: {state}, all old"), cost, async |_| {
            a_while(queue.clean(Duration::from_secs(1), 0, state)).await;
        })
        .await;
        long.quick(&format!("clean: {state}, all young"), cost, async |_| {
            a_while(queue.clean(Duration::from_secs(1_000_000), 0, state)).await;
        })
        .await;
    }
    long.quick("drain", Flat, async |_| a_while(queue.drain(true)).await).await;
    long.quick("obliterate", Flat, async |_| a_while(queue.obliterate(true)).await).await;
}

impl Long {
    fn pruning(&self, keep: Keep) -> WorkQueue {
        let mut settings = config::Queue::new(self.queue.name().clone());
        (settings.policy.keep_completed, settings.policy.keep_failed) = (keep, keep);
        WorkQueue::new(&self.store, &settings, &config::Status::default(), None, false)
    }
}
