//! The handler on a real Redis; what it leaves there is looked at.

use std::time::Instant;

use serde_json::Value as Json;

use super::*;
use crate::config::{End, ScoreUnit};
use crate::handler::testing::{context, job};
use crate::store::testing::Server;
use crate::store::{Connection, Value};

mod again;
#[cfg(feature = "app")]
mod beside;
#[cfg(feature = "app")]
mod cache;
mod safety;
#[cfg(feature = "http")]
mod warm;

/// A server, and a connection to look at it.
pub(super) struct House {
    pub(super) server: Server,
    connection: Connection,
}

impl House {
    pub(super) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(super) async fn with(args: &[&str]) -> Self {
        let server = Server::with(args).await;
        let connection = server.connection().await;
        Self { server, connection }
    }

    /// One command, its words separated by spaces; the values of the answer as one text.
    pub(super) async fn redis(&self, command: &str) -> String {
        self.lua("return redis.call(unpack(ARGV))", &command.split(' ').collect::<Vec<_>>()).await
    }

    pub(super) async fn lua(&self, script: &str, args: &[&str]) -> String {
        let mut words: Vec<Value> = vec![script.into(), "0".into()];
        words.extend(args.iter().map(|arg| Value::from(*arg)));
        match self.connection.call("EVAL", words).await.unwrap() {
            Value::Array(values) => {
                let mut texts: Vec<_> = values.iter().map(|value| value.as_string().unwrap_or_default()).collect();
                texts.sort();
                texts.join(" ")
            }
            value => value.as_string().unwrap_or_default(),
        }
    }

    /// Strings `NAME1`, `NAME2`…
    pub(super) async fn strings(&self, name: &str, count: usize) {
        const FILL: &str = "for n = ARGV[2], ARGV[3] do redis.call('SET', ARGV[1] .. string.format('%d', n), 'x') end";
        for from in (1..=count).step_by(20_000) {
            let to = count.min(from + 19_999);
            self.lua(FILL, &[name, &from.to_string(), &to.to_string()]).await;
        }
    }

    pub(super) fn keeper(&self, config: RedisHandler) -> Keeper {
        Keeper::new(config, &self.server.config(), &["work".to_owned()]).unwrap()
    }

    pub(super) async fn run(&self, config: RedisHandler, data: &str) -> Outcome {
        self.keeper(config).run(Arc::new(job(data)), context()).await
    }

    /// The result of a task that completes.
    pub(super) async fn done(&self, task: Housekeeping, data: &str) -> Json {
        completed(self.run(RedisHandler::new(task), data).await)
    }

    pub(super) async fn keys(&self) -> String {
        self.redis("KEYS *").await
    }
}

#[track_caller]
pub(super) fn completed(outcome: Outcome) -> Json {
    match outcome {
        Outcome::Complete(value) => serde_json::from_str(value.get()).unwrap(),
        other => panic!("expected complete, got {other:?}"),
    }
}

#[track_caller]
pub(super) fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Fail(failure) => failure.message,
        other => panic!("expected fail, got {other:?}"),
    }
}

pub(super) fn delete(pattern: &str) -> Housekeeping {
    Housekeeping::Delete { pattern: pattern.into(), kind: None }
}

fn prune(pattern: &str, grace: Duration) -> Housekeeping {
    Housekeeping::SetPrune { pattern: pattern.into(), member: "session:{member}".into(), grace }
}

