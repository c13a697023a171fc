use std::sync::LazyLock;

use nix::sys::signal::Signal;

use super::super::script::Script;
use super::super::testing::{Server, eventually};
use super::*;
use crate::config::Endpoint;
use crate::config::redis::Secret;

static ADD: LazyLock<Script> =
    LazyLock::new(|| Script::new("add", "redis.call('INCRBY', KEYS[1], ARGV[1])\nreturn redis.call('GET', KEYS[1])"));
static FAIL: LazyLock<Script> = LazyLock::new(|| Script::new("fail", "return redis.call('GET')"));

async fn open(server: &Server, role: Role) -> Connection {
    Connection::open(&server.config(), role).await.unwrap()
}

fn markers(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

const LONG: Duration = Duration::from_secs(8);

type Waited = Result<Option<(String, String, f64)>, Error>;

/// Runs a wait on a clone, so that the test can act meanwhile.
fn waiting(connection: &Connection, key: &str) -> tokio::task::JoinHandle<Waited> {
    let (connection, keys) = (connection.clone(), markers(&[key]));
    tokio::spawn(async move { connection.wait(&keys, LONG).await })
}

async fn blocked(server: &Server) {
    eventually("blocked", async || {
        let info = server.run("INFO clients").await.as_string().unwrap();
        info.contains("blocked_clients:1")
    })
    .await;
}

#[tokio::test]
async fn script_is_sent_again_once_after_a_flush() {
    let server = Server::start().await;
    let connection = open(&server, Role::Command).await;
    for expected in ["1", "2"] {
        let sum = connection.script(&ADD, "n", vec!["1".into()]).await.unwrap();
        assert_eq!(sum.as_string().as_deref(), Some(expected));
    }
    server.run("SCRIPT FLUSH").await;
    let sum = connection.script(&ADD, "n", vec!["1".into()]).await.unwrap();
    assert_eq!(sum.as_string().as_deref(), Some("3"), "run once, not twice");
    let stats = server.run("INFO commandstats").await.as_string().unwrap();
    let calls = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).unwrap();
        line.split([':', ',', '=']).nth(2).unwrap().parse::<u32>().unwrap()
    };
    assert_eq!((calls("evalsha"), calls("eval")), (3, 2));
}

#[tokio::test]
async fn errors_of_a_script_name_it() {
    let server = Server::start().await;
    let connection = open(&server, Role::Command).await;
    let error = connection.script(&FAIL, "k", Vec::new()).await.unwrap_err();
    assert!(matches!(error, Error::Script { script: "fail", .. }), "{error}");
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn memory_that_is_used_up_is_a_passing_refusal() {
    let server = Server::with(&["--maxmemory", "1"]).await;
    let connection = open(&server, Role::Command).await;
    for error in [
        connection.call("SET", vec!["k".into(), "v".into()]).await.unwrap_err(),
        connection.script(&ADD, "n", vec!["1".into()]).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Refused { .. }) && error.is_temporary() && error.is_out_of_memory(), "{error}");
    }
}

#[tokio::test]
async fn a_server_turned_read_only_is_left_and_found_again() {
    let server = Server::start().await;
    let connection = open(&server, Role::Command).await;
    let before = connection.call("CLIENT", vec!["ID".into()]).await.unwrap().as_i64();
    server.run("REPLICAOF 127.0.0.1 1").await;
    let error = connection.script(&ADD, "n", vec!["1".into()]).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    eventually("reconnected", async || {
        connection.call("CLIENT", vec!["ID".into()]).await.is_ok_and(|id| id.as_i64() != before)
    })
    .await;
    server.run("REPLICAOF NO ONE").await;
    connection.script(&ADD, "n", vec!["1".into()]).await.unwrap();
}

#[tokio::test]
async fn a_wait_takes_one_member_of_any_key() {
    let server = Server::start().await;
    let connection = open(&server, Role::Blocking).await;
    let keys = markers(&["m1", "m2", "m3"]);
    assert_eq!(connection.wait(&keys, Duration::from_millis(20)).await.unwrap(), None);
    server.run("ZADD m2 1.5 0").await;
    let got = connection.wait(&keys, LONG).await.unwrap();
    assert_eq!(got, Some(("m2".into(), "0".into(), 1.5)));
    let wait = waiting(&connection, "m3");
    blocked(&server).await;
    server.run("ZADD m3 2 1").await;
    assert_eq!(wait.await.unwrap().unwrap(), Some(("m3".into(), "1".into(), 2.0)));
}

