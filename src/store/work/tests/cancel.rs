//! Cancelled jobs: what is left of those that do not run, and the mark of those that do.

use super::*;
use crate::job::State;
use crate::store::{Cancellation, Code, Error};

impl Rig {
    async fn cancel(&self, id: &str) -> Cancellation {
        self.queue().cancel(&JobId::stored(id), None).await.unwrap()
    }

    async fn field(&self, id: &str, name: &str) -> Option<String> {
        self.redis(&format!("HGET bull:q:{id} {name}")).await.pop()
    }
}

fn held(id: &str, token: &str) -> Held {
    Held { id: JobId::stored(id), token: token.into(), started: 1 }
}

fn marked(id: &str, reason: &str) -> Vec<(JobId, String)> {
    vec![(JobId::stored(id), reason.to_owned())]
}

#[tokio::test]
async fn a_job_that_does_not_run_fails_at_once_wherever_it_is() {
    let rig = Rig::new().await;
    rig.add(&["{}", r#"{"delay":5000}"#, r#"{"priority":3}"#, "{}", r#"{"removeOnFail":true}"#]).await;
    rig.redis("LREM bull:q:wait 1 4").await;
    rig.redis("LPUSH bull:q:paused 4").await;
    for id in ["1", "2", "3", "4", "5"] {
        assert_eq!(rig.cancel(id).await, Cancellation::Done, "{id}");
    }
    assert_eq!(rig.redis("ZRANGE bull:q:failed 0 -1").await, ["1", "2", "3", "4"]);
    assert_eq!(rig.redis("EXISTS bull:q:5 bull:q:wait bull:q:paused bull:q:delayed bull:q:prioritized").await, ["0"]);
    for id in ["1", "2", "3", "4"] {
        assert_eq!(rig.field(id, "failedReason").await.unwrap(), "cancelled: on request");
        assert_eq!(rig.field(id, "finishedOn").await.unwrap(), T0.to_string());
        assert_eq!(rig.field(id, "atm").await.as_deref(), Some("0"), "no attempt was made");
    }
    let events = rig.events().await;
    assert_eq!(events.iter().filter(|event| event.starts_with("failed ")).count(), 5, "{events:?}");
    // and once more
    let ended = Cancellation::Ended { state: State::Failed, reason: Some("cancelled: on request".into()) };
    assert_eq!(rig.cancel("1").await, ended);
    assert!(ended.is_cancelled());
    let missing = rig.queue().cancel(&JobId::stored("5"), None).await.unwrap_err();
    assert!(matches!(missing, Error::Rejected { code: Code::Missing, .. }), "{missing}");
}

#[tokio::test]
async fn the_family_and_the_window_of_a_cancelled_job_learn_of_its_end() {
    let rig = Rig::new().await;
    for (on_failure, then) in [
        ("failParentOnFailure", Some("child bull:q:c-failParentOnFailure failed")),
        ("continueParentOnFailure", None),
        ("ignoreDependencyOnFailure", None),
        ("removeDependencyOnFailure", None),
    ] {
        let (parent, child) = (format!("p-{on_failure}"), format!("c-{on_failure}"));
        let opts = serde_json::json!({"jobId": child, on_failure: true}).to_string();
        let flow = crate::job::Flow {
            queue: rig.settings.name.clone(),
            job: new_job("{}", &serde_json::json!({"jobId": parent}).to_string()),
            children: vec![crate::job::Flow {
                queue: rig.settings.name.clone(),
                job: new_job("{}", &opts),
                children: Vec::new(),
            }],
        };
        rig.queue().add_flow(&flow).await.unwrap();
        assert_eq!(rig.cancel(&child).await, Cancellation::Done);
        assert_eq!(rig.redis(&format!("ZSCORE bull:q:waiting-children {parent}")).await, [""; 0], "{on_failure}");
        assert_eq!(rig.field(&parent, "defa").await.as_deref(), then, "{on_failure}");
    }
    // without any of these the parent waits on, as for any child that has failed
    rig.add(&[r#"{"jobId":"parent"}"#]).await;
    rig.redis("LREM bull:q:wait 1 parent").await;
    rig.redis("ZADD bull:q:waiting-children 1 parent").await;
    rig.add(&[r#"{"jobId":"child","parent":{"id":"parent","queue":"bull:q"}}"#]).await;
    assert_eq!(rig.cancel("child").await, Cancellation::Done);
    assert_eq!(rig.redis("ZCARD bull:q:waiting-children").await, ["1"]);
    // a parent that waits is cancelled like any other job; its children run on
    assert_eq!(rig.cancel("parent").await, Cancellation::Done);
    assert_eq!(rig.redis("ZCARD bull:q:waiting-children").await, ["0"]);

    rig.add(&[r#"{"jobId":"owner","deduplication":{"id":"w"}}"#]).await;
    assert_eq!(rig.redis("GET bull:q:de:w").await, ["owner"]);
    assert_eq!(rig.cancel("owner").await, Cancellation::Done);
    assert_eq!(rig.redis("EXISTS bull:q:de:w").await, ["0"]);
}

#[tokio::test]
async fn the_next_iteration_of_a_scheduler_is_left_alone() {
    let rig = Rig::new().await;
    rig.redis(&format!("ZADD bull:q:repeat {T0} s")).await;
    rig.redis(&format!("HSET bull:q:repeat:s:{T0} name work data {{}} opts {{}} timestamp 1 rjk s")).await;
    rig.redis(&format!("ZADD bull:q:delayed {} repeat:s:{T0}", T0 * 4096)).await;
    let refused = rig.queue().cancel(&JobId::stored(&format!("repeat:s:{T0}")), None).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected { code: Code::SchedulerIteration, .. }), "{refused}");
    assert_eq!(rig.redis("ZCARD bull:q:delayed").await, ["1"]);
}

#[tokio::test]
async fn a_job_that_runs_is_marked_until_it_ends() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}", "{}"]).await;
    rig.take("a:1", 3).await;
    let all = [held("1", "a:1"), held("2", "a:1"), held("3", "a:1")];
    assert!(rig.work().extend_locks(&all).await.unwrap().cancelled.is_empty());
    let because = async || rig.queue().cancel(&JobId::stored("2"), Some("it was a mistake")).await.unwrap();
    assert_eq!(because().await, Cancellation::Asked);
    assert_eq!(because().await, Cancellation::Asked, "nobody has heard of it yet");
    let renewal = rig.work().extend_locks(&all).await.unwrap();
    assert_eq!(renewal.cancelled, marked("2", "it was a mistake"));
    assert_eq!(because().await, Cancellation::Heard);
    // an answer that got lost is not the last word
    assert_eq!(rig.work().extend_locks(&all).await.unwrap().cancelled, marked("2", "it was a mistake"));

    // whoever is not the holder is told nothing
    let renewal = rig.work().extend_locks(&[held("2", "b:9")]).await.unwrap();
    assert!(renewal.cancelled.is_empty() && renewal.lost == [JobId::stored("2")]);

    // it goes with the end, however that comes
    assert_eq!(rig.finish(&[complete("2", "a:1", Keep::All)]).await, [Recorded::Done]);
    assert_eq!(rig.field("2", "oxherd.cancel").await, None);
    let ended = Cancellation::Ended { state: State::Completed, reason: None };
    assert_eq!(rig.cancel("2").await, ended);
    assert!(!ended.is_cancelled());
    rig.cancel("3").await;
    rig.finish(&[fail("3", "a:1", Keep::All)]).await;
    assert_eq!(rig.field("3", "oxherd.cancel").await, None);
    // that some job is marked is forgotten by itself: after a minute, and three times the life of the lock
    let left: i64 = rig.redis("PTTL bull:q:oxherd.cancel").await[0].parse().unwrap();
    assert!((60_000..=60_000 + 3 * 15_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_marked_job_that_is_taken_again_is_not_to_be_run() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}", "{}", "{}"]).await;
    assert!(rig.take("a:1", 4).await.cancelled.is_empty());
    for id in ["1", "2", "3"] {
        rig.cancel(id).await;
    }
    rig.finish(&[
        retry("1", "a:1"),
        outcome("2", "a:1", Change::HandBack),
        delay("3", "a:1", Duration::from_millis(5)),
        retry("4", "a:1"),
    ])
    .await;
    rig.store.freeze(UnixMillis(T0 + 10));
    let taken = rig.take("b:1", 4).await;
    let mut cancelled: Vec<_> = taken.cancelled.iter().map(|(id, reason)| (id.as_str(), reason.as_str())).collect();
    cancelled.sort_unstable();
    assert_eq!(cancelled, [("1", "on request"), ("2", "on request"), ("3", "on request")]);
    assert_eq!(taken.jobs.len(), 4);
}

#[tokio::test]
async fn an_old_mark_cancels_no_other_run() {
    let rig = Rig::new().await;
    rig.add(&[r#"{"jobId":"again"}"#]).await;
    rig.take("node:1", 1).await;
    rig.cancel("again").await;
    // a worker of BullMQ ends it, and leaves fields it does not know; then it is retried by hand, there
    rig.redis("LREM bull:q:active 1 again").await;
    rig.redis("DEL bull:q:again:lock").await;
    rig.redis("HDEL bull:q:again finishedOn processedOn failedReason").await;
    rig.redis("LPUSH bull:q:wait again").await;
    let taken = rig.take("a:1", 1).await;
    assert_eq!((ids(&taken), taken.cancelled.len()), (vec!["again"], 0));
    assert_eq!(rig.field("again", "oxherd.cancel").await, None);

    // retried by us, removed and added once more: the mark went with what it was about
    rig.cancel("again").await;
    rig.redis("LREM bull:q:active 1 again").await;
    rig.redis("ZADD bull:q:failed 1 again").await;
    rig.redis("DEL bull:q:again:lock").await;
    rig.queue().retry(&JobId::stored("again"), State::Failed, crate::store::Reset::default()).await.unwrap();
    assert_eq!(rig.field("again", "oxherd.cancel").await, None);
    rig.take("a:2", 1).await;
    rig.cancel("again").await;
    rig.redis("DEL bull:q:again:lock").await;
    assert!(rig.queue().remove(&JobId::stored("again"), true).await.unwrap());
    rig.add(&[r#"{"jobId":"again"}"#]).await;
    assert!(rig.take("a:3", 1).await.cancelled.is_empty());
    // and where the queue went, nothing stays
    rig.cancel("again").await;
    rig.queue().obliterate(true).await.unwrap();
    assert_eq!(rig.redis("KEYS *").await, [""; 0]);
}

#[tokio::test]
async fn how_a_job_ended_is_known_when_it_is_gone() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}"]).await;
    rig.take("a:1", 2).await;
    let since = UnixMillis(0);
    assert_eq!(rig.queue().end_since(&JobId::stored("1"), since).await.unwrap(), None);
    let reason = "cancelled: on request".to_owned();
    let change = Change::Fail { reason, stack: "[]".into(), keep: Keep::Nothing, attempts: 1, state: "cancelled" };
    rig.finish(&[outcome("1", "a:1", change), complete("2", "a:1", Keep::Nothing)]).await;
    let end = async |id| rig.queue().end_since(&JobId::stored(id), since).await.unwrap().unwrap();
    assert!(end("1").await.is_cancelled());
    assert_eq!(end("2").await, Cancellation::Ended { state: State::Completed, reason: None });
}

/// F29: the hold on a job is kept, and the word is passed on, where Redis takes no new data.
#[tokio::test]
async fn f29_a_mark_is_seen_where_memory_is_short() {
    let rig = Rig::new().await;
    rig.add(&["{}"]).await;
    rig.take("a:1", 1).await;
    rig.cancel("1").await;
    let args = ["SET", "maxmemory", "1"].map(Value::from).to_vec();
    rig.store.command().call("CONFIG", args).await.unwrap();
    let renewal = rig.work().extend_locks(&[held("1", "a:1")]).await.unwrap();
    assert_eq!(renewal.cancelled, marked("1", "on request"));
    assert!(renewal.lost.is_empty());
}
