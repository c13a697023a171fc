//! What goes by tag and by pattern, what is never touched, and what was begun before.

use super::*;
use crate::job::{JobOptions, NewJob, QueueName};

#[tokio::test]
async fn a_tag_takes_its_values_along() {
    let scene = Scene::new().await;
    let cache = &scene.cache;
    let tagged = |tags: &[&str]| tags.iter().fold(Keep::default(), |keep, tag| keep.tag(*tag));
    cache.set(&user(1), &1, &tagged(&["team:a", "front"])).await.unwrap();
    cache.get_or_set(&user(2), &tagged(&["team:a"]), async || Ok::<_, Error>(2)).await.unwrap();
    cache.set(&user(3), &3, &tagged(&["team:b"])).await.unwrap();
    // what nobody put there as a value of the cache only leaves the set
    scene.redis("SET bull:q:id 5").await;
    scene.redis("SADD app:tag:team:a bull:q:id").await;
    assert_eq!(cache.delete_tag("team:a").await.unwrap(), 2);
    assert_eq!(scene.redis("EXISTS app:user:profile:id=1 app:user:profile:id=2 app:tag:team:a").await, "0");
    assert_eq!(scene.redis("EXISTS app:user:profile:id=3 bull:q:id").await, "2");
    assert_eq!(cache.delete_tag("nobody has it").await.unwrap(), 0);
    assert_eq!(cache.figures().deleted, 2);
}

#[tokio::test]
async fn a_tag_with_many_values_goes_in_slices_and_lives_as_long_as_they() {
    let scene = Scene::new().await;
    let values: Vec<(Key, u32)> = (0..1700).map(|id| (user(id), id)).collect();
    let keep = Keep::default().tag("all").ttl(Duration::from_secs(100));
    scene.cache.set_many(&values, &keep).await.unwrap();
    let life: i64 = scene.redis("PTTL app:tag:all").await.parse().unwrap();
    assert!((80_000..=100_000).contains(&life), "{life}");
    let longer = Keep::default().tag("all").ttl(Duration::from_secs(1000));
    drop(scene.cache.begin(&user(5000), &longer).await.unwrap());
    let life: i64 = scene.redis("PTTL app:tag:all").await.parse().unwrap();
    assert!((1_003_000..=1_005_000).contains(&life), "as long as the value and its making together: {life}");
    scene.cache.set(&user(1), &1, &keep).await.unwrap();
    assert!(scene.redis("PTTL app:tag:all").await.parse::<i64>().unwrap() > 1_000_000, "and no shorter");
    assert_eq!(scene.cache.delete_tag("all").await.unwrap(), 1700);
    assert_eq!(scene.redis("KEYS app:*").await, "");
}

#[tokio::test]
async fn what_was_begun_before_a_deletion_is_not_stored_after_it() {
    let scene = Scene::new().await;
    let cache = &scene.cache;
    let keep = Keep::default().tag("team:a");
    let begin = async || ticket(cache.begin(&user(7), &keep).await.unwrap());
    let by_tag = begin().await;
    assert_eq!(cache.delete_tag("team:a").await.unwrap(), 0, "there is no value yet");
    assert!(!by_tag.fill("1".into()).await.unwrap());
    let by_pattern = begin().await;
    assert_eq!(cache.delete_matching(&Pattern::of("user").with("id", 7)).await.unwrap().deleted, 0);
    assert!(!by_pattern.fill("2".into()).await.unwrap());
    let not_meant = begin().await;
    cache.delete_matching(&Pattern::of("user").with("id", 8)).await.unwrap();
    cache.delete_tag("team:b").await.unwrap();
    assert!(not_meant.fill("3".into()).await.unwrap());
    assert_eq!(cache.delete_tag("team:a").await.unwrap(), 1, "begun anew, it bears its tag again");
}

