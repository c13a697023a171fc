//! Queues that are plain lists, worked by an engine.

use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::store::List;
use crate::store::testing::{eventually, redis};

/// The list `l` as the queue `q`; nothing is waited for longer than a test may take.
fn list(change: impl FnOnce(&mut config::List)) -> config::Queue {
    let mut list = config::List { block: Duration::from_secs(600), ..config::List::new("l") };
    change(&mut list);
    config::Queue { list: Some(list), ..queue("q") }
}

struct Rig {
    server: Server,
    store: Store,
    list: List,
}

impl Rig {
    async fn new(settings: &config::Queue) -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        let list = store.list(settings).unwrap();
        Self { server, store, list }
    }

    async fn push(&self, elements: &[&str]) {
        self.list.push(elements.iter().map(|text| text.to_string().into())).await.unwrap();
    }

    async fn counts(&self) -> [u64; 4] {
        let counts = self.list.counts().await.unwrap();
        [counts.waiting, counts.active, counts.delayed, counts.failed]
    }

    /// Commands the server has done, those in scripts among them.
    async fn commands(&self) -> u64 {
        self.store.usage().await.unwrap().commands
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_element_is_done_and_the_list_is_left_empty() {
    let mut settings = list(|list| list.payload = config::Payload::Json);
    settings.concurrency = 20;
    let rig = Rig::new(&settings).await;
    let elements: Vec<String> = (0..1000).map(|n| format!("{{\"n\":{}}}", n % 7)).collect();
    rig.push(&elements.iter().map(String::as_str).collect::<Vec<_>>()).await;
    rig.push(&["no JSON"]).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    settings.policy.backoff.delay = Duration::from_millis(20);
    let engine = Engine::builder(config(&rig.server, vec![settings]))
        .handler("test", move |job, _| {
            let counted = Arc::clone(&counted);
            async move {
                // some need a second attempt, and one never makes it
                let n = counted.fetch_add(1, Ordering::SeqCst);
                if n == 5 || job.attempts_made > 0 && job.stacktrace.as_deref().unwrap_or_default().contains("never") {
                    return Outcome::retry("never");
                }
                if n % 50 == 1 { Outcome::retry("once") } else { Outcome::done() }
            }
        })
        .until(until_drained())
        .build()
        .unwrap();
    let ending = engine.run().await.unwrap();
    assert_eq!(ending, Ending { completed: 999, failed: 2, ..Ending::default() });
    assert_eq!(rig.counts().await, [0, 0, 0, 2]);
    let mut dead = rig.list.dead(0, 9).await.unwrap();
    dead.sort_by_key(|dead| dead.attempts_made);
    assert_eq!((&dead[0].bytes[..], dead[0].attempts_made), (b"no JSON".as_slice(), 1), "at once");
    assert!(dead[0].reason.starts_with("data is not JSON"), "{}", dead[0].reason);
    assert_eq!((dead[1].reason.as_str(), dead[1].attempts_made), ("never", 3));
    assert_eq!(dead[1].stacktrace.as_deref(), Some(r#"["never","never","never"]"#));
    let keys = redis(&rig.store, "KEYS *").await;
    let mut keys: Vec<_> = keys.split(' ').collect();
    keys.sort_unstable();
    assert_eq!(keys, ["{l}:oxherd:dead", "{l}:oxherd:instances"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_element_is_picked_up_at_once_and_rest_costs_nothing() {
    let settings = list(|list| list.take = config::Side::Left);
    let rig = Rig::new(&settings).await;
    let (seen, seen_there) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let start = |seen: &Arc<Mutex<Vec<String>>>| {
        let seen = Arc::clone(seen);
        let engine = Engine::builder(config(&rig.server, vec![settings.clone()]))
            .handler("test", move |job, _| {
                seen.lock().unwrap().push(job.id.to_string());
                std::future::ready(Outcome::done())
            })
            .build()
            .unwrap();
        (engine.handle(), tokio::spawn(engine.run()))
    };
    // two processes, of which either may be sooner
    let engines = [start(&seen), start(&seen_there)];
    let count = || seen.lock().unwrap().len() + seen_there.lock().unwrap().len();
    for n in 0..5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let pushed = Instant::now();
        rig.push(&[&n.to_string()]).await;
        eventually("picked up", async || count() == n + 1).await;
        assert!(pushed.elapsed() < Duration::from_secs(2), "after {:?}", pushed.elapsed());
    }
    eventually("done", async || rig.counts().await == [0, 0, 0, 0]).await;
    rig.list.pause().await.unwrap();
    rig.push(&["5"]).await;
    // woken once, each finds that it is paused
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = rig.commands().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let spent = rig.commands().await - before;
    assert!(spent < 60, "{spent} commands while it was paused");
    assert_eq!((count(), rig.counts().await[0]), (5, 1));
    rig.list.resume().await.unwrap();
    eventually("resumed", async || count() == 6).await;
    // and the one that was not rung goes on too
    for n in 6..10 {
        rig.push(&[&n.to_string()]).await;
        eventually("picked up", async || count() == n + 1).await;
    }
    for (handle, engine) in engines {
        handle.stop();
        engine.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_over_all_processes_is_used_to_the_full_and_never_passed() {
    let mut settings = list(|_| {});
    settings.global_concurrency = Some(3);
    let rig = Rig::new(&settings).await;
    let elements: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    rig.push(&elements.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let engines: Vec<_> = (0..2)
        .map(|_| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            let engine = Engine::builder(config(&rig.server, vec![settings.clone()]))
                .handler("test", move |_, _| {
                    let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                    async move {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        Outcome::done()
                    }
                })
                .until(until_drained())
                .build()
                .unwrap();
            tokio::spawn(engine.run())
        })
        .collect();
    let mut completed = 0;
    for engine in engines {
        completed += engine.await.unwrap().unwrap().completed;
    }
    assert_eq!((completed, most.load(Ordering::SeqCst)), (60, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stop_interrupts_goes_back_to_the_head() {
    let mut settings = list(|_| {});
    settings.concurrency = 2;
    let rig = Rig::new(&settings).await;
    rig.push(&["1", "2", "3"]).await;
    let mut config = config(&rig.server, vec![settings]);
    config.shutdown = config::Shutdown { drain: Duration::from_millis(50), cancel: Duration::from_millis(200) };
    let engine = Engine::builder(config).handler("test", |_, _| std::future::pending()).build().unwrap();
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    eventually("taken", async || rig.counts().await == [1, 2, 0, 0]).await;
    handle.stop();
    assert_eq!(running.await.unwrap().unwrap(), Ending { handed_back: 2, ..Ending::default() });
    let waiting: Vec<_> = rig.list.waiting(0, 9).await.unwrap().into_iter().map(|waiting| waiting.bytes).collect();
    let mut head = waiting[..2].to_vec();
    head.sort();
    assert_eq!((head, &waiting[2]), (vec!["1".into(), "2".into()], &"3".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_to_another_list_finishes_what_is_in_hand_of_the_first() {
    let settings = list(|_| {});
    let rig = Rig::new(&settings).await;
    let other = config::Queue { list: Some(config::List::new("m")), ..settings.clone() };
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let at_gate = Arc::clone(&gate);
    rig.push(&["1"]).await;
    let engine = Engine::builder(config(&rig.server, vec![settings]))
        .handler("test", move |_, _| {
            let gate = Arc::clone(&at_gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Outcome::done()
            }
        })
        .build()
        .unwrap();
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    eventually("taken", async || rig.counts().await == [0, 1, 0, 0]).await;
    handle.reconfigure(config(&rig.server, vec![other.clone()])).await.unwrap();
    let there = rig.store.list(&other).unwrap();
    there.push(["2".into()]).await.unwrap();
    eventually("taken there", async || there.counts().await.unwrap().active == 1).await;
    gate.add_permits(2);
    eventually("both done", async || rig.counts().await[1] + there.counts().await.unwrap().active == 0).await;
    handle.stop();
    assert_eq!(running.await.unwrap().unwrap().completed, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_told_with_the_id_and_tenant_of_the_element() {
    for (payload, element, id, tenant) in [
        (config::Payload::Id, "a \"1\"", "a \"1\"", serde_json::Value::Null),
        (config::Payload::Json, r#"{"jobId":17,"tenantId":"t1"}"#, "17", "t1".into()),
    ] {
        let mut settings = list(|list| {
            list.payload = payload;
            list.id = (payload == config::Payload::Json).then(|| "/jobId".to_owned());
        });
        settings.policy.backoff.delay = Duration::from_millis(10);
        let rig = Rig::new(&settings).await;
        let mut messages = rig.store.subscribe(&["job_updates".to_owned()], &[]).await.unwrap();
        rig.push(&[element]).await;
        let mut config = config(&rig.server, vec![settings]);
        config.status.format = config::StatusFormat::Full;
        let engine = Engine::builder(config)
            .handler("test", |job, ctx| async move {
                ctx.update_progress(50).unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
                if job.attempt() == 1 { Outcome::retry("once more") } else { Outcome::done() }
            })
            .until(until_drained())
            .build()
            .unwrap();
        engine.run().await.unwrap();
        let mut told = Vec::new();
        loop {
            let Some(crate::store::Heard::Message(message)) = messages.next().await else {
                panic!("something was missed")
            };
            let message: serde_json::Value = serde_json::from_str(&message.payload).unwrap();
            assert_eq!((message["jobId"].as_str(), &message["tenantId"]), (Some(id), &tenant), "{message}");
            assert_eq!((message["queue"].as_str(), message["name"].as_str()), (Some("q"), Some("q")), "{message}");
            let word = message["status"].as_str().unwrap().to_owned();
            told.push(format!("{word} {} {}", message["attempt"], message["progress"]));
            if word == "COMPLETED" {
                assert!(message["durationMs"].as_u64() >= Some(90), "{message}");
                assert!(message["error"].is_null(), "{message}");
                break;
            }
        }
        let words = config::Status::default();
        let of = |state: &str| words.word(state).to_owned();
        let expected = [
            format!("{} 1 0", of("active")),
            format!("{} 1 50", of("progress")),
            format!("{} 1 0", of("retrying")),
            format!("{} 2 0", of("active")),
            format!("{} 2 50", of("progress")),
            format!("{} 2 0", of("completed")),
        ];
        assert_eq!(told, expected);
    }
}
