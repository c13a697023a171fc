//! Every outcome through a real server: what is charged, where the job stands, what is published and counted; and that what
//! charges nothing comes to an end.
//!
//! The rows are those of the table in `docs/handlers.md`: one without a case here, or that says otherwise, fails the test.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::config::Unmatched;
use crate::handler::testing::rows;
use crate::store::testing::eventually;

type Answer = fn() -> Outcome;

/// What is to be seen of an outcome.
struct Case {
    outcome: &'static str,
    answer: Answer,
    state: &'static str,
    attempts_made: u32,
    /// Its `failedReason`, or its return value.
    says: Value,
    event: &'static str,
    ending: Ending,
}

const NONE: Ending =
    Ending { completed: 0, discarded: 0, failed: 0, expired: 0, cancelled: 0, handed_back: 0, left: 0 };

fn cases() -> Vec<Case> {
    let failed = Ending { failed: 1, ..NONE };
    vec![
        Case {
            outcome: "complete",
            answer: || Outcome::Complete(to_raw_value(&json!({"pages": 3})).unwrap()),
            state: "completed",
            attempts_made: 1,
            says: json!({"pages": 3}),
            event: "Completed",
            ending: Ending { completed: 1, ..NONE },
        },
        Case {
            outcome: "retry",
            answer: || Outcome::retry("no paper"),
            state: "delayed",
            attempts_made: 1,
            says: json!("no paper"),
            event: "Retrying",
            ending: NONE,
        },
        Case {
            outcome: "defer",
            answer: || Outcome::Defer { reason: "busy".into(), after: Duration::from_secs(60) },
            state: "delayed",
            attempts_made: 0,
            says: Value::Null,
            event: "Deferred",
            ending: NONE,
        },
        Case {
            outcome: "put off",
            answer: || Outcome::PutOff { reason: "away".into(), after: Duration::from_secs(60) },
            state: "delayed",
            attempts_made: 0,
            says: Value::Null,
            event: "PutOff",
            ending: NONE,
        },
        Case {
            outcome: "fail",
            answer: || Outcome::fail("no such page"),
            state: "failed",
            attempts_made: 1,
            says: json!("no such page"),
            event: "Failed",
            ending: failed,
        },
        Case {
            outcome: "discard",
            answer: || Outcome::Discard { reason: "too late".into() },
            state: "completed",
            attempts_made: 1,
            says: json!({"discarded": "too late"}),
            event: "Discarded",
            ending: Ending { completed: 1, discarded: 1, ..NONE },
        },
        Case {
            outcome: "expired",
            answer: || panic!("it must not run"),
            state: "failed",
            attempts_made: 1,
            says: json!("expired: waited longer than the queue allows"),
            event: "Expired",
            ending: Ending { expired: 1, ..failed },
        },
        Case {
            outcome: "cancelled",
            answer: || Outcome::Cancelled { reason: "called off".into() },
            state: "failed",
            attempts_made: 1,
            says: json!("cancelled: called off"),
            event: "Cancelled",
            ending: Ending { cancelled: 1, ..failed },
        },
        Case {
            outcome: "interrupted",
            answer: || Outcome::Interrupted,
            state: "waiting",
            attempts_made: 0,
            says: Value::Null,
            event: "HandedBack",
            ending: Ending { handed_back: 1, ..NONE },
        },
        Case {
            outcome: "waiting-children",
            answer: || Outcome::WaitForChildren,
            state: "waiting-children",
            attempts_made: 0,
            says: Value::Null,
            event: "WaitingForChildren",
            ending: NONE,
        },
        Case {
            outcome: "crashed",
            answer: || Outcome::Crashed(Failure::new("killed by signal 11")),
            state: "delayed",
            attempts_made: 1,
            says: json!("killed by signal 11"),
            event: "Retrying",
            ending: NONE,
        },
    ]
}

/// The names of events.
#[derive(Default)]
struct Names(Mutex<Vec<String>>);

impl Observer for Names {
    fn observe(&self, event: &Event) {
        let text = format!("{event:?}");
        self.0.lock().unwrap().push(text.split(' ').next().unwrap_or_default().to_owned());
    }
}

