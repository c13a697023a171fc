//! Following status messages on a real server.

use std::time::Duration;

use super::*;
use crate::config::StatusStream;
use crate::job::UnixMillis;
use crate::store::Value;
use crate::store::testing::{Server, eventually};

const SIMPLE: &str = r#"{"tenantId":"t1","jobId":"j1","status":"RUNNING"}"#;

async fn publish(server: &Server, channel: &str, text: &str) {
    server.connection().await.call("PUBLISH", vec![channel.into(), text.into()]).await.unwrap();
}

/// An entry as scripts write it; answers its id.
async fn keep(server: &Server, id: &str, job: &str) -> String {
    let message = format!(r#"{{"tenantId":null,"jobId":"{job}","status":"RUNNING"}}"#);
    let words = ["updates", id, "message", &message, "queue", "email", "jobId", job, "tenant", ""];
    let args: Vec<Value> = words.map(Value::from).to_vec();
    server.connection().await.call("XADD", args).await.unwrap().as_string().unwrap()
}

fn stream() -> StatusStream {
    StatusStream { key: "updates".into(), ..StatusStream::default() }
}

async fn next(updates: &mut Updates) -> Heard<StatusMessage> {
    tokio::time::timeout(Duration::from_secs(10), updates.next()).await.expect("something is heard").unwrap()
}

async fn message(updates: &mut Updates) -> StatusMessage {
    match next(updates).await {
        Heard::Message(message) => message,
        other => panic!("not a message: {other:?}"),
    }
}

#[tokio::test]
async fn messages_of_all_channels_come_with_what_their_names_tell_and_others_are_passed_over() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut updates = store.updates(&["plain".into(), "jobs:{queue}:{tenant}".into()]).await.unwrap();
    publish(&server, "plain", "hello").await;
    publish(&server, "plain", SIMPLE).await;
    publish(&server, "jobs:email:t:1", SIMPLE).await;
    let plain = message(&mut updates).await;
    assert_eq!((plain.queue.as_deref(), plain.text.as_str()), (None, SIMPLE));
    assert_eq!(message(&mut updates).await.queue.as_deref(), Some("email"));

    server.run("CLIENT KILL TYPE pubsub").await;
    assert!(matches!(next(&mut updates).await, Heard::Gap(_)));
    publish(&server, "jobs:sms:t1", SIMPLE).await;
    assert_eq!(message(&mut updates).await.queue.as_deref(), Some("sms"));
}

#[tokio::test]
async fn a_stream_is_read_from_where_it_was_left_and_then_as_it_grows() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    keep(&server, "1000-0", "a").await;
    keep(&server, "1000-1", "b").await;
    keep(&server, "2000-0", "c").await;
    let mut all = store.updates_kept(&stream(), Some(EntryId::NONE)).await.unwrap();
    let mut some = store.updates_kept(&stream(), Some("1000-0".parse().unwrap())).await.unwrap();
    let mut late = store.updates_kept(&stream(), Some(EntryId::before(UnixMillis(2000)))).await.unwrap();
    let mut fresh = store.updates_kept(&stream(), None).await.unwrap();
    for job in ["a", "b", "c"] {
        assert_eq!(message(&mut all).await.job_id, job);
    }
    let second = message(&mut some).await;
    let kept = (second.job_id.as_str(), second.queue.as_deref(), second.entry.map(|entry| entry.to_string()));
    assert_eq!(kept, ("b", Some("email"), Some("1000-1".into())));
    assert_eq!(message(&mut some).await.job_id, "c");
    assert_eq!(message(&mut late).await.job_id, "c");
    keep(&server, "*", "d").await;
    for updates in [&mut all, &mut some, &mut late, &mut fresh] {
        assert_eq!(message(updates).await.job_id, "d");
    }
}

#[tokio::test]
async fn a_stream_is_read_page_by_page() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    for (id, job) in [("1000-0", "a"), ("1000-1", "b"), ("3000-0", "c")] {
        keep(&server, id, job).await;
    }
    let page = async |after: &str, count| store.kept_page(&stream(), after.parse().unwrap(), count).await.unwrap();
    let jobs = |page: &KeptPage| {
        let job = |heard: &Heard<StatusMessage>| match heard {
            Heard::Message(message) => message.job_id.clone(),
            other => format!("{other:?}"),
        };
        page.heard.iter().map(job).collect::<Vec<_>>()
    };
    let first = page("0", 2).await;
    assert_eq!((jobs(&first), first.is_end), (vec!["a".into(), "b".into()], false));
    let second = page(&first.last.to_string(), 2).await;
    assert_eq!((jobs(&second), second.is_end), (vec!["c".into()], true));
    let none = page(&second.last.to_string(), 2).await;
    assert!(none.heard.is_empty() && none.is_end && none.last == second.last);
    server.run("XTRIM updates MAXLEN 1").await;
    assert_eq!(jobs(&page("1000-0", 2).await), ["Gap(2s)", "c"]);
    server.run("DEL updates").await;
    assert!(page("0", 2).await.is_end);
}

#[tokio::test]
async fn nothing_of_a_stream_is_missed_over_a_cut() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let mut updates = store.updates_kept(&stream(), None).await.unwrap();
    keep(&server, "*", "a").await;
    assert_eq!(message(&mut updates).await.job_id, "a");
    server.stop();
    server.again().await;
    eventually("loaded", async || store.ping().await.is_ok()).await;
    keep(&server, "*", "b").await;
    assert_eq!(message(&mut updates).await.job_id, "b");
    server.run("CLIENT KILL TYPE normal").await;
    keep(&server, "*", "c").await;
    assert_eq!(message(&mut updates).await.job_id, "c");
}

#[tokio::test]
async fn what_was_trimmed_before_it_was_read_is_a_gap() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    for (id, job) in [("1000-0", "a"), ("2000-0", "b"), ("5000-0", "c"), ("6000-0", "d")] {
        keep(&server, id, job).await;
    }
    server.run("XTRIM updates MAXLEN 2").await;
    let mut updates = store.updates_kept(&stream(), Some("1000-0".parse().unwrap())).await.unwrap();
    assert_eq!(next(&mut updates).await, Heard::Gap(Duration::from_secs(4)));
    assert_eq!(message(&mut updates).await.job_id, "c");
    let mut whole = store.updates_kept(&stream(), Some("5000-0".parse().unwrap())).await.unwrap();
    assert_eq!(message(&mut whole).await.job_id, "d");
}

#[tokio::test]
async fn dropped_updates_leave_no_connection() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let clients = async || server.run("CLIENT LIST").await.as_string().unwrap().lines().count();
    eventually("only the store's and the test's connections", async || clients().await == 2).await;
    let both =
        (store.updates(&["job_updates".into()]).await.unwrap(), store.updates_kept(&stream(), None).await.unwrap());
    eventually("a connection each", async || clients().await == 4).await;
    drop(both);
    eventually("closed", async || clients().await == 2).await;
}
