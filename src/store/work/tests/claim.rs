//! Taking jobs.

use super::*;

#[tokio::test]
async fn a_batch_serves_what_single_takes_would_in_the_same_order() {
    let rig = Rig::new().await;
    rig.add(&[r#"{"priority":5}"#, r#"{"priority":1}"#, "{}", r#"{"lifo":true}"#, r#"{"priority":1}"#, "{}"]).await;
    let first = rig.take("a:1", 4).await;
    assert_eq!(ids(&first), ["4", "3", "6", "2"]);
    assert!(first.more, "as many as asked for: there may be more");
    let rest = rig.take("a:2", 4).await;
    assert_eq!(ids(&rest), ["5", "1"]);
    assert!(!rest.more);
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["1", "5", "2", "6", "3", "4"]);
    assert_eq!(rig.events().await[12..], ["active 4", "active 3", "active 6", "active 2", "active 5", "active 1"]);
    assert_eq!(rig.redis("HMGET bull:q:5 ats processedOn").await, ["1", "1700000000000"]);
    assert_eq!(rig.redis("GET bull:q:5:lock").await, ["a:2"]);
}

#[tokio::test]
async fn due_jobs_are_promoted_by_priority_and_then_by_due_time() {
    let rig = Rig::new().await;
    rig.add(&[r#"{"delay":20,"priority":2}"#, r#"{"delay":30}"#, r#"{"delay":10}"#, r#"{"delay":99}"#, "{}"]).await;
    rig.store.freeze(UnixMillis(T0 + 50));
    let taken = rig.take("a:1", 10).await;
    assert_eq!(ids(&taken), ["5", "3", "2", "1"]);
    assert_eq!(taken.next_due, Some(UnixMillis(T0 + 99)));
}

#[tokio::test]
async fn more_due_jobs_than_one_call_promotes_are_said_to_be_there() {
    let rig = Rig::new().await;
    rig.add(&[r#"{"delay":1}"#; 200]).await;
    rig.store.freeze(UnixMillis(T0 + 1));
    let mut seen = 0;
    for n in 0..10 {
        let taken = rig.take(&format!("a:{n}"), 150).await;
        seen += taken.jobs.len();
        if !taken.more {
            break;
        }
    }
    assert_eq!(seen, 200);
}

#[tokio::test]
async fn f77_an_id_that_is_twice_in_the_list_is_taken_once() {
    let rig = Rig::new().await;
    rig.add(&["{}"]).await;
    rig.redis("LPUSH bull:q:wait 1 1").await;
    let taken = rig.take("a:1", 2).await;
    assert_eq!((ids(&taken), taken.dropped.len()), (vec!["1"], 1));
    // while it runs, and once it has ended
    let again = rig.take("a:2", 1).await;
    assert_eq!((again.jobs.len(), again.dropped.len()), (0, 1));
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["1"]);
    assert_eq!(rig.redis("GET bull:q:1:lock").await, ["a:1"], "the one that runs keeps its lock");
    rig.redis("LPUSH bull:q:wait 1").await;
    assert_eq!(rig.finish(&[complete("1", "a:1", Keep::All)]).await, [Recorded::Done]);
    let ended = rig.take("a:3", 1).await;
    assert_eq!((ended.jobs.len(), ended.dropped.len()), (0, 1));
    assert_eq!(rig.redis("EXISTS bull:q:active bull:q:1:lock bull:q:wait").await, ["0"]);
    assert_eq!(rig.redis("HGET bull:q:1 ats").await, ["1"]);
}

#[tokio::test]
async fn a_lock_left_behind_does_not_keep_a_waiting_job_from_being_taken() {
    let rig = Rig::new().await;
    rig.add(&["{}"]).await;
    rig.redis("SET bull:q:1:lock gone:7 PX 60000").await;
    assert_eq!(ids(&rig.take("a:1", 1).await), ["1"]);
    assert_eq!(rig.redis("GET bull:q:1:lock").await, ["a:1"]);
}

#[tokio::test]
async fn f63_an_id_without_a_job_is_dropped_with_its_lock() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}", r#"{"delay":5}"#]).await;
    rig.redis("DEL bull:q:1 bull:q:3").await;
    rig.redis("SET bull:q:1:lock gone:1").await;
    rig.store.freeze(UnixMillis(T0 + 5));
    let taken = rig.take("a:1", 2).await;
    assert_eq!(ids(&taken), ["2"]);
    assert_eq!(taken.dropped, [JobId::stored("1")]);
    assert_eq!(rig.redis("EXISTS bull:q:1 bull:q:1:lock bull:q:3 bull:q:delayed").await, ["0"]);
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["2"]);
    assert!(!rig.events().await.contains(&"active 1".to_owned()));
}

#[tokio::test]
async fn what_is_dropped_does_not_hide_what_comes_behind_it() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}"]).await;
    rig.redis("DEL bull:q:1").await;
    rig.redis("HSET bull:q:meta concurrency 1").await;
    // one place under the global concurrency, and it went to an id without a job
    let taken = rig.take("a:1", 5).await;
    assert_eq!(taken.dropped.len(), 1);
    assert!(taken.more || !taken.jobs.is_empty(), "job 2 would wait for the next marker");
    assert_eq!(ids(&rig.take("a:2", 5).await), ["2"]);
}

