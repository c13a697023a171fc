use serde_json::json;

use super::*;
use crate::app::App;
use crate::app::cache::Pattern;
use crate::config;
use crate::store::testing::{Server, eventually, everything, redis};
use crate::store::{self, Store};

const T0: i64 = 1_700_000_000_000;
const NOBODY: Option<&str> = None;

async fn opened(server: &Server) -> (Store, LoginSessions) {
    let store = Store::open(&server.config(), "test").await.unwrap();
    let sessions = App::new(&store, config::App::default()).unwrap().sessions().clone();
    (store, sessions)
}

fn seconds(seconds: i64) -> UnixMillis {
    UnixMillis(T0 + seconds * 1000)
}

fn policy(ttl: u64, max_age: Option<u64>, limit: Option<u32>, at_limit: AtLimit) -> Sessions {
    Sessions { ttl: Duration::from_secs(ttl), max_age: max_age.map(Duration::from_secs), limit, at_limit }
}

/// Members of the one index there is.
async fn members(store: &Store, user: &str) -> u64 {
    let index = format!("app:sessions:{{{}}}:{user}", part_of(user));
    redis(store, &format!("ZCARD {index}")).await.parse().unwrap()
}

async fn keys(store: &Store, pattern: &str) -> usize {
    redis(store, &format!("KEYS {pattern}")).await.split_whitespace().count()
}

#[tokio::test]
async fn whoever_reads_redis_can_log_in_as_nobody() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    let data = json!({ "device": "phone", "ip": "::1" });
    let new = sessions.create("ann", &data).await.unwrap().unwrap();
    let id = new.id.as_str();
    assert_eq!(id.len(), 45);
    assert!(!format!("{new:?}").contains(id));

    let all = everything(&store).await.join("\n");
    assert!(all.contains("ann") && all.contains("phone"));
    assert!(!all.contains(&id[2..]), "{all}");
    // nor is what stands there an id
    assert!(sessions.read(&new.id.device()).await.unwrap().is_none());
    let guess = format!("{}{}", part_of("ann"), new.id.device());
    assert!(sessions.read(&guess).await.unwrap().is_none());

    let session = sessions.read(id).await.unwrap().unwrap();
    assert_eq!((session.user.as_str(), session.device), ("ann", new.id.device()));
    assert_eq!(session.data.get(), data.to_string());
    // nothing of the user but where in a cluster its sessions are
    let other = sessions.create("ann", ()).await.unwrap().unwrap();
    assert_eq!(&other.id.as_str()[..2], &id[..2]);
    assert_ne!(&other.id.as_str()[2..], &id[2..]);
}

#[tokio::test]
async fn a_session_slides_up_to_its_last_moment() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    store.freeze(seconds(0));
    let policy = policy(10, Some(15), None, AtLimit::Oldest);
    let id = sessions.create_as("ann", (), &policy).await.unwrap().unwrap().id;
    let id = id.as_str();
    assert_eq!(sessions.read(id).await.unwrap().unwrap().ends_at, seconds(10));

    store.freeze(seconds(4));
    assert_eq!(sessions.read(id).await.unwrap().unwrap().ends_at, seconds(10), "looking does not count");
    let touched = sessions.touch(id).await.unwrap().unwrap();
    assert_eq!((touched.created_at, touched.seen_at, touched.ends_at), (seconds(0), seconds(4), seconds(14)));

    store.freeze(seconds(9));
    assert_eq!(sessions.touch(id).await.unwrap().unwrap().ends_at, seconds(15));
    let key = redis(&store, "KEYS app:session:*").await;
    let left: i64 = redis(&store, &format!("PTTL {key}")).await.parse().unwrap();
    assert!((1..=6000).contains(&left), "{left}");

    // by our clock it is over, by that of Redis not quite
    store.freeze(seconds(15));
    assert!(sessions.touch(id).await.unwrap().is_none());
    assert_eq!(redis(&store, "KEYS *").await, "");
    assert_eq!(sessions.figures().unknown, 1);
}

#[tokio::test]
async fn what_ended_by_time_is_gone_with_its_index() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    let short = Sessions { ttl: Duration::from_millis(40), ..sessions.policy().clone() };
    let id = sessions.create_as("ann", (), &short).await.unwrap().unwrap().id;
    eventually("expired", async || sessions.read(id.as_str()).await.unwrap().is_none()).await;
    eventually("without a key", async || redis(&store, "KEYS *").await.is_empty()).await;
}

