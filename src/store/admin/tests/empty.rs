use std::time::Duration;

use super::*;
use crate::job::State;

/// A scheduler and its current iteration, which is in this list or set.
async fn scheduler(rig: &Rig, name: &str, place: &str) -> String {
    let iteration = format!("repeat:{name}:{}", T0 + 1000);
    rig.redis(&format!("ZADD bull:q:repeat {} {name}", T0 + 1000)).await;
    rig.redis(&format!("HSET bull:q:repeat:{name} name n every 1000 ic 1")).await;
    rig.redis(&format!("HSET bull:q:{iteration} name n rjk {name} timestamp 1")).await;
    match place {
        "wait" => rig.redis(&format!("LPUSH bull:q:wait {iteration}")).await,
        _ => rig.redis(&format!("ZADD bull:q:{place} 1 {iteration}")).await,
    };
    iteration
}

#[tokio::test]
async fn defect_1_drain_leaves_the_waiting_iterations_of_schedulers_and_nothing_else() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 3]).await;
    let first = scheduler(&rig, "a", "wait").await;
    rig.add(&vec!["{}"; 1500]).await;
    let second = scheduler(&rig, "b:c", "wait").await;
    let third = scheduler(&rig, "d", "prioritized").await;
    rig.add(&[r#"{"priority":1}"#; 3]).await;
    // one that was an iteration: its scheduler has gone on
    rig.redis("LPUSH bull:q:wait repeat:a:5").await;
    rig.redis("HSET bull:q:repeat:a:5 name n").await;
    assert_eq!(rig.queue.drain(false).await.unwrap(), 3 + 1500 + 3 + 1);
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, [second.clone(), first.clone()]);
    assert_eq!(rig.redis("ZRANGE bull:q:prioritized 0 -1").await, *std::slice::from_ref(&third));
    let mut left: Vec<String> = [first, second, third].map(|id| format!("bull:q:{id}")).into();
    left.extend(
        ["prioritized", "repeat", "repeat:a", "repeat:b:c", "repeat:d", "wait"].map(|key| format!("bull:q:{key}")),
    );
    left.sort();
    assert_eq!(rig.keys().await, left);
}