#[tokio::test]
async fn a_wait_is_interrupted_and_nothing_is_lost() {
    let server = Server::start().await;
    let (connection, command) = (open(&server, Role::Blocking).await, open(&server, Role::Command).await);
    connection.interrupt(&command).await; // nothing waits: nothing happens
    for _ in 0..20 {
        let start = Instant::now();
        let wait = waiting(&connection, "m");
        // with and without time for the wait to reach the server
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..3))).await;
        while !*connection.shared.waiting.borrow() {
            tokio::task::yield_now().await;
        }
        connection.interrupt(&command).await;
        assert_eq!(wait.await.unwrap().unwrap(), None);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    // the link is still the first one, so nothing can have been taken and lost
    assert_eq!(*connection.link().borrow(), Link::Up { away: None });
}

#[tokio::test]
async fn a_wait_is_interrupted_where_the_server_forbids_unblocking() {
    let server = Server::start().await;
    server.run("ACL SETUSER limited on nopass ~* &* +@all -client|unblock").await;
    let config = config::Redis {
        username: Some("limited".into()),
        password: Some(Secret::new("any".into())),
        ..server.config()
    };
    let connection = Connection::open(&config, Role::Blocking).await.unwrap();
    let command = Connection::open(&config, Role::Command).await.unwrap();
    let wait = waiting(&connection, "m");
    blocked(&server).await;
    connection.interrupt(&command).await;
    assert!(wait.await.unwrap().unwrap_err().is_connection());
    assert_eq!(connection.wait(&markers(&["m"]), Duration::from_millis(5)).await.unwrap(), None);
}

