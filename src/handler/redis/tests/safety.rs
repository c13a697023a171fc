//! Patterns that are too wide, keys of queues, bounds.

use super::*;
use crate::job::{JobOptions, NewJob, QueueName};
use crate::store::Store;

/// A queue with jobs, one under another prefix, and what looks like them but is not.
async fn crowded() -> House {
    let house = House::new().await;
    let redis = house.server.config();
    for prefix in ["bull", "shop"] {
        let store = Store::open(&config::Redis { prefix: prefix.into(), ..redis.clone() }, "test").await.unwrap();
        let queue = store.queue(&QueueName::new("orders").unwrap());
        let data = serde_json::value::RawValue::NULL.to_owned();
        queue.add(&[NewJob { name: "work".into(), data, opts: JobOptions::default() }]).await.unwrap();
    }
    let fill =
        "for _, key in ipairs({'bulk:1', 'bulky', 'shop:cart:1', 'oxherd:quarantine:x', 'oxherdish', 'config:1'}) do
        redis.call('SET', key, 'x') end";
    house.lua(fill, &[]).await;
    house
}

async fn of_queues(house: &House) -> String {
    let keys = house.keys().await;
    let is_of_queue =
        |key: &&str| key.starts_with("bull:") || key.starts_with("shop:orders") || key.starts_with("oxherd:");
    keys.split(' ').filter(is_of_queue).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn f149_a_hostile_pattern_keeps_the_handler_from_being_built() {
    let house = House::new().await;
    for pattern in ["*", "b*", "bull:*", "??*", "{data.pattern}", "{data.pattern}*", "oxherd:*"] {
        let refused = Keeper::new(RedisHandler::new(delete(pattern)), &house.server.config(), &[]).err();
        let text = refused.unwrap_or_else(|| panic!("{pattern} is not refused")).to_string();
        assert!(text.starts_with("match: "), "{text}");
    }
}

#[tokio::test]
async fn f149_keys_of_queues_survive_every_pattern() {
    let house = crowded().await;
    let before = of_queues(&house).await;
    assert!(before.contains("bull:orders:meta") && before.contains("shop:orders:wait"), "{before}");
    let said = house.done(delete("bul*"), "null").await;
    assert_eq!(said["deletedCount"], 2);
    assert!(said["protectedCount"].as_u64() >= Some(4), "{said}");
    assert_eq!(house.done(delete("shop*"), "null").await["deletedCount"], 1);
    assert_eq!(house.done(delete("oxh*"), "null").await["deletedCount"], 1);
    // what they hold is left alone too
    let expire = Housekeeping::Expire {
        pattern: "bul*".into(),
        kind: None,
        ttl: Duration::from_secs(1),
        jitter: Duration::ZERO,
        always: true,
    };
    assert_eq!(house.done(expire, "null").await["expiringCount"], 0);
    let trim = |pattern: &str| Housekeeping::Trim {
        pattern: pattern.into(),
        count: Some(0),
        older: None,
        unit: ScoreUnit::Millis,
        keep: None,
    };
    for pattern in ["bul*", "sho*"] {
        assert_eq!(house.done(trim(pattern), "null").await["deletedCount"], 0);
        assert_eq!(house.done(prune(pattern, Duration::ZERO), "null").await["deletedCount"], 0);
    }
    let tag = Housekeeping::TagDelete { tag: "sho{data.tag}".into(), member: "{member}".into() };
    let reason = failed(house.run(RedisHandler::new(tag), r#"{"tag":"p:orders:wait"}"#).await);
    assert_eq!(reason, r#"key "shop:orders:wait" is protected"#);
    assert_eq!(of_queues(&house).await, before);
    assert_eq!(house.redis("PTTL bull:orders:meta").await, "-1");
}

/// The guard alone: should any pattern ever get through.
#[tokio::test]
async fn f149_nothing_of_a_queue_passes_the_sieve() {
    let house = crowded().await;
    let keyspace = Keyspace::open(&house.server.config()).await.unwrap();
    let keys = keyspace.scan(&mut crate::store::KeyCursor::start(), "*", None).await.unwrap();
    let guard = Guard::new("bull", &["conf*".to_owned()]);
    let (free, protected) = Sieve::new(&keyspace, &guard).sift(keys.clone(), |key| key).await.unwrap();
    let mut names: Vec<_> = free.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    names.sort();
    assert_eq!(names, ["bulk:1", "bulky", "oxherdish", "shop:cart:1"]);
    assert_eq!(usize::try_from(protected).unwrap(), keys.len() - 4);
}

#[tokio::test]
async fn f149_lists_that_are_queues_and_what_stands_beside_them_are_left_alone() {
    let house = House::new().await;
    for key in ["work", "{work}:oxherd:held:one:1", "{work}:oxherd:dead", "{other}:oxherd:dead", "works", "work:cache"]
    {
        house.redis(&format!("RPUSH {key} 1")).await;
    }
    let said = house.done(delete("work*"), "null").await;
    assert_eq!((&said["deletedCount"], &said["protectedCount"]), (&2.into(), &1.into()));
    let guard = Guard::new("bull", &[]).with_lists(&["work".to_owned(), "{a}:b".to_owned()]);
    for key in
        ["work", "{work}:oxherd:held:one:1", "{work}:oxherd:dead", "{other}:oxherd:dead", "{a}:b", "{a}:b:oxherd:meta"]
    {
        assert!(guard.covers(key.as_bytes()), "{key}");
    }
    for key in ["works", "work:cache", "{work}", "{a}:c", "oxherds:1"] {
        assert!(!guard.covers(key.as_bytes()), "{key}");
    }
    assert_eq!(house.redis("EXISTS work {work}:oxherd:held:one:1 {work}:oxherd:dead {other}:oxherd:dead").await, "4");
}

#[tokio::test]
async fn f149_what_the_operator_protects_is_left_alone() {
    let house = crowded().await;
    let protect = vec!["config:*".to_owned()];
    let said = completed(house.run(RedisHandler { protect, ..RedisHandler::new(delete("con*")) }, "null").await);
    assert_eq!((&said["deletedCount"], &said["protectedCount"]), (&0.into(), &1.into()));
}

#[tokio::test]
async fn f149_a_job_cannot_widen_a_pattern() {
    let house = House::new().await;
    for key in ["user:1:a", "user:2:a", "user:*:a"] {
        house.redis(&format!("SET {key} x")).await;
    }
    for (data, reason) in [
        (r#"{"id":""}"#, "data.id is empty, and the key needs it"),
        ("{}", "the job has no data.id, and the key needs it"),
        (r#"{"id":{"a":1}}"#, "data.id is an object, expected text, a number or a boolean, and the key needs it"),
    ] {
        assert_eq!(failed(house.run(RedisHandler::new(delete("user:{data.id}:*")), data).await), reason);
    }
    let said = house.done(delete("user:{data.id}:*"), r#"{"id":"*"}"#).await;
    assert_eq!((&said["deletedCount"], house.keys().await.as_str()), (&1.into(), "user:1:a user:2:a"));
    assert_eq!(house.done(delete("user:{data.id}:*"), r#"{"id":"[12]"}"#).await["deletedCount"], 0);
}

#[tokio::test]
async fn f149_a_dry_run_counts_and_a_real_one_stops_at_much_more() {
    let house = House::new().await;
    house.strings("page:", 3000).await;
    let said = house.done(delete("page:*"), r#"{"dryRun":true}"#).await;
    assert_eq!((&said["deletedCount"], &said["dryRun"]), (&3000.into(), &true.into()));
    assert_eq!(house.redis("DBSIZE").await, "3000");
    let dry = RedisHandler { dry_run: true, ..RedisHandler::new(delete("page:*")) };
    assert_eq!(completed(house.run(dry, r#"{"dryRun":false}"#).await)["deletedCount"], 3000, "the file is stricter");
    let reason = failed(house.run(RedisHandler::new(delete("page:*")), r#"{"expected":1000}"#).await);
    assert!(reason.starts_with("there is more than 1.5 times what data.expected says"), "{reason}");
    let left: u64 = house.redis("DBSIZE").await.parse().unwrap();
    assert!((1500..3000).contains(&left), "{left} are left of 3000, and 1500 might have gone");
    let said = house.done(delete("page:*"), &format!(r#"{{"expected":{left}}}"#)).await;
    assert_eq!(said["deletedCount"], left);
    for data in [r#"{"dryRun":"yes"}"#, r#"{"dryRun":1}"#, r#"{"expected":-1}"#, r#"{"expected":"many"}"#] {
        let reason = failed(house.run(RedisHandler::new(delete("page:*")), data).await);
        assert!(reason.starts_with("data.dryRun must be true or false, data.expected a number"), "{reason}");
    }
}

#[tokio::test]
async fn f149_a_run_keeps_to_its_cap_and_its_rate() {
    let house = House::new().await;
    house.strings("page:", 3000).await;
    let handler = RedisHandler { max_keys: 1100, rate: Some(2000), ..RedisHandler::new(delete("page:*")) };
    let begin = Instant::now();
    let said = completed(house.run(handler.clone(), "null").await);
    assert_eq!((&said["deletedCount"], &said["capped"]), (&1100.into(), &true.into()));
    assert!(begin.elapsed() >= Duration::from_millis(450), "1100 at 2000 per second took {:?}", begin.elapsed());
    assert_eq!(house.redis("DBSIZE").await, "1900");
    completed(house.run(handler.clone(), "null").await);
    let said = completed(house.run(handler, "null").await);
    assert_eq!((&said["deletedCount"], &said["capped"]), (&800.into(), &false.into()));
}

#[tokio::test]
async fn f149_another_database_is_chosen_and_the_password_of_another_server_is_not_told() {
    let house = House::new().await;
    house.redis("SET page:1 x").await;
    let other = RedisHandler { database: Some(3), ..RedisHandler::new(delete("page:*")) };
    assert_eq!(completed(house.run(other, "null").await)["deletedCount"], 0);
    let url = "redis://user:hunter2@127.0.0.1:1/0";
    let server = config::Redis::default().with_url(url, std::path::Path::new("")).unwrap();
    let away = RedisHandler { server: Some(server), ..RedisHandler::new(delete("page:*")) };
    assert!(!format!("{away:?}").contains("hunter2"));
    let ctx = context();
    let keeper = house.keeper(away);
    let (outcome, ()) = tokio::join!(keeper.run(Arc::new(job("null")), ctx.clone()), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        ctx.cancel(CancelReason::Requested);
    });
    assert!(matches!(&outcome, Outcome::Cancelled { reason } if !reason.contains("hunter2")), "{outcome:?}");
}
