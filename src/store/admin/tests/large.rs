//! What a long queue costs: no call may keep Redis from others for more than 50 ms.

use std::time::Duration;

use super::*;
use crate::job::State;

/// Jobs that wait; the bound holds for five times as many, so that a slow machine passes.
const WAITING: usize = 100_000;

/// Makes a long queue and does something with it; no call may take more than 50 ms. A busy machine has more tries, a
/// slow script fails them all.
async fn in_short_calls(what: &str, prepare: &str, act: impl AsyncFn(&Rig)) {
    let mut slow = String::new();
    for _ in 0..5 {
        let rig = Rig::new().await;
        for from in (1..=WAITING).step_by(10_000) {
            rig.lua(FILL, &[&from.to_string(), &(T0 - 60_000).to_string()]).await;
        }
        rig.lua(prepare, &[&T0.to_string()]).await;
        rig.server.run("CONFIG SET slowlog-log-slower-than 50000").await;
        rig.server.run("SLOWLOG RESET").await;
        act(&rig).await;
        if rig.server.run("SLOWLOG LEN").await.as_i64() == Some(0) {
            return;
        }
        slow = format!("{:?}", rig.server.run("SLOWLOG GET").await);
    }
    panic!("{what}: {slow}");
}

/// Jobs in `wait`, for each fifth of them one in `delayed`.
const FILL: &str = "for n = ARGV[1], ARGV[1] + 9999 do local id = string.format('%d', n)
    redis.call('HSET', 'bull:q:' .. id, 'name', 'n', 'data', '{}', 'opts', '{}', 'timestamp', ARGV[2])
    if n % 5 == 0 then redis.call('ZADD', 'bull:q:delayed', n * 4096, id .. 'd')
      redis.call('HSET', 'bull:q:' .. id .. 'd', 'name', 'n', 'timestamp', ARGV[2]) end
    redis.call('LPUSH', 'bull:q:wait', id) end return 1";

#[tokio::test]
async fn f79_a_long_queue_is_paused_and_resumed() {
    // both lists are long, as mixed fleets leave them
    let prepare = "redis.call('HSET', 'bull:q:meta', 'oxherd.placement', 'v5')
        for n = 1, 50000 do redis.call('LPUSH', 'bull:q:paused', n) end return 1";
    in_short_calls("pause and resume", prepare, async |rig| {
        rig.queue.pause().await.unwrap();
        assert_eq!(rig.redis("LLEN bull:q:paused").await, [(WAITING + 50_000).to_string()]);
        rig.lua("for n = 1, 50000 do redis.call('LPUSH', 'bull:q:wait', n) end return 1", &[]).await;
        rig.server.run("SLOWLOG RESET").await;
        rig.queue.resume().await.unwrap();
        assert_eq!(rig.redis("LLEN bull:q:wait").await, [(WAITING + 100_000).to_string()]);
    })
    .await;
}

#[tokio::test]
async fn f79_a_long_queue_is_drained() {
    in_short_calls("drain", "return 1", async |rig| {
        assert_eq!(rig.queue.drain(true).await.unwrap(), (WAITING + WAITING / 5) as u64);
        assert!(rig.keys().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn f79_a_long_queue_is_cleaned() {
    // all but every tenth are young
    let prepare = "for n = 1, 100000 do
        if n % 10 ~= 0 then redis.call('HSET', 'bull:q:' .. n, 'timestamp', ARGV[1]) end end return 1";
    in_short_calls("clean", prepare, async |rig| {
        let clean = async |state| rig.queue.clean(Duration::from_secs(30), 0, state).await.unwrap().len();
        assert_eq!((clean(State::Waiting).await, clean(State::Delayed).await), (WAITING / 10, WAITING / 5));
    })
    .await;
}

#[tokio::test]
async fn f79_a_long_queue_is_obliterated() {
    in_short_calls("obliterate", "return 1", async |rig| {
        assert_eq!(rig.queue.obliterate(false).await.unwrap(), (WAITING + WAITING / 5) as u64);
        assert_eq!(rig.redis("DBSIZE").await, ["0"]);
    })
    .await;
}

#[tokio::test]
async fn f79_a_job_and_its_many_children_are_removed_from_a_long_queue() {
    let prepare = "redis.call('HSET', 'bull:q:p', 'name', 'p') redis.call('ZADD', 'bull:q:waiting-children', 1, 'p')
        for n = 2, 101 do redis.call('SADD', 'bull:q:p:dependencies', 'bull:q:' .. n)
          redis.call('HSET', 'bull:q:' .. n, 'parentKey', 'bull:q:p') end return 1";
    in_short_calls("remove", prepare, async |rig| {
        for job in ["50000", "1", "100000", "p"] {
            assert!(rig.queue.remove(&id(job), true).await.unwrap());
        }
        assert_eq!(rig.redis("LLEN bull:q:wait").await, [(WAITING - 103).to_string()]);
        assert_eq!(rig.redis("EXISTS bull:q:p bull:q:2 bull:q:101").await, ["0"]);
    })
    .await;
}

/// Jobs 1 to 10,000, each but the last the parent of the next.
const CHAIN: &str = "for n = 1, 10000 do local id = string.format('%d', n)
    redis.call('HSET', 'bull:q:' .. id, 'name', 'n')
    if n > 1 then redis.call('HSET', 'bull:q:' .. id, 'parentKey', string.format('bull:q:%d', n - 1))
      redis.call('SADD', string.format('bull:q:%d:dependencies', n - 1), 'bull:q:' .. id) end
    redis.call('ZADD', n == 10000 and 'bull:q:delayed' or 'bull:q:waiting-children', 1, id) end return 1";

#[tokio::test]
async fn a_chain_of_ten_thousand_is_removed_or_left_whole() {
    let rig = Rig::new().await;
    rig.lua(CHAIN, &[]).await;
    rig.redis("SET bull:q:10000:lock t").await;
    assert!(!rig.queue.remove(&id("1"), true).await.unwrap());
    assert_eq!(rig.redis("ZCARD bull:q:waiting-children").await, ["9999"]);
    rig.redis("DEL bull:q:10000:lock").await;
    assert!(rig.queue.remove(&id("1"), true).await.unwrap());
    assert!(rig.keys().await.is_empty());
    assert_eq!(rig.redis("XLEN bull:q:events").await, ["10000"]);
    // and upwards, from the last child
    rig.lua(CHAIN, &[]).await;
    assert_eq!(rig.queue.drain(true).await.unwrap(), 10_000);
    assert!(rig.keys().await.is_empty());
}
