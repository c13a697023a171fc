//! Subscriptions on a real server that goes and comes.

use nix::sys::signal::Signal;

use super::super::testing::{Server, eventually};
use super::*;

async fn publish(server: &Server, channel: &str, text: &str) -> i64 {
    let args = vec![channel.into(), text.into()];
    server.connection().await.call("PUBLISH", args).await.unwrap().as_i64().unwrap()
}

fn message(channel: &str, payload: &str) -> Heard<Message> {
    Heard::Message(Message { channel: channel.into(), payload: payload.into() })
}

#[tokio::test]
async fn messages_arrive_and_again_after_a_cut_with_a_gap_between_them() {
    let mut server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut only_channels = store.subscribe(&["plain".into()], &[]).await.unwrap();
    let mut only_patterns = store.subscribe(&[], &["news.*".into()]).await.unwrap();
    let mut both = store.subscribe(&["plain".into()], &["news.*".into()]).await.unwrap();
    assert_eq!(publish(&server, "plain", "one").await, 2);
    assert_eq!(only_channels.next().await, Some(message("plain", "one")));
    assert_eq!(both.next().await, Some(message("plain", "one")));

    let cut = Instant::now();
    server.stop();
    server.again().await;
    eventually("resubscribed", async || publish(&server, "plain", "two").await == 2).await;
    eventually("resubscribed to the pattern", async || publish(&server, "news.x", "three").await == 2).await;
    for subscription in [&mut only_channels, &mut only_patterns, &mut both] {
        let Some(Heard::Gap(gap)) = subscription.next().await else { panic!("not a gap first") };
        assert!(gap > Duration::ZERO && gap <= cut.elapsed(), "{gap:?}");
    }
    // one or more of "two", depending on who was back first
    assert_eq!(only_channels.next().await, Some(message("plain", "two")));
    assert_eq!(only_patterns.message().await.unwrap().payload, "three");
    while both.message().await.unwrap().channel != "news.x" {}
}

#[tokio::test]
async fn a_connection_killed_by_the_server_is_a_gap() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut subscription = store.subscribe(&["c".into()], &[]).await.unwrap();
    publish(&server, "c", "before").await;
    server.run("CLIENT KILL TYPE pubsub").await;
    eventually("resubscribed", async || publish(&server, "c", "after").await == 1).await;
    assert_eq!(subscription.next().await, Some(message("c", "before")), "what was heard is told first");
    assert!(matches!(subscription.next().await, Some(Heard::Gap(_))));
    assert_eq!(subscription.next().await, Some(message("c", "after")));
}

#[tokio::test]
async fn what_a_channel_and_a_pattern_have_in_common_comes_once() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut subscription = store.subscribe(&["jobs:all".into()], &["jobs:*".into()]).await.unwrap();
    publish(&server, "jobs:all", "one").await;
    publish(&server, "jobs:t1", "two").await;
    publish(&server, "jobs:all", "three").await;
    for expected in [message("jobs:all", "one"), message("jobs:t1", "two"), message("jobs:all", "three")] {
        assert_eq!(subscription.next().await, Some(expected));
    }
}

#[tokio::test]
async fn f60_a_reader_that_sleeps_holds_up_nobody_and_is_told_what_it_missed() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut sleeper = store.subscribe(&["c".into()], &[]).await.unwrap();
    let mut awake = store.subscribe(&["c".into()], &[]).await.unwrap();
    let sent = CAPACITY.0 + 10;
    let connection = server.connection().await;
    for _ in 0..sent {
        assert_eq!(connection.call("PUBLISH", vec!["c".into(), Value::from("x")]).await.unwrap().as_i64(), Some(2));
        assert_eq!(awake.next().await, Some(message("c", "x")), "the other one hears all of it meanwhile");
    }
    connection.call("PUBLISH", vec!["c".into(), "last".into()]).await.unwrap();
    awake.message().await.unwrap();
    let (mut seen, mut missed) = (0, 0);
    loop {
        match sleeper.next().await.unwrap() {
            Heard::Missed(count) => missed += count,
            Heard::Gap(gap) => panic!("a gap of {gap:?}"),
            Heard::Message(message) => {
                seen += 1;
                if message.payload == "last" {
                    break;
                }
            }
        }
    }
    assert_eq!((seen + missed, seen), (sent as u64 + 1, CAPACITY.0 as u64));
}

#[tokio::test]
async fn a_dropped_subscription_leaves_nothing_behind() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let clients = async || server.run("CLIENT LIST").await.as_string().unwrap().lines().count();
    let listeners = async || server.run("PUBSUB NUMSUB c").await.into_array()[1].as_i64().unwrap();
    let patterns = async || server.run("PUBSUB NUMPAT").await.as_i64().unwrap();
    eventually("only the store's and the test's connections", async || clients().await == 2).await;
    let subscriptions = [
        store.subscribe(&["c".into()], &["p*".into()]).await.unwrap(),
        store.subscribe(&["c".into()], &[]).await.unwrap(),
    ];
    assert_eq!((listeners().await, patterns().await), (2, 1));
    eventually("a connection each", async || clients().await == 4).await;
    drop(subscriptions);
    eventually("nobody subscribed", async || (listeners().await, patterns().await) == (0, 0)).await;
    eventually("closed", async || clients().await == 2).await;
}

#[tokio::test]
async fn a_server_that_stops_answering_without_a_word_is_noticed() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let listener = Listener {
        store,
        channels: vec!["c".into()],
        patterns: Vec::new(),
        capacity: 10,
        backlog: Arc::new(Backlog::new(10, 1000)),
        silence: Duration::from_millis(100),
    };
    let mut subscription = listener.start().await.unwrap();
    server.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    tokio::time::sleep(PROOF + Duration::from_millis(500)).await;
    server.signal(Signal::SIGCONT);
    let Some(Heard::Gap(gap)) = subscription.next().await else { panic!("not a gap") };
    assert!(gap >= PROOF && gap <= frozen.elapsed() + Duration::from_millis(200), "{gap:?}");
    eventually("resubscribed", async || publish(&server, "c", "after").await == 1).await;
}
