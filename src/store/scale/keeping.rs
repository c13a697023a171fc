//! What housekeeping does to long keys beside the queue.

use std::time::Duration;

use bytes::Bytes;

use super::Cost::Flat;
use super::*;
use crate::store::keyspace::{Collection, Cursor, Keyspace, Trimming};

/// Puts entries ARGV[1] to ARGV[1] + 4999 into a list, a sorted set, a set and a stream, and into strings of their own.
const LONG: &str = "local list, zset, strings = {}, {}, {}
    for n = ARGV[1], ARGV[1] + 4999 do
      list[#list + 1] = n
      zset[#zset + 1], zset[#zset + 2] = n, 'member' .. n
      strings[#strings + 1], strings[#strings + 2] = 'house:' .. n, n
      redis.call('XADD', 'long:stream', string.format('0-%d', n), 'n', n) end
    redis.call('RPUSH', 'long:list', unpack(list, 1, 5000))
    redis.call('SADD', 'long:set', unpack(list, 1, 5000))
    redis.call('ZADD', 'long:zset', unpack(zset, 1, 5000))
    redis.call('ZADD', 'long:zset', unpack(zset, 5001))
    redis.call('MSET', unpack(strings, 1, 5000))
    redis.call('MSET', unpack(strings, 5001)) return 1";

pub(super) async fn all(long: &Long) {
    for from in (1..=300_000 * long.scale).step_by(5000) {
        long.lua(LONG, &[&from.to_string()]).await;
    }
    let keyspace = Keyspace::open(&long.server.config()).await.unwrap();
    let key = |name: &'static str| Bytes::from_static(name.as_bytes());
    long.quick("housekeeping: scan, unlink 1000", Flat, async |_| {
        let keys = keyspace.scan(&mut Cursor::start(), "house:*", None).await.unwrap();
        keyspace.unlink(&keys).await.unwrap();
    })
    .await;
    long.quick("housekeeping: time to live for 1000", Flat, async |_| {
        let keys = keyspace.scan(&mut Cursor::start(), "house:*", None).await.unwrap();
        let keys: Vec<_> = keys.into_iter().map(|key| (key, Duration::from_secs(60))).collect();
        keyspace.expire(&keys, true, false, keys.len()).await.unwrap();
    })
    .await;
    long.quick("housekeeping: 500 members with their keys, and without", Flat, async |_| {
        let members = keyspace.members(&mut Cursor::start(), &key("long:set"), Collection::Set).await.unwrap();
        let pairs: Vec<_> = members.into_iter().take(500).map(|member| (member.clone(), member)).collect();
        keyspace.drop_gone(&key("long:set"), &pairs[..250]).await.unwrap().unwrap();
        keyspace.drop_all(&key("long:set"), &pairs[250..]).await.unwrap().unwrap();
    })
    .await;
    for name in ["long:list", "long:zset", "long:stream"] {
        let to =
            Trimming { count: Some(1000), before: Some(UnixMillis(1)), unit: Duration::from_millis(1), keep: None };
        long.quick(&format!("housekeeping: trim and count, {name}"), Flat, async |_| {
            keyspace.trim(&key(name), &to, 0, Some("-")).await.unwrap();
            keyspace.trim(&key(name), &to, 2000, None).await.unwrap();
        })
        .await;
    }
    long.quick("housekeeping: fill", Flat, async |_| {
        assert!(keyspace.lock(&key("cache:x"), "token", Duration::from_secs(5)).await.unwrap());
        keyspace.fill(&key("cache:x"), "token", Bytes::from(vec![0; 1 << 20]), Duration::from_secs(5)).await.unwrap();
    })
    .await;
}
