use super::*;
use crate::store::Code;

#[tokio::test]
async fn a_job_is_removed_from_every_state_and_told_of() {
    let rig = Rig::new().await;
    let script = "redis.call('HSET', 'bull:q:x', 'name', 'n') redis.call('RPUSH', 'bull:q:x:logs', 'row') return 1";
    for place in
        ["completed", "waiting-children", "delayed", "failed", "prioritized", "wait", "paused", "active", "unknown"]
    {
        rig.lua(script, &[]).await;
        match place {
            "unknown" => {}
            "wait" | "paused" | "active" => drop(rig.redis(&format!("LPUSH bull:q:{place} y x z")).await),
            _ => drop(rig.redis(&format!("ZADD bull:q:{place} 1 x")).await),
        }
        assert!(rig.queue.remove(&id("x"), true).await.unwrap());
        assert_eq!(*rig.events("q").await.last().unwrap(), format!("event removed jobId x prev {place}"));
    }
    assert_eq!(rig.keys().await, ["bull:q:active", "bull:q:paused", "bull:q:wait"]);
    // there is none: as with BullMQ that is fine, and not told of
    let events = rig.events("q").await.len();
    assert!(rig.queue.remove(&id("x"), true).await.unwrap());
    assert_eq!(rig.events("q").await.len(), events);
}

#[tokio::test]
async fn a_running_job_is_never_removed_and_keeps_its_family() {
    let rig = Rig::new().await;
    rig.parent("bull:q:p").await;
    rig.child("bull:q:m", "bull:q:p", "waiting-children").await;
    rig.child("bull:other:c", "bull:q:m", "active").await;
    rig.redis("SET bull:other:c:lock t").await;
    let before = rig.keys().await;
    assert!(!rig.queue.remove(&id("p"), true).await.unwrap());
    assert!(!rig.queue.remove(&id("m"), true).await.unwrap());
    assert_eq!(rig.keys().await, before);
    // alone it can go
    assert!(rig.queue.remove(&id("p"), false).await.unwrap());
    assert_eq!(rig.redis("EXISTS bull:q:p bull:q:m bull:other:c").await, ["2"]);
    rig.redis("DEL bull:other:c:lock").await;
    assert!(rig.queue.remove(&id("m"), true).await.unwrap());
    assert!(rig.keys().await.is_empty());
    assert_eq!(rig.events("other").await, ["event removed jobId c prev active"]);
}

#[tokio::test]
async fn the_current_iteration_of_a_scheduler_is_refused_and_earlier_ones_are_not() {
    let rig = Rig::new().await;
    rig.redis("ZADD bull:q:repeat 2000 a:b").await;
    rig.redis("ZADD bull:q:delayed 1 repeat:a:b:2000").await;
    rig.redis("HSET bull:q:repeat:a:b:2000 name n").await;
    rig.redis("ZADD bull:q:completed 1 repeat:a:b:1000").await;
    rig.redis("HSET bull:q:repeat:a:b:1000 name n").await;
    let error = rig.queue.remove(&id("repeat:a:b:2000"), true).await.unwrap_err();
    assert!(matches!(error, Error::Rejected { code: Code::SchedulerIteration, .. }), "{error}");
    assert!(rig.queue.remove(&id("repeat:a:b:1000"), true).await.unwrap());
    assert_eq!(rig.keys().await, ["bull:q:delayed", "bull:q:repeat", "bull:q:repeat:a:b:2000"]);
}

#[tokio::test]
async fn the_deduplication_key_goes_only_with_its_owner() {
    let rig = Rig::new().await;
    rig.redis("HSET bull:q:1 name n deid d").await;
    rig.redis("HSET bull:q:2 name n deid d").await;
    rig.redis("SET bull:q:de:d 2").await;
    rig.redis("HSET bull:q:dn:d name n").await;
    assert_eq!(rig.queue.deduplication_owner("d").await.unwrap(), Some(id("2")));
    rig.queue.remove(&id("1"), true).await.unwrap();
    assert_eq!(rig.keys().await, ["bull:q:2", "bull:q:de:d", "bull:q:dn:d"]);
    rig.queue.remove(&id("2"), true).await.unwrap();
    assert!(rig.keys().await.is_empty());
    assert_eq!(rig.queue.deduplication_owner("d").await.unwrap(), None);
    assert!(!rig.queue.remove_deduplication_key("d").await.unwrap());
}

