//! What jobs share beside their queues.

use super::*;
use crate::app::Error;
use crate::app::cache::{Keep, Key};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_share_a_cache_and_its_figures_are_seen() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let jobs: Vec<NewJob> = (0..20).map(|n| job(n, "{}")).collect();
    let q = QueueName::new("q").unwrap();
    let ids = store.queue(&q).add(&jobs).await.unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let mut settings = queue("q");
    settings.concurrency = 10;
    let engine = Engine::builder(config(&server, vec![settings]))
        .handler("test", move |_, ctx: JobContext| {
            let counted = Arc::clone(&counted);
            async move {
                let cache = match ctx.app() {
                    Ok(app) => app.cache(),
                    Err(error) => return Outcome::fail(error.to_string()),
                };
                let make = async || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, Error>(1.25)
                };
                let rate = cache.get_or_set(&Key::new("rate", "eur"), &Keep::default(), make).await;
                rate.map_err(|error| Outcome::fail(error.to_string())).into()
            }
        })
        .build()
        .unwrap();
    let handle = engine.handle();
    let running = tokio::spawn(engine.run());
    crate::store::testing::eventually("all are done", async || store.queue(&q).counts().await.unwrap().completed == 20)
        .await;
    let figures = handle.snapshot().await.unwrap().app.cache;
    handle.stop();
    running.await.unwrap().unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert_eq!((figures.filled, figures.hits + figures.shared), (1, 19), "{figures:?}");
    let record = serde_json::to_value(store.queue(&q).job(&ids[0]).await.unwrap().unwrap()).unwrap();
    assert_eq!(record["returnvalue"], 1.25);
}

#[tokio::test]
async fn a_prefix_that_is_that_of_the_queues_keeps_the_engine_from_starting() {
    let server = Server::start().await;
    let mut config = config(&server, vec![queue("q")]);
    config.app.prefix = "bull".into();
    let engine = Engine::builder(config).handler("test", |_, _| async { Outcome::done() }).build().unwrap();
    let error = engine.run().await.unwrap_err().to_string();
    assert!(error.starts_with("[app] prefix:"), "{error}");
}