#[tokio::test]
async fn a_wait_that_is_dropped_does_not_block_the_next() {
    let server = Server::start().await;
    let connection = open(&server, Role::Blocking).await;
    let wait = waiting(&connection, "m");
    blocked(&server).await;
    wait.abort();
    let _ = wait.await;
    let start = Instant::now();
    eventually("free", async || connection.wait(&markers(&["m"]), Duration::from_millis(5)).await == Ok(None)).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn every_killed_connection_comes_back_within_a_second() {
    let server = Server::start().await;
    let (command, renewal) = (open(&server, Role::Command).await, open(&server, Role::Renewal).await);
    let (blocking, named) = (open(&server, Role::Blocking).await, open(&server, Role::Named("bull:cQ==".into())).await);
    let wait = waiting(&blocking, "m");
    blocked(&server).await;
    let names = || async { server.run("CLIENT LIST").await.as_string().unwrap().matches("name=bull:cQ==").count() };
    assert_eq!(names().await, 1);

    let mut links = [&command, &renewal, &blocking, &named].map(Connection::link);
    let killer = server.connection().await;
    let start = Instant::now();
    killer.call("CLIENT", ["KILL", "TYPE", "normal", "SKIPME", "yes"].map(Value::from).to_vec()).await.unwrap();
    assert!(matches!(wait.await.unwrap(), Err(Error::Ambiguous { .. })));
    for link in &mut links {
        let back = link.wait_for(|link| matches!(link, Link::Up { away: Some(_) }));
        tokio::time::timeout(Duration::from_secs(2), back).await.expect("came back").unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for connection in [&command, &renewal] {
        connection.call("PING", Vec::new()).await.unwrap();
    }
    assert_eq!(blocking.wait(&markers(&["m"]), Duration::from_millis(5)).await, Ok(None));
    eventually("named again", async || names().await == 1).await;
    // and its new id is the one that is unblocked
    let wait = waiting(&blocking, "m");
    blocked(&server).await;
    blocking.interrupt(&command).await;
    assert_eq!(wait.await.unwrap(), Ok(None));
}

#[tokio::test]
async fn a_restart_under_a_wait_is_survived_and_told_once() {
    let mut server = Server::start().await;
    let (blocking, command) = (open(&server, Role::Blocking).await, open(&server, Role::Command).await);
    let wait = waiting(&blocking, "m");
    blocked(&server).await;
    let mut link = command.link();
    server.stop();
    assert!(matches!(wait.await.unwrap(), Err(Error::Ambiguous { .. })));
    let reason = match link.wait_for(|link| matches!(link, Link::Lost { .. })).await.unwrap().clone() {
        Link::Lost { reason, .. } => reason,
        Link::Up { .. } => unreachable!(),
    };
    assert_eq!(&*reason, "the connection was closed");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!link.has_changed().unwrap(), "told more than once");
    assert!(!command.is_connected());
    server.again().await;
    let up = link.wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap().clone();
    assert!(matches!(up, Link::Up { away: Some(away) } if away >= Duration::from_millis(300)), "{up:?}");
    command.call("PING", Vec::new()).await.unwrap();
    server.run("ZADD m 0 0").await;
    assert!(blocking.wait(&markers(&["m"]), LONG).await.unwrap().is_some());
}

#[tokio::test]
async fn a_call_without_a_server_ends_as_not_sent() {
    let mut server = Server::start().await;
    let connection = open(&server, Role::Command).await;
    connection.call("SET", vec!["n".into(), "0".into()]).await.unwrap();
    server.stop();
    eventually("lost", async || !connection.is_connected()).await;
    // fred notices at its first failed try
    eventually("noticed", async || !connection.shared.client.load().is_connected()).await;
    let start = Instant::now();
    let error = connection.call("INCR", vec!["n".into()]).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(start.elapsed() < COMMAND_TIMEOUT + Duration::from_secs(1), "{:?}", start.elapsed());
    server.again().await;
    eventually("back", async || connection.is_connected()).await;
    let n = connection.call("GET", vec!["n".into()]).await.unwrap();
    assert!(n.is_null(), "the command was sent later after all: {n:?}");
}

#[tokio::test]
async fn a_frozen_server_ends_as_ambiguous_and_recovers() {
    let server = Server::start().await;
    let (connection, blocking) = (open(&server, Role::Command).await, open(&server, Role::Blocking).await);
    let keys = markers(&["m"]);
    blocking.wait(&keys, Duration::from_millis(5)).await.unwrap();
    server.signal(Signal::SIGSTOP);
    let start = Instant::now();
    let (called, waited) =
        tokio::join!(connection.call("INCR", vec!["n".into()]), blocking.wait(&keys, Duration::from_secs(1)),);
    assert!(called.is_err_and(|error| error.is_ambiguous()));
    assert!(waited.is_err_and(|error| error.is_ambiguous()));
    assert!(start.elapsed() < COMMAND_TIMEOUT + Duration::from_secs(1), "{:?}", start.elapsed());
    server.signal(Signal::SIGCONT);
    eventually("answers", async || connection.call("PING", Vec::new()).await.is_ok()).await;
    eventually("waits", async || blocking.wait(&keys, Duration::from_millis(5)).await == Ok(None)).await;
}

#[tokio::test]
async fn a_dropped_connection_is_closed() {
    let server = Server::start().await;
    let connection = open(&server, Role::Named("bull:gone".into())).await;
    let clone = connection.clone();
    drop(connection);
    let there = async || server.run("CLIENT LIST").await.as_string().unwrap().contains("name=bull:gone");
    assert!(there().await);
    drop(clone);
    eventually("closed", async || !there().await).await;
}

#[tokio::test]
async fn a_wrong_password_is_denied_without_being_shown() {
    let server = Server::with(&["--requirepass", "right"]).await;
    let with = |password: Option<&str>| config::Redis {
        password: password.map(|text| Secret::new(text.into())),
        ..server.config()
    };
    for password in [Some("hunter2"), None] {
        let error = Connection::open(&with(password), Role::Command).await.err().unwrap();
        assert!(matches!(error, Error::Denied { .. }) && !error.is_temporary(), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let connection = Connection::open(&with(Some("right")), Role::Command).await.unwrap();
    connection.call("PING", Vec::new()).await.unwrap();
}

#[tokio::test]
async fn missing_rights_name_the_command() {
    let server = Server::start().await;
    server.run("ACL SETUSER small on nopass ~* +ping +info +client +get").await;
    let config = config::Redis { username: Some("small".into()), ..server.config() };
    let connection = Connection::open(&config, Role::Command).await.unwrap();
    let error = connection.call("SET", vec!["k".into(), "v".into()]).await.unwrap_err();
    assert!(matches!(error, Error::Denied { command: "SET", .. }), "{error}");
}

#[tokio::test]
async fn tls_never_falls_back_to_plain_text() {
    // a plain server: it takes the greeting for a broken command and closes, or says nothing
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let text = port.to_string();
    let _server = Server::with(&["--port", &text]).await;
    let config = |tls| config::Redis {
        endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port, tls },
        ..config::Redis::default()
    };
    Connection::open(&config(false), Role::Command).await.unwrap();
    let start = Instant::now();
    let error = Connection::open(&config(true), Role::Command).await.err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(start.elapsed() < COMMAND_TIMEOUT + Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_reason() {
    let config = config::Redis { endpoint: Endpoint::Unix("/nowhere/redis.sock".into()), ..config::Redis::default() };
    let error = Connection::open(&config, Role::Command).await.err().unwrap();
    assert_eq!(error.to_string(), "cannot reach redis at /nowhere/redis.sock: No such file or directory");
}
