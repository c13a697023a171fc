use super::super::Store;
use super::super::testing::Server;
use super::*;
use crate::job::QueueName;

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&QueueName::new("q").unwrap())
}

#[tokio::test]
async fn an_absent_queue_has_figures_all_zero() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    assert_eq!(queue.counts_per_priority(&[0, 1]).await.unwrap(), [0, 0]);
    assert_eq!(queue.delayed_before(UnixMillis(5)).await.unwrap(), 0);
    assert_eq!(queue.metrics(State::Failed).await.unwrap(), Metrics::default());
    assert_eq!(queue.rate_limit_ttl().await.unwrap(), None);
    assert_eq!(server.run("DBSIZE").await.as_i64(), Some(0), "reading writes");
    assert!(matches!(queue.metrics(State::Waiting).await, Err(Error::Setup(_))));
}

#[tokio::test]
async fn jobs_are_counted_by_priority_and_by_due_time() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("RPUSH bull:q:wait 1 2").await;
    server.run("RPUSH bull:q:paused 3").await;
    // priority 1 from its first to its last place, the first of priority 2
    server.run("ZADD bull:q:prioritized 4294967296 a 4294967297 b 8589934591 c 8589934592 d").await;
    assert_eq!(queue.counts_per_priority(&[1, 0, 2, 9]).await.unwrap(), [3, 3, 1, 0]);
    assert_eq!(queue.priorities().await.unwrap(), [(0, 3), (1, 3), (2, 1)]);
    // due at 1700000000000 in two places, and a ms later
    server.run("ZADD bull:q:delayed 6963200000000000 a 6963200000004095 b 6963200000004096 c").await;
    let before = async |ms| queue.delayed_before(UnixMillis(ms)).await.unwrap();
    assert_eq!((before(1_700_000_000_000).await, before(1_700_000_000_001).await), (0, 2));
    assert_eq!(before(1_700_000_000_002).await, 3);
}

#[tokio::test]
async fn however_many_priorities_there_are_each_is_told_once() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    assert_eq!(queue.priorities().await.unwrap(), []);
    // the last ones are the highest there can be
    let fill = "for p = 2097151 - 1233, 2097151 do for n = 0, 1 do redis.call('ZADD', 'bull:q:prioritized', \
                string.format('%.0f', p * 4294967296 + n), p .. ':' .. n) end end";
    queue.store.command().call("EVAL", vec![fill.into(), "0".into()]).await.unwrap();
    let expected: Vec<_> = (2_097_151 - 1_233..=2_097_151).map(|priority| (priority, 2)).collect();
    assert_eq!(queue.priorities().await.unwrap(), expected);
}

#[tokio::test]
async fn metrics_are_what_workers_wrote() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("HSET bull:q:metrics:completed count 7 prevTS 1700000000000 prevCount 5").await;
    server.run("RPUSH bull:q:metrics:completed:data 0 3 2").await;
    let expected =
        Metrics { count: 7, prev_ts: Some(UnixMillis(1_700_000_000_000)), prev_count: 5, data: vec![0, 3, 2] };
    assert_eq!(queue.metrics(State::Completed).await.unwrap(), expected);
}

#[tokio::test]
async fn who_waits_for_a_job_is_told_its_end() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("HSET bull:q:c name n returnvalue {\"a\":1}").await;
    server.run("HSET bull:q:f name n failedReason broken").await;
    server.run("HSET bull:q:w name n failedReason earlier").await;
    server.run("ZADD bull:q:completed 1 c").await;
    server.run("ZADD bull:q:failed 1 f").await;
    let finished = async |id| queue.finished(&JobId::stored(id)).await;
    assert_eq!(finished("c").await.unwrap(), Finished::Completed("{\"a\":1}".into()));
    assert_eq!(finished("f").await.unwrap(), Finished::Failed("broken".into()));
    assert_eq!(finished("w").await.unwrap(), Finished::Pending);
    assert_eq!(finished("x").await.unwrap_err().to_string(), "cannot look at job x: there is no such job");
}