#[tokio::test]
async fn every_call_cleans_the_index_it_touches() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    for call in ["create", "touch", "revoke", "list", "revoke_device", "revoke_all"] {
        store.freeze(seconds(0));
        let long = policy(1000, None, None, AtLimit::Oldest);
        let stays = sessions.create_as("ann", (), &long).await.unwrap().unwrap().id;
        let goes = sessions.create_as("ann", (), &long).await.unwrap().unwrap().id;
        for _ in 0..3 {
            sessions.create_as("ann", (), &policy(10, None, None, AtLimit::Oldest)).await.unwrap();
        }
        let before = sessions.figures().expired;
        assert_eq!(sessions.count("ann").await.unwrap(), 5, "{call}");
        store.freeze(seconds(11));
        assert_eq!(sessions.count("ann").await.unwrap(), 2, "{call}");
        let left = match call {
            "create" => sessions.create("ann", ()).await.map(|_| 3),
            "touch" => sessions.touch(stays.as_str()).await.map(|_| 2),
            "revoke" => sessions.revoke(goes.as_str()).await.map(|_| 1),
            "list" => sessions.list("ann").await.map(|list| list.len().try_into().unwrap()),
            "revoke_device" => sessions.revoke_device("ann", &goes.device()).await.map(|_| 1),
            _ => sessions.revoke_all("ann", Some(stays.as_str())).await.map(|_| 1),
        };
        assert_eq!(members(&store, "ann").await, left.unwrap(), "{call}");
        // what revoke_all ends itself had not ended
        assert_eq!(sessions.figures().expired - before, if call == "revoke_all" { 0 } else { 3 }, "{call}");
        redis(&store, "FLUSHDB").await;
    }
}

#[tokio::test]
async fn an_index_lives_as_long_as_its_last_session() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    let left = async || -> i64 {
        let index = redis(&store, "KEYS app:sessions:*").await;
        redis(&store, &format!("PTTL {index}")).await.parse().unwrap()
    };
    let long = policy(1000, None, None, AtLimit::Oldest);
    let id = sessions.create_as("ann", (), &long).await.unwrap().unwrap().id;
    sessions.create_as("ann", (), &policy(100, None, None, AtLimit::Oldest)).await.unwrap();
    assert!((990_000..=1_000_000).contains(&left().await));
    sessions.revoke(id.as_str()).await.unwrap();
    assert!((90_000..=100_000).contains(&left().await));
    sessions.revoke_all("ann", NOBODY).await.unwrap();
    assert_eq!(redis(&store, "KEYS *").await, "");
}

#[tokio::test]
async fn a_user_has_as_many_as_are_allowed_whoever_asks_at_once() {
    let server = Server::start().await;
    for at_limit in [AtLimit::Oldest, AtLimit::Refuse] {
        let (store, one) = opened(&server).await;
        let (_other_store, two) = opened(&server).await;
        let five = policy(100, None, Some(5), at_limit);
        let log_ins = (0..40).map(|n| if n % 2 == 0 { &one } else { &two }).map(|on| on.create_as("ann", (), &five));
        let all = futures_util::future::try_join_all(log_ins).await.unwrap();
        let begun: Vec<_> = all.iter().flatten().collect();
        assert_eq!(one.count("ann").await.unwrap(), 5);
        assert_eq!(keys(&store, "app:session:*").await, 5);
        let (made, room) = (one.figures(), two.figures());
        match at_limit {
            AtLimit::Oldest => {
                assert_eq!(begun.len(), 40);
                assert_eq!(begun.iter().map(|new| new.made_room).sum::<u64>(), 35);
                assert_eq!(made.revoked + room.revoked, 35);
            }
            AtLimit::Refuse => {
                assert_eq!(begun.len(), 5);
                assert_eq!((made.created + room.created, made.refused + room.refused), (5, 35));
            }
        }
        redis(&store, "FLUSHDB").await;
    }
}

