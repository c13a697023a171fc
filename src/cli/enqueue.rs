//! `oxherd job add`: one job from the arguments, many from JSON lines, or a tree of jobs.

use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::bulk::{Bulk, Defaults, no_data};
use super::session::Session;
use super::{Error, Exit, flow, input, list, progress, value};
use crate::config;
use crate::job::options::MAX_PRIORITY;
use crate::job::{Backoff, Deduplication, JobId, JobOptions, NewJob, ParentRef, QueueName};
use crate::store::{Queue, Store, check_job};

/// Add a job and print its id, many with --from, or a tree of jobs with --flow
///
/// A line of the file is {"name": "welcome", "data": {…}, "opts": {…}}; opts are BullMQ's, times in
/// milliseconds. The options below hold for lines that do not say otherwise. A line that cannot be
/// used ends the reading with exit 65; the jobs before it stay.
///
/// A flow is {"name": "p", "queueName": "a", "data": {…}, "opts": {…}, "children": [flows]}: jobs and
/// those they wait for. All of it is added at once, or nothing. Nodes without queueName go to QUEUE.
///
/// To a queue that is a plain list by the configuration, NAME is the element to push: an id, JSON, text or base64, as its payload
/// says, from @FILE or - but for ids; with --from each line is one.
#[derive(Args)]
pub struct Add {
    /// Name of the queue
    #[arg(required_unless_present = "flow", value_parser = value::queue)]
    queue: Option<QueueName>,
    /// The job's name
    #[arg(required_unless_present_any = ["from", "flow"])]
    name: Option<String>,
    /// The job's data: JSON, @FILE, or - for standard input [default: {}]
    #[arg(value_name = "JSON|@FILE|-", conflicts_with = "from", allow_negative_numbers = true)]
    data: Option<String>,
    /// Start it no earlier than in this time, as in 10m
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    delay: Option<Duration>,
    /// From 1, the most urgent, to 2097151; jobs without one run first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_PRIORITY)))]
    priority: Option<u32>,
    /// Put it at the head of the queue
    #[arg(long)]
    lifo: bool,
    /// Total tries
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempts: Option<u32>,
    /// Wait between tries: fixed:TIME or exponential:TIME
    #[arg(long, value_name = "KIND:TIME", value_parser = value::backoff)]
    backoff: Option<Backoff>,
    /// An id of your own; a job with this id that exists is not added again
    #[arg(long, value_name = "ID", value_parser = value::new_id, conflicts_with = "from")]
    job_id: Option<JobId>,
    /// Hold it back while another job with this id of deduplication is there, or for a time
    #[arg(long, value_name = "ID[:TIME]", value_parser = value::deduplication, conflicts_with = "parent")]
    deduplicate: Option<Deduplication>,
    /// The job that is to wait for it
    #[arg(long, value_name = "QUEUE:ID", value_parser = value::job)]
    parent: Option<(QueueName, JobId)>,
    /// Add the tree of jobs in this file; - for standard input
    #[arg(
        long,
        value_name = "FILE.json|-",
        conflicts_with_all = [
            "name", "data", "from", "delay", "priority", "lifo", "attempts", "backoff", "job_id", "deduplicate"
        ]
    )]
    flow: Option<PathBuf>,
    /// Add every line of this file as a job; - for standard input
    #[arg(long, value_name = "FILE.jsonl|-")]
    from: Option<PathBuf>,
    /// With --from: print every id, one a line, instead of the count
    #[arg(long, requires = "from")]
    ids: bool,
}

