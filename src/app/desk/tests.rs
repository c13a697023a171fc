//! What is asked for by name, on a real Redis.

use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::store::Store;
use crate::store::testing::{Server, eventually, redis};

async fn scene() -> (Server, Store, App) {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let app = App::new(&store, config::App::default()).unwrap();
    (server, store, app)
}

async fn ask(desk: &Desk, op: &str, args: Value) -> Result<Value, String> {
    let args = to_raw_value(&args).unwrap();
    let answer = desk.answer(op, Some(&args)).await.map_err(|refused| refused.to_string())?;
    assert!(!answer.get().contains('\n'), "one line: {answer}");
    Ok(serde_json::from_str(answer.get()).unwrap())
}

#[tokio::test]
async fn a_value_is_stored_found_and_deleted() {
    let (_server, store, app) = scene().await;
    let desk = Desk::new(app, &[AppPart::Cache]);
    let key =
        json!({"entity": "user", "operation": "profile", "ids": {"lang": "de", "id": 7, "old": true}, "variant": "v2"});
    let asked = json!({"key": key});
    assert_eq!(ask(&desk, "cache.get", asked.clone()).await.unwrap(), json!({"found": false}));
    let value = json!({"key": key, "value": {"name": "Ada"}, "ttl": "90s", "tags": ["front"]});
    assert_eq!(ask(&desk, "cache.set", value).await.unwrap(), json!({"stored": true}));
    let found = json!({"found": true, "value": {"name": "Ada"}});
    assert_eq!(ask(&desk, "cache.get", asked).await.unwrap(), found);
    let stored = "app:user:profile:id=7:lang=de:old=true:v2";
    assert!((80_000..=90_000).contains(&redis(&store, &format!("PTTL {stored}")).await.parse().unwrap()));
    let other = json!({"entity": "user", "operation": "profile"});
    let both = json!({"keys": [other, key]});
    assert_eq!(ask(&desk, "cache.getMany", both.clone()).await.unwrap(), json!([{"found": false}, found]));
    assert_eq!(ask(&desk, "cache.deleteTag", json!({"tag": "front"})).await.unwrap(), json!({"deleted": 1}));
    ask(&desk, "cache.set", json!({"key": other, "value": null})).await.unwrap();
    assert_eq!(ask(&desk, "cache.get", json!({"key": other})).await.unwrap(), json!({"found": true, "value": null}));
    assert_eq!(ask(&desk, "cache.delete", both).await.unwrap(), json!({"deleted": 1}));
    assert_eq!(redis(&store, "DBSIZE").await, "0");
}

#[tokio::test]
async fn a_value_is_made_in_two_steps() {
    let (_server, store, app) = scene().await;
    let desk = Desk::new(app.clone(), &[AppPart::Cache]);
    let asked = json!({"key": {"entity": "rate", "operation": "eur"}, "tags": ["rates"]});
    let begun = ask(&desk, "cache.begin", asked.clone()).await.unwrap();
    assert_eq!(begun, json!({"found": false, "ticket": 1}));
    let filled = json!({"ticket": 1, "value": 1.25});
    assert_eq!(ask(&desk, "cache.fill", filled.clone()).await.unwrap(), json!({"stored": true}));
    assert_eq!(ask(&desk, "cache.fill", filled).await.unwrap_err(), "there is no ticket 1, or it is used up");
    let found = json!({"found": true, "value": 1.25});
    assert_eq!(ask(&desk, "cache.begin", asked.clone()).await.unwrap(), found);
    // two that are begun: one is left, the other forgotten with its job
    let of = |n: u32| json!({"key": {"entity": "rate", "operation": "usd", "ids": {"n": n}}});
    assert_eq!(ask(&desk, "cache.begin", of(1)).await.unwrap()["ticket"], 2);
    assert_eq!(ask(&desk, "cache.leave", json!({"ticket": 2})).await.unwrap(), json!(null));
    ask(&desk, "cache.begin", of(2)).await.unwrap();
    assert_eq!(redis(&store, "KEYS oxherd:warm:*").await, "oxherd:warm:app:rate:usd:n=2");
    drop(desk);
    eventually("its lock is given back", async || redis(&store, "KEYS oxherd:warm:*").await.is_empty()).await;
}