fn named(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

async fn record(store: &Store, id: &JobId) -> Value {
    serde_json::to_value(store.queue(&named("q")).job(id).await.unwrap().unwrap()).unwrap()
}

/// Works the queue `q` with these settings until so many jobs were taken.
async fn take(server: &Server, settings: config::Queue, jobs: u64, answer: Answer) -> Ending {
    let engine = Engine::builder(config(server, vec![settings]))
        .handler("test", move |_, _| async move { answer() })
        .until(Until { max_jobs: Some(jobs), max_time: Some(Duration::from_secs(30)), ..Until::default() })
        .build()
        .unwrap();
    engine.run().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_of_outcomes() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut status = store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    let (cases, rows) = (cases(), rows(include_str!("../../../docs/handlers.md"), "outcome"));
    let of = |list: Vec<&str>| list.join(" ");
    assert_eq!(of(rows.iter().map(|row| row[0]).collect()), of(cases.iter().map(|case| case.outcome).collect()));
    for (case, row) in cases.iter().zip(&rows) {
        let what = case.outcome;
        server.run("FLUSHALL").await;
        let mut settings = queue("q");
        if what == "expired" {
            settings.expires_after = Some(Duration::from_millis(1));
        }
        let id = store.queue(&named("q")).add(&[job(1, r#"{"attempts":2,"backoff":60000}"#)]).await.unwrap().remove(0);
        if what == "waiting-children" {
            server.run("SADD bull:q:1:dependencies bull:q:child").await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (names, answer) = (Arc::new(Names::default()), case.answer);
        let engine = Engine::builder(config(&server, vec![settings]))
            .handler("test", move |_, _| async move { answer() })
            .observer(Arc::clone(&names) as _)
            .until(Until { max_jobs: Some(1), max_time: Some(Duration::from_secs(30)), ..Until::default() })
            .build()
            .unwrap();
        assert_eq!(engine.run().await.unwrap(), case.ending, "{what}: counted");
        let told = names.0.lock().unwrap().pop().unwrap();
        assert_eq!(told, case.event, "{what}: told");
        let record = record(&store, &id).await;
        assert_eq!(record["state"], case.state, "{what}");
        assert_eq!(record["attemptsMade"], case.attempts_made, "{what}: charged");
        assert_eq!(record["attemptsStarted"], u32::from(what != "put off"), "{what}: taken");
        // the page says the same
        let charged = !row[1].starts_with("no");
        assert_eq!(charged, case.attempts_made == 1, "{what}: {row:?}");
        let place = if case.state == "waiting" { "wait" } else { case.state };
        let away = what == "waiting-children" && row[2].starts_with("away");
        assert!(row[2].contains(place) || away || row[2].starts_with("as retry"), "{what}: {row:?}");
        let says = if case.state == "completed" { &record["returnvalue"] } else { &record["failedReason"] };
        assert_eq!(*says, case.says, "{what}");
        // added, RUNNING, and what came of it
        let mut words = Vec::new();
        let last = loop {
            let message: Value = serde_json::from_str(&status.message().await.unwrap().payload).unwrap();
            words.push(message["status"].as_str().unwrap().to_owned());
            let ran = words.iter().any(|word| word == "RUNNING") && words.last().is_some_and(|word| word != "RUNNING");
            if ran {
                break message;
            }
        };
        assert_eq!(last["status"], row[3], "{what}: {words:?}");
        if case.state == "failed" {
            assert_eq!(last["error"], case.says, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_charges_no_attempt_comes_to_an_end() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let ends: [(Answer, &str); 3] = [
        (
            || Outcome::Defer { reason: "busy".into(), after: Duration::from_millis(1) },
            "deferred too often (4 times): busy",
        ),
        (|| Outcome::Interrupted, "interrupted too often (4 times)"),
        (|| Outcome::WaitForChildren, "waited for children too often (4 times)"),
    ];
    for (answer, reason) in ends {
        server.run("FLUSHALL").await;
        let id = store.queue(&named("q")).add(&[job(1, "{}")]).await.unwrap().remove(0);
        let mut settings = queue("q");
        settings.policy.max_uncharged = 4;
        assert_eq!(take(&server, settings, 4, answer).await.failed, 1, "{reason}");
        let record = record(&store, &id).await;
        assert_eq!((&record["failedReason"], &record["attemptsStarted"]), (&reason.into(), &4.into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferral_is_as_old_as_the_first_since_an_attempt_was_charged() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let old = json!({"timestamp": 1_000_000, "attempts": 9}).to_string();
    let id = store.queue(&named("q")).add(&[job(1, &old)]).await.unwrap().remove(0);
    let mut settings = queue("q");
    settings.policy.max_defer_age = Duration::from_millis(300);
    let defer: Answer = || Outcome::Defer { reason: "busy".into(), after: Duration::ZERO };
    // old as it is, it has never been put off
    take(&server, settings.clone(), 2, defer).await;
    assert_eq!(record(&store, &id).await["state"], "delayed");
    tokio::time::sleep(Duration::from_millis(350)).await;
    // an attempt begins the count anew
    let retry: Answer = || Outcome::Retry { failure: Failure::new("x"), after: Some(Duration::ZERO) };
    take(&server, settings.clone(), 1, retry).await;
    take(&server, settings.clone(), 1, defer).await;
    assert_eq!(record(&store, &id).await["state"], "delayed");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(take(&server, settings, 1, defer).await.failed, 1);
    let record = store.queue(&named("q")).job(&id).await.unwrap().unwrap();
    assert_eq!(record.failed_reason(), Some("deferred for longer than 0 h: busy"));
    assert_eq!(record.field("oxherd.deferred"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_used_up_by_retries_and_by_crashes_of_which_three_are_too_many() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let crash: Answer = || Outcome::Crashed(Failure::new("killed by signal 11"));
    for (attempts, limit, answer, reason, made) in [
        (2, 10, (|| Outcome::retry("no paper")) as Answer, "no paper", 2),
        (2, 10, crash, "killed by signal 11", 2),
        // however few traces are kept
        (9, 0, crash, "killed by signal 11; given up after 3 crashes", 3),
    ] {
        server.run("FLUSHALL").await;
        let opts = json!({"attempts": attempts, "backoff": {"type": "fixed", "delay": 1}, "stackTraceLimit": limit});
        let id = store.queue(&named("q")).add(&[job(1, &opts.to_string())]).await.unwrap().remove(0);
        assert_eq!(take(&server, queue("q"), made, answer).await.failed, 1, "{reason}");
        let record = record(&store, &id).await;
        assert_eq!((&record["failedReason"], &record["attemptsMade"]), (&reason.into(), &made.into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_job_nobody_has_had_in_hands_expires() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let q = store.queue(&named("q"));
    let mut settings = queue("q");
    settings.expires_after = Some(Duration::from_millis(500));
    settings.concurrency = 1;
    let long_ago = 1_000_000;
    let with = |more: Value| {
        let mut opts = json!({"timestamp": long_ago, "attempts": 1});
        opts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        job(1, &opts.to_string())
    };
    let delayed = json!({"jobId": "delayed-1", "timestamp": store.now().0 - 1000, "delay": 1100});
    let jobs = [
        with(json!({"jobId": "waited-1"})),
        with(json!({"jobId": "prioritized-1", "priority": 2})),
        // its delay, and not much more
        job(1, &delayed.to_string()),
        with(json!({"jobId": "stalled-1"})),
        with(json!({"jobId": "retried-1"})),
        with(json!({"jobId": "again-1"})),
    ];
    q.add(&jobs).await.unwrap();
    // what a worker that died has left, and what a retry has
    for command in ["HSET bull:q:stalled-1 ats 1 stc 1", "HSET bull:q:retried-1 ats 1 atm 1 stacktrace [\"x\"]"] {
        server.run(command).await;
    }
    server.run("HSET bull:q:again-1 stacktrace [\"expired\"]").await;
    let engine = Engine::builder(config(&server, vec![settings]))
        .handler("test", |_, _| async { Outcome::done() })
        .until(until_drained())
        .build()
        .unwrap();
    let ending = engine.run().await.unwrap();
    assert_eq!((ending.completed, ending.failed, ending.expired), (4, 2, 2));
    for (id, state) in [
        ("waited-1", "failed"),
        ("prioritized-1", "failed"),
        ("delayed-1", "completed"),
        ("stalled-1", "completed"),
        ("retried-1", "completed"),
        ("again-1", "completed"),
    ] {
        assert_eq!(record(&store, &JobId::stored(id)).await["state"], state, "{id}");
    }
}

/// Two engines that have no handler for it, and a third that has.
#[tokio::test(flavor = "multi_thread")]
async fn f76_a_job_nobody_here_can_do_is_left_to_others_and_not_turned_over_all_the_time() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let q = store.queue(&named("q"));
    let mut settings = queue("q");
    (settings.handler, settings.concurrency) = (None, 8);
    settings.routes = [("other-*".to_owned(), "test".to_owned())].into();
    let start = |settings: &config::Queue| {
        let engine = Engine::builder(config(&server, vec![settings.clone()]))
            .handler("test", |_, _| async { Outcome::done() })
            .build()
            .unwrap();
        (engine.handle(), tokio::spawn(engine.run()))
    };
    let engines = [start(&settings), start(&settings)];
    let ids = q.add(&[job(1, "{}"), job(2, "{}")]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3500)).await;
    for id in &ids {
        let record = record(&store, id).await;
        let starts = record["attemptsStarted"].as_u64().unwrap();
        // after 0 s, 1 s and 3 s
        assert!((2..=3).contains(&starts), "{record}");
        assert_eq!((&record["attemptsMade"], &record["state"]), (&0.into(), &"delayed".into()));
    }
    // whoever can do them gets them when their time has come
    settings.routes = [("job-*".to_owned(), "test".to_owned())].into();
    for (handle, ending) in engines {
        handle.stop();
        assert_eq!(ending.await.unwrap().unwrap().failed, 0);
    }
    let (handle, ending) = start(&settings);
    q.promote_jobs().await.unwrap();
    eventually("done", async || q.counts().await.unwrap().completed == 2).await;
    handle.stop();
    ending.await.unwrap().unwrap();

    settings.routes.clear();
    settings.unmatched = Unmatched::Fail;
    let id = q.add(&[job(3, r#"{"attempts":9}"#)]).await.unwrap().remove(0);
    assert_eq!(take(&server, settings, 1, Outcome::done).await.failed, 1);
    assert_eq!(record(&store, &id).await["failedReason"], r#"no handler for job name "job-3" in queue q"#);
}
