//! Handlers that can do nothing for a while: what becomes of the jobs meant for them.

use std::sync::Mutex;

use tokio::sync::Semaphore;

use super::*;
use crate::handler::{Gate, Handler, Running};
use crate::store::testing::eventually;

/// Counts its runs, each of which ends with `answer` once there is a permit.
#[derive(Clone)]
struct Gated {
    gate: Gate,
    runs: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
    answer: fn(&Gate) -> Outcome,
}

impl Gated {
    fn shut(answer: fn(&Gate) -> Outcome) -> Self {
        let gate = Gate::default();
        gate.shut("out of order", None);
        Self { gate, runs: Arc::default(), permits: Arc::new(Semaphore::new(0)), answer }
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

impl Handler for Gated {
    fn run(&self, _: Arc<Job>, _: JobContext) -> Running {
        let own = self.clone();
        own.runs.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            own.permits.acquire().await.unwrap().forget();
            (own.answer)(&own.gate)
        })
    }

    fn gate(&self) -> Option<&Gate> {
        Some(&self.gate)
    }
}

/// The events of gates, in words.
#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Observer for Seen {
    fn observe(&self, event: &Event) {
        let text = match event {
            Event::GateShut { handler, why, lasts, again } => {
                format!("{handler} shut {why} {} {again}", lasts.is_some())
            }
            Event::GateHalfOpen { handler, .. } => format!("{handler} half open"),
            Event::GateOpened { handler, .. } => format!("{handler} open"),
            _ => return,
        };
        self.0.lock().unwrap().push(text);
    }
}

