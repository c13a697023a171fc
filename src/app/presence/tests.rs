use serde_json::value::to_raw_value;

use super::*;
use crate::app::App;
use crate::config;
use crate::store::Store;
use crate::store::testing::{Server, eventually, redis};

const T0: i64 = 1_700_000_000_000;
const SECOND: Duration = Duration::from_secs(1);

async fn opened(server: &Server) -> (Store, Presence) {
    let store = Store::open(&server.config(), "test").await.unwrap();
    let presence = App::new(&store, config::App::default()).unwrap().presence().clone();
    (store, presence)
}

fn at(store: &Store, seconds: i64) {
    store.freeze(UnixMillis(T0 + seconds * 1000));
}

async fn names(presence: &Presence, room: &str) -> Vec<String> {
    presence.list(room, 100).await.unwrap().members.into_iter().map(|member| member.name).collect()
}

#[tokio::test]
async fn a_member_is_there_while_one_of_its_tabs_is() {
    let server = Server::start().await;
    let (store, presence) = opened(&server).await;
    at(&store, 0);
    let beat = async |tab: &str, ttl: u32| presence.beat("hall", "ann", tab, SECOND * ttl, None).await.unwrap();
    assert_eq!(beat("tab1", 60).await, Changed { changed: true, connections: 1 });
    assert_eq!(beat("tab2", 10).await, Changed { changed: false, connections: 2 });
    assert_eq!(beat("tab1", 60).await, Changed { changed: false, connections: 2 });
    assert_eq!(presence.count("hall").await.unwrap(), 1);

    // the one that would have lasted longer goes
    let left = presence.leave("hall", "ann", "tab1").await.unwrap();
    assert_eq!(left, Changed { changed: false, connections: 1 });
    assert_eq!(presence.list("hall", 1).await.unwrap().members[0].until, UnixMillis(T0 + 10_000));
    let unknown = presence.leave("hall", "ann", "tab7").await.unwrap();
    assert_eq!(unknown, Changed { changed: false, connections: 1 });
    assert_eq!(presence.leave("hall", "ann", "tab2").await.unwrap(), Changed { changed: true, connections: 0 });
    assert_eq!(presence.leave("hall", "ann", "tab2").await.unwrap(), Changed { changed: false, connections: 0 });
    assert_eq!(redis(&store, "KEYS *").await, "");

    beat("tab1", 60).await;
    beat("tab2", 60).await;
    assert_eq!(presence.leave_all("hall", "ann").await.unwrap(), Changed { changed: true, connections: 0 });
    assert_eq!(redis(&store, "KEYS *").await, "");
}

#[tokio::test]
async fn who_falls_silent_is_gone_without_anybody_sweeping() {
    let server = Server::start().await;
    let (store, presence) = opened(&server).await;
    at(&store, 0);
    for (member, tab, ttl) in [("ann", "a", 10), ("bob", "a", 10), ("bob", "b", 30), ("eve", "a", 30)] {
        presence.beat("hall", member, tab, SECOND * ttl, None).await.unwrap();
    }
    at(&store, 10);
    assert_eq!(presence.count("hall").await.unwrap(), 2);
    assert_eq!(
        presence.are_online("hall", &["ann", "bob", "nobody", "eve"]).await.unwrap(),
        [false, true, false, true]
    );
    assert_eq!(redis(&store, "ZCARD app:presence:{hall}").await, "3");
    let room = presence.list("hall", 100).await.unwrap();
    assert_eq!((room.count, room.members.len()), (2, 2));
    let bob = room.members.iter().find(|member| member.name == "bob").unwrap();
    assert_eq!(bob.connections, 1, "its other tab has fallen silent");
    for call in ["ZCARD app:presence:{hall}", "HLEN app:presence:{hall}:about"] {
        assert_eq!(redis(&store, call).await, "2", "{call}: whoever lists cleans");
    }
    // who comes back is new
    assert!(presence.beat("hall", "ann", "a", SECOND, None).await.unwrap().changed);
    at(&store, 12);
    presence.leave("hall", "eve", "a").await.unwrap();
    assert_eq!(redis(&store, "ZCARD app:presence:{hall}").await, "1", "whoever leaves cleans");
    assert_eq!(names(&presence, "hall").await, ["bob"]);
}

#[tokio::test]
async fn a_room_ends_with_its_last_member() {
    let server = Server::start().await;
    let (store, presence) = opened(&server).await;
    presence.beat("hall", "ann", "a", SECOND * 100, None).await.unwrap();
    presence.beat("hall", "bob", "a", SECOND * 10, None).await.unwrap();
    for key in ["app:presence:{hall}", "app:presence:{hall}:about"] {
        let left: u64 = redis(&store, &format!("PTTL {key}")).await.parse().unwrap();
        assert!((90_000..=100_000).contains(&left), "{key}: {left}");
    }
    presence.leave("hall", "ann", "a").await.unwrap();
    for key in ["app:presence:{hall}", "app:presence:{hall}:about"] {
        let left: u64 = redis(&store, &format!("PTTL {key}")).await.parse().unwrap();
        assert!((1..=10_000).contains(&left), "{key}: {left}");
    }
    presence.leave("hall", "bob", "a").await.unwrap();
    presence.beat("hall", "ann", "a", Duration::from_millis(30), None).await.unwrap();
    eventually("empty", async || redis(&store, "KEYS *").await.is_empty()).await;
}