impl Add {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let opts = JobOptions {
            attempts: self.attempts,
            backoff: self.backoff.clone(),
            delay: self.delay.filter(|delay| !delay.is_zero()),
            priority: self.priority.unwrap_or(0),
            lifo: self.lifo,
            job_id: self.job_id.as_ref().map(ToString::to_string),
            deduplication: self.deduplicate.clone(),
            ..JobOptions::default()
        };
        if let (Some(name), None) = (&self.queue, &self.flow)
            && let Some(queue) = session.plain_list(name)?
        {
            return self.add_elements(&opts, &queue, session);
        }
        match (&self.flow, &self.from) {
            (Some(path), _) => flow::add(path, self.queue.as_ref(), self.parent.clone(), session),
            (None, Some(path)) => self.add_many(path, opts, session),
            (None, None) => self.add_one(opts, session),
        }
    }

    /// To a plain list, whose elements carry neither a name nor options.
    fn add_elements(&self, opts: &JobOptions, queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
        let refuse = |why: &str| Err(list::refused(&queue.name, why));
        if self.parent.is_some() {
            return refuse("its elements have neither children nor parents");
        }
        if self.job_id.is_some() {
            return refuse("the id of an element is what the element says; leave out --job-id");
        }
        if *opts != JobOptions::default() {
            return refuse(
                "its elements carry no options; attempts and backoff stand in its section of the configuration",
            );
        }
        match (&self.name, &self.data, &self.from) {
            (Some(element), None, None) => list::add::one(element, queue, session),
            (None, None, Some(path)) => list::add::many(path, self.ids, queue, session),
            _ => refuse("an element has no name beside it: expected oxherd job add QUEUE ELEMENT, or --from FILE"),
        }
    }

    fn queue(&self) -> Result<QueueName, Error> {
        self.queue.clone().ok_or_else(|| Error::Usage("expected the name of a queue, got none".into()))
    }

    fn add_one(&self, opts: JobOptions, session: &mut Session) -> Result<Exit, Error> {
        let data = match self.data.as_deref() {
            None => no_data(),
            Some(text) => input::json(text)?,
        };
        let queue = &self.queue()?;
        let mut job = NewJob { name: self.name.clone().unwrap_or_default(), data, opts };
        check_job(&job).map_err(Error::Usage)?;
        let ids = session.with_store(|store, config| async move {
            job.opts.parent = self.parent_in(&store);
            store.queue(queue).add_with(&[job], &config.status).await
        })??;
        for id in ids {
            if session.out.is_json() {
                session.out.json(&json!({ "id": id, "queue": queue }))?;
            } else {
                session.out.line(crate::daemon::escape::text(id.as_str()))?;
            }
        }
        Ok(Exit::Done)
    }

    fn parent_in(&self, store: &Store) -> Option<ParentRef> {
        self.parent.as_ref().map(|(queue, id)| store.queue(queue).parent(id))
    }

    fn add_many(&self, path: &Path, opts: JobOptions, session: &mut Session) -> Result<Exit, Error> {
        let mut defaults = Defaults { name: self.name.clone(), opts };
        let input = input::open(path)?;
        let progress = progress::bytes(input.length, self.ids && io::stdout().is_terminal());
        let wants_ids = self.ids;
        let queue = &self.queue()?;
        let bar = progress.clone();
        let added = session.with_store(|store, config| async move {
            defaults.opts.parent = self.parent_in(&store);
            let bulk = Bulk::new(input.from, input.name, defaults);
            add_batches(&store.queue(queue), &config.status, bulk, wants_ids, &bar).await
        });
        progress.finish_and_clear();
        let Added { count, ids, refused, failure } = added?;
        if session.out.is_json() {
            let ids = wants_ids.then_some(&ids);
            session.out.json(&json!({ "queue": queue, "added": count, "ids": ids }))?;
        } else if wants_ids {
            for id in &ids {
                session.out.line(crate::daemon::escape::text(id.as_str()))?;
            }
        } else {
            session.out.line(format_args!("added {count} job{} to {queue}", if count == 1 { "" } else { "s" }))?;
        }
        match (failure, refused.as_slice()) {
            (Some(error), _) => Err(error),
            (None, []) => Ok(Exit::Done),
            (None, [first]) => Err(Error::No(first.clone())),
            (None, [first, more @ ..]) => Err(Error::No(format!("{first}; {} more jobs were refused", more.len()))),
        }
    }
}

/// What became of the lines of a file.
#[derive(Default)]
struct Added {
    count: usize,
    /// Only when they are wanted.
    ids: Vec<JobId>,
    /// Why jobs were refused one by one.
    refused: Vec<String>,
    /// What ended the reading.
    failure: Option<Error>,
}

async fn add_batches(
    queue: &Queue,
    status: &config::Status,
    mut bulk: Bulk<Box<dyn Read + Send>>,
    wants_ids: bool,
    bar: &ProgressBar,
) -> Added {
    let mut all = Added::default();
    let mut batches = input::read_ahead(move || bulk.next_batch().transpose());
    while let Some(batch) = batches.recv().await {
        let result = match batch {
            Ok(batch) => {
                bar.set_position(batch.position);
                queue.add_each(&batch.jobs, status).await.map_err(Error::from)
            }
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(jobs) => {
                for job in jobs {
                    match job {
                        Ok(id) => {
                            all.count += 1;
                            all.ids.extend(wants_ids.then_some(id));
                        }
                        Err(error) => all.refused.push(error.to_string()),
                    }
                }
                bar.set_message(format!("{} jobs", all.count));
            }
            Err(error) => {
                all.failure = Some(error);
                break;
            }
        }
    }
    all
}
