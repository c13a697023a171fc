//! Housekeeping among the values of the cache: the same layouts, and the same lock.

use super::*;
use crate::app::App;
use crate::app::cache::{Begun, Cache, Keep, Key, Ticket};
use crate::store::Store;

async fn cache(house: &House) -> Cache {
    let store = Store::open(&house.server.config(), "test").await.unwrap();
    App::new(&store, config::App::default()).unwrap().cache().clone()
}

async fn begin(cache: &Cache) -> Ticket {
    match cache.begin(&Key::new("user", "profile"), &Keep::default().tag("team")).await.unwrap() {
        Begun::Make(ticket) => ticket,
        Begun::There(value) => panic!("{value:?} is there"),
    }
}

fn by_tag() -> Housekeeping {
    Housekeeping::TagDelete { tag: "app:tag:{data.tag}".into(), member: "{member}".into() }
}

#[tokio::test]
async fn values_go_with_their_tag_and_what_is_being_made_is_not_stored() {
    let house = House::new().await;
    let cache = cache(&house).await;
    let keep = Keep::default().tag("team");
    cache.set(&Key::new("user", "posts"), &1, &keep).await.unwrap();
    cache.set(&Key::new("user", "name"), &1, &Keep::default()).await.unwrap();
    let ticket = begin(&cache).await;
    assert_eq!(house.done(by_tag(), r#"{"tag":"team"}"#).await["deletedCount"], 1);
    assert!(!ticket.fill("1".into()).await.unwrap());
    assert_eq!(house.keys().await, "app:user:name");
}

#[tokio::test]
async fn a_key_that_is_being_made_keeps_its_tag() {
    let house = House::new().await;
    let cache = cache(&house).await;
    let ticket = begin(&cache).await;
    let prune =
        Housekeeping::SetPrune { pattern: "app:tag:*".into(), member: "{member}".into(), grace: Duration::ZERO };
    assert_eq!(house.done(prune.clone(), "null").await["deletedCount"], 0);
    assert!(ticket.fill("1".into()).await.unwrap());
    assert_eq!(cache.delete_tag("team").await.unwrap(), 1);
    drop(begin(&cache).await.leave().await);
    assert_eq!(house.done(prune, "null").await["deletedCount"], 1, "nobody has made it");
}
