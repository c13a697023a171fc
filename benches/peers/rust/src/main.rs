//! The crate `bullmq-official` with a handler that does nothing.
//!
//!     peer-rust drain   --redis URL --queue q --jobs N --concurrency N
//!     peer-rust latency --redis URL --queue q --jobs N --interval-us N --payload BYTES
//!     peer-rust idle    --redis URL --queues N
//!     peer-rust add     --redis URL --queue q --jobs N --payload BYTES
//!     peer-rust flows   --redis URL --queue q --jobs N --concurrency N --payload BYTES
//!
//! Prints `ready`, waits for a line, works, prints one line of JSON, and ends with its stdin.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bullmq::options::RedisConnectionOptions;
use bullmq::types::RemoveOnFinish;
use bullmq::worker::CancellationToken;
use bullmq::queue::BulkJob;
use bullmq::{FlowJob, FlowProducer, FlowProducerOptions, Job, Queue, QueueOptions, Worker, WorkerOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Stdin};
use tokio::sync::mpsc;

struct Arguments(HashMap<String, String>);

impl Arguments {
    fn text(&self, key: &str) -> String {
        self.0.get(key).unwrap_or_else(|| panic!("--{key} is missing")).clone()
    }

    fn number(&self, key: &str) -> usize {
        self.text(key).parse().unwrap_or_else(|_| panic!("--{key} is no number"))
    }

    fn worker(&self, concurrency: usize) -> WorkerOptions {
        WorkerOptions::new()
            .connection(RedisConnectionOptions::new().url(self.text("redis")))
            .concurrency(concurrency)
            .remove_on_complete(RemoveOnFinish::Bool(true))
    }
}

#[tokio::main]
async fn main() -> bullmq::Result<()> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().expect("a mode: drain, latency, idle, add or flows");
    let mut values = HashMap::new();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        values.insert(key.trim_start_matches("--").to_owned(), value);
    }
    let arguments = Arguments(values);
    let mut stdin = BufReader::new(tokio::io::stdin());
    match mode.as_str() {
        "drain" => drain(&arguments, &mut stdin).await?,
        "latency" => latency(&arguments, &mut stdin).await?,
        "idle" => idle(&arguments, &mut stdin).await?,
        "add" => add(&arguments, &mut stdin).await?,
        "flows" => flows(&arguments, &mut stdin).await?,
        other => panic!("unknown mode {other}"),
    }
    Ok(())
}

async fn line(stdin: &mut BufReader<Stdin>) {
    stdin.read_line(&mut String::new()).await.expect("stdin is text");
}

async fn drain(arguments: &Arguments, stdin: &mut BufReader<Stdin>) -> bullmq::Result<()> {
    let jobs = arguments.number("jobs");
    let (worker, mut finished) = counting(arguments, jobs).await?;
    println!("ready");
    line(stdin).await;
    let start = Instant::now();
    worker.run().await?;
    finished.recv().await;
    println!("{}", json!({"jobs": jobs, "seconds": start.elapsed().as_secs_f64()}));
    line(stdin).await;
    Ok(())
}

/// A worker that is not started yet, and the end of its last job.
async fn counting(arguments: &Arguments, jobs: usize) -> bullmq::Result<(Worker, mpsc::Receiver<()>)> {
    let (done, finished) = mpsc::channel::<()>(1);
    let count = Arc::new(AtomicUsize::new(0));
    let processor = move |_job: Job, _token: CancellationToken| {
        let last = count.fetch_add(1, Ordering::Relaxed) + 1 == jobs;
        let done = done.clone();
        async move {
            if last {
                let _ = done.send(()).await;
            }
            Ok(Value::Null)
        }
    };
    let options = arguments.worker(arguments.number("concurrency")).manual_start();
    Ok((Worker::with_options(&arguments.text("queue"), processor, options).await?, finished))
}

/// Jobs a call of addBulk, and calls under way at once; as the other peers do it.
const BATCH: usize = 1000;
const ADDING: usize = 4;

async fn add(arguments: &Arguments, stdin: &mut BufReader<Stdin>) -> bullmq::Result<()> {
    let jobs = arguments.number("jobs");
    let data = json!({"n": 1, "pad": "x".repeat(arguments.number("payload").saturating_sub(16))});
    let connection = RedisConnectionOptions::new().url(arguments.text("redis"));
    let queue = Arc::new(
        Queue::with_options(&arguments.text("queue"), QueueOptions::new().connection(connection)).await?,
    );
    println!("ready");
    line(stdin).await;
    let start = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut adders = tokio::task::JoinSet::new();
    for _ in 0..ADDING {
        let (queue, next, data) = (Arc::clone(&queue), Arc::clone(&next), data.clone());
        adders.spawn(async move {
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                if from >= jobs {
                    return Ok(());
                }
                let batch = (from..jobs.min(from + BATCH)).map(|_| BulkJob::new("bench", data.clone())).collect();
                queue.add_bulk(batch).await?;
            }
        });
    }
    while let Some(added) = adders.join_next().await {
        let added: bullmq::Result<()> = added.expect("an adder does not panic");
        added?;
    }
    println!("{}", json!({"jobs": jobs, "seconds": start.elapsed().as_secs_f64()}));
    line(stdin).await;
    Ok(())
}