#[tokio::test]
async fn what_is_delayed_is_drained_when_asked_for_and_in_the_paused_list_always() {
    let rig = Rig::new().await;
    rig.redis("HSET bull:q:meta version bullmq:5.1.0").await;
    rig.add(&[r#"{"delay":1000}"#; 2]).await;
    let iteration = scheduler(&rig, "s", "delayed").await;
    rig.add(&["{}"; 2]).await;
    rig.queue.pause().await.unwrap();
    rig.add(&["{}"]).await;
    assert_eq!(rig.redis("LLEN bull:q:paused").await, ["3"]);
    assert_eq!(rig.queue.drain(false).await.unwrap(), 3);
    assert_eq!(rig.redis("ZCARD bull:q:delayed").await, ["3"]);
    assert_eq!(rig.queue.drain(true).await.unwrap(), 2);
    assert_eq!(rig.redis("ZRANGE bull:q:delayed 0 -1").await, [iteration]);
    assert_eq!(rig.queue.drain(true).await.unwrap(), 0);
}

#[tokio::test]
async fn parents_in_the_queue_go_with_their_last_child_and_others_go_on() {
    let rig = Rig::new().await;
    // g ← p ← c in q; o in another queue, also with a child in q; s waits for one that is not drained
    for parent in ["bull:q:g", "bull:up:o", "bull:q:s"] {
        rig.parent(parent).await;
    }
    rig.redis("HSET bull:up:o priority 3").await;
    rig.child("bull:q:p", "bull:q:g", "waiting-children").await;
    rig.child("bull:q:c", "bull:q:p", "wait").await;
    rig.child("bull:q:d", "bull:up:o", "wait").await;
    rig.child("bull:q:e", "bull:q:s", "wait").await;
    rig.child("bull:q:f", "bull:q:s", "active").await;
    rig.redis("HSET bull:q:p deid once").await;
    rig.redis("SET bull:q:de:once p").await;
    assert_eq!(rig.queue.drain(false).await.unwrap(), 5);
    assert_eq!(
        rig.keys().await,
        [
            "bull:q:active",
            "bull:q:f",
            "bull:q:s",
            "bull:q:s:dependencies",
            "bull:q:waiting-children",
            "bull:up:o",
            "bull:up:prioritized"
        ]
    );
    assert_eq!(rig.redis("ZRANGE bull:q:waiting-children 0 -1").await, ["s"]);
    assert_eq!(rig.redis("SMEMBERS bull:q:s:dependencies").await, ["bull:q:f"]);
    // defect 11: its priority is kept
    assert_eq!(rig.redis("ZRANGE bull:up:prioritized 0 -1").await, ["o"]);
    assert_eq!(rig.events("up").await, ["event waiting jobId o prev waiting-children"]);
    assert!(rig.events("q").await.is_empty());
}

#[tokio::test]
async fn the_deduplication_key_goes_with_the_job_that_owns_it() {
    for state in ["wait", "delayed", "failed", "force"] {
        let rig = Rig::new().await;
        rig.redis("HSET bull:q:1 name n deid mine timestamp 1").await;
        rig.redis("HSET bull:q:2 name n deid theirs timestamp 1").await;
        rig.redis("MSET bull:q:de:mine 1 bull:q:de:theirs 9").await;
        rig.redis("HSET bull:q:dn:mine name n").await;
        match state {
            "wait" | "force" => rig.redis("LPUSH bull:q:wait 1 2").await,
            _ => rig.redis(&format!("ZADD bull:q:{state} 1 1 2 2")).await,
        };
        match state {
            "failed" => assert_eq!(rig.queue.clean(Duration::ZERO, 0, State::Failed).await.unwrap().len(), 2),
            "force" => assert_eq!(rig.queue.obliterate(false).await.unwrap(), 2),
            _ => assert_eq!(rig.queue.drain(true).await.unwrap(), 2),
        }
        let left: &[&str] = if state == "force" { &[] } else { &["bull:q:de:theirs"] };
        assert_eq!(rig.keys().await, left, "{state}");
    }
}

#[tokio::test]
async fn clean_goes_by_age_and_takes_the_oldest_first() {
    let rig = Rig::new().await;
    // ids tell how old they are, in seconds
    for age in [10, 40, 30, 20] {
        let at = T0 - age * 1000;
        for (queue, key) in [("wait", "w"), ("active", "a")] {
            rig.redis(&format!("HSET bull:q:{key}{age} name n timestamp {at}")).await;
            rig.redis(&format!("LPUSH bull:q:{queue} {key}{age}")).await;
        }
        for (queue, key, score) in [("delayed", "d", age * 4096), ("prioritized", "p", 1 << 32), ("completed", "c", at)]
        {
            rig.redis(&format!("HSET bull:q:{key}{age} name n timestamp {at}")).await;
            rig.redis(&format!("ZADD bull:q:{queue} {score} {key}{age}")).await;
        }
    }
    rig.redis("SET bull:q:a30:lock t").await;
    // it ran since, and was delayed again
    rig.redis(&format!("HSET bull:q:d40 processedOn {}", T0 - 1000)).await;
    let clean = async |limit, state| {
        let ids = rig.queue.clean(Duration::from_secs(25), limit, state).await.unwrap();
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(clean(1, State::Completed).await, "c40");
    assert_eq!(clean(0, State::Completed).await, "c30");
    assert_eq!(clean(1, State::Waiting).await, "w40");
    assert_eq!(clean(0, State::Waiting).await, "w30");
    assert_eq!(clean(0, State::Active).await, "a40");
    assert_eq!(clean(0, State::Delayed).await, "d30");
    assert_eq!(clean(0, State::Prioritized).await, "p30 p40");
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, ["w20", "w10"]);
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["a20", "a30", "a10"]);
    assert_eq!(rig.redis("ZRANGE bull:q:delayed 0 -1").await, ["d10", "d20", "d40"]);
    let counts: Vec<String> = rig.events("q").await;
    assert_eq!(counts.len(), 7);
    assert!(rig.queue.clean(Duration::ZERO, 0, State::WaitingChildren).await.is_err());
}

#[tokio::test]
async fn clean_comes_to_every_job_however_many_stay() {
    let rig = Rig::new().await;
    // every third is old, many have one score
    let script = "for n = 1, 9000 do local at = n % 3 == 0 and 1 or ARGV[1]
          redis.call('HSET', 'bull:q:' .. n, 'name', 'n', 'timestamp', at)
          redis.call('LPUSH', 'bull:q:wait', n)
          redis.call('ZADD', 'bull:q:prioritized', n < 6000 and 4294967296 or 4294967296 + n, n) end return 1";
    rig.lua(script, &[&T0.to_string()]).await;
    rig.redis("RPUSH bull:q:wait 0:0").await;
    assert_eq!(rig.queue.clean(Duration::from_secs(1), 2500, State::Waiting).await.unwrap().len(), 2500);
    // the entry without a job, which is no job of ours
    assert_eq!(rig.queue.clean(Duration::from_secs(1), 0, State::Waiting).await.unwrap().len(), 501);
    assert_eq!(rig.redis("LLEN bull:q:wait").await, ["6000"]);
    let left = rig.redis("LRANGE bull:q:wait 0 -1").await;
    assert!(left.iter().all(|id| id.parse::<u32>().unwrap() % 3 != 0), "{left:?}");
    assert_eq!(rig.queue.clean(Duration::from_secs(1), 0, State::Prioritized).await.unwrap().len(), 3000);
    assert_eq!(rig.redis("ZCARD bull:q:prioritized").await, ["6000"]);
}

#[tokio::test]
async fn clean_misses_nothing_while_the_queue_is_worked() {
    let rig = Rig::new().await;
    let script = "for n = 1, 12000 do local at = n % 2 == 0 and 1 or ARGV[1]
          redis.call('HSET', 'bull:q:' .. n, 'name', 'n', 'timestamp', at) redis.call('LPUSH', 'bull:q:wait', n) end return 1";
    rig.lua(script, &[&T0.to_string()]).await;
    let cleaning = rig.queue.clone();
    let cleaning =
        tokio::spawn(async move { cleaning.clean(Duration::from_secs(1), 0, State::Waiting).await.unwrap() });
    let mut taken = Vec::new();
    while !cleaning.is_finished() {
        taken.extend(rig.take(&format!("t:{}", taken.len()), 50).await);
    }
    let cleaned = cleaning.await.unwrap();
    let left = rig.redis("LRANGE bull:q:wait 0 -1").await;
    assert!(left.iter().all(|id| id.parse::<u32>().unwrap() % 2 == 1), "old ones are left");
    assert_eq!(cleaned.len() + taken.len() + left.len(), 12000);
}

#[tokio::test]
async fn defect_7_obliterate_leaves_nothing_behind() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}", r#"{"priority":1}"#, r#"{"delay":9000}"#]).await;
    rig.take("t:1", 1).await;
    scheduler(&rig, "s", "delayed").await;
    rig.parent("bull:q:p").await;
    rig.parent("bull:up:o").await;
    rig.child("bull:q:c", "bull:q:p", "failed").await;
    rig.child("bull:q:d", "bull:up:o", "completed").await;
    for command in [
        "SET bull:q:limiter 3",
        "SET bull:q:de:once 77",
        "SET bull:q:de:a:b 78",
        "HSET bull:q:dn:once name n",
        "HSET bull:q:metrics:completed count 1",
        "LPUSH bull:q:metrics:failed:data 1",
        "SADD bull:q:stalled 1",
        "SET bull:q:stalled-check 1",
        "ZADD bull:q:oxherd.gates 1 []",
        "HSET bull:q:meta oxherd.placement v5 concurrency 3 version bullmq:6.7.0",
        "RPUSH bull:q:1:logs row",
    ] {
        rig.redis(command).await;
    }
    let error = rig.queue.obliterate(false).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "queue q has 1 active jobs; it is paused now, so that no more begin: try again when these have ended, force it, \
         or resume the queue"
    );
    assert!(rig.queue.is_paused().await.unwrap());
    assert_eq!(rig.queue.obliterate(true).await.unwrap(), 8);
    assert_eq!(rig.redis("KEYS bull:q:*").await, Vec::<String>::new());
    // its parent elsewhere goes on
    assert_eq!(rig.redis("LRANGE bull:up:wait 0 -1").await, ["o"]);
    // and the queue can be used again
    rig.add(&["{}"]).await;
    assert_eq!(rig.take("t:2", 1).await, ["1"]);
}