#[tokio::test]
async fn the_one_that_would_end_first_makes_room() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    let two = policy(100, None, Some(2), AtLimit::Oldest);
    let mut ids = Vec::new();
    for at in 0..2 {
        store.freeze(seconds(at));
        ids.push(sessions.create_as("ann", at, &two).await.unwrap().unwrap().id);
    }
    store.freeze(seconds(2));
    sessions.touch(ids[0].as_str()).await.unwrap().unwrap();
    store.freeze(seconds(3));
    assert_eq!(sessions.create_as("ann", 2, &two).await.unwrap().unwrap().made_room, 1);
    let left: Vec<_> = sessions.list("ann").await.unwrap().into_iter().map(|it| it.data.to_string()).collect();
    assert_eq!(left, ["2", "0"]);
    assert!(sessions.read(ids[1].as_str()).await.unwrap().is_none());

    // a limit that has become smaller holds from the next log-in on
    let one = policy(100, None, Some(1), AtLimit::Oldest);
    assert_eq!(sessions.create_as("ann", 3, &one).await.unwrap().unwrap().made_room, 2);
    assert_eq!(sessions.count("ann").await.unwrap(), 1);
}

#[tokio::test]
async fn a_session_deleted_by_hand_takes_no_place() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    let one = policy(100, None, Some(1), AtLimit::Refuse);
    sessions.create_as("ann", (), &one).await.unwrap().unwrap();
    assert!(sessions.create_as("ann", (), &one).await.unwrap().is_none());
    let key = redis(&store, "KEYS app:session:*").await;
    redis(&store, &format!("DEL {key}")).await;
    assert!(sessions.list("ann").await.unwrap().is_empty());
    assert_eq!(redis(&store, "KEYS *").await, "");

    sessions.create_as("ann", (), &one).await.unwrap().unwrap();
    let key = redis(&store, "KEYS app:session:*").await;
    redis(&store, &format!("DEL {key}")).await;
    assert!(sessions.create_as("ann", (), &one).await.unwrap().is_some());
    assert_eq!(members(&store, "ann").await, 1);
}

#[tokio::test]
async fn all_of_a_user_end_but_the_current_one() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    let current = sessions.create("ann", ()).await.unwrap().unwrap().id;
    futures_util::future::try_join_all((0..1100).map(|_| sessions.create("ann", ()))).await.unwrap();
    sessions.create("bob", ()).await.unwrap();
    assert_eq!(sessions.revoke_all("ann", Some(current.as_str())).await.unwrap(), 1100);
    assert_eq!(sessions.list("ann").await.unwrap()[0].device, current.device());
    assert_eq!(keys(&store, "app:session:*").await, 2);
    assert_eq!(sessions.revoke_all("ann", NOBODY).await.unwrap(), 1);
    assert!(sessions.read(current.as_str()).await.unwrap().is_none());
    assert_eq!(sessions.count("bob").await.unwrap(), 1);
    assert_eq!(sessions.figures().revoked, 1101);
}

#[tokio::test]
async fn nobody_ends_a_session_of_somebody_else() {
    let server = Server::start().await;
    let (_store, sessions) = opened(&server).await;
    // two users in one part, of whom one names the device of the other
    let ann = sessions.create("ann", ()).await.unwrap().unwrap().id;
    let eve = (0..1_000_000).map(|n| format!("eve{n}")).find(|eve| part_of(eve) == part_of("ann")).unwrap();
    sessions.create(&eve, ()).await.unwrap();
    assert!(!sessions.revoke_device(&eve, &ann.device()).await.unwrap());
    for device in ["", "*", "}:x", &ann.device()[1..], "a".repeat(43).as_str()] {
        assert!(!sessions.revoke_device("ann", device).await.unwrap(), "{device}");
    }
    assert!(sessions.read(ann.as_str()).await.unwrap().is_some());
    assert!(sessions.revoke_device("ann", &ann.device()).await.unwrap());
    assert!(!sessions.revoke(ann.as_str()).await.unwrap());
}

#[tokio::test]
async fn what_is_kept_with_a_session_can_be_replaced() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    store.freeze(seconds(0));
    let id = sessions.create("ann", json!([])).await.unwrap().unwrap().id;
    let ends = sessions.read(id.as_str()).await.unwrap().unwrap().ends_at;
    store.freeze(seconds(5));
    let changed =
        sessions.update(id.as_str(), json!({ "cart": [1.0, 10_000_000_000_000_001_i64] })).await.unwrap().unwrap();
    assert_eq!(changed.data.get(), r#"{"cart":[1.0,10000000000000001]}"#);
    let read = sessions.touch(id.as_str()).await.unwrap().unwrap();
    assert_eq!((read.data.get(), changed.ends_at, changed.seen_at), (changed.data.get(), ends, seconds(0)));
    sessions.revoke(id.as_str()).await.unwrap();
    assert!(sessions.update(id.as_str(), ()).await.unwrap().is_none());
    assert_eq!(redis(&store, "KEYS *").await, "");
}

