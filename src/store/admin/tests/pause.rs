use std::collections::BTreeSet;

use super::*;

/// What 5.x clients run.
const OLD_PAUSE: &str = "if redis.call('EXISTS', 'bull:q:wait') == 1 then redis.call('RENAME', 'bull:q:wait', 'bull:q:paused') end \
    redis.call('HSET', 'bull:q:meta', 'paused', 1) return redis.call('DEL', 'bull:q:marker')";
const OLD_RESUME: &str = "if redis.call('EXISTS', 'bull:q:paused') == 1 then redis.call('RENAME', 'bull:q:paused', 'bull:q:wait') end \
    redis.call('HDEL', 'bull:q:meta', 'paused') return redis.call('ZADD', 'bull:q:marker', 0, '0')";

/// Fills a list so that the numbers are served in order.
async fn fill(rig: &Rig, list: &str, numbers: std::ops::Range<usize>) {
    let script = "for n = ARGV[2], ARGV[3] - 1 do redis.call('LPUSH', ARGV[1], string.format('%d', n)) end return 1";
    rig.lua(script, &[list, &numbers.start.to_string(), &numbers.end.to_string()]).await;
}

async fn served(rig: &Rig, list: &str) -> Vec<usize> {
    let mut ids = rig.redis(&format!("LRANGE {list} 0 -1")).await;
    ids.reverse();
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

#[tokio::test]
async fn long_lists_are_joined_in_order_and_told_once() {
    for (old, young) in [(20_000, 15_000), (20_000, 10), (10, 20_000), (7000, 7000), (7001, 7001), (0, 9), (9, 0)] {
        let rig = Rig::new().await;
        rig.redis("HSET bull:q:meta oxherd.placement v5").await;
        fill(&rig, "bull:q:paused", 0..old).await;
        fill(&rig, "bull:q:wait", old..old + young).await;
        let all: Vec<usize> = (0..old + young).collect();
        rig.queue.pause().await.unwrap();
        assert_eq!(served(&rig, "bull:q:paused").await, all, "{old} and {young}");
        assert_eq!(rig.redis("EXISTS bull:q:wait bull:q:marker").await, ["0"]);

        // and the other way round, what came while it was paused being young
        rig.redis("DEL bull:q:paused").await;
        fill(&rig, "bull:q:paused", 0..old).await;
        fill(&rig, "bull:q:wait", old..old + young).await;
        rig.queue.resume().await.unwrap();
        assert_eq!(served(&rig, "bull:q:wait").await, all, "{old} and {young}");
        assert_eq!(rig.redis("EXISTS bull:q:paused").await, ["0"]);
        assert_eq!(rig.events("q").await, ["event paused", "event resumed"]);
        assert_eq!(rig.redis("ZRANGE bull:q:marker 0 -1").await, ["0"]);
    }
}

#[tokio::test]
async fn the_placement_of_the_queue_beats_what_its_version_says() {
    for (version, placement, list) in [
        ("bullmq:5.81.5", None, "paused"),
        ("bullmq:6.7.0", None, "wait"),
        ("bullmq:5.81.5", Some("v6"), "wait"),
        ("bullmq:6.7.0", Some("v5"), "paused"),
    ] {
        let rig = Rig::new().await;
        rig.redis(&format!("HSET bull:q:meta version {version}")).await;
        if let Some(placement) = placement {
            rig.redis(&format!("HSET bull:q:meta oxherd.placement {placement}")).await;
        }
        rig.add(&["{}"]).await;
        rig.queue.pause().await.unwrap();
        rig.add(&["{}", r#"{"lifo":true}"#]).await;
        assert_eq!(rig.redis(&format!("LRANGE bull:q:{list} 0 -1")).await, ["2", "1", "3"], "{version} {placement:?}");
        assert!(rig.take("t:1", 3).await.is_empty());
        rig.queue.resume().await.unwrap();
        assert_eq!(rig.take("t:2", 3).await, ["3", "1", "2"]);
    }
}

#[tokio::test]
async fn a_resumed_queue_that_only_has_delayed_jobs_sets_their_alarm() {
    let rig = Rig::new().await;
    rig.add(&[r#"{"delay":5000}"#]).await;
    rig.queue.pause().await.unwrap();
    assert_eq!(rig.redis("EXISTS bull:q:marker").await, ["0"]);
    rig.queue.resume().await.unwrap();
    assert_eq!(rig.redis("ZRANGE bull:q:marker 0 -1 WITHSCORES").await, ["1", &(T0 + 5000).to_string()]);
}

#[tokio::test]
async fn f74_nothing_is_lost_while_clients_of_both_releases_pause_and_resume() {
    for round in 0..20 {
        let seed = fastrand::u64(..);
        let mut dice = fastrand::Rng::with_seed(seed);
        let rig = Rig::new().await;
        rig.redis("HSET bull:q:meta version bullmq:5.81.5").await;
        let (mut added, mut done) = (0, BTreeSet::new());
        let mut running: Vec<(String, String)> = Vec::new();
        for step in 0..150 {
            match dice.u8(..10) {
                0 => rig.queue.pause().await.unwrap(),
                1 => rig.queue.resume().await.unwrap(),
                2 => drop(rig.lua(OLD_PAUSE, &[]).await),
                3 => drop(rig.lua(OLD_RESUME, &[]).await),
                4..=6 => {
                    let opts = ["{}", r#"{"lifo":true}"#, r#"{"priority":2}"#, r#"{"delay":1}"#];
                    let jobs: Vec<&str> = (0..dice.usize(1..5)).map(|_| opts[dice.usize(..4)]).collect();
                    added += jobs.len();
                    rig.add(&jobs).await;
                }
                7 => rig.store.freeze(UnixMillis(T0 + step)),
                _ => {
                    let token = format!("t:{step}");
                    let taken = rig.take(&token, dice.u32(1..6)).await;
                    running.extend(taken.into_iter().map(|id| (id, token.clone())));
                    for (id, token) in running.drain(..running.len() / 2) {
                        rig.complete(&id, &token).await;
                        done.insert(id);
                    }
                }
            }
        }
        rig.store.freeze(UnixMillis(T0 + 1000));
        rig.queue.resume().await.unwrap();
        running.extend(rig.take("t:end", 1000).await.into_iter().map(|id| (id, String::new())));
        done.extend(running.into_iter().map(|(id, _)| id));
        assert_eq!(done.len(), added, "round {round}, seed {seed}");
    }
}
