use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;

use super::super::testing::eventually;
use super::super::{Store, Value};
use super::*;
use crate::config::{AtStart, Endpoint, Redis};

fn config(directory: &Path) -> Redis {
    Redis { endpoint: Endpoint::Embedded(directory.to_owned()), at_start: AtStart::Fail, ..Redis::default() }
}

async fn store(directory: &Path) -> Store {
    Store::open(&config(directory), "test").await.unwrap()
}

async fn set(store: &Store, value: &str) {
    store.command().call("SET", vec!["k".into(), value.into()]).await.unwrap();
}

async fn get(store: &Store) -> Option<String> {
    store.command().call("GET", vec!["k".into()]).await.unwrap().as_string()
}

fn pid(directory: &Path) -> i32 {
    read_pid(directory).unwrap()
}

fn alive(directory: &Path) -> bool {
    read_pid(directory).is_some_and(|pid| is_ours(pid, &directory.canonicalize().unwrap()))
}

#[tokio::test]
async fn starts_keeps_the_data_and_stops_with_the_last_user() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let first = store(&directory).await;
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    set(&first, "1").await;
    let second = store(&directory).await;
    assert_eq!(get(&second).await.as_deref(), Some("1"));
    let info = second.server().await.unwrap();
    assert_eq!(info.eviction.as_deref(), Some("noeviction"));

    first.close().await.unwrap();
    set(&second, "2").await; // the first was the starter, but not the last
    second.close().await.unwrap();
    assert!(!alive(&directory) && !directory.join(SOCKET).exists() && !directory.join(PID).exists());

    let third = store(&directory).await;
    assert_eq!(get(&third).await.as_deref(), Some("2"));
    third.close().await.unwrap();
}

#[tokio::test]
async fn a_server_left_behind_is_taken_over() {
    let home = tempfile::tempdir().unwrap();
    let killed = store(home.path()).await;
    set(&killed, "1").await;
    let server = pid(home.path());
    // what a kill leaves: the lock is free, the server runs, nobody has said goodbye
    drop(killed);
    assert!(alive(home.path()));
    let next = store(home.path()).await;
    assert_eq!(get(&next).await.as_deref(), Some("1"));
    assert_eq!(pid(home.path()), server);
    next.close().await.unwrap();
    // not its child: this process is, and collects it, as init would for a killed one
    let _ = nix::sys::wait::waitpid(Pid::from_raw(server), None);
    assert!(!alive(home.path()));
}

#[tokio::test]
async fn a_stale_socket_and_process_number_are_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(home.path().join(SOCKET)).unwrap());
    // a live process that is not the server
    std::fs::write(home.path().join(PID), format!("{}\n", std::process::id())).unwrap();
    let store = store(home.path()).await;
    set(&store, "1").await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_with_its_data() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path()).await;
    set(&store, "1").await;
    let before = pid(home.path());
    kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
    eventually("started again", async || alive(home.path()) && pid(home.path()) != before).await;
    eventually("connected", async || store.is_connected()).await;
    assert_eq!(get(&store).await.as_deref(), Some("1"));
    store.close().await.unwrap();
}

#[tokio::test]
async fn many_starters_get_one_server() {
    let home = tempfile::tempdir().unwrap();
    let opening = (0..6).map(|_| store(home.path()));
    let stores = futures_util::future::join_all(opening).await;
    let ids: std::collections::BTreeSet<String> =
        futures_util::future::join_all(stores.iter().map(async |store| store.server().await.unwrap().run_id))
            .await
            .into_iter()
            .collect();
    assert_eq!(ids.len(), 1);
    for result in futures_util::future::join_all(stores.into_iter().map(Store::close)).await {
        result.unwrap();
    }
    assert!(!alive(home.path()));
}

#[tokio::test]
async fn a_long_path_is_reached_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("d".repeat(120));
    let store = store(&directory).await;
    set(&store, "1").await;
    assert_eq!(get(&store).await.as_deref(), Some("1"));
    let link = socket_of(&directory).unwrap().parent().unwrap().to_owned();
    assert!(link.as_os_str().len() < 80);
    store.close().await.unwrap();
    std::fs::remove_file(link).unwrap();
}

#[tokio::test]
async fn joining_starts_nothing() {
    let home = tempfile::tempdir().unwrap();
    let error = Store::open_with(&config(home.path()), "test", Embedding::Join).await.err().unwrap();
    assert!(error.to_string().ends_with("no server runs there; is the daemon running?"), "{error}");
    assert!(!home.path().join(PID).exists());
    let daemon = store(home.path()).await;
    let joined = Store::open_with(&config(home.path()), "test", Embedding::Join).await.unwrap();
    joined.command().call("PING", Vec::<Value>::new()).await.unwrap();
    joined.close().await.unwrap();
    daemon.ping().await.unwrap();
    daemon.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let home = tempfile::tempdir().unwrap();
    // both layouts of the append-only file, 6.2 and 7
    std::fs::write(home.path().join("appendonly.aof"), "garbage").unwrap();
    std::fs::create_dir(home.path().join("appendonlydir")).unwrap();
    std::fs::write(home.path().join("appendonlydir/appendonly.aof.manifest"), "garbage").unwrap();
    let error = Store::open(&config(home.path()), "test").await.err().unwrap();
    assert!(matches!(error, Error::Embedded { .. }) && !error.is_temporary(), "{error}");
    assert!(error.to_string().contains("it stopped at once"), "{error}");
    assert!(error.to_string().contains("redis.log"), "{error}");
}