#[tokio::test]
async fn defect_8_the_counts_of_finished_jobs_outlive_whatever_empties_a_queue() {
    let rig = Rig::new().await;
    for target in ["completed", "failed"] {
        rig.redis(&format!("HSET bull:q:metrics:{target} count 3 prevTS 1 prevCount 2")).await;
        rig.redis(&format!("LPUSH bull:q:metrics:{target}:data 1 2")).await;
    }
    rig.add(&["{}", r#"{"priority":1}"#, r#"{"delay":9000}"#, "{}"]).await;
    rig.take("t:1", 1).await;
    rig.complete("1", "t:1").await;
    rig.queue.clean(Duration::ZERO, 0, State::Completed).await.unwrap();
    rig.queue.remove(&id("4"), true).await.unwrap();
    rig.queue.drain(true).await.unwrap();
    rig.queue.trim_events(0).await.unwrap();
    let figures = ["completed", "completed:data", "failed", "failed:data"].map(|name| format!("bull:q:metrics:{name}"));
    assert_eq!(rig.keys().await, figures);
}

#[tokio::test]
async fn defect_2_ids_without_a_job_are_emptied_like_any() {
    let rig = Rig::new().await;
    rig.redis("LPUSH bull:q:wait ghost 0:0").await;
    rig.redis("ZADD bull:q:delayed 1 spirit").await;
    rig.queue.drain(true).await.unwrap();
    assert!(rig.keys().await.is_empty());
    rig.redis("ZADD bull:q:delayed 1 spirit").await;
    assert_eq!(rig.queue.clean(Duration::ZERO, 0, State::Delayed).await.unwrap(), [id("spirit")]);
    assert!(rig.keys().await.is_empty());
}
