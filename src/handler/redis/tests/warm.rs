//! Warming, with a real endpoint.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::config::{Busy, Warm};

/// An endpoint that answers each request alike, after a while, and counts them.
struct Endpoint {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn start(answer: &'static str, after: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/front", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    assert!(head[..read].starts_with(b"GET /front"), "{}", String::from_utf8_lossy(&head[..read]));
                    count.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(after).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { url, asked }
    }

    fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn warm(&self) -> Warm {
        Warm {
            fetch: format!("{}?lang={{data.lang}}", self.url),
            headers: [("Accept".to_owned(), "text/html".to_owned())].into(),
            connect_timeout: Duration::from_secs(5),
            max_size: 1000,
            key: "cache:front:{data.lang}".into(),
            ttl: Duration::from_secs(60),
            jitter: Duration::from_secs(60),
            busy: Busy::Discard,
        }
    }
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
const DATA: &str = r#"{"lang":"en"}"#;

fn task(warm: Warm) -> RedisHandler {
    RedisHandler::new(Housekeeping::Warm(warm))
}

#[tokio::test]
async fn an_answer_is_stored_with_a_time_to_live() {
    let house = House::new().await;
    let endpoint = Endpoint::start(GOOD, Duration::ZERO).await;
    let said = completed(house.run(task(endpoint.warm()), DATA).await);
    assert_eq!(said["bytes"], 5);
    assert_eq!(house.redis("GET cache:front:en").await, "hello");
    let ttl: u64 = house.redis("PTTL cache:front:en").await.parse().unwrap();
    assert!((50_000..=120_000).contains(&ttl), "{ttl}");
    assert_eq!(house.keys().await, "cache:front:en", "the lock is given back");
}

#[tokio::test]
async fn what_cannot_be_fetched_leaves_the_old_value() {
    let house = House::new().await;
    house.redis("SET cache:front:en old").await;
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n";
    let long: &'static str = Box::leak(format!("{long}{}", "x".repeat(2000)).into_boxed_str());
    for (answer, is_final, reason) in [
        (
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            false,
            "answered 503 Service Unavailable",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            false,
            "answered 302 Found",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhel",
            false,
            "broke off its answer after 3 bytes",
        ),
        ("", false, "no answer from"),
        (long, true, "answered more than max_size, 1000 bytes"),
    ] {
        let endpoint = Endpoint::start(answer, Duration::ZERO).await;
        let outcome = house.run(task(endpoint.warm()), DATA).await;
        let message = match (outcome, is_final) {
            (Outcome::Retry { failure, .. }, false) | (Outcome::Fail(failure), true) => failure.message,
            (other, _) => panic!("{other:?}"),
        };
        assert!(message.contains(reason), "{message}");
        assert_eq!(house.redis("GET cache:front:en").await, "old");
        assert_eq!(house.keys().await, "cache:front:en", "the lock is given back");
    }
}

#[tokio::test]
async fn of_many_at_once_one_fetches() {
    let house = House::new().await;
    let endpoint = Endpoint::start(GOOD, Duration::from_millis(300)).await;
    // a handler each, as processes have them
    let keepers: Vec<_> = (0..8).map(|_| house.keeper(task(endpoint.warm()))).collect();
    let running = keepers.iter().map(|keeper| keeper.run(Arc::new(job(DATA)), context()));
    let outcomes = futures_util::future::join_all(running).await;
    let discarded = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Discard { .. })).count();
    assert_eq!((endpoint.count(), discarded), (1, 7), "{outcomes:?}");
    // another language is another key, and no obstacle
    house.redis("SET oxherd:warm:cache:front:en somebody PX 60000").await;
    completed(house.run(task(endpoint.warm()), r#"{"lang":"no"}"#).await);
    let defer = task(Warm { busy: Busy::Defer, ..endpoint.warm() });
    assert!(matches!(house.run(defer, DATA).await, Outcome::Defer { .. }));
    assert_eq!(house.redis("GET oxherd:warm:cache:front:en").await, "somebody", "another's lock is left alone");
}

#[tokio::test]
async fn a_stop_gives_the_lock_back_and_a_lost_lock_stores_nothing() {
    let house = House::new().await;
    let endpoint = Endpoint::start(GOOD, Duration::from_millis(300)).await;
    let ctx = context();
    let keeper = house.keeper(task(endpoint.warm()));
    let (outcome, ()) = tokio::join!(keeper.run(Arc::new(job(DATA)), ctx.clone()), async {
        crate::store::testing::eventually("asked", async || endpoint.count() == 1).await;
        ctx.cancel(CancelReason::Shutdown);
    });
    assert!(matches!(outcome, Outcome::Interrupted), "{outcome:?}");
    assert_eq!(house.keys().await, "");
    let (outcome, ()) = tokio::join!(keeper.run(Arc::new(job(DATA)), context()), async {
        crate::store::testing::eventually("asked", async || endpoint.count() == 2).await;
        house.redis("SET oxherd:warm:cache:front:en another").await;
    });
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert_eq!(house.keys().await, "oxherd:warm:cache:front:en");
}

#[tokio::test]
async fn f149_no_key_of_a_queue_is_overwritten_and_nothing_but_a_string() {
    let house = House::new().await;
    let endpoint = Endpoint::start(GOOD, Duration::ZERO).await;
    house.redis("HSET shop:orders:meta opts.maxLenEvents 10000").await;
    let onto = |key: &str| task(Warm { key: key.into(), ..endpoint.warm() });
    let data = r#"{"lang":"orders:id"}"#;
    assert_eq!(failed(house.run(onto("shop:{data.lang}"), data).await), r#"key "shop:orders:id" is protected"#);
    assert_eq!(endpoint.count(), 0);
    house.redis("RPUSH jobs-to-do 1").await;
    let reason = failed(house.run(onto("jobs-to-do"), DATA).await);
    assert_eq!(reason, r#"key "jobs-to-do" is a list, expected a string or nothing"#);
    assert_eq!(house.redis("LLEN jobs-to-do").await, "1");
    assert_eq!(house.redis("EXISTS oxherd:warm:jobs-to-do").await, "0");
}
