//! Housekeeping on what the room `app` keeps. It all ends by itself; this is for who deletes by hand.

use super::*;
use crate::app::App;
use crate::config;
use crate::store::Store;

#[tokio::test]
async fn the_index_of_a_user_is_pruned_of_sessions_somebody_has_deleted() {
    let house = House::new().await;
    let store = Store::open(&house.server.config(), "test").await.unwrap();
    let app = App::new(&store, config::App::default()).unwrap();
    for user in ["ann", "bob", "ann"] {
        app.sessions().create(user, ()).await.unwrap();
    }
    let deleted = "local sessions = redis.call('KEYS', 'app:session:*') for _, key in ipairs(sessions) do
        if redis.call('HGET', key, 'user') == 'ann' then return redis.call('DEL', key) end end";
    house.lua(deleted, &[]).await;
    let prune = Housekeeping::SetPrune {
        pattern: "app:sessions:*".into(),
        member: "app:session:{member}".into(),
        grace: Duration::ZERO,
    };
    assert_eq!(house.done(prune.clone(), "null").await["deletedCount"], 1);
    assert_eq!((app.sessions().count("ann").await.unwrap(), app.sessions().count("bob").await.unwrap()), (1, 1));
    assert_eq!(house.done(prune, "null").await["deletedCount"], 0);
}

#[tokio::test]
async fn limits_are_lifted_and_rooms_emptied_by_pattern() {
    let house = House::new().await;
    let store = Store::open(&house.server.config(), "test").await.unwrap();
    let app = App::new(&store, config::App::default()).unwrap();
    let minute = Duration::from_secs(60);
    for (user, action) in [("ann", "login"), ("bob", "login"), ("ann", "post")] {
        assert!(app.limiter().check(user, action, 1, minute).await.unwrap().allowed);
    }
    app.presence().beat("hall", "ann", "tab", minute, None).await.unwrap();
    let lift = delete("app:limit:login:{data.user}:*");
    assert_eq!(house.done(lift, r#"{"user":"ann"}"#).await["deletedCount"], 1);
    assert!(app.limiter().check("ann", "login", 1, minute).await.unwrap().allowed);
    assert!(!app.limiter().check("ann", "post", 1, minute).await.unwrap().allowed);
    assert!(!app.limiter().check("bob", "login", 1, minute).await.unwrap().allowed);
    assert_eq!(house.done(delete("app:presence:*"), "null").await["deletedCount"], 2);
    assert_eq!(app.presence().count("hall").await.unwrap(), 0);
    assert!(app.presence().beat("hall", "ann", "tab", minute, None).await.unwrap().changed);
}
