//! Jobs moved and removed by hand.

use super::Cost::{Flat, WalksWait};
use super::*;
use crate::job::State;
use crate::store::{ExportedJob, Imported, Reset};

pub(super) async fn all(long: &Long) {
    let queue = &long.queue;
    long.quick("promote", Flat, async |n| queue.promote(&id(format!("d{}", 150_000 + n))).await.unwrap()).await;
    long.quick("change delay", Flat, async |n| {
        queue.change_delay(&id(format!("d{}", 160_000 + n)), Duration::from_secs(90)).await.unwrap();
    })
    .await;
    for job in ["d170000", "p25000", "c25000", "a5000"] {
        long.quick(&format!("change priority: {job}"), Flat, async |n| {
            queue.change_priority(&id(job), 7 + n, false).await.unwrap();
        })
        .await;
    }
    long.quick("change priority: waiting in the middle", WalksWait, async |n| {
        queue.change_priority(&id(250_000 + n), 7, false).await.unwrap();
        assert_eq!(queue.job(&id(250_000 + n)).await.unwrap().unwrap().state, State::Prioritized);
    })
    .await;
    for state in [State::Completed, State::Failed] {
        let first = &state.as_str()[..1];
        long.quick(&format!("retry: {state}"), Flat, async |n| {
            queue.retry(&id(format!("{first}{}", 20_000 + n)), state, Reset::default()).await.unwrap();
        })
        .await;
        long.quick(&format!("retry all: {state}"), Flat, async |_| a_while(queue.retry_jobs(state, None)).await).await;
    }
    long.quick("promote all", Flat, async |_| a_while(queue.promote_jobs()).await).await;
    long.quick("remove: delayed, prioritized, completed, failed", Flat, async |n| {
        for first in ["d", "p", "c", "f"] {
            assert!(queue.remove(&id(format!("{first}{}", 40_000 + n)), true).await.unwrap());
        }
    })
    .await;
    long.quick("remove: waiting in the middle", WalksWait, async |n| {
        assert!(queue.remove(&id(260_000 + n), true).await.unwrap());
    })
    .await;
    for first in ["d", "p", "c", "f", "a"] {
        long.quick(&format!("cancel: {first}"), Flat, async |n| {
            let answer = queue.cancel(&id(format!("{first}{}", 4_501 + n)), None).await.unwrap();
            assert_eq!(answer.is_under_way(), first == "a");
        })
        .await;
    }
    long.quick("cancel: waiting in the middle", WalksWait, async |n| {
        assert!(queue.cancel(&id(270_000 + n), None).await.unwrap().is_cancelled());
    })
    .await;
    long.quick("export 500 jobs, import them", Flat, async |n| {
        let (mut jobs, _) = queue.export(State::Prioritized, None, 500).await.unwrap();
        let rename = |job: &mut ExportedJob| job.id = id(format!("{}-{n}", job.id));
        jobs.iter_mut().for_each(rename);
        assert!(queue.import(&jobs).await.unwrap().iter().all(|one| *one == Imported::Restored));
    })
    .await;
    long.quick_after(FAMILY, "remove with 20,000 children", Flat, async |n| {
        assert!(queue.remove(&id(format!("parent{n}")), true).await.unwrap());
        assert_eq!(long.redis("EXISTS", "bull:kids:delayed").await, ["0"]);
    })
    .await;
    long.quick_after(FAMILY, "remove 20,000 children that are pending", Flat, async |n| {
        assert_eq!(queue.remove_unprocessed_children(&id(format!("parent{n}"))).await.unwrap(), 20_000);
        assert_eq!(queue.job(&id(format!("parent{n}"))).await.unwrap().unwrap().state, State::Waiting);
    })
    .await;
    let tie = "redis.call('HSET', 'bull:q:child' .. ARGV[1], 'parentKey', 'bull:q:big')
        return redis.call('SADD', 'bull:q:big:dependencies', 'bull:q:child' .. ARGV[1])";
    long.quick_after(tie, "untie one of 100,000 children", Flat, async |n| {
        assert!(queue.remove_child_dependency(&id(format!("child{n}"))).await.unwrap());
    })
    .await;
    long.quick("limits", Flat, async |_| {
        queue.set_global_concurrency(Some(5)).await.unwrap();
        queue.set_global_concurrency(None).await.unwrap();
        queue.remove_rate_limit_key().await.unwrap();
        queue.rate_limit_ttl().await.unwrap();
    })
    .await;
    long.quick("trim events", Flat, async |_| assert!(queue.trim_events(0).await.unwrap() < 1_000_000)).await;
}

/// A parent in `waiting-children` with 20,000 children that are delayed in another queue.
const FAMILY: &str = "local parent = 'bull:q:parent' .. ARGV[1] redis.call('HSET', parent, 'name', 'work')
    redis.call('ZADD', 'bull:q:waiting-children', 1, 'parent' .. ARGV[1])
    for from = 1, 20000, 1000 do
      local keys, scored = {}, {}
      for n = from, from + 999 do local id = string.format('%s-%d', ARGV[1], n)
        keys[#keys + 1] = 'bull:kids:' .. id
        scored[#scored + 1], scored[#scored + 2] = 1, id
        redis.call('HSET', 'bull:kids:' .. id, 'name', 'work', 'parentKey', parent) end
      redis.call('SADD', parent .. ':dependencies', unpack(keys))
      redis.call('ZADD', 'bull:kids:delayed', unpack(scored)) end return 1";
