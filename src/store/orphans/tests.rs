use super::super::Store;
use super::super::testing::{Server, everything, redis};
use super::*;
use crate::job::{JobOptions, NewJob, QueueName};

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&QueueName::new("q").unwrap())
}

async fn run(queue: &Queue, script: &str) -> String {
    let answer = queue.store.command().call("EVAL", vec![script.into(), "0".into()]).await.unwrap();
    answer.as_string().unwrap_or_default()
}

async fn found(queue: &Queue, delete: bool) -> Vec<(OrphanKind, String)> {
    let mut orphans = queue.orphans(YOUNGEST).await.unwrap();
    let mut all = Vec::new();
    while let Some(mut found) = orphans.next().await.unwrap() {
        if delete {
            found = queue.delete_orphans(found).await.unwrap();
        }
        all.extend(found.into_iter().map(|orphan| (orphan.kind, orphan.key)));
    }
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all
}

/// A job in each state, all of them old, with all that belongs to them.
const WHOLE: &str = "local old = '1600000000000'
    for _, at in ipairs({'wait', 'paused', 'active', 'completed', 'failed', 'delayed', 'prioritized', 'waiting-children'}) do
      redis.call('HSET', 'bull:q:in-' .. at, 'name', 'n', 'timestamp', old)
      redis.call('RPUSH', 'bull:q:in-' .. at .. ':logs', 'row')
      if at == 'wait' or at == 'paused' or at == 'active' then redis.call('RPUSH', 'bull:q:' .. at, 'in-' .. at)
      else redis.call('ZADD', 'bull:q:' .. at, 1, 'in-' .. at) end end
    redis.call('SET', 'bull:q:in-active:lock', 'token')
    redis.call('HSET', 'bull:q:locked', 'name', 'n', 'timestamp', old) redis.call('SET', 'bull:q:locked:lock', 'token')
    redis.call('HSET', 'bull:q:young', 'name', 'n', 'timestamp', old, 'processedOn', redis.call('TIME')[1] .. '000')
    redis.call('ZADD', 'bull:q:marker', 0, '0') redis.call('HSET', 'bull:q:meta', 'opts.maxLenEvents', 10000)
    redis.call('SET', 'bull:q:de:held', 'in-wait') redis.call('SET', 'bull:q:de:short', 'gone', 'EX', 9999)
    redis.call('HSET', 'bull:q:repeat:s', 'every', '1000') redis.call('HSET', 'bull:q:repeat:s:5', 'timestamp', old)
    redis.call('ZADD', 'bull:q:repeat', 1, 's:5') redis.call('HSET', 'bull:q:metrics:failed', 'count', 1)
    redis.call('HSET', 'bull:other:1', 'name', 'n', 'timestamp', old)";

#[tokio::test]
async fn f151_what_is_left_over_is_found_and_deleted_when_asked() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    run(&queue, WHOLE).await;
    let before = everything(&queue.store).await;
    assert_eq!(found(&queue, true).await, [], "nothing is left over");
    assert_eq!(everything(&queue.store).await, before);
    let strays = "local old = '1600000000000'
        redis.call('HSET', 'bull:q:stray', 'name', 'n', 'timestamp', old, 'parentKey', 'bull:q:in-waiting-children')
        redis.call('SADD', 'bull:q:in-waiting-children:dependencies', 'bull:q:stray')
        redis.call('RPUSH', 'bull:q:stray:logs', 'row')
        redis.call('HSET', 'bull:q:repeat:s:1600000000000', 'name', 'n', 'timestamp', old)";
    run(&queue, strays).await;
    let expected = ["bull:q:repeat:s:1600000000000", "bull:q:stray"].map(|key| (OrphanKind::Job, key.to_owned()));
    assert_eq!(found(&queue, false).await, expected);
    assert_eq!(redis(&queue.store, "EXISTS bull:q:stray bull:q:stray:logs").await, "2", "only looked at");
    assert_eq!(found(&queue, true).await, expected);
    assert_eq!(redis(&queue.store, "EXISTS bull:q:stray bull:q:stray:logs bull:q:repeat:s:1600000000000").await, "0");
    // the parent goes on, as after a removal
    assert_eq!(redis(&queue.store, "LPOS bull:q:wait in-waiting-children").await, "1");
    assert_eq!(found(&queue, true).await, []);
    assert_eq!(redis(&queue.store, "EXISTS bull:other:1 bull:q:locked bull:q:young").await, "3");
}