#[tokio::test]
async fn children_of_every_kind_go_but_not_those_of_another_parent() {
    let rig = Rig::new().await;
    rig.redis("HSET bull:q:p name n").await;
    rig.redis("ZADD bull:q:completed 1 p").await;
    for (child, place) in [("a", "completed"), ("b", "failed"), ("c", "failed"), ("d", "wait")] {
        rig.child(&format!("bull:sub:{child}"), "bull:q:p", place).await;
    }
    rig.redis("SREM bull:q:p:dependencies bull:sub:a bull:sub:b bull:sub:c").await;
    rig.redis("HSET bull:q:p:processed bull:sub:a 1 bull:sub:stranger 2 bull:sub:gone 3").await;
    rig.redis("HSET bull:q:p:failed bull:sub:b no").await;
    rig.redis("ZADD bull:q:p:unsuccessful 1 bull:sub:c").await;
    // it finished for p once, and has another parent since
    rig.redis("HSET bull:sub:stranger name n parentKey bull:q:other").await;
    assert!(rig.queue.remove(&id("p"), true).await.unwrap());
    assert_eq!(rig.keys().await, ["bull:sub:stranger"]);
    let mut events = rig.events("sub").await;
    events.sort();
    let expected = ["a prev completed", "b prev failed", "c prev failed", "d prev wait"];
    assert_eq!(events, expected.map(|text| format!("event removed jobId {text}")));
}

#[tokio::test]
async fn defect_11_a_parent_that_waits_for_nothing_else_goes_on_by_its_delay_and_priority() {
    for (fields, place) in [("priority 3", "prioritized"), ("delay 5000", "delayed"), ("priority 0", "wait")] {
        let rig = Rig::new().await;
        rig.parent("bull:up:p").await;
        rig.redis(&format!("HSET bull:up:p {fields}")).await;
        rig.child("bull:q:a", "bull:up:p", "wait").await;
        rig.child("bull:q:b", "bull:up:p", "delayed").await;
        rig.queue.remove(&id("a"), true).await.unwrap();
        assert_eq!(rig.redis("ZCARD bull:up:waiting-children").await, ["1"]);
        assert!(rig.queue.remove_child_dependency(&id("b")).await.unwrap());
        let mut left =
            vec!["bull:q:b".to_owned(), "bull:q:delayed".into(), "bull:up:p".into(), format!("bull:up:{place}")];
        left.sort();
        assert_eq!(rig.keys().await, left);
        assert_eq!(rig.redis("HEXISTS bull:q:b parentKey").await, ["0"]);
        assert!(!rig.queue.remove_child_dependency(&id("b")).await.unwrap());
    }
}

#[tokio::test]
async fn detaching_says_what_is_missing() {
    let rig = Rig::new().await;
    let code = async |name| match rig.queue.remove_child_dependency(&id(name)).await {
        Err(Error::Rejected { code, .. }) => code,
        other => panic!("expected a refusal, got {other:?}"),
    };
    assert_eq!(code("gone").await, Code::Missing);
    rig.redis("HSET bull:q:c name n parentKey bull:q:p").await;
    assert_eq!(code("c").await, Code::ParentMissing);
    // it has ended: its parent does not wait for it, and knows it as before
    rig.redis("HSET bull:q:p name n").await;
    assert!(!rig.queue.remove_child_dependency(&id("c")).await.unwrap());
    assert_eq!(rig.redis("HEXISTS bull:q:c parentKey").await, ["1"]);
}

#[tokio::test]
async fn unprocessed_children_go_but_for_what_runs_or_has_failed() {
    let rig = Rig::new().await;
    rig.parent("bull:q:p").await;
    rig.child("bull:q:a", "bull:q:p", "wait").await;
    rig.child("bull:sub:b", "bull:q:p", "waiting-children").await;
    rig.child("bull:sub:c", "bull:sub:b", "delayed").await;
    rig.child("bull:q:f", "bull:q:p", "failed").await;
    rig.child("bull:q:runs", "bull:q:p", "active").await;
    rig.child("bull:q:below", "bull:q:runs", "wait").await;
    rig.redis("SET bull:q:runs:lock t").await;
    rig.redis("HSET bull:q:p:processed bull:q:done 1").await;
    rig.redis("HSET bull:q:done name n parentKey bull:q:p").await;
    assert_eq!(rig.queue.remove_unprocessed_children(&id("p")).await.unwrap(), 3);
    let mut pending = rig.redis("SMEMBERS bull:q:p:dependencies").await;
    pending.sort();
    assert_eq!(pending, ["bull:q:f", "bull:q:runs"]);
    assert_eq!(rig.redis("EXISTS bull:q:done bull:q:below bull:q:runs bull:q:f").await, ["4"]);
    assert_eq!(rig.redis("ZCARD bull:q:waiting-children").await, ["1"]);
    // when nothing holds it any more it goes on
    rig.redis("DEL bull:q:runs:lock").await;
    rig.redis("ZREM bull:q:failed f").await;
    assert_eq!(rig.queue.remove_unprocessed_children(&id("p")).await.unwrap(), 3);
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, ["p"]);
    assert_eq!(rig.queue.remove_unprocessed_children(&id("gone")).await.unwrap(), 0);
}

#[tokio::test]
async fn trimming_shortens_the_stream() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 500]).await;
    let gone = rig.queue.trim_events(100).await.unwrap();
    assert_eq!(rig.redis("XLEN bull:q:events").await, [(1000 - gone).to_string()]);
    assert!((700..=900).contains(&gone), "{gone}");
}
