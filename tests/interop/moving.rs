//! Jobs taken out whole and put back, and jobs moved by hand through the library: a Node client finds them as they were
//! and works them.

use oxherd::config::{self, Endpoint};
use oxherd::job::State;
use oxherd::store::{ExportedJob, Imported, Reset};
use oxherd::{JobId, Queue, QueueName, Store};
use serde_json::{Value, json};

use super::support::eventually;
use super::support::program::{Program, node};
use super::support::redis::Redis;

async fn queue(redis: &Redis) -> Queue {
    let settings = config::Redis { endpoint: Endpoint::Unix(redis.socket()), ..config::Redis::default() };
    let store = Store::open(&settings, "moving").await.unwrap();
    store.queue(&QueueName::new("email").unwrap())
}

/// Jobs in every state but active, by a Node producer and a Node worker.
fn fill(redis: &Redis) {
    let mut control = node("control.mjs", 6, redis, &["serve"]).ready();
    let worker = node("worker.mjs", 6, redis, &[]).ready();
    control.press(&["add", "done", r#"{"n":1,"logs":["one","two"],"progress":[50]}"#]);
    control.press(&["add", "broken", r#"{"failures":1}"#]);
    control.press(&[
        "add-flow",
        r#"{"name":"parent","queueName":"email","opts":{"jobId":"p"},"children":[
        {"name":"quick","queueName":"email","data":{"n":2},"opts":{"jobId":"quick"}},
        {"name":"slow","queueName":"email","data":{"n":3},"opts":{"jobId":"slow","delay":3600000}}]}"#,
    ]);
    eventually("two are completed and one failed", || {
        redis.number(&["ZCARD", "bull:email:completed"]) == 2 && redis.number(&["ZCARD", "bull:email:failed"]) == 1
    });
    worker.stop();
    for (name, opts) in [
        ("first", "{}"),
        ("second", r#"{"jobId":"own"}"#),
        ("urgent", r#"{"priority":1}"#),
        ("lazy", r#"{"priority":9}"#),
        ("later", r#"{"delay":3600000,"attempts":3,"backoff":{"type":"fixed","delay":10}}"#),
    ] {
        control.press(&["add", name, r#"{"text":"æøå 🎉","list":[],"n":7}"#, opts]);
    }
    control.stop();
}

/// A reader that answers one question after the other.
fn reader(version: u8, redis: &Redis) -> Program {
    node("inspect.mjs", version, redis, &["serve"]).ready()
}

/// All that a Node client of either release says about the queue.
fn seen(readers: &mut [Program]) -> Vec<Value> {
    let jobs = ["jobs", "waiting", "delayed", "prioritized", "completed", "failed", "waiting-children"];
    let questions: [&[&str]; 4] = [&["counts"], &jobs, &["children", "p"], &["logs", "1"]];
    readers.iter_mut().flat_map(|reader| questions.map(|question| reader.press(question))).collect()
}

async fn export(queue: &Queue) -> Vec<ExportedJob> {
    let mut jobs = Vec::new();
    for state in State::ALL {
        jobs.extend(queue.export(state, None, 1000).await.unwrap().0);
    }
    jobs
}

#[tokio::test]
async fn a_node_client_finds_imported_jobs_as_they_were_and_a_node_worker_works_them() {
    let redis = Redis::start();
    fill(&redis);
    let mut readers = [5, 6].map(|version| reader(version, &redis));
    let before = seen(&mut readers);
    let queue = queue(&redis).await;
    let jobs = export(&queue).await;
    assert_eq!(jobs.len(), 10);
    redis.call(&["FLUSHALL"]);
    assert_eq!(queue.import(&jobs).await.unwrap(), vec![Imported::Restored; 10]);
    assert_eq!(seen(&mut readers), before);

    // ids of later jobs are none of those that came back
    let added = node("control.mjs", 6, &redis, &["add", "new"]).end().remove(0);
    assert!(added["result"].as_str().unwrap().parse::<u32>().unwrap() > 7, "{added}");
    queue.promote(&JobId::stored("slow")).await.unwrap();
    let later = queue.jobs(State::Delayed, 0, 1).await.unwrap().remove(0);
    queue.change_delay(&later.id, std::time::Duration::from_millis(10)).await.unwrap();
    let broken = queue.jobs(State::Failed, 0, 1).await.unwrap().remove(0);
    queue.update_data(&broken.id, &serde_json::value::to_raw_value(&json!({"n": 4})).unwrap()).await.unwrap();
    queue.retry(&broken.id, State::Failed, Reset::default()).await.unwrap();
    let worker = node("worker.mjs", 6, &redis, &[]).ready();
    eventually("all eleven are completed", || redis.number(&["ZCARD", "bull:email:completed"]) == 11);
    let order: Vec<_> = worker.stop().into_iter().filter(|line| line["event"] == "processed").collect();
    let names: Vec<_> =
        order.iter().map(|line| line["name"].as_str().unwrap()).filter(|name| *name != "later").collect();
    assert_eq!(names, ["first", "second", "new", "slow", "parent", "broken", "urgent", "lazy"]);
    let children = readers[1].press(&["children", "p"]);
    assert_eq!(children[0]["processed"].as_object().unwrap().len(), 2, "{children}");
}