/// Locks, logs and markers tell their age by how long nobody has touched them, so that they cannot be made old by hand:
/// `RESTORE` can.
#[tokio::test]
async fn f151_what_has_lost_its_job_goes_when_nobody_has_touched_it_for_an_hour() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let fill = "local function put(key, idle)
          local text = redis.call('DUMP', key) redis.call('DEL', key)
          redis.call('RESTORE', key, 0, text, 'IDLETIME', idle) end
        for _, key in ipairs({'gone:lock', 'fresh:lock', 'de:x'}) do redis.call('SET', 'bull:q:' .. key, 'nobody') end
        redis.call('RPUSH', 'bull:q:gone:logs', 'row') redis.call('ZADD', 'bull:q:marker', 0, '0')
        redis.call('HSET', 'bull:q:stub', 'ats', 1)
        for _, key in ipairs({'gone:lock', 'gone:logs', 'marker', 'de:x', 'stub'}) do put('bull:q:' .. key, 7200) end";
    run(&queue, fill).await;
    let expected = [
        (OrphanKind::Deduplication, "bull:q:de:x"),
        (OrphanKind::Part, "bull:q:gone:lock"),
        (OrphanKind::Part, "bull:q:gone:logs"),
        (OrphanKind::Marker, "bull:q:marker"),
    ];
    let all = found(&queue, true).await;
    let named: Vec<_> =
        all.iter().map(|(kind, key)| (*kind, key.as_str())).filter(|(_, k)| *k != "bull:q:stub").collect();
    assert_eq!(named, expected);
    assert_eq!(redis(&queue.store, "EXISTS bull:q:fresh:lock").await, "1");
    assert_eq!(
        redis(&queue.store, "EXISTS bull:q:gone:lock bull:q:gone:logs bull:q:marker bull:q:de:x bull:q:stub").await,
        "0"
    );
}

/// Jobs that look old are added, moved and removed all the time, and none is ever taken for left over.
#[tokio::test]
async fn f151_a_job_that_is_added_or_moved_is_never_taken_for_left_over() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let others = self::queue(&server).await;
    let working = tokio::spawn(async move {
        const MOVE: &str = "local old = '1600000000000'
            for n = 1, 200 do
              local id = 'm' .. n
              redis.call('HSET', 'bull:q:' .. id, 'name', 'n', 'timestamp', old)
              if redis.call('LREM', 'bull:q:wait', 1, id) == 1 then redis.call('ZADD', 'bull:q:delayed', 1, id)
              elseif redis.call('ZREM', 'bull:q:delayed', id) == 1 then redis.call('LPUSH', 'bull:q:active', id)
              elseif redis.call('LREM', 'bull:q:active', 1, id) == 1 then redis.call('ZADD', 'bull:q:completed', 1, id)
              elseif redis.call('ZREM', 'bull:q:completed', id) == 1 then redis.call('DEL', 'bull:q:' .. id)
              else redis.call('LPUSH', 'bull:q:wait', id) end end";
        let data = serde_json::value::RawValue::NULL.to_owned();
        let (opts, _) = JobOptions::parse(r#"{"timestamp":1600000000000}"#).unwrap();
        loop {
            others.add(&[NewJob { name: "n".into(), data: data.clone(), opts: opts.clone() }]).await.unwrap();
            run(&others, MOVE).await;
        }
    });
    for _ in 0..3 {
        let all = found(&queue, true).await;
        assert_eq!(all, []);
    }
    assert!(!working.is_finished());
    working.abort();
}
