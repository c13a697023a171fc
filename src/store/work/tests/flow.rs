//! What a child's end does to its parent, where the golden scenarios do not go.

use super::*;

/// Jobs 1… taken by `a:1`, each a child of the parent `p` with this `parent` field; `p` has these fields and is in
/// this collection of the queue `up`.
async fn family(children: usize, parent: &str, fields: &str, place: &str) -> Rig {
    let rig = Rig::new().await;
    rig.redis("HSET bull:up:meta opts.maxLenEvents 10000").await;
    rig.redis(&format!("HSET bull:up:p name parent {fields}")).await;
    rig.redis(&format!("ZADD bull:up:{place} 1 p")).await;
    rig.add(&vec!["{}"; children]).await;
    for id in 1..=children {
        rig.redis(&format!("HSET bull:q:{id} parentKey bull:up:p parent {parent}")).await;
        rig.redis(&format!("SADD bull:up:p:dependencies bull:q:{id}")).await;
    }
    rig.take("a:1", 10).await;
    rig
}

async fn parents_events(rig: &Rig) -> usize {
    rig.redis("XLEN bull:up:events").await[0].parse().unwrap()
}

#[tokio::test]
async fn a_parent_that_goes_on_after_a_failure_does_not_wait_for_the_other_children() {
    let rig = family(2, r#"{"cpof":true}"#, "priority 0", "waiting-children").await;
    rig.finish(&[fail("1", "a:1", Keep::All)]).await;
    assert_eq!(rig.redis("LRANGE bull:up:wait 0 -1").await, ["p"]);
    assert_eq!(rig.redis("HGETALL bull:up:p:failed").await, ["bull:q:1", "no"]);
    assert_eq!(rig.redis("SMEMBERS bull:up:p:dependencies").await, ["bull:q:2"]);
    assert_eq!(rig.redis("ZRANGE bull:up:marker 0 -1").await, ["0"]);
    // it waits no more: the second changes only what is known of it
    rig.finish(&[fail("2", "a:1", Keep::All)]).await;
    assert_eq!(rig.redis("LRANGE bull:up:wait 0 -1").await, ["p"]);
    assert_eq!((rig.redis("HLEN bull:up:p:failed").await, parents_events(&rig).await), (vec!["2".to_owned()], 1));
}

#[tokio::test]
async fn a_parent_that_fails_with_its_child_keeps_its_priority() {
    let rig = family(1, r#"{"fpof":true}"#, "priority 3", "waiting-children").await;
    rig.finish(&[fail("1", "a:1", Keep::All)]).await;
    assert_eq!(rig.redis("ZRANGE bull:up:prioritized 0 -1 WITHSCORES").await, ["p", "12884901889"]);
    assert_eq!(rig.redis("HGET bull:up:p defa").await, ["child bull:q:1 failed"]);
    assert_eq!(rig.redis("ZRANGE bull:up:p:unsuccessful 0 -1").await, ["bull:q:1"]);
}

#[tokio::test]
async fn a_delayed_parent_fails_at_once_and_a_failed_one_is_left_alone() {
    let rig = family(1, r#"{"fpof":true}"#, "delay 5000", "delayed").await;
    rig.finish(&[fail("1", "a:1", Keep::All)]).await;
    assert_eq!(rig.redis("LRANGE bull:up:wait 0 -1").await, ["p"]);
    assert_eq!(rig.redis("HMGET bull:up:p defa delay").await, ["child bull:q:1 failed", "0"]);
    assert_eq!(rig.redis("EXISTS bull:up:delayed").await, ["0"]);

    let rig = family(1, r#"{"fpof":true}"#, "priority 0", "failed").await;
    rig.finish(&[fail("1", "a:1", Keep::All)]).await;
    assert_eq!(rig.redis("HEXISTS bull:up:p defa").await, ["0"]);
    assert_eq!(parents_events(&rig).await, 0);
}

#[tokio::test]
async fn a_parent_that_is_gone_stays_gone() {
    for parent in [r#"{"fpof":true}"#, r#"{"cpof":true}"#, r#"{"idof":true}"#, "{}", "broken"] {
        let rig = family(2, parent, "priority 0", "waiting-children").await;
        rig.redis("DEL bull:up:p bull:up:waiting-children").await;
        let outcomes = [fail("1", "a:1", Keep::All), complete("2", "a:1", Keep::All)];
        assert_eq!(rig.finish(&outcomes).await, [Recorded::Done, Recorded::Done], "{parent}");
        assert_eq!(rig.redis("EXISTS bull:up:p bull:up:wait bull:up:prioritized").await, ["0"], "{parent}");
    }
}

#[tokio::test]
async fn the_last_two_children_in_one_call_release_their_parent_once() {
    let rig = family(2, r#"{"idof":true}"#, "priority 0", "waiting-children").await;
    rig.finish(&[complete("1", "a:1", Keep::Nothing), fail("2", "a:1", Keep::All)]).await;
    assert_eq!(rig.redis("LRANGE bull:up:wait 0 -1").await, ["p"]);
    assert_eq!(parents_events(&rig).await, 1);
    assert_eq!(rig.redis("HGETALL bull:up:p:processed").await, ["bull:q:1", "1"]);
    assert_eq!(rig.redis("HGETALL bull:up:p:failed").await, ["bull:q:2", "no"]);
}

#[tokio::test]
async fn defect_10_failed_children_that_are_not_kept_release_their_parent_as_with_bullmq() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 2]).await;
    rig.redis("HSET bull:q:p name parent").await;
    rig.redis("ZADD bull:q:waiting-children 1 p").await;
    for id in [1, 2] {
        rig.redis(&format!("HSET bull:q:{id} parentKey bull:q:p parent {{}}")).await;
        rig.redis(&format!("SADD bull:q:p:dependencies bull:q:{id}")).await;
    }
    rig.take("a:1", 2).await;
    rig.finish(&[fail("1", "a:1", Keep::Nothing)]).await;
    assert_eq!(rig.redis("SMEMBERS bull:q:p:dependencies").await, ["bull:q:2"]);
    rig.finish(&[fail("2", "a:1", Keep::All)]).await;
    assert_eq!(rig.redis("ZCARD bull:q:waiting-children").await, ["1"]);
    rig.add(&["{}"]).await;
    rig.take("a:2", 1).await;
    rig.finish(&[fail("3", "a:2", Keep::Some { count: Some(1), age: None, limit: None })]).await;
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, ["p"], "the last one forgotten releases it");
}
