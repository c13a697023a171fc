//! An engine on a real server: what it does to jobs, and what it leaves behind.

#[cfg(feature = "app")]
mod app;
mod cancel;
mod gates;
mod health;
mod lists;
mod outcomes;
mod running;
mod stuck;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::value::to_raw_value;

use super::*;
use crate::config;
use crate::job::{Failure, JobId, JobOptions, NewJob, QueueName, State};
use crate::store::Store;
use crate::store::testing::Server;

fn queue(name: &str) -> config::Queue {
    let mut queue = config::Queue::new(QueueName::new(name).unwrap());
    queue.handler = Some("test".into());
    queue
}

fn config(server: &Server, queues: Vec<config::Queue>) -> Config {
    Config {
        redis: server.config(),
        queues: queues.into_iter().map(|queue| (queue.name.to_string(), queue)).collect(),
        ..Config::default()
    }
}

fn job(n: usize, opts: &str) -> NewJob {
    let (opts, _) = JobOptions::parse(opts).unwrap();
    NewJob { name: format!("job-{n}"), data: to_raw_value(&serde_json::json!({ "n": n })).unwrap(), opts }
}

fn until_drained() -> Until {
    Until { drained: true, max_time: Some(Duration::from_secs(30)), ..Until::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_of_every_kind_is_done_once() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let q = QueueName::new("q").unwrap();
    let kinds = [
        r#"{"attempts":0}"#,
        r#"{"delay":300}"#,
        r#"{"priority":3}"#,
        r#"{"lifo":true}"#,
        r#"{"removeOnComplete":true}"#,
    ];
    let jobs: Vec<NewJob> = (0..1000).map(|n| job(n, kinds[n % kinds.len()])).collect();
    store.queue(&q).add(&jobs).await.unwrap();
    let runs = Arc::new((0..1000).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
    let counted = Arc::clone(&runs);
    let mut settings = queue("q");
    settings.concurrency = 20;
    let engine = Engine::builder(config(&server, vec![settings]))
        .handler("test", move |job, _| {
            let counted = Arc::clone(&counted);
            async move {
                let n: usize = job.name[4..].parse().unwrap();
                counted[n].fetch_add(1, Ordering::Relaxed);
                Outcome::done()
            }
        })
        .until(until_drained())
        .build()
        .unwrap();
    let ending = engine.run().await.unwrap();
    assert_eq!(ending, Ending { completed: 1000, ..Ending::default() });
    assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
    let counts = store.queue(&q).counts().await.unwrap();
    assert_eq!((counts.unfinished(), counts.completed, counts.failed), (0, 100, 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_is_retried_and_then_fails() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let q = QueueName::new("q").unwrap();
    let opts = r#"{"attempts":3,"backoff":{"type":"fixed","delay":50,"jitter":0}}"#;
    let ids = store.queue(&q).add(&[job(1, opts), job(2, r#"{"attempts":5}"#)]).await.unwrap();
    let engine = Engine::builder(config(&server, vec![queue("q")]))
        .handler("test", |job, ctx| async move {
            ctx.log(format!("attempt {}", job.attempt()));
            if job.name == "job-2" { Outcome::Fail(Failure::new("never")) } else { Outcome::retry("boom") }
        })
        .until(until_drained())
        .build()
        .unwrap();
    let ending = engine.run().await.unwrap();
    assert_eq!(ending, Ending { failed: 2, ..Ending::default() });
    let record = serde_json::to_value(store.queue(&q).job(&ids[0]).await.unwrap().unwrap()).unwrap();
    assert_eq!(record["state"], "failed");
    assert_eq!(record["failedReason"], "boom");
    assert_eq!(record["attemptsMade"], 3);
    assert_eq!(record["stacktrace"], serde_json::json!(["boom", "boom", "boom"]));
    assert_eq!(record["logs"], serde_json::json!(["attempt 1", "attempt 2", "attempt 3"]));
    let record = serde_json::to_value(store.queue(&q).job(&ids[1]).await.unwrap().unwrap()).unwrap();
    assert_eq!((&record["state"], &record["attemptsMade"]), (&"failed".into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_long_jobs_are_handed_back_at_the_head_without_an_attempt() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let q = QueueName::new("q").unwrap();
    let jobs: Vec<NewJob> = (0..4).map(|n| job(n, "{}")).collect();
    let ids = store.queue(&q).add(&jobs).await.unwrap();
    let mut settings = queue("q");
    settings.concurrency = 2;
    let mut config = config(&server, vec![settings]);
    config.shutdown = config::Shutdown { drain: Duration::from_millis(200), cancel: Duration::from_millis(200) };
    let engine = Engine::builder(config)
        .handler("test", |job, ctx| async move {
            if job.name == "job-1" {
                // one that stops when told, and one that will not
                ctx.cancelled().await;
                return Outcome::Interrupted;
            }
            std::future::pending().await
        })
        .build()
        .unwrap();
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    while handle.snapshot().await.is_none_or(|s| s.queues.iter().map(|q| q.running.len()).sum::<usize>() < 2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    handle.stop();
    let ending = running.await.unwrap().unwrap();
    assert_eq!(ending, Ending { handed_back: 2, ..Ending::default() });
    let waiting = store.queue(&q).jobs(State::Waiting, 0, 10).await.unwrap();
    let waiting: Vec<JobId> = waiting.iter().map(|job| job.id.clone()).collect();
    let mut front = waiting[..2].to_vec();
    front.sort();
    assert_eq!(front, ids[..2], "handed back to the head: {waiting:?}");
    assert_eq!(waiting[2..], ids[2..]);
    let record = serde_json::to_value(store.queue(&q).job(&ids[0]).await.unwrap().unwrap()).unwrap();
    assert_eq!(record["attemptsMade"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_to_fewer_slots_lets_the_surplus_go() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let q = QueueName::new("q").unwrap();
    let jobs: Vec<NewJob> = (0..60).map(|n| job(n, "{}")).collect();
    store.queue(&q).add(&jobs).await.unwrap();
    let mut settings = queue("q");
    settings.concurrency = 8;
    let many = config(&server, vec![settings.clone()]);
    settings.concurrency = 2;
    let few = config(&server, vec![settings]);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at_gate, now, peak) = (Arc::clone(&gate), Arc::clone(&running), Arc::clone(&most));
    let engine = Engine::builder(many)
        .handler("test", move |_, _| {
            let (gate, now, peak) = (Arc::clone(&at_gate), Arc::clone(&now), Arc::clone(&peak));
            async move {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                Outcome::done()
            }
        })
        .until(until_drained())
        .build()
        .unwrap();
    let handle = engine.handle();
    let ending = tokio::spawn(engine.run());
    let occupied = async || {
        let snapshot = handle.snapshot().await.unwrap();
        (snapshot.queues[0].slots, snapshot.queues[0].running.len())
    };
    while occupied().await != (8, 8) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    handle.reconfigure(few).await.unwrap();
    while occupied().await.0 != 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // eight end; no more than two may follow them
    gate.add_permits(8);
    while occupied().await.1 != 2 || running.load(Ordering::SeqCst) != 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    most.store(0, Ordering::SeqCst);
    gate.add_permits(60);
    assert_eq!(ending.await.unwrap().unwrap().completed, 60);
    assert!(most.load(Ordering::SeqCst) <= 2, "{most:?} ran at once");
}
