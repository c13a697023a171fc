use super::testing::{Server, eventually};
use super::*;

#[tokio::test]
async fn a_server_that_comes_later_is_waited_for() {
    let mut server = Server::start().await;
    server.stop();
    let config = config::Redis { at_start: config::AtStart::Wait, ..server.config() };
    let opening = tokio::spawn(async move { Store::open(&config, "test").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!opening.is_finished());
    server.again().await;
    let store = tokio::time::timeout(Duration::from_secs(5), opening).await.unwrap().unwrap().unwrap();
    store.ping().await.unwrap();
    assert_eq!((store.prefix(), store.instance()), ("bull", "test"));
}

#[tokio::test]
async fn a_server_that_is_not_there_can_be_an_error() {
    let mut server = Server::start().await;
    server.stop();
    let error = Store::open(&server.config(), "test").await.err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_not_waited_out() {
    let server = Server::with(&["--requirepass", "right"]).await;
    let config = config::Redis { at_start: config::AtStart::Wait, ..server.config() };
    let opened = tokio::time::timeout(Duration::from_secs(5), Store::open(&config, "test")).await.unwrap();
    assert!(matches!(opened.err().unwrap(), Error::Denied { .. }));
}

#[tokio::test]
async fn an_eviction_policy_that_deletes_jobs_is_seen_also_later() {
    let server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    assert!(store.server().await.unwrap().keeps_everything());
    server.run("CONFIG SET maxmemory-policy allkeys-lru").await;
    let info = store.server().await.unwrap();
    assert!(!info.keeps_everything());
    assert_eq!(info.eviction.as_deref(), Some("allkeys-lru"));
    // it is told, not refused
    Store::open(&server.config(), "test").await.unwrap();
}

#[tokio::test]
async fn one_link_tells_for_all_and_the_rest_is_opened_when_needed() {
    let mut server = Server::start().await;
    let store = Store::open(&server.config(), "test").await.unwrap();
    let connections = async || server.run("INFO clients").await.as_string().unwrap().contains("connected_clients:2");
    assert!(connections().await, "a verb needs one connection, besides the one that asks");
    let first: *const Connection = store.renewal().await.unwrap();
    assert_eq!(first, std::ptr::from_ref(store.renewal().await.unwrap()));
    store.blocking().await.unwrap();
    let mut link = store.link();
    server.stop();
    link.wait_for(|link| matches!(link, Link::Lost { .. })).await.unwrap();
    server.again().await;
    link.wait_for(|link| matches!(link, Link::Up { away: Some(_) })).await.unwrap();
    store.ping().await.unwrap();
    eventually("connected", async || store.is_connected()).await;
    store.close().await.unwrap();
}
