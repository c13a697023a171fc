//! The cache on a real Redis; stores of their own stand for processes of their own.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::app::App;
use crate::store::testing::{Server, eventually, redis};
use crate::store::{self, Store};

mod deleting;
mod flights;

/// A server and one process that has a cache there.
struct Scene {
    server: Server,
    store: Store,
    cache: Cache,
}

impl Scene {
    async fn new() -> Self {
        Self::with(config::app::Cache::default(), &[]).await
    }

    async fn with(settings: config::app::Cache, args: &[&str]) -> Self {
        let server = Server::with(args).await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        let cache = cache(&store, settings);
        Self { server, store, cache }
    }

    /// The cache of another process.
    async fn other(&self, settings: config::app::Cache) -> Cache {
        cache(&Store::open(&self.server.config(), "other").await.unwrap(), settings)
    }

    async fn redis(&self, command: &str) -> String {
        redis(&self.store, command).await
    }
}

fn cache(store: &Store, settings: config::app::Cache) -> Cache {
    let settings = config::App { cache: settings, ..config::App::default() };
    App::new(store, settings).unwrap().cache().clone()
}

fn user(id: u32) -> Key {
    Key::new("user", "profile").with("id", id)
}

#[track_caller]
fn ticket(begun: Begun) -> Ticket {
    match begun {
        Begun::Make(ticket) => ticket,
        Begun::There(value) => panic!("{value:?} is there"),
    }
}

#[tokio::test]
async fn values_are_kept_and_nothing_is_told_from_not_known() {
    let scene = Scene::new().await;
    let cache = &scene.cache;
    let keep = Keep::default();
    assert_eq!(cache.get::<String>(&user(7)).await.unwrap(), Lookup::Miss);
    cache.set(&user(7), "Ada", &keep).await.unwrap();
    cache.set(&user(8), &None::<String>, &keep).await.unwrap();
    let bytes = Bytes::from_static(b"\xff\0\n");
    cache.set_bytes(&user(9), bytes.clone(), &keep).await.unwrap();
    assert_eq!(cache.get(&user(7)).await.unwrap(), Lookup::Hit("Ada".to_owned()));
    assert_eq!(cache.get::<String>(&user(8)).await.unwrap(), Lookup::Absent);
    assert_eq!(cache.get_bytes(&user(9)).await.unwrap(), Lookup::Hit(bytes));
    assert_eq!(scene.redis("GET app:user:profile:id=7").await, "\"Ada\"", "others read it too");
    assert!(
        matches!(cache.get::<u32>(&user(7)).await, Err(Error::Unreadable { key, .. }) if key == "user:profile:id=7")
    );
    scene.redis("HSET app:user:profile:id=1 a b").await;
    let error = cache.get::<u32>(&user(1)).await.unwrap_err();
    assert!(matches!(error, Error::Store(store::Error::WrongType { .. })), "{error}");
    let figures = cache.figures();
    assert_eq!((figures.hits, figures.misses, figures.stored), (4, 1, 3));
    assert_eq!(figures.hit_rate(), Some(0.8));
}

#[tokio::test]
async fn a_value_lives_as_the_table_says_and_a_little_shorter_by_chance() {
    let minute = Duration::from_secs(60);
    let settings = config::app::Cache {
        ttls: [("price".to_owned(), minute)].into(),
        absent_ttl: minute / 2,
        jitter: 0.5,
        ..config::app::Cache::default()
    };
    let scene = Scene::with(settings, &[]).await;
    let mut lives = Vec::new();
    for id in 0..20 {
        let key = Key::new("price", "now").with("id", id);
        scene.cache.set(&key, &1, &Keep::default()).await.unwrap();
        lives.push(scene.redis(&format!("PTTL app:{key}")).await.parse::<i64>().unwrap());
    }
    assert!(lives.iter().all(|life| (29_000..=60_000).contains(life)), "{lives:?}");
    assert!(lives.iter().max().unwrap() - lives.iter().min().unwrap() > 1000, "all end at once: {lives:?}");
    let life = async |key: &Key, value: serde_json::Value, keep: Keep| {
        scene.cache.set(key, &value, &keep).await.unwrap();
        scene.redis(&format!("PTTL app:{key}")).await.parse::<i64>().unwrap()
    };
    let price = Key::new("price", "now");
    assert!((14_000..=30_000).contains(&life(&price, json!(null), Keep::default()).await));
    assert!((149_000..=300_000).contains(&life(&user(1), json!(1), Keep::default()).await), "no entry in the table");
    let short = Keep::default().ttl(Duration::from_secs(2));
    assert!((500..=2000).contains(&life(&price, json!(1), short.clone()).await));
    assert!((500..=2000).contains(&life(&price, json!(null), short).await), "never longer than a value");
}

#[tokio::test]
async fn many_go_together() {
    let scene = Scene::new().await;
    let cache = &scene.cache;
    let values: Vec<(Key, u32)> = (0..1200).map(|id| (user(id), id)).collect();
    cache.set_many(&values, &Keep::default().tag("all")).await.unwrap();
    let mut keys: Vec<Key> = values.into_iter().map(|(key, _)| key).collect();
    assert_eq!(scene.redis("SCARD app:tag:all").await, "1200");
    keys.insert(3, Key::new("user", "nobody"));
    let found = cache.get_many::<u32>(&keys).await.unwrap();
    assert_eq!(found.len(), 1201);
    assert_eq!((&found[2], &found[3], &found[4]), (&Lookup::Hit(2), &Lookup::Miss, &Lookup::Hit(3)));
    assert_eq!(cache.delete(&keys).await.unwrap(), 1200);
    assert_eq!(cache.get_many::<u32>(&keys[..5]).await.unwrap(), [const { Lookup::Miss }; 5]);
    assert_eq!(cache.delete(&[]).await.unwrap(), 0);
    cache.set_many::<u32>(&[], &Keep::default()).await.unwrap();
    assert_eq!(cache.get_many::<u32>(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn large_values_go_in_several_calls_and_those_that_are_too_large_not_at_all() {
    let scene = Scene::new().await;
    let half = "x".repeat(600 * 1024);
    let values: Vec<(Key, &str)> = (0..5).map(|id| (user(id), half.as_str())).collect();
    scene.cache.set_many(&values, &Keep::default()).await.unwrap();
    assert_eq!(scene.redis("DBSIZE").await, "5");
    let much = "x".repeat(1024 * 1024);
    let values = [(user(8), "small"), (user(9), much.as_str())];
    let error = scene.cache.set_many(&values, &Keep::default()).await.unwrap_err();
    assert!(error.to_string().starts_with("the value for user:profile:id=9 has 1048578 bytes"), "{error}");
    assert_eq!(scene.redis("DBSIZE").await, "5");
    let made: String =
        scene.cache.get_or_set(&user(9), &Keep::default(), async || Ok::<_, Error>(much.clone())).await.unwrap();
    assert_eq!((made.len(), scene.redis("DBSIZE").await.as_str()), (much.len(), "5"), "its caller has it anyway");
    assert_eq!(scene.cache.figures().refused, 1);
}

#[tokio::test]
async fn a_prefix_of_queues_is_refused() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let settings = config::App { prefix: "bull:cache".into(), ..config::App::default() };
    let error = App::new(&store, settings).err().unwrap().to_string();
    assert!(error.starts_with("[app] prefix: prefix \"bull:cache\" is where the keys of queues are"), "{error}");
}
