//! Log-ins, limits and presence on a node of a cluster that has none but the slots of what is asked for.

use std::time::Duration;

use serde_json::value::RawValue;

use super::*;
use crate::store::AppKeys;
use crate::store::testing::{Server, eventually, redis};

#[tokio::test]
async fn what_one_call_touches_is_in_one_slot() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let server =
        Server::with(&["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-port", &port])
            .await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let cluster = async |words: &[&str]| {
        let args = words.iter().map(|word| store::Value::from(*word)).collect();
        store.command().call("CLUSTER", args).await.unwrap().as_string().unwrap()
    };
    let users = ["ann", "{bob}", "e}v{e"];
    let keys = AppKeys::new("app");
    for user in users {
        let sessions = session::part_of(user);
        let limits = ['w', 'b'].map(|kind| keys.limit("log in", user, kind, 60_000));
        for key in [keys.sessions(&sessions, user), keys.presence(user)].iter().chain(&limits) {
            let slot = cluster(&["KEYSLOT", key]).await;
            cluster(&["ADDSLOTS", &slot]).await;
        }
    }
    let set = async |key: &str| store.command().call("SET", vec![key.into(), "x".into()]).await;
    // a new server is a cluster after two seconds
    let first = keys.presence("ann");
    eventually("a cluster", async || set(&first).await.is_ok()).await;
    assert!(set("elsewhere").await.is_err(), "the server has all slots");
    let stray = ["return redis.call('SET', 'elsewhere', '1')", "1", &first].map(store::Value::from).to_vec();
    assert!(store.command().call("EVAL", stray).await.is_err(), "scripts may touch all slots");
    redis(&store, &format!("DEL {first}")).await;

    let app = App::new(&store, config::App::default()).unwrap();
    let minute = Duration::from_secs(60);
    let one = config::app::Sessions { limit: Some(1), ..config::app::Sessions::default() };
    for user in users {
        let sessions = app.sessions();
        sessions.create(user, ()).await.unwrap();
        let id = sessions.create_as(user, (), &one).await.unwrap().unwrap().id;
        let id = id.as_str();
        assert!(sessions.touch(id).await.unwrap().is_some() && sessions.update(id, 1).await.unwrap().is_some());
        let other = sessions.create(user, ()).await.unwrap().unwrap().id;
        assert_eq!(sessions.list(user).await.unwrap().len(), 2);
        assert!(sessions.revoke_device(user, &other.device()).await.unwrap());
        assert_eq!((sessions.count(user).await.unwrap(), sessions.revoke_all(user, None).await.unwrap()), (1, 1));

        for limit in [Limit::window(1, minute), Limit::bucket(1, minute)] {
            assert!(app.limiter().take(user, "log in", &limit, 1).await.unwrap().allowed);
            app.limiter().reset(user, "log in", &limit).await.unwrap();
        }

        let (presence, data) = (app.presence(), RawValue::NULL.to_owned());
        for tab in ["a", "b"] {
            presence.beat(user, user, tab, minute, Some(&data)).await.unwrap();
        }
        presence.leave(user, user, "a").await.unwrap();
        assert_eq!(presence.list(user, 9).await.unwrap().count, 1);
        assert_eq!(presence.are_online(user, &[user]).await.unwrap(), [true]);
        assert!(presence.leave_all(user, user).await.unwrap().changed);
    }
    assert_eq!(redis(&store, "KEYS *").await, "");
}