#[tokio::test]
async fn f71_a_job_key_of_the_wrong_type_fails_that_job_only() {
    let rig = Rig::new().await;
    rig.add(&["{}", r#"{"delay":5}"#, "{}"]).await;
    rig.redis("DEL bull:q:1 bull:q:2").await;
    rig.redis("SET bull:q:1 text").await;
    rig.redis("RPUSH bull:q:2 a b").await;
    rig.store.freeze(UnixMillis(T0 + 5));
    let taken = rig.take("a:1", 5).await;
    assert_eq!((ids(&taken), taken.dropped.len()), (vec!["3"], 2));
    assert_eq!(rig.redis("ZRANGE bull:q:failed 0 -1").await, ["1", "2"]);
    assert_eq!(rig.redis("GET oxherd:quarantine:bull:q:1").await, ["text"]);
    assert_eq!(rig.redis("LRANGE oxherd:quarantine:bull:q:2 0 -1").await, ["a", "b"]);
    let reason = &rig.redis("HGET bull:q:2 failedReason").await[0];
    assert!(reason.contains("holds a list") && reason.contains("oxherd:quarantine:bull:q:2"), "{reason}");
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["3"]);
    assert!(rig.events().await.contains(&"failed 1".to_owned()));
    // BullMQ can read and remove what took its place
    assert_eq!(rig.queue().job(&JobId::stored("1")).await.unwrap().unwrap().state, crate::job::State::Failed);
}

#[tokio::test]
async fn f71_a_queue_key_of_the_wrong_type_is_named() {
    let rig = Rig::new().await;
    rig.work().check_queue().await.unwrap();
    rig.redis("SET bull:q:wait text").await;
    let error = rig.work().check_queue().await.unwrap_err().to_string();
    assert!(error.contains("bull:q:wait"), "{error}");
}

#[tokio::test]
async fn wake_up_entries_of_old_releases_are_dropped_and_not_counted() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}"]).await;
    rig.redis("RPUSH bull:q:wait 0:1700 0:0").await;
    let taken = rig.take("a:1", 2).await;
    assert!(taken.dropped.is_empty() && taken.more);
    assert_eq!(ids(&rig.take("a:2", 2).await), ["1", "2"]);
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["2", "1"]);
}