#[tokio::test]
async fn values_go_by_their_identifiers() {
    let scene = Scene::new().await;
    let cache = &scene.cache;
    for (operation, id, lang) in [("profile", 7, "de"), ("posts", 7, "en"), ("posts", 77, "de"), ("posts", 8, "de")] {
        let key = Key::new("user", operation).with("id", id).with("lang", lang);
        cache.set(&key, &id, &Keep::default()).await.unwrap();
    }
    assert_eq!(cache.delete_matching(&Pattern::of("user").with("id", 7)).await.unwrap().deleted, 2);
    assert_eq!(
        cache.delete_matching(&Pattern::of("user").operation("posts").with("lang", "de")).await.unwrap().deleted,
        2
    );
    assert_eq!(scene.redis("DBSIZE").await, "0");
}

#[tokio::test]
async fn f149_keys_of_queues_and_what_is_no_value_survive_every_pattern() {
    let scene = Scene::new().await;
    // queues of another program under the prefix of ours
    let redis = config::Redis { prefix: "app".into(), ..scene.server.config() };
    let neighbour = Store::open(&redis, "neighbour").await.unwrap();
    let data = serde_json::value::RawValue::NULL.to_owned();
    let jobs = [NewJob { name: "work".into(), data, opts: JobOptions::default() }];
    neighbour.queue(&QueueName::new("orders").unwrap()).add(&jobs).await.unwrap();
    scene.redis("SET app:orders:cached x").await;
    scene.cache.set(&Key::new("ordered", "x"), &1, &Keep::default().tag("orders")).await.unwrap();
    scene.redis("SADD app:ordered:set x").await;
    let before = store::testing::everything(&scene.store).await;
    let swept = scene.cache.delete_matching(&Pattern::of("orders")).await.unwrap();
    assert_eq!((swept.deleted, swept.protected >= 4), (0, true), "{swept:?}");
    assert_eq!(store::testing::everything(&scene.store).await, before);
    let swept = scene.cache.delete_matching(&Pattern::glob("order*").unwrap()).await.unwrap();
    assert_eq!((swept.deleted, swept.other), (1, 1), "the set is no value: {swept:?}");
    assert_eq!(scene.redis("EXISTS app:tag:orders app:ordered:set app:orders:id app:ordered:x").await, "3");
}

#[tokio::test]
async fn f150_a_restart_in_the_middle_only_begins_again() {
    let scene = Scene::with(config::app::Cache::default(), &["--appendonly", "yes", "--appendfsync", "always"]).await;
    let values: Vec<(Key, u32)> = (0..3000).map(|id| (user(id), id)).collect();
    scene.cache.set_many(&values, &Keep::default()).await.unwrap();
    let Scene { server, store, cache } = scene;
    let server = std::sync::Mutex::new(Some(server));
    let (stopped, mut is_stopped) = tokio::sync::mpsc::unbounded_channel();
    let sweeping = cache.inner.store.drop_matching("user:*", |_| {
        // at the first key that is met
        if let Some(mut server) = server.lock().unwrap().take() {
            server.stop();
            stopped.send(server).unwrap();
        }
        true
    });
    let again = async {
        let mut server = is_stopped.recv().await.unwrap();
        server.again().await;
        server
    };
    let (swept, server) = tokio::join!(sweeping, again);
    let swept = swept.unwrap();
    assert!(swept.restarts >= 1, "{swept:?}");
    eventually("redis is back", async || store.ping().await.is_ok()).await;
    assert_eq!(redis(&store, "DBSIZE").await, "0", "{swept:?}");
    drop(server);
}

#[tokio::test]
async fn f150_a_key_that_becomes_something_else_is_left_alone_and_counted() {
    let scene = Scene::new().await;
    scene.cache.set(&user(1), &1, &Keep::default()).await.unwrap();
    let become_a_list = ["DEL app:user:profile:id=1", "RPUSH app:user:profile:id=1 x"];
    for command in become_a_list {
        scene.redis(command).await;
    }
    assert_eq!(scene.cache.delete(&[user(1)]).await.unwrap(), 0);
    let swept = scene.cache.delete_matching(&Pattern::of("user")).await.unwrap();
    assert_eq!((swept.deleted, swept.other), (0, 1));
    let refused = scene.cache.get_or_set(&user(1), &Keep::default(), async || Ok::<_, Error>(1)).await.unwrap_err();
    assert!(refused.to_string().contains("met a key of another type"), "{refused}");
    assert_eq!(scene.redis("LRANGE app:user:profile:id=1 0 -1").await, "x");
}