#[tokio::test]
async fn keys_go_by_pattern_type_and_name() {
    let house = House::new().await;
    house.strings("session:", 2500).await;
    house.redis("SADD session:set a").await;
    house.redis("SET other x").await;
    let strings = Housekeeping::Delete { pattern: "session:*".into(), kind: Some(KeyType::String) };
    let said = house.done(strings, "null").await;
    assert_eq!((&said["deletedCount"], &said["errors"], &said["dryRun"]), (&2500.into(), &0.into(), &false.into()));
    assert!(said["durationMs"].is_u64() && said["scannedCount"].as_u64() >= Some(2500), "{said}");
    assert_eq!(house.keys().await, "other session:set");
    // one key, by its name, and nobody searches
    house.strings("autosave:", 12).await;
    let said = house.done(delete("autosave:{data.id}"), r#"{"id":1}"#).await;
    assert_eq!((&said["deletedCount"], &said["scannedCount"]), (&1.into(), &1.into()));
    assert_eq!(house.redis("EXISTS autosave:1 autosave:11 autosave:12").await, "2");
    let said = house.done(delete("autosave:{data.id}"), r#"{"id":1}"#).await;
    assert_eq!(said["deletedCount"], 0);
}

#[tokio::test]
async fn keys_of_any_bytes_go() {
    let house = House::new().await;
    house.lua("redis.call('SET', 'bytes:\\255\\0\\n', 1) redis.call('SET', 'bytes:\\195\\188', 1)", &[]).await;
    assert_eq!(house.done(delete("bytes:*"), "null").await["deletedCount"], 2);
    assert_eq!(house.redis("DBSIZE").await, "0");
}

#[tokio::test]
async fn keys_get_a_time_to_live() {
    let house = House::new().await;
    house.strings("autosave:", 1500).await;
    house.redis("PEXPIRE autosave:7 1000000").await;
    let expire = |always| Housekeeping::Expire {
        pattern: "autosave:*".into(),
        kind: None,
        ttl: Duration::from_secs(60),
        jitter: Duration::from_secs(60),
        always,
    };
    let said = house.done(expire(false), r#"{"dryRun":true}"#).await;
    assert_eq!((&said["expiringCount"], house.redis("TTL autosave:1").await.as_str()), (&1499.into(), "-1"));
    let said = house.done(expire(false), r#"{"expected":1499}"#).await;
    assert_eq!((&said["expiringCount"], &said["deletedCount"]), (&1499.into(), &0.into()));
    let all = "local low, high = 1e9, 0 for n = 1, 1500 do local ttl = redis.call('PTTL', 'autosave:' .. n)
        if n ~= 7 then low, high = math.min(low, ttl), math.max(high, ttl) end end
        return {low > 50000 and low, high <= 120000 and high > low + 30000 and 'spread'}";
    assert!(house.lua(all, &[]).await.ends_with("spread"), "{}", house.lua(all, &[]).await);
    assert!(house.redis("PTTL autosave:7").await.parse::<u64>().unwrap() > 900_000);
    assert_eq!(house.done(expire(false), "null").await["expiringCount"], 0);
    assert_eq!(house.done(expire(true), "null").await["expiringCount"], 1500);
    assert!(house.redis("PTTL autosave:7").await.parse::<u64>().unwrap() <= 120_000);
}

#[tokio::test]
async fn a_tag_goes_with_its_keys_and_those_who_come_meanwhile_stay() {
    let house = House::new().await;
    house.strings("cache:", 1200).await;
    let fill = "for n = 1, 1200 do redis.call('SADD', 'tag:author:3', 'cache:' .. n) end
        redis.call('SADD', 'tag:author:3', 'cache:gone', 'bull:email:1') redis.call('SET', 'bull:email:1', 'x')
        redis.call('ZADD', 'tag:z', 1, 'p:1') redis.call('SET', 'cache:p:1', 'x') redis.call('SADD', 'tag:*', 'other')
        redis.call('SET', 'other', 'x')";
    house.lua(fill, &[]).await;
    let tag = |member: &str| Housekeeping::TagDelete { tag: "tag:{data.tag}".into(), member: member.into() };
    let said = house.done(tag("{member}"), r#"{"tag":"author:3","dryRun":true}"#).await;
    assert_eq!((&said["deletedCount"], &said["protectedCount"]), (&1200.into(), &1.into()));
    let said = house.done(tag("{member}"), r#"{"tag":"author:3"}"#).await;
    assert_eq!((&said["deletedCount"], &said["protectedCount"]), (&1200.into(), &1.into()));
    assert_eq!(house.redis("SMEMBERS tag:author:3").await, "bull:email:1");
    let said = house.done(tag("cache:{member}"), r#"{"tag":"z"}"#).await;
    assert_eq!(said["deletedCount"], 1);
    assert_eq!(house.keys().await, "bull:email:1 other tag:* tag:author:3", "the empty set is gone too");
    assert_eq!(house.done(tag("{member}"), r#"{"tag":"nobody"}"#).await["deletedCount"], 0);
    house.redis("SET tag:text x").await;
    let reason = failed(house.run(RedisHandler::new(tag("{member}")), r#"{"tag":"text"}"#).await);
    assert_eq!(reason, r#"key "tag:text" is a string, expected a set or a sorted set"#);
}

/// Keys and their members are written again and again while the tag is deleted: at no moment there is a key that has
/// lost its tag.
#[tokio::test]
async fn no_key_outlives_its_tag() {
    let house = House::new().await;
    let writer = house.server.connection().await;
    let writing = tokio::spawn(async move {
        const STORE: &str = "for n = 1, 300 do redis.call('SADD', 'tag:all', 'cache:' .. n)
            redis.call('SET', 'cache:' .. n, 1) end return redis.call('SCARD', 'tag:all')";
        loop {
            writer.call("EVAL", vec![STORE.into(), "0".into()]).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let tag = Housekeeping::TagDelete { tag: "tag:all".into(), member: "{member}".into() };
    let mut deleted = 0;
    for _ in 0..20 {
        deleted += house.done(tag.clone(), "null").await["deletedCount"].as_u64().unwrap();
        let strays = "local strays = 0 for _, key in ipairs(redis.call('KEYS', 'cache:*')) do
            strays = strays + 1 - redis.call('SISMEMBER', 'tag:all', key) end return strays";
        assert_eq!(house.lua(strays, &[]).await, "0");
    }
    assert!(deleted > 0);
    writing.abort();
}

#[tokio::test]
async fn members_go_whose_key_is_gone() {
    let house = House::new().await;
    let fill =
        "for n = 1, 1500 do redis.call('SADD', 'user:7:sessions', n) redis.call('ZADD', 'user:8:sessions', n, n) end
        for n = 1, 1500, 3 do redis.call('SET', 'session:' .. n, 'x') end redis.call('SADD', 'user:9:sessions', 'x')";
    house.lua(fill, &[]).await;
    let said = house.done(prune("user:*:sessions", Duration::ZERO), r#"{"dryRun":true}"#).await;
    assert_eq!((&said["deletedCount"], house.redis("SCARD user:7:sessions").await.as_str()), (&2001.into(), "1500"));
    let said = house.done(prune("user:*:sessions", Duration::ZERO), r#"{"expected":2001}"#).await;
    assert_eq!((&said["deletedCount"], &said["errors"]), (&2001.into(), &0.into()));
    assert_eq!(house.redis("SCARD user:7:sessions").await, "500");
    assert_eq!(house.redis("ZCARD user:8:sessions").await, "500");
    assert_eq!(house.redis("EXISTS user:9:sessions").await, "0");
}

#[tokio::test]
async fn a_session_that_is_being_stored_keeps_its_place_in_the_index() {
    let house = House::new().await;
    house.redis("SADD user:7:sessions new old").await;
    let keeper = house.keeper(RedisHandler::new(prune("user:*:sessions", Duration::from_millis(500))));
    let (outcome, ()) = tokio::join!(keeper.run(Arc::new(job("null")), context()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        house.redis("SET session:new x").await;
    });
    assert_eq!(completed(outcome)["deletedCount"], 1);
    assert_eq!(house.redis("SMEMBERS user:7:sessions").await, "new");
}

#[tokio::test]
async fn lists_sorted_sets_and_streams_are_shortened() {
    let house = House::new().await;
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let fill = "for n = 1, 5000 do redis.call('LPUSH', 'log:list', n) redis.call('ZADD', 'log:zset', n, n)
        redis.call('XADD', 'log:stream', ARGV[1] * 1000 - 5000 + n .. '-0', 'n', n)
        redis.call('ZADD', 'seen:zset', ARGV[1] - 5000 + n, n) end";
    let trim = |pattern: &str, count, older: Option<u64>, keep| Housekeeping::Trim {
        pattern: pattern.into(),
        count,
        older: older.map(Duration::from_secs),
        unit: ScoreUnit::Seconds,
        keep,
    };
    house.lua(fill, &[&now.to_string()]).await;
    let said = house.done(trim("log:*", Some(100), None, None), r#"{"dryRun":true}"#).await;
    assert_eq!((&said["deletedCount"], house.redis("LLEN log:list").await.as_str()), (&(3 * 4900).into(), "5000"));
    let said = house.done(trim("log:*", Some(100), None, None), r#"{"expected":14700}"#).await;
    assert!((14_600..=14_700).contains(&said["deletedCount"].as_u64().unwrap()), "{said}");
    assert_eq!(house.redis("LRANGE log:list 0 0").await, "5000");
    assert_eq!(house.redis("LLEN log:list").await, "100");
    assert_eq!(
        (house.redis("ZCARD log:zset").await, house.redis("ZRANGE log:zset 0 0").await),
        ("100".into(), "4901".into())
    );
    let left: u64 = house.redis("XLEN log:stream").await.parse().unwrap();
    assert!((100..300).contains(&left), "{left} entries of the stream are left");
    for key in ["log:list", "log:zset"] {
        let keep = if key == "log:list" { End::Right } else { End::Left };
        house.done(trim(key, Some(10), None, Some(keep)), "null").await;
    }
    assert_eq!(
        (house.redis("LRANGE log:list -1 -1").await, house.redis("LLEN log:list").await),
        ("4901".into(), "10".into())
    );
    assert_eq!(house.redis("ZRANGE log:zset 0 0").await, "4901");
    // by age: a thousand and some seconds stay
    let said = house.done(trim("seen:zset", None, Some(1000), None), r#"{"dryRun":true}"#).await;
    let old = said["deletedCount"].as_u64().unwrap();
    assert!((3995..=4010).contains(&old), "{said}");
    house.done(trim("seen:zset", None, Some(1000), None), "null").await;
    let left: u64 = house.redis("ZCARD seen:zset").await.parse().unwrap();
    assert!((990..=1005).contains(&left), "{left} are left");
    house
        .lua(
            "for n = 1, 4500 do redis.call('XADD', 'old:stream', n .. '-0', 'n', n) end
        redis.call('XADD', 'old:stream', '*', 'n', 0)",
            &[],
        )
        .await;
    let said = house.done(trim("old:stream", None, Some(1000), None), r#"{"dryRun":true}"#).await;
    assert_eq!(said["deletedCount"], 4500);
    house.done(trim("old:stream", None, Some(1000), None), "null").await;
    let left: u64 = house.redis("XLEN old:stream").await.parse().unwrap();
    assert!((1..=101).contains(&left), "{left} are left");
}

#[tokio::test]
async fn a_run_tells_how_far_it_is_and_what_is_wrong() {
    let house = House::new().await;
    house.strings("log:", 30).await;
    house.redis("RPUSH log:list a b c").await;
    let trim = Housekeeping::Trim {
        pattern: "log:*".into(),
        count: Some(1),
        older: None,
        unit: ScoreUnit::Millis,
        keep: None,
    };
    let ctx = context();
    let said = completed(house.keeper(RedisHandler::new(trim)).run(Arc::new(job("null")), ctx.clone()).await);
    assert_eq!((&said["deletedCount"], &said["errors"]), (&2.into(), &30.into()));
    let log = ctx.take_log();
    assert_eq!(log.len(), 21, "{log:?}");
    assert!(log[0].ends_with("a string, expected a list, a sorted set or a stream"), "{log:?}");
    assert_eq!(log[20], "more keys like that are only counted");
    house.strings("page:", 10_000).await;
    let ctx = context();
    house.keeper(RedisHandler::new(delete("page:*"))).run(Arc::new(job("null")), ctx.clone()).await;
    let progress = ctx.close_report().progress.expect("there was progress");
    assert!(progress.get().contains("\"scannedCount\":"), "{progress}");
}

#[tokio::test]
async fn the_connection_is_opened_by_a_job_and_closed_when_none_comes() {
    let house = House::new().await;
    let clients = async || {
        let list = house.connection.call("CLIENT", vec!["LIST".into()]).await.unwrap();
        list.as_string().unwrap().lines().count()
    };
    let before = clients().await;
    let keeper = house.keeper(RedisHandler::new(delete("page:*")));
    assert_eq!(clients().await, before, "nothing is opened at start");
    for _ in 0..3 {
        keeper.run(Arc::new(job("null")), context()).await;
    }
    assert_eq!(clients().await, before + 1, "one for all jobs");
    line::close_soon(&keeper.inner.line);
    crate::store::testing::eventually("closed", async || clients().await == before).await;
    keeper.run(Arc::new(job("null")), context()).await;
    assert_eq!(clients().await, before + 1, "and opened again");
}
