//! What upstream gets wrong in a worker's operations, by its number in the protocol notes (§9.4); the others are with the
//! administration of queues, flows and schedulers.

use super::*;

#[tokio::test]
async fn defect_2_an_id_without_a_job_never_becomes_one() {
    let rig = Rig::new().await;
    rig.redis("LPUSH bull:q:wait ghost").await;
    rig.redis("ZADD bull:q:prioritized 1 spirit").await;
    rig.redis("ZADD bull:q:delayed 1 late").await;
    rig.redis("LPUSH bull:q:active left").await;
    rig.redis("SADD bull:q:stalled left").await;
    let rescued = WorkQueue::move_stalled_jobs_to_wait(&[&rig.work()]).await.unwrap().remove(0).unwrap();
    assert_eq!(rescued.dropped, [JobId::stored("left")]);
    assert!(rig.take("a:1", 10).await.jobs.is_empty());
    assert_eq!(rig.redis("EXISTS bull:q:ghost bull:q:spirit bull:q:late bull:q:left").await, ["0"]);
    assert_eq!(rig.redis("EXISTS bull:q:wait bull:q:prioritized bull:q:delayed bull:q:active").await, ["0"]);
    assert!(rig.events().await.is_empty());
}

#[tokio::test]
async fn defect_3_a_stalled_job_with_a_priority_waits_before_all_others_as_with_bullmq() {
    let rig = Rig::new().await;
    rig.add(&[r#"{"priority":5}"#]).await;
    rig.take("a:1", 1).await;
    rig.add(&["{}", r#"{"priority":1}"#]).await;
    rig.redis("DEL bull:q:1:lock").await;
    rig.redis("SADD bull:q:stalled 1").await;
    WorkQueue::move_stalled_jobs_to_wait(&[&rig.work()]).await.unwrap().remove(0).unwrap();
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, ["2", "1"]);
    assert_eq!(ids(&rig.take("b:1", 3).await), ["1", "2", "3"]);
}

#[tokio::test]
async fn defect_4_a_job_that_is_handed_back_rings_whatever_its_priority() {
    for (opts, place) in [(r#"{"priority":5}"#, "prioritized"), ("{}", "wait")] {
        let rig = Rig::new().await;
        rig.add(&[opts]).await;
        rig.take("a:1", 1).await;
        rig.redis("DEL bull:q:marker").await;
        rig.finish(&[outcome("1", "a:1", Change::HandBack)]).await;
        assert_eq!(rig.redis("ZRANGE bull:q:marker 0 -1").await, ["0"], "{place}");
        assert_eq!(rig.redis(&format!("EXISTS bull:q:{place}")).await, ["1"]);
    }
}

#[tokio::test]
async fn defect_14_what_is_refused_has_changed_nothing() {
    let rig = Rig::new().await;
    rig.add(&["{}"]).await;
    rig.take("a:1", 1).await;
    // locked, but in no list
    rig.redis("DEL bull:q:active").await;
    let before = rig.redis("HGETALL bull:q:1").await;
    let events = rig.events().await;
    for change in [
        Change::Complete { value: RawValue::from_string("1".into()).unwrap(), keep: Keep::All },
        Change::Retry { reason: "no".into(), stack: "[]".into(), front: false },
        Change::Delay { wait: Duration::from_secs(1), charged: Some(("no".into(), "[]".into())) },
        Change::HandBack,
    ] {
        let refused = rig.finish(&[outcome("1", "a:1", change)]).await;
        let expected = Recorded::Refused { code: crate::store::Code::NotInState, place: "unknown".into() };
        assert_eq!(refused, [expected]);
    }
    assert_eq!(rig.redis("GET bull:q:1:lock").await, ["a:1"]);
    assert_eq!((rig.redis("HGETALL bull:q:1").await, rig.events().await), (before, events));
}

#[tokio::test]
async fn a_promotion_that_breaks_half_way_loses_no_job() {
    let rig = Rig::new().await;
    rig.add(&[r#"{"delay":1}"#, r#"{"delay":2,"priority":3}"#, r#"{"delay":3}"#]).await;
    rig.redis("SET bull:q:prioritized x").await;
    rig.store.freeze(UnixMillis(T0 + 10));
    let take = Take { token: "a:1".into(), want: 3 };
    let error = rig.work().move_to_active(&take).await.unwrap_err();
    assert!(matches!(error, crate::store::Error::WrongType { .. }), "{error}");
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, ["1"]);
    assert_eq!(rig.redis("ZRANGE bull:q:delayed 0 -1").await, ["2", "3"]);
    assert_eq!(rig.redis("ZRANGE bull:q:marker 0 0").await, ["0"]);
    rig.redis("DEL bull:q:prioritized").await;
    assert_eq!(ids(&rig.take("a:2", 3).await), ["1", "3", "2"]);
}