#[tokio::test]
async fn a_value_of_several_lines_is_told_in_one() {
    let (_server, _store, app) = scene().await;
    let desk = Desk::new(app.clone(), &[AppPart::Cache]);
    let key = crate::app::cache::Key::new("page", "front");
    let keep = crate::app::cache::Keep::default();
    let asked = json!({"key": {"entity": "page", "operation": "front"}});
    app.cache().set_bytes(&key, "{\r\n \"a\": \"b\\n\"\n}\n".into(), &keep).await.unwrap();
    assert_eq!(ask(&desk, "cache.get", asked.clone()).await.unwrap()["value"], json!({"a": "b\n"}));
    app.cache().set_bytes(&key, "<html>".into(), &keep).await.unwrap();
    let refused = ask(&desk, "cache.get", asked).await.unwrap_err();
    assert!(refused.starts_with("the value is not JSON ("), "{refused}");
}

#[tokio::test]
async fn what_may_not_be_used_or_is_not_there_is_refused() {
    let (_server, _store, app) = scene().await;
    let desk = Desk::new(app, &[AppPart::Cache]);
    let refused = async |op: &str, args: Value| ask(&desk, op, args).await.unwrap_err();
    assert_eq!(
        refused("session.create", json!({})).await,
        "session may not be used; write app = [\"session\"] in the handler's table"
    );
    assert_eq!(refused("cache.burn", json!({})).await, "there is no operation \"cache.burn\"");
    assert_eq!(refused("eval", json!({})).await, "there is no operation \"eval\"");
    for args in [
        json!({}),
        json!({"key": "app:user"}),
        json!({"key": {"entity": "a"}}),
        json!({"key": {"entity": "a", "operation": "b", "ids": {"x": [1]}}}),
        json!({"key": {"entity": "a", "operation": "b", "id": 1}}),
    ] {
        let refused = refused("cache.get", args.clone()).await;
        assert!(refused.starts_with("args of cache.get not understood: "), "{args}: {refused}");
    }
    let key = json!({"entity": "a", "operation": "b"});
    let refused = refused("cache.set", json!({"key": key, "value": 1, "ttl": "soon"})).await;
    assert!(refused.starts_with("args of cache.set not understood: "), "{refused}");
    let begin = async |n: usize| {
        ask(&desk, "cache.begin", json!({"key": {"entity": "a", "operation": "b", "ids": {"n": n}}})).await
    };
    for n in 0..TICKETS {
        begin(n).await.unwrap();
    }
    assert!(begin(TICKETS).await.unwrap_err().starts_with("100 values are begun and not filled"));
}

#[tokio::test]
async fn a_session_is_begun_used_and_ended() {
    let (_server, store, app) = scene().await;
    let desk = Desk::new(app.clone(), &[AppPart::Session]);
    let ask = async |op: &str, args: Value| ask(&desk, op, args).await;
    let begun = ask("session.create", json!({"user": "ann", "data": {"ip": "::1"}})).await.unwrap();
    let id = json!({"id": begun["id"]});
    let read = ask("session.read", id.clone()).await.unwrap();
    assert_eq!((&read["user"], &read["device"], &read["data"]["ip"]), (&json!("ann"), &begun["device"], &json!("::1")));
    assert!(read["endsAt"].as_i64() > read["createdAt"].as_i64());
    assert_eq!(ask("session.touch", id.clone()).await.unwrap()["user"], "ann");
    let changed = ask("session.update", json!({"id": begun["id"], "data": [1]})).await.unwrap();
    assert_eq!(changed["data"], json!([1]));

    // a policy of its own: two at most, and no third
    let two = json!({"user": "ann", "policy": {"ttl": "1m", "maxAge": "2m", "limit": 2, "atLimit": "refuse"}});
    let other = ask("session.create", two.clone()).await.unwrap();
    assert_eq!(ask("session.create", two).await.unwrap(), json!(null));
    assert_eq!(ask("session.list", json!({"user": "ann"})).await.unwrap().as_array().unwrap().len(), 2);
    assert_eq!(ask("session.count", json!({"user": "ann"})).await.unwrap(), json!({"count": 2}));
    let device = json!({"user": "ann", "device": other["device"]});
    assert_eq!(ask("session.revokeDevice", device).await.unwrap(), json!({"revoked": 1}));
    ask("session.create", json!({"user": "ann"})).await.unwrap();
    let but = json!({"user": "ann", "but": begun["id"]});
    assert_eq!(ask("session.revokeAll", but).await.unwrap(), json!({"revoked": 1}));
    assert_eq!(ask("session.revoke", id.clone()).await.unwrap(), json!({"revoked": 1}));
    assert_eq!(ask("session.touch", id).await.unwrap(), json!(null));
    assert_eq!(redis(&store, "DBSIZE").await, "0");

    // what a program has written over several lines
    let data = RawValue::from_string("{\n \"a\": 1\r\n}".into()).unwrap();
    app.sessions().create("bob", data).await.unwrap();
    assert_eq!(ask("session.list", json!({"user": "bob"})).await.unwrap()[0]["data"], json!({"a": 1}));
    for (op, args) in [
        ("session.create", json!({"user": "ann", "policy": {"max_age": "1m"}})),
        ("session.create", json!({"user": "ann", "policy": {"atLimit": "newest"}})),
        ("session.touch", json!({"id": 7})),
        ("session.revokeAll", json!({"user": "ann", "except": "x"})),
    ] {
        let refused = ask(op, args).await.unwrap_err();
        assert!(refused.starts_with(&format!("args of {op} not understood: ")), "{refused}");
    }
    let refused = ask("session.create", json!({"user": ""})).await.unwrap_err();
    assert_eq!(refused, "the name of a user must have 1 to 1024 bytes, got 0");
}

