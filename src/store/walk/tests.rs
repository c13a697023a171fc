use super::super::Store;
use super::super::testing::Server;
use super::*;
use crate::job::QueueName;

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.queue(&QueueName::new("q").unwrap())
}

async fn run(queue: &Queue, script: &str) {
    queue.store.command().call("EVAL", vec![script.into(), "0".into()]).await.unwrap();
}

fn ids(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.id.as_str()).collect()
}

#[tokio::test]
async fn a_walk_goes_on_where_it_was_although_what_it_met_is_gone() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    // one score, so that only the ids tell what comes next
    run(&queue, "for n = 1, 3000 do redis.call('ZADD', 'bull:q:failed', 7, 'job' .. n) end").await;
    let mut cursor = Cursor::start(UnixMillis(10));
    let mut met = Vec::new();
    loop {
        let entries = queue.walk(&mut cursor, State::Failed, None, 70).await.unwrap();
        if entries.is_empty() {
            break;
        }
        let mut args: Vec<Value> = vec!["bull:q:failed".into()];
        args.extend(entries.iter().map(|entry| Value::from(entry.id.as_str())));
        queue.store.command().call("ZREM", args).await.unwrap();
        met.extend(entries.into_iter().map(|entry| entry.id.to_string()));
    }
    let mut expected: Vec<String> = (1..=3000).map(|n| format!("job{n}")).collect();
    expected.sort();
    assert_eq!(met, expected);
}

#[tokio::test]
async fn what_ends_after_the_walk_began_is_not_met() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("ZADD bull:q:completed 1 a 2 b 3 c 4 late").await;
    let mut cursor = Cursor::start(UnixMillis(3));
    assert_eq!(ids(&queue.walk(&mut cursor, State::Completed, None, 2).await.unwrap()), ["a", "b"]);
    // the same job, ended anew: behind the walk, and then beyond it
    server.run("ZADD bull:q:completed 5 b").await;
    assert_eq!(ids(&queue.walk(&mut cursor, State::Completed, None, 2).await.unwrap()), ["c"]);
    assert!(queue.walk(&mut cursor, State::Completed, None, 2).await.unwrap().is_empty());
    let mut cursor = Cursor::start(UnixMillis(9));
    let before = Some(UnixMillis(3));
    assert_eq!(ids(&queue.walk(&mut cursor, State::Completed, before, 9).await.unwrap()), ["a"]);
}

#[tokio::test]
async fn a_list_is_walked_as_it_was_served_end_first() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    run(&queue, "for n = 1, 25000 do redis.call('LPUSH', 'bull:q:wait', n) end").await;
    server.run("LPUSH bull:q:paused p1 0:marker p2").await;
    let mut cursor = Cursor::start(UnixMillis(1));
    assert_eq!(ids(&queue.walk(&mut cursor, State::Waiting, None, 2).await.unwrap()), ["1", "2"]);
    server.run("DEL bull:q:wait").await;
    let rest = queue.walk(&mut cursor, State::Waiting, None, 100_000).await.unwrap();
    assert_eq!(rest.len(), 25_000);
    assert_eq!(ids(&rest[24_997..]), ["25000", "p1", "p2"]);
    cursor.back(&rest[0], &rest[1..]);
    assert_eq!(ids(&queue.walk(&mut cursor, State::Waiting, None, 2).await.unwrap()), ["4", "5"]);
}

#[tokio::test]
async fn members_are_ordered_as_redis_orders_them() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let names = ["", "a", "A", "ab", "b", "\u{e4}", "Z", "a b", "10", "9"];
    for name in names {
        let args = vec!["bull:q:delayed".into(), "4096".into(), name.into()];
        queue.store.command().call("ZADD", args).await.unwrap();
    }
    let all = queue.walk(&mut Cursor::start(UnixMillis(0)), State::Delayed, None, 20).await.unwrap();
    for at in 0..all.len() - 1 {
        let mut cursor = Cursor::start(UnixMillis(0));
        cursor.place = Place::Behind(all[at].clone());
        let args = vec!["bull:q:delayed".into(), all[at].id.as_str().into()];
        queue.store.command().call("ZREM", args.clone()).await.unwrap();
        let next = queue.walk(&mut cursor, State::Delayed, None, 1).await.unwrap();
        assert_eq!(ids(&next), [all[at + 1].id.as_str()], "behind {:?}", all[at].id);
        queue.store.command().call("ZADD", vec![args[0].clone(), "4096".into(), args[1].clone()]).await.unwrap();
    }
}
