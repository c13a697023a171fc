use std::collections::BTreeSet;

use super::super::testing::Server;
use super::super::{Reset, Store};
use super::*;
use crate::job::QueueName;

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.freeze(UnixMillis(100_000));
    store.queue(&QueueName::new("q").unwrap())
}

/// `count` failed jobs, every other one of another name, ended at their number in ms.
async fn fill(queue: &Queue, count: usize) {
    let script = "for n = 1, tonumber(ARGV[1]) do redis.call('HSET', 'bull:q:' .. n, 'name', n % 2 == 0 and 'even' or 'odd', \
                  'timestamp', n - 1, 'finishedOn', n, 'atm', 3, 'failedReason', 'reason ' .. n) \
                  redis.call('ZADD', 'bull:q:failed', n, n) end";
    queue.store.command().call("EVAL", vec![script.into(), "0".into(), count.to_string().into()]).await.unwrap();
}

fn failed(change: impl FnOnce(&mut Selection)) -> Selection {
    let mut selection = Selection { states: vec![State::Failed], ..Selection::default() };
    change(&mut selection);
    selection
}

fn ids(jobs: &[Selected]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

#[tokio::test]
async fn pages_go_on_while_the_jobs_on_them_are_moved_and_end_where_new_ones_begin() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    fill(&queue, 3000).await;
    let selection = failed(|selection| selection.name = Some("o?d".into()));
    let (mut cursor, mut met, mut pages) = (None, BTreeSet::new(), 0);
    loop {
        let (jobs, next) = queue.select(&selection, cursor, 128).await.unwrap();
        assert!(jobs.len() == 128 || next.is_none());
        for job in jobs {
            queue.retry(&job.id, State::Failed, Reset::default()).await.unwrap();
            // and it fails again at once
            server
                .connection()
                .await
                .call("ZADD", vec!["bull:q:failed".into(), 100_001.into(), job.id.as_str().into()])
                .await
                .unwrap();
            assert!(met.insert(job.id), "met twice");
        }
        pages += 1;
        let Some(next) = next else { break };
        cursor = Some(next);
    }
    assert_eq!((met.len(), pages), (1500, 12));
}

#[tokio::test]
async fn every_test_must_pass() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    fill(&queue, 20).await;
    server.run("ZADD bull:q:failed 5 ghost").await;
    let select = async |selection| {
        let (jobs, next) = queue.select(&selection, None, 100).await.unwrap();
        assert!(next.is_none());
        ids(&jobs).join(" ")
    };
    assert_eq!(select(failed(|s| s.reason = Some("son 1".into()))).await, "1 10 11 12 13 14 15 16 17 18 19");
    assert_eq!(select(failed(|s| s.before = Some(UnixMillis(4)))).await, "1 2 3");
    let all = failed(|s| {
        s.name = Some("e*".into());
        s.before = Some(UnixMillis(14));
        s.reason = Some("1".into());
    });
    assert_eq!(select(all).await, "10 12");
    assert_eq!(select(Selection::default()).await, "");
    // what runs again is as old as its last start
    server.run("HSET bull:q:started name n timestamp 1 processedOn 7").await;
    server.run("ZADD bull:q:delayed 1 started").await;
    let delayed =
        |before| Selection { states: vec![State::Delayed], before: Some(UnixMillis(before)), ..Selection::default() };
    assert_eq!(select(delayed(7)).await, "");
    assert_eq!(select(delayed(8)).await, "started");
    let (jobs, _) = queue.select(&failed(|_| ()), None, 1).await.unwrap();
    let expected = Selected {
        id: JobId::stored("1"),
        state: State::Failed,
        name: "odd".into(),
        timestamp: Some(UnixMillis(0)),
        processed_on: None,
        finished_on: Some(UnixMillis(1)),
        attempts_made: 3,
        failed_reason: Some("reason 1".into()),
    };
    assert_eq!(jobs, [expected]);
}

#[tokio::test]
async fn several_states_follow_each_other() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    for (name, place) in
        [("a", "LPUSH bull:q:wait a"), ("b", "LPUSH bull:q:wait b"), ("c", "ZADD bull:q:delayed 4096 c")]
    {
        server
            .connection()
            .await
            .call(
                "HSET",
                vec![format!("bull:q:{name}").into(), "name".into(), "n".into(), "timestamp".into(), "5".into()],
            )
            .await
            .unwrap();
        let mut words = place.split(' ').map(str::to_owned);
        let command: &'static str = if words.next().unwrap() == "LPUSH" { "LPUSH" } else { "ZADD" };
        server.connection().await.call(command, words.map(Value::from).collect()).await.unwrap();
    }
    let selection =
        Selection { states: vec![State::Delayed, State::Waiting], before: Some(UnixMillis(6)), ..Selection::default() };
    let mut cursor = None;
    let mut met = Vec::new();
    loop {
        let (jobs, next) = queue.select(&selection, cursor, 1).await.unwrap();
        met.extend(jobs.iter().map(|job| format!("{} {}", job.id, job.state)));
        let Some(next) = next else { break };
        cursor = Some(next);
    }
    assert_eq!(met, ["c delayed", "a waiting", "b waiting"]);
}
