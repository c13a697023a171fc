//! What an engine says of how it is, in trouble and out of it.

use tokio::sync::mpsc;

use super::*;
use crate::engine::event::Observers;
use crate::engine::fetcher::Door;
use crate::engine::lookout::Lookout;
use crate::engine::renewer::Register;
use crate::engine::rescuer::{Bound, Keeping, Kept, rescue};
use crate::engine::shared::{Handlers, Shared};
use crate::engine::slots::Slots;
use crate::store::WorkQueue;
use crate::store::testing::eventually;

fn codes(health: &Health) -> Vec<&'static str> {
    health.findings.iter().map(|finding| finding.code).collect()
}

async fn says(handle: &Handle, code: &str) -> bool {
    handle.health().await.is_some_and(|health| codes(&health).contains(&code))
}

fn engine(config: Config) -> (Handle, tokio::task::JoinHandle<Result<Ending, Error>>) {
    let engine = Engine::builder(config).handler("test", |_, _| async { Outcome::done() }).build().unwrap();
    let handle = engine.handle();
    (handle, tokio::spawn(engine.run()))
}

#[tokio::test(flavor = "multi_thread")]
async fn f51_without_redis_it_is_starting_and_live_and_ready_once_it_has_written() {
    let mut server = Server::start().await;
    let mut config = config(&server, vec![queue("q")]);
    config.redis.at_start = config::AtStart::Wait;
    server.stop();
    let (handle, ending) = engine(config);
    let health = handle.health().await.unwrap();
    assert!(health.is_live() && !health.is_ready());
    assert_eq!(codes(&health), ["starting", "redis_away"]);
    server.again().await;
    eventually("ready", async || handle.health().await.unwrap().is_ready()).await;
    assert_eq!(server.run("EXISTS bull:q:meta").await.as_i64(), Some(1), "and it had written");
    server.stop();
    eventually("away", async || says(&handle, "redis_away").await).await;
    let health = handle.health().await.unwrap();
    assert!(health.is_live() && !health.is_ready());
    assert!(matches!(health.redis, RedisHealth::Away { since: Some(_), .. }));
    server.again().await;
    eventually("ready again", async || handle.health().await.unwrap().is_ready()).await;
    handle.stop();
    ending.await.unwrap().unwrap();
    assert!(handle.health().await.is_none(), "it has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn f29_f30_a_full_server_and_one_that_deletes_are_told_of() {
    let server = Server::with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let (handle, ending) = engine(config(&server, vec![queue("q")]));
    eventually("ready", async || handle.health().await.unwrap().is_ready()).await;
    assert_eq!(codes(&handle.health().await.unwrap()), ["eviction_policy"]);
    // a queue without jobs needs no memory
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&QueueName::new("q").unwrap()).add(&[job(1, r#"{"delay":3600000}"#)]).await.unwrap();
    server.run("CONFIG SET maxmemory-policy noeviction").await;
    server.run("CONFIG SET maxmemory 1").await;
    eventually("full", async || says(&handle, "redis_oom").await).await;
    let health = handle.health().await.unwrap();
    assert!(health.is_live() && !health.is_ready());
    server.run("CONFIG SET maxmemory 0").await;
    eventually("ready again", async || handle.health().await.unwrap().is_ready()).await;
    handle.stop();
    ending.await.unwrap().unwrap();
}

/// A pool that hears its bell and does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_may_be_taken_and_are_not_are_seen_by_the_stalled_checks() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut settings = queue("q");
    settings.stalled_interval = Duration::from_millis(1);
    let queue = WorkQueue::new(&store, &settings, &config::Status::default(), None, false);
    let (pool, _deaf) = mpsc::unbounded_channel();
    let lookout = Arc::new(Lookout::default());
    let door = Arc::new(Door::new(None, pool, Arc::default()));
    let bound = Bound { door, slots: Arc::new(Slots::default()), lookout: Arc::clone(&lookout) };
    let kept = Kept::new(queue, &settings, bound, Vec::new());
    let keeping = Keeping::default();
    keeping.lock().unwrap().push(Arc::new(kept));
    #[cfg(feature = "app")]
    let app = crate::app::App::new(&store, config::App::default()).unwrap();
    let shared = Arc::new(Shared::new(
        "test".into(),
        "bull",
        Observers(Arc::new([])),
        Register::default(),
        Handlers::Own(std::sync::OnceLock::new()),
        None,
        #[cfg(feature = "app")]
        app,
    ));
    let rescuer = tokio::spawn(rescue(shared, keeping));
    let q = store.queue(&settings.name);
    let passed_over = || lookout.sight().passed_over.is_some();
    // checks enough for several times what it takes, from a moment on
    let checks = async || {
        for _ in 0..6 {
            let before = lookout.sight().checked;
            eventually("checked", async || lookout.sight().checked > before).await;
        }
    };
    checks().await;
    assert!(!passed_over(), "nothing waits");
    q.add(&[job(1, "{}")]).await.unwrap();
    eventually("passed over", async || passed_over()).await;
    for (held, free) in [
        ("HSET bull:q:meta paused 1", "HDEL bull:q:meta paused"),
        ("HSET bull:q:meta concurrency 0", "HDEL bull:q:meta concurrency"),
        ("HSET bull:q:meta max 0", "HDEL bull:q:meta max"),
        ("ZADD bull:q:delayed 99999999999999999 1", "ZREM bull:q:delayed 1"),
    ] {
        if held.starts_with("ZADD") {
            server.run("DEL bull:q:wait").await;
        }
        server.run(held).await;
        checks().await;
        assert!(!passed_over(), "{held}");
        if held.starts_with("HSET") {
            server.run(free).await;
            eventually("passed over", async || passed_over()).await;
        }
    }
    rescuer.abort();
}
