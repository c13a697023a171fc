use serde_json::json;

use super::super::testing::Server;
use super::*;

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&QueueName::new("q").unwrap())
}

fn ids(jobs: &[JobRecord]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

#[tokio::test]
async fn an_absent_queue_is_empty_and_not_an_error() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    assert_eq!(queue.counts().await.unwrap(), Counts::default());
    assert!(!queue.is_paused().await.unwrap());
    assert_eq!(queue.job(&JobId::stored("1")).await.unwrap(), None);
    assert!(queue.jobs(State::Waiting, 0, 10).await.unwrap().is_empty());
    assert!(server.connection().await.call("DBSIZE", Vec::new()).await.unwrap().as_i64() == Some(0), "reading writes");
}

#[tokio::test]
async fn overview_counts_what_is_there() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("RPUSH bull:q:wait 2 1").await;
    server.run("RPUSH bull:q:paused 3").await;
    server.run("RPUSH bull:q:active 4").await;
    server.run("ZADD bull:q:failed 1 5 2 6").await;
    server.run("ZADD bull:q:waiting-children 1 7").await;
    server.run("HSET bull:q:meta paused 1 concurrency 4 max 10 duration 1000 version bullmq:6.7.0").await;
    server.run("HSET bull:q:1 name a timestamp 1000").await;
    let worker = queue.store.announce(&queue.name, Some("w1")).await.unwrap();

    let overview = queue.overview().await.unwrap();
    let age = overview.oldest_waiting_ms.unwrap();
    assert!((queue.store.now().0 - 1000 - age).abs() < 1000, "{age}");
    let expected = json!({
        "queue": "q", "paused": true, "oldestWaitingMs": age, "concurrency": 4,
        "counts": {"waiting": 3, "active": 1, "delayed": 0, "prioritized": 0, "completed": 0, "failed": 2,
                   "waiting-children": 1},
        "rateLimit": {"max": 10, "duration": 1000}, "version": "bullmq:6.7.0", "placement": "v6",
        "workers": ["w1"],
    });
    assert_eq!(serde_json::to_value(&overview).unwrap(), expected);
    assert_eq!(overview.counts.unfinished(), 5);
    drop(worker);
}

#[tokio::test]
async fn pages_come_in_bullmqs_order_and_without_stubs() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    // pushed left, served right
    server.run("LPUSH bull:q:wait 1 2 gone 3").await;
    server.run("LPUSH bull:q:paused 8 9").await;
    server.run("ZADD bull:q:completed 10 4 20 5").await;
    server.run("ZADD bull:q:delayed 10 6 20 7").await;
    let connection = server.connection().await;
    for id in 1..=9 {
        let args = vec![format!("bull:q:{id}").into(), "name".into(), "x".into()];
        connection.call("HSET", args).await.unwrap();
    }
    assert_eq!(ids(&queue.jobs(State::Waiting, 0, 10).await.unwrap()), ["1", "2", "3", "8", "9"]);
    assert_eq!(ids(&queue.jobs(State::Waiting, 1, 3).await.unwrap()), ["2", "3"]);
    assert_eq!(ids(&queue.jobs(State::Waiting, 3, 2).await.unwrap()), ["3", "8"]);
    assert_eq!(ids(&queue.jobs(State::Waiting, 5, 9).await.unwrap()), ["9"]);
    assert_eq!(ids(&queue.jobs(State::Completed, 0, 1).await.unwrap()), ["5"]);
    assert_eq!(ids(&queue.jobs(State::Delayed, 0, 10).await.unwrap()), ["6", "7"]);
    assert!(queue.jobs(State::Delayed, 0, 0).await.unwrap().is_empty());
    let back = async |state, offset, limit| queue.jobs_reversed(state, offset, limit).await.unwrap();
    assert_eq!(ids(&back(State::Waiting, 0, 10).await), ["9", "8", "3", "2", "1"]);
    assert_eq!(ids(&back(State::Waiting, 1, 2).await), ["8", "3"]);
    assert_eq!(ids(&back(State::Completed, 0, 1).await), ["4"]);
    assert_eq!(ids(&back(State::Delayed, 0, 1).await), ["7"]);
}

#[tokio::test]
async fn a_job_is_found_in_every_state_with_its_logs() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("HSET bull:q:a name n data {}").await;
    server.run("RPUSH bull:q:a:logs one two").await;
    let id = JobId::stored("a");
    let found = queue.job(&id).await.unwrap().unwrap();
    assert_eq!((found.state, found.logs.as_deref().unwrap().len()), (State::Unknown, 2));
    for state in State::ALL {
        let name = if state == State::Waiting { "wait" } else { state.as_str() };
        let key = format!("bull:q:{name}");
        let list = matches!(state, State::Waiting | State::Active);
        let (add, remove) = if list { ("RPUSH", "DEL") } else { ("ZADD", "DEL") };
        let mut args: Vec<Value> = vec![key.as_str().into()];
        args.extend(if list { vec!["a".into()] } else { vec!["1".into(), "a".into()] });
        let connection = queue.store.command();
        connection.call(add, args).await.unwrap();
        assert_eq!(queue.job(&id).await.unwrap().unwrap().state, state);
        connection.call(remove, vec![key.into()]).await.unwrap();
    }
}

#[tokio::test]
async fn a_foreign_key_is_named_as_such() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("SET bull:q:wait x").await;
    let error = queue.counts().await.unwrap_err();
    assert!(matches!(error, Error::WrongType { command: "overview", .. }), "{error}");
}

#[tokio::test]
async fn queues_are_listed_by_their_meta_key() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    for command in ["HSET bull:b:meta a 1", "HSET bull:a:meta a 1", "HSET bull::meta a 1", "HSET bull:a:b:meta a 1"] {
        server.run(command).await;
    }
    let names = queue.store.queue_names().await.unwrap();
    assert_eq!(names.iter().map(QueueName::as_str).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn an_erased_queue_leaves_no_key_and_its_neighbours_stay() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("RPUSH bull:q:wait 1").await;
    server.run("HSET bull:q:1 name a").await;
    server.run("HSET bull:qq:meta version x").await;
    queue.erase().await.unwrap();
    let left = server.connection().await.call("KEYS", vec!["*".into()]).await.unwrap();
    assert_eq!(reply::texts("KEYS", left).unwrap(), ["bull:qq:meta"]);
}
