//! Jobs cancelled from outside while they run, and those that come back marked.

use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::handler::CancelReason;
use crate::store::testing::eventually;
use crate::store::{Cancellation, JobRecord, Take, WorkQueue};

/// Long enough that no renewal comes by itself while a test runs.
const LONG: Duration = Duration::from_secs(600);

/// Tells the test what the engine tells.
struct Teller(tokio::sync::mpsc::UnboundedSender<Event>);

impl Observer for Teller {
    fn observe(&self, event: &Event) {
        let _ = self.0.send(event.clone());
    }
}

/// An engine whose jobs run until they are told to stop, and say why they were.
struct Rig {
    server: Server,
    store: Store,
    reasons: UnboundedReceiver<CancelReason>,
    events: UnboundedReceiver<Event>,
    handle: Handle,
    ending: tokio::task::JoinHandle<Result<Ending, Error>>,
}

impl Rig {
    async fn start(lock: Duration) -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        let mut settings = queue("q");
        (settings.lock, settings.concurrency) = (lock, 1);
        let (sender, reasons) = unbounded_channel();
        let (teller, events) = unbounded_channel();
        let engine = Engine::builder(config(&server, vec![settings]))
            .handler("test", move |_, ctx: JobContext| {
                let sender = sender.clone();
                async move {
                    let reason = ctx.cancelled().await;
                    sender.send(reason).unwrap();
                    ctx.stopped(reason)
                }
            })
            .observer(Arc::new(Teller(teller)))
            .build()
            .unwrap();
        let handle = engine.handle();
        let ending = tokio::spawn(engine.run());
        Self { server, store, reasons, events, handle, ending }
    }

    fn queue(&self) -> crate::store::Queue {
        self.store.queue(&QueueName::new("q").unwrap())
    }

    async fn add(&self) -> JobId {
        self.queue().add(&[job(1, r#"{"attempts":5}"#)]).await.unwrap().remove(0)
    }

    async fn event(&mut self, is_it: impl Fn(&Event) -> bool) -> Event {
        let next = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if is_it(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), next).await.expect("an event")
    }

    async fn started(&mut self) {
        self.event(|event| matches!(event, Event::Started { .. })).await;
    }

    async fn record(&self, id: &JobId) -> JobRecord {
        self.queue().job(id).await.unwrap().unwrap()
    }

    /// How many listen to orders.
    async fn listeners(&self) -> i64 {
        let answer = self.server.run("PUBSUB NUMSUB bull:oxherd.orders").await.into_array();
        answer[1].as_i64().unwrap()
    }

    async fn end(self) -> Ending {
        self.handle.hand_back();
        self.ending.await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_is_stopped_at_once_and_for_good() {
    let mut rig = Rig::start(LONG).await;
    assert_eq!(rig.listeners().await, 0, "at rest there is nothing to listen for");
    let id = rig.add().await;
    rig.started().await;
    eventually("listening", async || rig.listeners().await == 1).await;
    let asked = Instant::now();
    let answer = rig.queue().cancel(&id, Some("the customer has left")).await.unwrap();
    assert_eq!(answer, Cancellation::Asked);
    assert_eq!(rig.reasons.recv().await, Some(CancelReason::Requested));
    assert!(asked.elapsed() < Duration::from_secs(5), "no renewal was waited for: {:?}", asked.elapsed());
    let told = rig.event(|event| matches!(event, Event::Cancelled { .. })).await;
    let Event::Cancelled { reason, .. } = told else { panic!("{told:?}") };
    assert_eq!(reason, "cancelled: the customer has left");
    let record = rig.record(&id).await;
    assert_eq!((record.state, record.failed_reason()), (State::Failed, Some("cancelled: the customer has left")));
    assert_eq!((record.field("atm"), record.field("oxherd.cancel")), (Some("1"), None));
    let ended = rig.queue().cancel(&id, None).await.unwrap();
    assert!(ended.is_cancelled() && !ended.is_under_way(), "{ended:?}");
    assert_eq!(rig.end().await, Ending { failed: 1, cancelled: 1, ..Ending::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn f59_without_a_subscription_the_next_renewal_finds_the_mark() {
    let mut rig = Rig::start(Duration::from_secs(2)).await;
    // nobody can listen from here on
    rig.server.run("ACL SETUSER default resetchannels").await;
    eventually("deaf", async || rig.listeners().await == 0).await;
    let id = rig.add().await;
    rig.started().await;
    assert_eq!(rig.queue().cancel(&id, None).await.unwrap(), Cancellation::Asked);
    assert_eq!(rig.reasons.recv().await, Some(CancelReason::Requested));
    rig.event(|event| matches!(event, Event::Cancelled { .. })).await;
    assert_eq!(rig.end().await.cancelled, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f59_an_order_for_a_job_that_is_only_being_taken_is_not_lost() {
    let mut rig = Rig::start(LONG).await;
    let id = rig.add().await;
    rig.started().await;
    eventually("listening", async || rig.listeners().await == 1).await;
    // the one slot is taken: whatever is said of this one is said too early
    let next = rig.add().await;
    let order = format!(r#"{{"cancel":{{"queue":"q","id":"{next}"}}}}"#);
    let publish = vec!["bull:oxherd.orders".into(), order.into()];
    rig.server.connection().await.call("PUBLISH", publish).await.unwrap();
    rig.queue().cancel(&id, None).await.unwrap();
    rig.started().await;
    // as if the mark had been made in the middle of the take
    let mark = "return redis.call('HSET', 'bull:q:2', 'oxherd.cancel', 'asked x')";
    rig.server.connection().await.call("EVAL", vec![mark.into(), "0".into()]).await.unwrap();
    let told = rig.event(|event| matches!(event, Event::Cancelled { job, .. } if job.id == next)).await;
    assert!(matches!(told, Event::Cancelled { reason, .. } if reason == "cancelled: x"));
    assert_eq!(rig.end().await.cancelled, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marked_job_whose_process_died_is_cancelled_unrun_by_the_next() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let q = queue("q");
    let id = store.queue(&q.name).add(&[job(1, "{}")]).await.unwrap().remove(0);
    // a worker takes it, is asked to stop it, and dies
    let work = WorkQueue::new(&store, &q, &config::Status::default(), None, false);
    work.move_to_active(&Take { token: "dead:1".into(), want: 1 }).await.unwrap();
    assert_eq!(store.queue(&q.name).cancel(&id, None).await.unwrap(), Cancellation::Asked);
    work.release_locks(&["dead".into()]).await.unwrap();

    let mut messages = store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    let engine = Engine::builder(config(&server, vec![q]))
        .handler("test", |_, _| async { panic!("it must not run") })
        .until(until_drained())
        .build()
        .unwrap();
    assert_eq!(engine.run().await.unwrap(), Ending { failed: 1, cancelled: 1, ..Ending::default() });
    let message: serde_json::Value = serde_json::from_str(&messages.message().await.unwrap().payload).unwrap();
    assert_eq!((&message["status"], &message["error"]), (&"CANCELLED".into(), &"cancelled: on request".into()));
}