#[tokio::test]
async fn a_batch_never_goes_over_the_rate_limit() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 20]).await;
    rig.redis("HSET bull:q:meta max 5 duration 60000").await;
    let first = rig.take("a:1", 3).await;
    assert_eq!((first.jobs.len(), first.limited), (3, None));
    let second = rig.take("a:2", 10).await;
    assert_eq!(second.jobs.len(), 2);
    assert!(second.limited.is_some());
    let (_, third) = rig
        .work()
        .finish_jobs([complete("1", "a:1", Keep::All)].iter(), Some(&Take { token: "a:3".into(), want: 10 }))
        .await
        .unwrap();
    assert!(third.jobs.is_empty() && third.limited.is_some());
    assert_eq!(rig.redis("GET bull:q:limiter").await, ["5"]);
    // the window ends
    rig.redis("DEL bull:q:limiter").await;
    assert_eq!(rig.take("a:4", 10).await.jobs.len(), 5);
    let ttl: u64 = rig.redis("PTTL bull:q:limiter").await[0].parse().unwrap();
    assert!((50_000..=60_000).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn jobs_that_are_failed_without_running_are_not_charged_to_the_limit() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 4]).await;
    rig.redis("HSET bull:q:1 defa decided").await;
    rig.redis("HSET bull:q:2 defa decided").await;
    rig.redis("HSET bull:q:meta max 2 duration 60000").await;
    let taken = rig.take("a:1", 10).await;
    assert_eq!(ids(&taken), ["1", "2"]);
    assert_eq!(taken.jobs[0].deferred_failure.as_deref(), Some("decided"));
    assert_eq!(rig.redis("EXISTS bull:q:limiter").await, ["0"]);
    assert!(taken.more || taken.limited.is_some(), "two more may be taken at once");
    assert_eq!(ids(&rig.take("a:2", 10).await), ["3", "4"]);
}

#[tokio::test]
async fn a_batch_never_goes_over_the_global_concurrency() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 10]).await;
    rig.redis("HSET bull:q:meta concurrency 3").await;
    assert_eq!(rig.take("a:1", 2).await.jobs.len(), 2);
    assert_eq!(ids(&rig.take("a:2", 8).await), ["3"]);
    assert!(rig.take("a:3", 8).await.jobs.is_empty());
    // two end, and the same call takes for two slots of five
    let outcomes = [complete("1", "a:1", Keep::All), complete("2", "a:1", Keep::Nothing)];
    let (_, taken) =
        rig.work().finish_jobs(outcomes.iter(), Some(&Take { token: "a:4".into(), want: 5 })).await.unwrap();
    assert_eq!(ids(&taken), ["4", "5"]);
    assert_eq!(rig.redis("LLEN bull:q:active").await, ["3"]);
}

#[tokio::test]
async fn a_paused_queue_gives_nothing_and_what_comes_goes_where_its_release_looks() {
    for (version, list) in [("bullmq:6.7.0", "wait"), ("bullmq:5.81.5", "paused")] {
        let rig = Rig::new().await;
        rig.redis(&format!("HSET bull:q:meta paused 1 version {version}")).await;
        rig.add(&["{}", r#"{"delay":5}"#, r#"{"lifo":true}"#]).await;
        rig.store.freeze(UnixMillis(T0 + 5));
        assert!(rig.take("a:1", 5).await.jobs.is_empty());
        assert_eq!(rig.redis(&format!("LRANGE bull:q:{list} 0 -1")).await, ["2", "1", "3"], "{version}");
        // and what was active before comes back to the same place
        rig.redis("LPUSH bull:q:active 9").await;
        rig.redis("HSET bull:q:9 name work").await;
        let back = [outcome("9", "0", Change::HandBack)];
        assert_eq!(rig.finish(&back).await, [Recorded::Done]);
        assert_eq!(rig.redis(&format!("LRANGE bull:q:{list} -1 -1")).await, ["9"], "{version}");
        assert_eq!(rig.redis("ZSCORE bull:q:marker 0").await, [""; 0], "no doorbell while paused");
    }
}

#[tokio::test]
async fn jobs_of_an_unanswered_take_are_adopted() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 5]).await;
    rig.take("a:1", 2).await;
    rig.take("b:1", 2).await;
    let token: Token = "a:1".into();
    let adopted = rig.work().adopt_jobs(&token, &[]).await.unwrap();
    let found: Vec<_> = adopted.iter().map(|job| (job.id.as_str(), job.attempts_started)).collect();
    assert_eq!(found, [("2", 1), ("1", 1)]);
    let rest = rig.work().adopt_jobs(&token, &[JobId::stored("2")]).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert!(rig.work().adopt_jobs(&"c:1".into(), &[]).await.unwrap().is_empty());
    assert_eq!(rig.redis("HGET bull:q:1 ats").await, ["1"], "not started once more");
}