/// Parents with ten children each, in one queue: adds all, then works all.
async fn flows(arguments: &Arguments, stdin: &mut BufReader<Stdin>) -> bullmq::Result<()> {
    const CHILDREN: usize = 10;
    const FLOWS: usize = 50;
    let (parents, queue) = (arguments.number("jobs"), arguments.text("queue"));
    let data = json!({"n": 1, "pad": "x".repeat(arguments.number("payload").saturating_sub(16))});
    let connection = RedisConnectionOptions::new().url(arguments.text("redis"));
    let producer = FlowProducer::with_options(FlowProducerOptions::new().connection(connection)).await?;
    let (worker, mut finished) = counting(arguments, parents * (CHILDREN + 1)).await?;
    println!("ready");
    line(stdin).await;
    let start = Instant::now();
    let producer = Arc::new(producer);
    let next = Arc::new(AtomicUsize::new(0));
    let mut adders = tokio::task::JoinSet::new();
    for _ in 0..ADDING {
        let (producer, next, queue, data) = (Arc::clone(&producer), Arc::clone(&next), queue.clone(), data.clone());
        adders.spawn(async move {
            loop {
                let from = next.fetch_add(FLOWS, Ordering::Relaxed);
                if from >= parents {
                    return Ok(());
                }
                let mut flows = Vec::with_capacity(FLOWS);
                for _ in from..parents.min(from + FLOWS) {
                    let mut flow = FlowJob::new("parent", &queue, &data)?;
                    for _ in 0..CHILDREN {
                        flow = flow.add_child(FlowJob::new("child", &queue, &data)?);
                    }
                    flows.push(flow);
                }
                producer.add_bulk(flows).await?;
            }
        });
    }
    while let Some(added) = adders.join_next().await {
        let added: bullmq::Result<()> = added.expect("an adder does not panic");
        added?;
    }
    let added = start.elapsed().as_secs_f64();
    let start = Instant::now();
    worker.run().await?;
    finished.recv().await;
    println!("{}", json!({"addSeconds": added, "seconds": start.elapsed().as_secs_f64()}));
    line(stdin).await;
    Ok(())
}

async fn latency(arguments: &Arguments, stdin: &mut BufReader<Stdin>) -> bullmq::Result<()> {
    let jobs = arguments.number("jobs");
    let interval = Duration::from_micros(arguments.number("interval-us") as u64);
    let pad = "x".repeat(arguments.number("payload"));
    let base = Instant::now();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (done, mut finished) = mpsc::channel::<()>(1);
    let processor = {
        let taken = Arc::clone(&taken);
        move |job: Job, _token: CancellationToken| {
            let now = base.elapsed().as_micros() as u64;
            let last = {
                let mut taken = taken.lock().expect("nobody panics with the lock");
                taken.push(now - job.data()["t"].as_u64().unwrap_or(now));
                taken.len() == jobs
            };
            let done = done.clone();
            async move {
                if last {
                    let _ = done.send(()).await;
                }
                Ok(Value::Null)
            }
        }
    };
    let queue = arguments.text("queue");
    let connection = RedisConnectionOptions::new().url(arguments.text("redis"));
    let producer = Queue::with_options(&queue, QueueOptions::new().connection(connection)).await?;
    let _worker = Worker::with_options(&queue, processor, arguments.worker(10)).await?;
    println!("ready");
    line(stdin).await;
    let mut ticks = tokio::time::interval(interval);
    for _ in 0..jobs {
        ticks.tick().await;
        producer.add("bench", json!({"t": base.elapsed().as_micros() as u64, "pad": pad})).await?;
    }
    finished.recv().await;
    let mut taken = taken.lock().expect("nobody panics with the lock").clone();
    taken.sort_unstable();
    let at = |share: f64| taken[((taken.len() as f64 * share) as usize).min(taken.len() - 1)];
    println!("{}", json!({"jobs": jobs, "p50": at(0.5), "p99": at(0.99)}));
    line(stdin).await;
    Ok(())
}

async fn idle(arguments: &Arguments, stdin: &mut BufReader<Stdin>) -> bullmq::Result<()> {
    let mut workers = Vec::new();
    for n in 0..arguments.number("queues") {
        let processor = |_job: Job, _token: CancellationToken| async { Ok(Value::Null) };
        workers.push(Worker::with_options(&format!("idle{n}"), processor, arguments.worker(5)).await?);
    }
    println!("ready");
    line(stdin).await;
    line(stdin).await;
    Ok(())
}
