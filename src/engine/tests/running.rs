//! What jobs do while they run, seen from Redis.

use std::sync::Mutex;
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::handler::ActionError;
use crate::job::{ChildFailure, Flow};
use crate::store::JobRecord;
use crate::store::testing::eventually;

fn named(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn child(name: &str, on_failure: Option<ChildFailure>) -> Flow {
    let opts = JobOptions { on_failure, ..JobOptions::default() };
    let job = NewJob { name: name.into(), data: to_raw_value(&()).unwrap(), opts };
    Flow { queue: named("children"), job, children: Vec::new() }
}

async fn record(store: &Store, id: &JobId) -> JobRecord {
    store.queue(&named("q")).job(id).await.unwrap().unwrap()
}

/// Runs one job of the queue `q` with this function, children in the queue `children`, until all is done.
async fn work<F, Fut>(opts: &str, function: F) -> (Server, Store, JobId, Ending)
where
    F: Fn(Arc<Job>, JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let id = store.queue(&named("q")).add(&[job(1, opts)]).await.unwrap().remove(0);
    let engine = Engine::builder(config(&server, vec![queue("q"), queue("children")]))
        .handler("test", function)
        .until(until_drained())
        .build()
        .unwrap();
    let ending = engine.run().await.unwrap();
    (server, store, id, ending)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_adds_children_waits_for_them_and_reads_what_they_returned() {
    let (_server, store, id, ending) = work("{}", |job, ctx| async move {
        match (job.queue.as_str(), job.name.as_str()) {
            ("children", "bad") => return Outcome::fail("no"),
            ("children", name) => return Outcome::Complete(to_raw_value(name).unwrap()),
            _ => {}
        }
        let children = ctx.children().await.unwrap();
        if children.processed.is_empty() {
            let kinds = [("a", None), ("b", None), ("bad", Some(ChildFailure::IgnoreDependency))];
            let added = ctx.add_children(kinds.map(|(name, on)| child(name, on)).to_vec()).await.unwrap();
            assert!(added.iter().all(|child| child.queue.as_str() == "children"));
            ctx.update_data(serde_json::json!({ "step": 2 })).await.unwrap();
            return Outcome::WaitForChildren;
        }
        let values: Vec<&String> = children.processed.values().collect();
        assert_eq!(children.ignored.values().collect::<Vec<_>>(), ["no"]);
        let mut values: Vec<String> = values.iter().map(|value| serde_json::from_str(value).unwrap()).collect();
        values.sort();
        values.push(job.data.get().to_owned());
        values.push(job.attempt().to_string());
        Outcome::Complete(to_raw_value(&values).unwrap())
    })
    .await;
    assert_eq!((ending.completed, ending.failed), (3, 1));
    let record = serde_json::to_value(record(&store, &id).await).unwrap();
    assert_eq!(record["returnvalue"], serde_json::json!(["a", "b", "{\"step\":2}", "1"]), "{record}");
    assert_eq!((&record["attemptsMade"], &record["attemptsStarted"]), (&1.into(), &2.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_without_children_runs_again_at_once_and_not_for_ever() {
    let (_server, store, id, ending) = work("{}", |job, ctx| async move {
        ctx.log("again");
        if job.attempts_started < 3 { Outcome::WaitForChildren } else { Outcome::done() }
    })
    .await;
    assert_eq!((ending.completed, record(&store, &id).await.logs.unwrap().len()), (1, 3));

    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&named("q")).add(&[job(1, "{}")]).await.unwrap();
    let mut bounded = queue("q");
    bounded.policy.max_uncharged = 20;
    let engine = Engine::builder(config(&server, vec![bounded]))
        .handler("test", |_, _| async { Outcome::WaitForChildren })
        .until(until_drained())
        .build()
        .unwrap();
    assert_eq!(engine.run().await.unwrap().failed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_with_pending_children_is_a_failed_attempt_that_keeps_its_log() {
    let opts = r#"{"attempts":2,"backoff":{"type":"fixed","delay":50,"jitter":0}}"#;
    let (_server, store, id, ending) = work(opts, |job, ctx| async move {
        if job.queue.as_str() == "children" {
            return Outcome::done();
        }
        ctx.log(format!("attempt {}", job.attempt()));
        if job.attempt() == 1 {
            let mut late = child("late", None);
            late.job.opts.delay = Some(Duration::from_millis(300));
            ctx.add_children(vec![late]).await.unwrap();
            return Outcome::done();
        }
        // as after a death between adding and waiting: what was added is there
        let children = ctx.children().await.unwrap();
        if children.unprocessed.len() == 1 { Outcome::WaitForChildren } else { Outcome::done() }
    })
    .await;
    assert_eq!((ending.completed, ending.failed), (2, 0));
    let record = record(&store, &id).await;
    assert_eq!(record.field("failedReason"), Some("the job has pending children"));
    assert_eq!(record.field("ats"), Some("3"), "{record:?}");
    assert_eq!(record.logs.unwrap(), ["attempt 1", "attempt 2", "attempt 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_fails_its_parent_fails_it_when_it_would_wait() {
    let (_server, store, id, ending) = work("{}", |job, ctx| async move {
        if job.queue.as_str() == "children" {
            return Outcome::fail("no");
        }
        ctx.add_children(vec![child("a", Some(ChildFailure::FailParent))]).await.unwrap();
        while ctx.children().await.unwrap().failed.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Outcome::WaitForChildren
    })
    .await;
    assert_eq!((ending.completed, ending.failed), (0, 2));
    assert_eq!(record(&store, &id).await.field("failedReason"), Some("children of this job have failed"));
}

#[cfg(all(unix, feature = "command"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_adds_children_waits_for_them_and_is_told_what_they_returned() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let id = store.queue(&named("q")).add(&[job(1, "{}")]).await.unwrap().remove(0);
    let program = r#"
        input=$(cat)
        case "$input" in *'"children":'*) printf '%s' "$input"; exit;; esac
        echo '{"t":"progress","value":50}' >&3
        echo '{"t":"data","data":{"step":2}}' >&3
        echo '{"t":"children","children":[{"name":"a","queueName":"children","opts":{"jobId":"one"}}]}' >&3
        echo '{"t":"outcome","outcome":"waiting-children"}' >&3"#;
    let command = config::CommandHandler::new(["sh", "-c", program].map(str::to_owned).to_vec());
    let mut parent = queue("q");
    parent.handler = Some("program".into());
    let mut config = config(&server, vec![parent, queue("children")]);
    config.handlers.insert("program".into(), config::Handler::Command(command));
    let engine = Engine::builder(config)
        .handler("test", |_, _| async { Outcome::Complete(to_raw_value(&7).unwrap()) })
        .until(until_drained())
        .build()
        .unwrap();
    assert_eq!(engine.run().await.unwrap().completed, 2);
    let record = record(&store, &id).await;
    assert_eq!(record.field("progress"), Some("50"));
    let told = record.field("returnvalue").unwrap();
    let children = r#""data":{"step":2},"children":{"processed":{"bull:children:one":7},"ignored":{},"failed":[],"unprocessed":[]}}"#;
    assert!(told.ends_with(children), "{told}");
}

/// Progress events of a queue so far.
async fn progress_events(server: &Server) -> Vec<String> {
    let script = "local out = {} for _, e in ipairs(redis.call('XRANGE', 'bull:q:events', '-', '+')) do \
                  if e[2][2] == 'progress' then out[#out + 1] = e[2][6] end end return out";
    let args = vec![script.into(), "0".into()];
    let answer = server.connection().await.call("EVAL", args).await.unwrap();
    crate::store::testing::texts(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_progress_reaches_redis_a_few_times_and_the_last_value_is_right() {
    let (server, store, id, _) = work("{}", |_, ctx| async move {
        let started = Instant::now();
        for n in 1..=10_000u32 {
            ctx.update_progress(n).unwrap();
            if n % 100 == 0 {
                let due = Duration::from_millis(u64::from(n / 10));
                tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            }
        }
        Outcome::done()
    })
    .await;
    let events = progress_events(&server).await;
    assert!((2..=6).contains(&events.len()), "{events:?}");
    assert_eq!(events.last().unwrap(), "10000");
    assert_eq!(record(&store, &id).await.field("progress"), Some("10000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_hear_of_progress_twice_a_second_and_of_the_last_value_with_the_end() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut updates = store.updates(&["job_updates".into()]).await.unwrap();
    store.queue(&named("q")).add(&[job(1, "{}")]).await.unwrap();
    let engine = Engine::builder(config(&server, vec![queue("q")]))
        .handler("test", |_, ctx: JobContext| async move {
            for n in 1..=150 {
                ctx.update_progress(n).unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Outcome::done()
        })
        .until(until_drained())
        .build()
        .unwrap();
    let started = Instant::now();
    engine.run().await.unwrap();
    let took = started.elapsed().as_secs_f64();
    let mut told = Vec::new();
    let last = loop {
        let Some(crate::store::Heard::Message(message)) = updates.next().await else { panic!("not a message") };
        match message.status.as_str() {
            "PROGRESS" => told.push(message.progress.unwrap()),
            "COMPLETED" => break message,
            other => assert_eq!(other, "RUNNING"),
        }
    };
    assert_eq!(last.progress, Some(150.into()));
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let count = told.len() as f64;
    assert!((2.0..=took * 2.0 + 1.0).contains(&count), "{count} in {took} s: {told:?}");
}

/// A job that runs until it is told to go on, and its context.
struct Held {
    server: Server,
    store: Store,
    id: JobId,
    contexts: UnboundedReceiver<(Arc<Job>, JobContext)>,
    go_on: Arc<tokio::sync::Notify>,
    handle: Handle,
    ending: tokio::task::JoinHandle<Result<Ending, Error>>,
}

impl Held {
    async fn start(opts: &str, outcome: impl Fn() -> Outcome + Send + Sync + 'static) -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        let id = store.queue(&named("q")).add(&[job(1, opts)]).await.unwrap().remove(0);
        let (sender, contexts) = unbounded_channel();
        let go_on = Arc::new(tokio::sync::Notify::new());
        let (gate, outcome) = (Arc::clone(&go_on), Arc::new(outcome));
        let engine = Engine::builder(config(&server, vec![queue("q")]))
            .handler("test", move |job, ctx: JobContext| {
                let (gate, outcome) = (Arc::clone(&gate), Arc::clone(&outcome));
                sender.send((job, ctx.clone())).unwrap();
                async move {
                    tokio::select! {
                        () = gate.notified() => outcome(),
                        reason = ctx.cancelled() => {
                            ctx.log("stopped");
                            ctx.stopped(reason)
                        }
                    }
                }
            })
            .until(until_drained())
            .build()
            .unwrap();
        let handle = engine.handle();
        let ending = tokio::spawn(engine.run());
        Self { server, store, id, contexts, go_on, handle, ending }
    }

    async fn record(&self) -> JobRecord {
        record(&self.store, &self.id).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_and_log_are_seen_while_the_job_runs() {
    let mut held = Held::start("{}", Outcome::done).await;
    let (_, ctx) = held.contexts.recv().await.unwrap();
    let started = Instant::now();
    ctx.update_progress(serde_json::json!({ "done": 1 })).unwrap();
    ctx.log("one");
    eventually("seen", async || held.record().await.field("progress") == Some(r#"{"done":1}"#)).await;
    // generous: the machine may be busy with other tests
    assert!(started.elapsed() < Duration::from_secs(2), "the first goes at once: {:?}", started.elapsed());
    // the first report may have left before the row was there
    eventually("seen", async || held.record().await.logs.unwrap() == ["one"]).await;
    ctx.log("two");
    eventually("seen", async || held.record().await.logs.unwrap() == ["one", "two"]).await;
    // what is told last is still on its way when the job ends
    ctx.log("three");
    ctx.update_progress(100).unwrap();
    held.go_on.notify_one();
    assert_eq!(held.ending.await.unwrap().unwrap().completed, 1);
    let record = record(&held.store, &held.id).await;
    assert_eq!(
        (record.field("progress"), record.logs.clone().unwrap()),
        (Some("100"), ["one", "two", "three"].map(str::to_owned).to_vec())
    );
    assert_eq!(progress_events(&held.server).await, [r#"{"done":1}"#, "100"]);
    assert!(matches!(ctx.update_progress(1), Err(ActionError::Ended)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_flushes_what_is_pending_with_the_hand_back() {
    let mut held = Held::start("{}", Outcome::done).await;
    let (_, ctx) = held.contexts.recv().await.unwrap();
    ctx.log("one");
    eventually("seen", async || held.record().await.logs.unwrap() == ["one"]).await;
    ctx.log("two");
    ctx.update_progress(7).unwrap();
    held.handle.hand_back();
    assert_eq!(held.ending.await.unwrap().unwrap().handed_back, 1);
    let record = record(&held.store, &held.id).await;
    assert_eq!(record.field("progress"), Some("7"));
    assert_eq!(record.logs.unwrap(), ["one", "two", "stopped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f75_a_job_whose_lock_another_holds_can_change_nothing() {
    let mut held = Held::start("{}", Outcome::done).await;
    let (_, ctx) = held.contexts.recv().await.unwrap();
    ctx.update_data(1).await.unwrap();
    held.server.run("SET bull:q:1:lock other").await;
    let refused = ctx.update_data(2).await.unwrap_err();
    assert_eq!(refused.to_string(), "the job is not ours any more: another worker holds its lock");
    ctx.log("nobody's");
    ctx.update_progress(1).unwrap();
    // noticed by the renewal at the latest
    let reason = ctx.cancelled().await;
    assert_eq!(reason, crate::handler::CancelReason::LockLost);
    let record = held.record().await;
    assert_eq!(
        (record.field("data"), record.field("progress"), record.logs.clone().unwrap().len()),
        (Some("1"), None, 0)
    );
    held.handle.hand_back();
    held.ending.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_gets_the_new_data() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let data = Arc::clone(&seen);
    let (_server, _, _, _) = work(r#"{"attempts":2}"#, move |job, ctx| {
        data.lock().unwrap().push(job.data.get().to_owned());
        async move {
            ctx.update_data(serde_json::json!({ "seen": job.attempt() })).await.unwrap();
            if job.attempt() == 1 {
                Outcome::Retry { failure: Failure::new("once"), after: Some(Duration::ZERO) }
            } else {
                Outcome::done()
            }
        }
    })
    .await;
    assert_eq!(*seen.lock().unwrap(), [r#"{"n":1}"#, r#"{"seen":1}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extended_job_outlives_its_first_deadline() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&named("q")).add(&[job(1, "{}")]).await.unwrap();
    let mut short = queue("q");
    short.timeout = Duration::from_secs(1);
    let engine = Engine::builder(config(&server, vec![short]))
        .handler("test", |_, ctx| async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(300)).await;
                ctx.extend(Duration::from_secs(60)).unwrap();
            }
            Outcome::done()
        })
        .until(until_drained())
        .build()
        .unwrap();
    assert_eq!(engine.run().await.unwrap().completed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_does_not_answer_holds_no_job_up() {
    let mut held = Held::start("{}", Outcome::done).await;
    let (_, ctx) = held.contexts.recv().await.unwrap();
    held.server.signal(nix::sys::signal::Signal::SIGSTOP);
    let started = Instant::now();
    for n in 0..100 {
        ctx.log(n.to_string());
        ctx.update_progress(n).unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    held.go_on.notify_one();
    tokio::time::sleep(Duration::from_millis(400)).await;
    held.server.signal(nix::sys::signal::Signal::SIGCONT);
    assert_eq!(held.ending.await.unwrap().unwrap().completed, 1);
    let record = record(&held.store, &held.id).await;
    assert_eq!(record.field("progress"), Some("99"));
    assert_eq!(record.logs.unwrap(), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_written_once_and_in_order_over_cut_connections() {
    let mut held = Held::start("{}", Outcome::done).await;
    let (_, ctx) = held.contexts.recv().await.unwrap();
    for n in 0..900 {
        ctx.log(format!("{n}"));
        if n % 150 == 100 {
            // some cuts fall between a call and its answer
            let _ = held
                .server
                .connection()
                .await
                .call("CLIENT", vec!["KILL".into(), "TYPE".into(), "normal".into()])
                .await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    held.go_on.notify_one();
    assert_eq!(held.ending.await.unwrap().unwrap().completed, 1);
    let logs = record(&held.store, &held.id).await.logs.unwrap();
    assert_eq!(logs, (0..900).map(|n| n.to_string()).collect::<Vec<_>>());
}