#[tokio::test]
async fn limits_are_asked_by_name() {
    let (_server, store, app) = scene().await;
    let desk = Desk::new(app, &[AppPart::Limit]);
    let ask = async |op: &str, args: Value| ask(&desk, op, args).await;
    let post = json!({"user": "ann", "action": "post", "max": 2, "per": "1m"});
    assert_eq!(ask("limit.peek", post.clone()).await.unwrap()["remaining"], 2);
    for (allowed, remaining) in [(true, 1), (true, 0), (false, 0)] {
        let checked = ask("limit.check", post.clone()).await.unwrap();
        assert_eq!((&checked["allowed"], &checked["remaining"]), (&json!(allowed), &json!(remaining)));
        assert_eq!(checked["retryAfterMs"].is_null(), allowed);
    }
    assert_eq!(ask("limit.reset", post).await.unwrap(), json!(null));
    let bucket =
        json!({"user": "ann", "action": "post", "max": 1, "per": "1m", "kind": "bucket", "burst": 5, "cost": 4});
    assert_eq!(ask("limit.check", bucket.clone()).await.unwrap()["remaining"], 1);
    assert_eq!(redis(&store, "KEYS *").await, "app:limit:post:ann:b60000");
    for (args, why) in [
        (json!({"user": "ann", "action": "post", "max": 1}), "missing field `per`"),
        (json!({"user": "ann", "action": "post", "max": 1, "per": null}), "say a duration"),
        (json!({"user": "ann", "action": "post", "max": -1, "per": "1m"}), "invalid value"),
        (json!({"user": "ann", "action": "post", "max": 1, "per": "1m", "kind": "leaky"}), "unknown variant `leaky`"),
        (json!({"user": "ann", "action": "post", "max": 1, "per": "1m", "burst": 2}), "only a bucket has a burst"),
        (json!({"user": "ann", "action": "post", "max": 1, "per": "1ms"}), "per 10 ms to 366 days"),
    ] {
        let refused = ask("limit.check", args).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[tokio::test]
async fn who_is_there_is_asked_by_name() {
    let (_server, store, app) = scene().await;
    let desk = Desk::new(app, &[AppPart::Presence]);
    let ask = async |op: &str, args: Value| ask(&desk, op, args).await;
    let ann = |tab: &str| json!({"room": "hall", "member": "ann", "connection": tab, "ttl": "1m", "data": {"x": 1}});
    assert_eq!(ask("presence.beat", ann("a")).await.unwrap(), json!({"changed": true, "connections": 1}));
    assert_eq!(ask("presence.beat", ann("b")).await.unwrap(), json!({"changed": false, "connections": 2}));
    let room = ask("presence.list", json!({"room": "hall"})).await.unwrap();
    let member = &room["members"][0];
    assert_eq!((&room["count"], &member["name"], &member["data"]), (&json!(1), &json!("ann"), &json!({"x": 1})));
    assert_eq!(ask("presence.count", json!({"room": "hall"})).await.unwrap(), json!({"count": 1}));
    let asked = json!({"room": "hall", "members": ["ann", "bob"]});
    assert_eq!(ask("presence.online", asked).await.unwrap(), json!([true, false]));
    let leave = json!({"room": "hall", "member": "ann", "connection": "a"});
    assert_eq!(ask("presence.leave", leave).await.unwrap(), json!({"changed": false, "connections": 1}));
    let leave = json!({"room": "hall", "member": "ann"});
    assert_eq!(ask("presence.leave", leave).await.unwrap(), json!({"changed": true, "connections": 0}));
    assert_eq!(redis(&store, "DBSIZE").await, "0");
    let mut lasting = ann("a");
    lasting["ttl"] = json!(30);
    let refused = ask("presence.beat", lasting).await.unwrap_err();
    assert!(refused.starts_with("args of presence.beat not understood: "), "{refused}");
}