#[tokio::test]
async fn what_is_told_of_a_member_stays_until_something_else_is() {
    let server = Server::start().await;
    let (_store, presence) = opened(&server).await;
    let told = |text: &str| to_raw_value(&serde_json::json!({ "status": text, "list": [] })).unwrap();
    let read = async || presence.list("hall", 1).await.unwrap().members[0].data.as_ref().map(ToString::to_string);
    presence.beat("hall", "ann", "a", SECOND * 9, None).await.unwrap();
    assert_eq!(read().await, None);
    presence.beat("hall", "ann", "a", SECOND * 9, Some(&told("busy"))).await.unwrap();
    presence.beat("hall", "ann", "b", SECOND * 9, None).await.unwrap();
    presence.leave("hall", "ann", "a").await.unwrap();
    assert_eq!(read().await.unwrap(), r#"{"status":"busy","list":[]}"#);
    let long = to_raw_value(&"x".repeat(5000)).unwrap();
    let error = presence.beat("hall", "ann", "a", SECOND, Some(&long)).await.unwrap_err().to_string();
    assert!(error.contains("may have 4096 bytes as JSON, got 5002"), "{error}");
}

#[tokio::test]
async fn the_list_is_bounded_and_begins_with_the_latest() {
    let server = Server::start().await;
    let (store, presence) = opened(&server).await;
    for n in 0..20 {
        at(&store, n);
        presence.beat("hall", &format!("m{n}"), "a", SECOND * 60, None).await.unwrap();
    }
    let room = presence.list("hall", 3).await.unwrap();
    assert_eq!(room.count, 20);
    assert_eq!(room.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["m19", "m18", "m17"]);
    assert!(presence.are_online("hall", &[]).await.unwrap().is_empty());
    let nobody = presence.list("elsewhere", 3).await.unwrap();
    assert_eq!((nobody.count, nobody.members.len()), (0, 0));
}

#[tokio::test]
async fn connections_without_end_are_forgotten_the_oldest_first() {
    let server = Server::start().await;
    let (_store, presence) = opened(&server).await;
    for n in 0..120 {
        let changed = presence.beat("hall", "ann", &format!("tab{n}"), SECOND * 60, None).await.unwrap();
        assert_eq!(changed.connections, (n + 1).min(100));
    }
    // forgotten already
    assert_eq!(presence.leave("hall", "ann", "tab19").await.unwrap().connections, 100);
    assert_eq!(presence.leave("hall", "ann", "tab20").await.unwrap().connections, 99);
}

#[tokio::test]
async fn many_at_once_over_two_processes_are_counted_right() {
    let server = Server::start().await;
    let (_one, here) = opened(&server).await;
    let (_two, there) = opened(&server).await;
    let members: Vec<(String, String)> = (0..100).map(|n| (format!("m{}", n % 10), format!("tab{n}"))).collect();
    let side = |n: usize| if n.is_multiple_of(2) { &here } else { &there };
    let ttl = SECOND * 60;
    let beats = members.iter().enumerate().map(|(n, (member, tab))| side(n).beat("hall", member, tab, ttl, None));
    let new = futures_util::future::try_join_all(beats).await.unwrap();
    assert_eq!(new.iter().filter(|changed| changed.changed).count(), 10);
    assert_eq!(here.count("hall").await.unwrap(), 10);
    let leaves = members.iter().enumerate().map(|(n, (member, tab))| side(n + 1).leave("hall", member, tab));
    let gone = futures_util::future::try_join_all(leaves).await.unwrap();
    assert_eq!(gone.iter().filter(|changed| changed.changed).count(), 10);
    assert_eq!(here.count("hall").await.unwrap(), 0);
}

#[tokio::test]
async fn names_may_be_anything() {
    let server = Server::start().await;
    let (_store, presence) = opened(&server).await;
    let long = "n".repeat(1000);
    let odd = ["a", "a:b", "{a}", "a b", "a\0b", "é🐂", "", long.as_str()];
    for room in odd.iter().filter(|name| !name.is_empty()) {
        for member in odd.iter().filter(|name| !name.is_empty()) {
            presence.beat(room, member, member, SECOND * 60, None).await.unwrap();
        }
        let mut there = names(&presence, room).await;
        there.sort();
        assert_eq!(there, ["a", "a\0b", "a b", "a:b", long.as_str(), "{a}", "é🐂"]);
        assert_eq!(presence.are_online(room, &odd).await.unwrap(), odd.map(|name| !name.is_empty()));
    }
    for (room, member, tab) in [("", "a", "a"), ("a", "", "a"), ("a", "a", "")] {
        assert!(presence.beat(room, member, tab, SECOND, None).await.is_err());
    }
    assert!(presence.beat("a", "a", "a", Duration::ZERO, None).await.is_err());
    assert!(presence.leave("a", "a", "").await.is_err(), "which would be all of them");
}

#[tokio::test]
async fn clocks_that_differ_shorten_nobodys_stay() {
    let server = Server::start().await;
    let (ahead, one) = opened(&server).await;
    let (behind, two) = opened(&server).await;
    at(&ahead, 2);
    at(&behind, 0);
    one.beat("hall", "ann", "a", SECOND * 10, None).await.unwrap();
    two.beat("hall", "ann", "b", SECOND * 10, None).await.unwrap();
    assert_eq!(two.list("hall", 1).await.unwrap().members[0].until, UnixMillis(T0 + 12_000));
}
