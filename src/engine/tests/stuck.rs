//! Functions that do not behave: they keep a thread busy, or panic. The engine goes on.

use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::handler::{CancelReason, Handler, Running};
use crate::store::testing::eventually;

/// Keeps its thread busy until it is let go, and then claims to have done its job.
#[derive(Clone, Default)]
struct Blocking {
    go_on: Arc<std::sync::Condvar>,
    done: Arc<Mutex<bool>>,
    /// What it could have seen, had it looked.
    told: Arc<Mutex<Option<CancelReason>>>,
}

impl Handler for Blocking {
    fn run(&self, _: Arc<Job>, ctx: JobContext) -> Running {
        let own = self.clone();
        Box::pin(async move {
            let mut done = own.done.lock().unwrap();
            while !*done {
                done = own.go_on.wait(done).unwrap();
            }
            *own.told.lock().unwrap() = ctx.cancel_reason();
            Outcome::done()
        })
    }

    fn stop_grace(&self) -> Duration {
        Duration::from_millis(100)
    }
}

#[derive(Default)]
struct Stuck(Mutex<Vec<JobId>>);

impl Observer for Stuck {
    fn observe(&self, event: &Event) {
        if let Event::Stuck { job, .. } = event {
            self.0.lock().unwrap().push(job.id.clone());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f16_a_function_that_keeps_its_thread_is_shown_as_stuck_and_holds_nobody_up() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut slow = queue("slow");
    (slow.timeout, slow.lock, slow.concurrency) = (Duration::from_millis(200), Duration::from_secs(2), 2);
    slow.handler = Some("blocking".into());
    let mut stop_soon = config(&server, vec![slow.clone(), queue("q")]);
    stop_soon.shutdown = config::Shutdown { drain: Duration::from_millis(200), cancel: Duration::from_millis(200) };
    let (blocking, told) = (Blocking::default(), Arc::new(Stuck::default()));
    let engine = Engine::builder(stop_soon)
        .handler("test", |_, _| async { Outcome::done() })
        .handler_object("blocking", Arc::new(blocking.clone()))
        .observer(Arc::clone(&told) as _)
        .build()
        .unwrap();
    let handle = engine.handle();
    let ending = tokio::spawn(engine.run());
    let jobs: Vec<NewJob> = (0..2).map(|n| job(n, r#"{"attempts":1}"#)).collect();
    let ids = store.queue(&slow.name).add(&jobs).await.unwrap();
    let stuck = async || {
        let snapshot = handle.snapshot().await.unwrap();
        let slow = snapshot.queues.into_iter().find(|queue| queue.name == slow.name).unwrap();
        slow.running.iter().filter(|job| job.stuck).count()
    };
    assert_eq!(stuck().await, 0);
    eventually("both are shown as stuck", async || stuck().await == 2).await;
    eventually("and told of", async || told.0.lock().unwrap().len() == 2).await;
    let health = handle.health().await.unwrap();
    let finding = &health.findings[0];
    assert_eq!((finding.code, finding.queue.as_ref()), ("stuck", Some(&slow.name)));
    assert!(finding.text.starts_with("stuck: 2 of 2 slots"), "{}", finding.text);
    assert!(health.is_live() && health.is_ready(), "others are worked");
    // others are worked, and the locks are kept well past their life
    let q = store.queue(&QueueName::new("q").unwrap());
    q.add(&(0..50).map(|n| job(n, "{}")).collect::<Vec<_>>()).await.unwrap();
    eventually("the others are done", async || q.counts().await.unwrap().completed == 50).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    for id in &ids {
        assert_eq!(
            server
                .connection()
                .await
                .call("EXISTS", vec![format!("bull:slow:{id}:lock").into()])
                .await
                .unwrap()
                .as_i64(),
            Some(1)
        );
    }
    // whatever they claim when they come back, their time was up
    *blocking.done.lock().unwrap() = true;
    blocking.go_on.notify_all();
    eventually("they have failed", async || store.queue(&slow.name).counts().await.unwrap().failed == 2).await;
    assert_eq!(*blocking.told.lock().unwrap(), Some(CancelReason::Timeout));
    let record = store.queue(&slow.name).job(&ids[0]).await.unwrap().unwrap();
    assert_eq!(record.failed_reason(), Some("timed out after 200ms"));
    assert_eq!(stuck().await, 0);
    assert_eq!(told.0.lock().unwrap().len(), 2, "each was told of once");

    // nor does one that never comes back keep the engine from its end
    *blocking.done.lock().unwrap() = false;
    store.queue(&slow.name).add(&jobs[..1]).await.unwrap();
    eventually("stuck", async || stuck().await == 1).await;
    let stopping = Instant::now();
    handle.stop();
    let ending = ending.await.unwrap().unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(5), "{:?}", stopping.elapsed());
    assert_eq!((ending.completed, ending.failed, ending.handed_back), (50, 2, 1));
    *blocking.done.lock().unwrap() = true;
    blocking.go_on.notify_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_a_function_that_panics_fails_its_attempt_and_its_slot_is_used_again() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let q = store.queue(&QueueName::new("q").unwrap());
    let jobs: Vec<NewJob> = (0..6).map(|n| job(n, r#"{"attempts":2,"backoff":{"type":"fixed","delay":1}}"#)).collect();
    let ids = q.add(&jobs).await.unwrap();
    let mut one = queue("q");
    one.concurrency = 1;
    let engine = Engine::builder(config(&server, vec![one]))
        .handler("test", |job, _| async move {
            assert!(job.attempt() > 1 && job.name != "job-3", "no {} in {}", "cheese", "x".repeat(5000));
            Outcome::done()
        })
        .until(until_drained())
        .build()
        .unwrap();
    let ending = engine.run().await.unwrap();
    assert_eq!((ending.completed, ending.failed), (5, 1));
    let record = q.job(&ids[3]).await.unwrap().unwrap();
    let reason = record.failed_reason().unwrap();
    assert!(reason.starts_with("handler panicked: no cheese in xxx") && reason.len() < 1100, "{reason}");
}
