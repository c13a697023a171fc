//! Connections and servers that go while a run is under way, keys that become something else, and stops.

use super::*;

/// Runs a delete of very many keys, slowly enough that something can happen in the middle.
async fn interrupted(house: &mut House, disturb: impl AsyncFnOnce(&mut House)) -> Json {
    house.strings("page:", 60_000).await;
    let handler = RedisHandler { rate: Some(60_000), ..RedisHandler::new(delete("page:*")) };
    let running = tokio::spawn(house.keeper(handler).run(Arc::new(job("null")), context()));
    crate::store::testing::eventually("some are gone", async || {
        house.redis("DBSIZE").await.parse::<u64>().unwrap() < 50_000
    })
    .await;
    disturb(house).await;
    let said = completed(running.await.unwrap());
    assert_eq!(house.redis("DBSIZE").await, "0", "{said}");
    said
}

#[tokio::test]
async fn f150_all_connections_are_killed_in_the_middle() {
    let mut house = House::new().await;
    let said = interrupted(&mut house, async |house| {
        let killer = house.server.connection().await;
        for _ in 0..3 {
            let args = ["KILL", "TYPE", "normal", "SKIPME", "yes"].map(Value::from).to_vec();
            let killed = killer.call("CLIENT", args).await.unwrap().as_i64().unwrap();
            assert!(killed >= 1, "nobody was there to be killed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    // a call that got no answer is not counted
    assert!((50_000..=60_000).contains(&said["deletedCount"].as_u64().unwrap()), "{said}");
}

#[tokio::test]
async fn f150_redis_is_restarted_in_the_middle() {
    // what is gone stays gone, and a cursor of the former process says nothing to the new one
    let mut house = House::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let said = interrupted(&mut house, async |house| {
        house.server.stop();
        house.server.again().await;
    })
    .await;
    assert!(said["restarts"].as_u64() >= Some(1), "{said}");
}

#[tokio::test]
async fn f150_a_server_that_stays_away_is_a_retry_that_says_how_far_it_was() {
    let mut house = House::new().await;
    house.strings("page:", 20_000).await;
    let handler = RedisHandler { rate: Some(10_000), ..RedisHandler::new(delete("page:*")) };
    let ctx = context();
    let running = tokio::spawn(house.keeper(handler).run(Arc::new(job("null")), ctx.clone()));
    crate::store::testing::eventually("some are gone", async || {
        house.redis("DBSIZE").await.parse::<u64>().unwrap() < 18_000
    })
    .await;
    house.server.stop();
    tokio::time::sleep(Duration::from_millis(500)).await;
    ctx.cancel(CancelReason::Timeout);
    let outcome = running.await.unwrap();
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    let log = ctx.take_log();
    assert!(log.iter().any(|line| line.starts_with("stopped; so far {\"deletedCount\":")), "{log:?}");
}

#[tokio::test]
async fn f150_a_key_that_becomes_something_else_is_counted() {
    let house = House::new().await;
    let keyspace = Keyspace::open(&house.server.config()).await.unwrap();
    let (index, member, key) = (Bytes::from("user:1:sessions"), Bytes::from("m"), Bytes::from("session:m"));
    house.redis("SADD user:1:sessions m").await;
    assert_eq!(keyspace.collection(&index).await.unwrap(), crate::store::Collection::Set);
    house.redis("DEL user:1:sessions").await;
    house.redis("HSET user:1:sessions m 1").await;
    let pairs = [(member, key)];
    assert_eq!(keyspace.drop_gone(&index, &pairs).await.unwrap(), Err("hash".to_owned()));
    assert_eq!(keyspace.drop_all(&index, &pairs).await.unwrap(), Err("hash".to_owned()));
    let said = house.done(prune("user:*:sessions", Duration::ZERO), "null").await;
    assert_eq!((&said["errors"], &said["deletedCount"]), (&1.into(), &0.into()));
    assert_eq!(house.redis("HGET user:1:sessions m").await, "1");
}

#[tokio::test]
async fn a_stop_is_obeyed_between_two_slices_and_told_with_what_was_done() {
    let house = House::new().await;
    house.strings("page:", 50_000).await;
    let handler = RedisHandler { rate: Some(10_000), ..RedisHandler::new(delete("page:*")) };
    let ctx = context();
    let running = tokio::spawn(house.keeper(handler).run(Arc::new(job("null")), ctx.clone()));
    crate::store::testing::eventually("some are gone", async || {
        house.redis("DBSIZE").await.parse::<u64>().unwrap() < 48_000
    })
    .await;
    ctx.cancel(CancelReason::Requested);
    let asked = Instant::now();
    let outcome = running.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let Outcome::Cancelled { reason } = outcome else { panic!("{outcome:?}") };
    let left: u64 = house.redis("DBSIZE").await.parse().unwrap();
    assert!(left > 0 && reason.contains(&format!("\"deletedCount\":{}", 50_000 - left)), "{reason}, {left} are left");
    assert!(ctx.take_log().iter().any(|line| line.starts_with("stopped; so far")));
}