#[tokio::test]
async fn names_of_users_may_be_anything() {
    let server = Server::start().await;
    let (_store, sessions) = opened(&server).await;
    let long = "u".repeat(1000);
    let users = ["a", "a:b", "{a}", "a b", "a\0b", "é🐂", "%", "a%3Ab", "*", "}:{", long.as_str(), &long[1..]];
    for user in users {
        let id = sessions.create(user, ()).await.unwrap().unwrap().id;
        assert_eq!(sessions.touch(id.as_str()).await.unwrap().unwrap().user, user);
        assert_eq!(sessions.list(user).await.unwrap()[0].user, user);
    }
    for user in users {
        assert_eq!(sessions.revoke_all(user, NOBODY).await.unwrap(), 1, "{user}");
    }
    for wrong in [String::new(), "u".repeat(1025)] {
        let error = sessions.create(&wrong, ()).await.unwrap_err().to_string();
        assert!(error.contains("must have 1 to 1024 bytes"), "{error}");
    }
    let error = sessions.create("ann", "x".repeat(16 * 1024)).await.unwrap_err().to_string();
    assert!(error.contains("may have 16384 bytes as JSON, got 16386"), "{error}");
}

#[tokio::test]
async fn what_can_be_no_id_leads_nowhere() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    let id = sessions.create("ann", ()).await.unwrap().unwrap().id;
    let other = if id.as_str().starts_with('A') { "B" } else { "A" };
    let elsewhere = format!("{other}{}", &id.as_str()[1..]);
    let before = redis(&store, "INFO commandstats").await;
    assert!(before.contains("evalsha") && !before.contains("hmget"), "{before}");
    for wrong in ["", "x", "..", &id.as_str()[1..], &format!("{}x", id.as_str()), &"{".repeat(45), &"é".repeat(22)] {
        assert!(sessions.read(wrong).await.unwrap().is_none());
        assert!(sessions.touch(wrong).await.unwrap().is_none());
        assert!(!sessions.revoke(wrong).await.unwrap());
    }
    assert!(!redis(&store, "INFO commandstats").await.contains("hmget"), "nobody asked Redis");
    assert!(sessions.read(&elsewhere).await.unwrap().is_none());
    assert_eq!(sessions.figures().unknown, 15);
}

#[tokio::test]
async fn clocks_that_differ_turn_nothing_back() {
    let server = Server::start().await;
    let (ahead, one) = opened(&server).await;
    let (behind, two) = opened(&server).await;
    ahead.freeze(seconds(2));
    behind.freeze(seconds(0));
    let id = one.create("ann", ()).await.unwrap().unwrap().id;
    assert_eq!(two.touch(id.as_str()).await.unwrap().unwrap().seen_at, seconds(2));
    assert_eq!(one.touch(id.as_str()).await.unwrap().unwrap().seen_at, seconds(2));
    assert_eq!(two.count("ann").await.unwrap(), 1);
}

#[tokio::test]
async fn a_key_of_another_type_is_named_and_left_alone() {
    let server = Server::start().await;
    let (store, sessions) = opened(&server).await;
    let index = format!("app:sessions:{{{}}}:ann", part_of("ann"));
    redis(&store, &format!("SET {index} x")).await;
    for error in [
        sessions.create("ann", ()).await.map(drop).unwrap_err(),
        sessions.list("ann").await.map(drop).unwrap_err(),
        sessions.revoke_all("ann", NOBODY).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Store(store::Error::WrongType { .. })), "{error}");
    }
    assert_eq!(everything(&store).await, [format!("{index}: x")]);
}

#[tokio::test]
async fn deleting_from_the_cache_deletes_nothing_else() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let app = App::new(&store, config::App::default()).unwrap();
    app.sessions().create("ann", ()).await.unwrap();
    app.presence().beat("hall", "ann", "tab", Duration::from_secs(60), None).await.unwrap();
    app.limiter().check("ann", "post", 1, Duration::from_secs(60)).await.unwrap();
    let before = everything(&store).await;
    assert_eq!(before.len(), 5);
    for entity in ["session", "sessions", "limit", "presence"] {
        app.cache().delete_matching(&Pattern::of(entity)).await.unwrap();
        assert!(Pattern::glob(&format!("{entity}:*")).is_err());
        app.cache().delete_matching(&Pattern::glob(&format!("{}*", &entity[..4])).unwrap()).await.unwrap();
    }
    assert_eq!(everything(&store).await, before);
}
