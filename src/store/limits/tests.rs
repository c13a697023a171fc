use super::super::Store;
use super::super::testing::Server;
use super::*;
use crate::job::QueueName;

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&QueueName::new("q").unwrap())
}

#[tokio::test]
async fn room_made_by_a_limit_is_announced_where_jobs_wait() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let rung = async || server.run("EXISTS bull:q:marker").await.as_i64() == Some(1);
    queue.set_global_concurrency(Some(1)).await.unwrap();
    assert!(!rung().await, "nobody waits");
    server.run("LPUSH bull:q:wait 2").await;
    server.run("LPUSH bull:q:active 1").await;
    queue.set_global_concurrency(Some(1)).await.unwrap();
    assert!(!rung().await, "there is no room");
    queue.set_global_concurrency(Some(2)).await.unwrap();
    assert!(rung().await);
    server.run("DEL bull:q:marker").await;
    queue.set_global_concurrency(None).await.unwrap();
    assert!(rung().await);
    assert_eq!(server.run("HEXISTS bull:q:meta concurrency").await.as_i64(), Some(0));
    server.run("HSET bull:q:meta paused 1").await;
    server.run("DEL bull:q:marker").await;
    queue.remove_rate_limit_key().await.unwrap();
    assert!(!rung().await, "a paused queue stays silent");
}

#[tokio::test]
async fn a_rate_limit_counts_only_when_it_is_used_up() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let limit = config::RateLimit { max: 2, per: Duration::from_secs(10) };
    queue.set_global_rate_limit(Some(limit)).await.unwrap();
    assert_eq!(queue.rate_limit_ttl().await.unwrap(), None);
    server.run("SET bull:q:limiter 1 PX 60000").await;
    assert_eq!(queue.rate_limit_ttl().await.unwrap(), None);
    queue.rate_limit(Duration::from_secs(50)).await.unwrap();
    let left = queue.rate_limit_ttl().await.unwrap().unwrap();
    assert!((40..=50).contains(&left.as_secs()), "{left:?}");
    queue.set_global_rate_limit(None).await.unwrap();
    assert_eq!(server.run("HLEN bull:q:meta").await.as_i64(), Some(0));
    // a worker's own limit may be what it is used up for
    assert!(queue.rate_limit_ttl().await.unwrap().is_some());
    queue.remove_rate_limit_key().await.unwrap();
    assert_eq!(queue.rate_limit_ttl().await.unwrap(), None);
}
