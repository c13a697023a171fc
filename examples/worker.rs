//! A worker in a Rust program: an album is made of thumbnails, each a job of its own.
//!
//! ```sh
//! cargo run --example worker &
//! oxherd job add albums album '{"pictures": [{"file": "cat.png"}, {"file": "dog.png", "ms": 5000}]}'
//! oxherd watch
//! ```
//!
//! `REDIS_URL` says where Redis is. INT or TERM end it in order: what runs is finished, or goes back to the queue.

use std::sync::Arc;
use std::time::Duration;

use oxherd::{Config, Engine, Flow, Job, JobContext, Outcome, QueueName, config};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Deserialize)]
struct Album {
    pictures: Vec<Picture>,
}

#[derive(Serialize, Deserialize)]
struct Picture {
    file: String,
    /// How long it takes.
    #[serde(default)]
    ms: u64,
}

/// What can go wrong, and what that means for the job.
enum Problem {
    /// The next attempt may do better.
    Busy(String),
    /// No attempt will.
    Broken(String),
    /// Told to stop, and stopped; what becomes of the job is settled by why.
    Stopped(Outcome),
}

impl From<Problem> for Outcome {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Busy(why) => Outcome::retry(why),
            Problem::Broken(why) => Outcome::fail(why),
            Problem::Stopped(outcome) => outcome,
        }
    }
}

/// Adds a job for each picture, waits for them, and gathers what they have returned. It runs twice: a job that waits for
/// its children begins anew when they have ended.
async fn album(job: Arc<Job>, ctx: JobContext) -> Outcome {
    let Ok(album) = serde_json::from_str::<Album>(job.data.get()) else {
        return Outcome::fail("expected an album, as in {\"pictures\": [{\"file\": \"cat.png\"}]}");
    };
    let children = match ctx.children().await {
        Ok(children) => children,
        Err(error) => return Outcome::retry(error.to_string()),
    };
    if !children.processed.is_empty() {
        let bytes: u64 = children.processed.values().filter_map(|value| value.parse::<u64>().ok()).sum();
        return Outcome::complete(json!({ "pictures": children.processed.len(), "bytes": bytes }));
    }
    let flows = album.pictures.iter().enumerate().map(|(n, picture)| {
        // with an id of its own no picture is added twice, whatever becomes of this attempt
        let opts = json!({ "jobId": format!("{}-{n}", job.id), "failParentOnFailure": true });
        let child = json!({ "name": "thumbnail", "queueName": "pictures", "data": picture, "opts": opts });
        Flow::parse(&child.to_string(), None).expect("it says all a flow needs")
    });
    match ctx.add_children(flows.collect()).await {
        Ok(added) => ctx.log(format!("{} pictures to do", added.len())),
        Err(error) => return Outcome::retry(error.to_string()),
    }
    Outcome::WaitForChildren
}

/// Makes one thumbnail, and says how far it is.
async fn thumbnail(job: Arc<Job>, ctx: JobContext) -> Result<usize, Problem> {
    let picture: Picture =
        serde_json::from_str(job.data.get()).map_err(|error| Problem::Broken(format!("no picture: {error}")))?;
    match picture.file.as_str() {
        "broken.png" => return Err(Problem::Broken("it ends in the middle".into())),
        "busy.png" if job.attempt() == 1 => return Err(Problem::Busy("somebody else has it open".into())),
        _ => {}
    }
    for percent in [25, 50, 75, 100] {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(picture.ms / 4)) => {}
            // the job is cancelled, its time is up, or the program ends
            reason = ctx.cancelled() => return Err(Problem::Stopped(ctx.stopped(reason))),
        }
        // fails only where nobody wants to know any more
        let _ = ctx.update_progress(percent);
    }
    Ok(picture.file.len())
}

fn queue(name: &str, handler: &str) -> (String, config::Queue) {
    let mut queue = config::Queue::new(QueueName::new(name).expect("a legal name"));
    queue.handler = Some(handler.into());
    queue.concurrency = 10;
    queue.timeout = Duration::from_secs(60);
    (name.into(), queue)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    if let Ok(url) = std::env::var("REDIS_URL") {
        config.redis = config.redis.with_url(&url, &std::env::current_dir()?)?;
    }
    config.queues.extend([queue("albums", "album"), queue("pictures", "thumbnail")]);
    let engine = Engine::builder(config)
        .handler("album", album)
        .handler("thumbnail", |job, ctx| async move { thumbnail(job, ctx).await.into() })
        .build()?;
    let handle = engine.handle();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => handle.stop(),
                _ = terminate.recv() => handle.stop(),
            }
        }
    });
    let ending = engine.run().await?;
    #[expect(clippy::print_stdout, reason = "a program may")]
    {
        println!("{} completed, {} failed, {} handed back", ending.completed, ending.failed, ending.handed_back);
    }
    Ok(())
}