fn named(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

async fn add(store: &Store, queue: &str, jobs: usize) -> Vec<JobId> {
    let opts = r#"{"backoff":{"type":"fixed","delay":20,"jitter":0}}"#;
    store.queue(&named(queue)).add(&(0..jobs).map(|n| job(n, opts)).collect::<Vec<_>>()).await.unwrap()
}

async fn field(store: &Store, queue: &str, id: &JobId, field: &str) -> serde_json::Value {
    serde_json::to_value(store.queue(&named(queue)).job(id).await.unwrap().unwrap()).unwrap()[field].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn f94_nothing_is_taken_for_a_shut_handler_and_one_job_tries() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let ids = add(&store, "q", 20).await;
    add(&store, "r", 20).await;
    let mut free = queue("free");
    free.handler = Some("free".into());
    let handler = Gated::shut(|gate| {
        if gate.standing() == crate::handler::Standing::Open {
            return Outcome::done();
        }
        gate.shut("still out of order", Some(Duration::from_millis(50)));
        Outcome::retry("no")
    });
    let seen = Arc::new(Seen::default());
    let engine = Engine::builder(config(&server, vec![queue("q"), queue("r"), free]))
        .handler_object("test", Arc::new(handler.clone()))
        .handler("free", |_, _| async { Outcome::done() })
        .observer(Arc::clone(&seen) as _)
        .until(until_drained())
        .build()
        .unwrap();
    let handle = engine.handle();
    let ending = tokio::spawn(engine.run());
    // that others have done their work meanwhile is how long we look
    let others_work = async || {
        add(&store, "free", 50).await;
        let queue = store.queue(&named("free"));
        eventually("the free queue is worked", async || queue.counts().await.unwrap().unfinished() == 0).await;
    };
    let waiting = async |queue: &str| store.queue(&named(queue)).counts().await.unwrap().waiting;
    others_work().await;
    assert_eq!((waiting("q").await, waiting("r").await, handler.runs()), (20, 20, 0));
    assert_eq!(field(&store, "q", &ids[0], "attemptsStarted").await, 0);
    let snapshot = handle.snapshot().await.unwrap();
    let gate = &snapshot.queues.iter().find(|queue| queue.name == named("q")).unwrap().gates[0];
    assert_eq!((gate.handler.as_str(), gate.state, gate.why.as_str()), ("test", "shut", "out of order"));

    let shown = async |queue: &str| store.queue(&named(queue)).gates().await.unwrap();
    for queue in ["q", "r"] {
        eventually("redis shows it", async || !shown(queue).await.is_empty()).await;
        let gate = shown(queue).await.remove(0);
        assert_eq!((gate.handler.as_str(), gate.state.as_str(), gate.until), ("test", "shut", None));
        assert!(gate.instance.starts_with("oxherd-") && gate.why == "out of order", "{gate:?}");
    }
    assert!(shown("free").await.is_empty());

    handler.gate.shut("out of order", Some(Duration::from_millis(50)));
    eventually("one tries", async || handler.runs() == 1).await;
    others_work().await;
    assert_eq!((waiting("q").await + waiting("r").await, handler.runs()), (39, 1), "both queues share the trial");
    // it fails, another one tries after a while
    handler.permits.add_permits(1);
    eventually("another one tries", async || handler.runs() == 2).await;
    others_work().await;
    assert_eq!(handler.runs(), 2);

    handler.gate.open();
    handler.permits.add_permits(100);
    assert_eq!(ending.await.unwrap().unwrap().failed, 0);
    assert_eq!(handler.runs(), 41);
    let want = [
        "test shut out of order false false",
        "test shut out of order true true",
        "test half open",
        "test shut still out of order true false",
        "test half open",
        "test open",
    ];
    assert_eq!(*seen.0.lock().unwrap(), want);
    assert!(shown("q").await.is_empty() && shown("r").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_shows_of_a_gate_follows_it_and_goes_with_the_engine() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let handler = Gated::shut(|_| Outcome::done());
    let engine = Engine::builder(config(&server, vec![queue("q")]))
        .handler_object("test", Arc::new(handler.clone()))
        .build()
        .unwrap();
    let handle = engine.handle();
    let ending = tokio::spawn(engine.run());
    let shows = async |what: &str| {
        eventually(&format!("it shows {what}"), async || {
            let gates = store.queue(&named("q")).gates().await.unwrap();
            gates.first().map(|gate| format!("{} {}", gate.state, gate.why)).unwrap_or_default() == what
        })
        .await;
    };
    shows("shut out of order").await;
    handler.gate.open();
    shows("").await;
    handler.gate.shut("no answer", Some(Duration::from_millis(100)));
    shows("half-open no answer").await;
    handle.stop();
    ending.await.unwrap().unwrap();
    let key = store.command().call("EXISTS", vec!["bull:q:oxherd.gates".into()]).await.unwrap();
    assert_eq!(key.as_i64(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_says_nothing_is_followed_by_the_next() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    add(&store, "q", 5).await;
    let handler = Gated::shut(|_| Outcome::done());
    handler.gate.shut("asked to wait", Some(Duration::from_millis(20)));
    handler.permits.add_permits(5);
    let engine = Engine::builder(config(&server, vec![queue("q")]))
        .handler_object("test", Arc::new(handler.clone()))
        .until(until_drained())
        .build()
        .unwrap();
    assert_eq!(engine.run().await.unwrap().completed, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn f94_a_job_whose_handler_is_shut_is_put_off_while_others_are_done() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let ids = add(&store, "q", 4).await;
    let mut settings = queue("q");
    settings.handler = Some("free".into());
    settings.routes = [("job-0".to_owned(), "test".to_owned()), ("job-2".to_owned(), "test".to_owned())].into();
    // not even one deferral is allowed
    settings.policy.max_uncharged = 0;
    settings.policy.max_defer_age = Duration::ZERO;
    let handler = Gated::shut(|_| Outcome::done());
    handler.gate.shut("out of order", Some(Duration::from_millis(1500)));
    handler.permits.add_permits(2);
    let engine = Engine::builder(config(&server, vec![settings]))
        .handler_object("test", Arc::new(handler.clone()))
        .handler("free", |_, _| async { Outcome::done() })
        .until(until_drained())
        .build()
        .unwrap();
    let ending = tokio::spawn(engine.run());
    let q = store.queue(&named("q"));
    eventually("two are done, two put off", async || {
        let counts = q.counts().await.unwrap();
        (counts.completed, counts.delayed) == (2, 2)
    })
    .await;
    assert_eq!(handler.runs(), 0);
    assert_eq!(field(&store, "q", &ids[0], "attemptsStarted").await, 0, "as if it had never been taken");
    // the first comes back for the trial, the second may be put off once more
    handler.gate.open();
    assert_eq!(ending.await.unwrap().unwrap(), Ending { completed: 4, ..Ending::default() });
    for id in &ids {
        assert_eq!(field(&store, "q", id, "attemptsStarted").await, 1);
        assert_eq!(field(&store, "q", id, "attemptsMade").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_for_a_shut_handler_is_left_to_others() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let (shut, open) = (Gated::shut(|_| Outcome::done()), Gated::shut(|_| Outcome::done()));
    for handler in [&shut, &open] {
        handler.gate.open();
        handler.permits.add_permits(1);
    }
    let wait_in = async |handler: &Gated, waiters: usize| {
        let builder = Engine::builder(config(&server, vec![queue("q")]));
        let engine = builder.handler_object("test", Arc::new(handler.clone())).build().unwrap();
        let (handle, ending) = (engine.handle(), tokio::spawn(engine.run()));
        eventually("it waits for work", async || {
            let list = store.command().call("CLIENT", vec!["LIST".into()]).await.unwrap().as_string().unwrap();
            list.matches("cmd=bzpopmin").count() == waiters
        })
        .await;
        (handle, ending)
    };
    // redis serves the one that has waited longest
    let first = wait_in(&shut, 1).await;
    let second = wait_in(&open, 2).await;
    shut.gate.shut("out of order", None);
    add(&store, "q", 1).await;
    eventually("the other one does it", async || open.runs() == 1).await;
    assert_eq!(shut.runs(), 0);
    for (handle, ending) in [first, second] {
        handle.stop();
        ending.await.unwrap().unwrap();
    }
}
