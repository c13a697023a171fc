//! `oxherd job add`: one job from the arguments, or many from JSON lines.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::bulk::{Batch, Bulk, BulkError, Defaults, no_data, without_place};
use super::session::Session;
use super::{Error, Exit, value};
use crate::job::options::MAX_PRIORITY;
use crate::job::{Backoff, JobId, JobOptions, NewJob, QueueName};
use crate::store;

/// Adds one job and prints its id, or adds many with --from.
///
/// A line of the file is {"name": "welcome", "data": {…}, "opts": {…}}; opts are BullMQ's, times in
/// milliseconds. The options below hold for lines that do not say otherwise. A line that cannot be
/// used ends the reading with exit 65; the jobs before it stay.
#[derive(Args)]
pub struct Add {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// The job's name
    #[arg(required_unless_present = "from")]
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
            ..JobOptions::default()
        };
        match self.from.clone() {
            Some(path) => self.add_many(&path, opts, session),
            None => self.add_one(opts, session),
        }
    }

    fn add_one(self, opts: JobOptions, session: &mut Session) -> Result<Exit, Error> {
        let data = match self.data.as_deref() {
            None => no_data(),
            Some(text) => data(text)?,
        };
        let job = NewJob { name: self.name.unwrap_or_default(), data, opts };
        let queue = self.queue.clone();
        let ids = session
            .with_store(|store, config| async move { store.queue(&queue).add_with(&[job], &config.status).await })??;
        for id in ids {
            if session.out.is_json() {
                session.out.json(&json!({ "id": id, "queue": self.queue }))?;
            } else {
                session.out.line(crate::daemon::escape::text(id.as_str()))?;
            }
        }
        Ok(Exit::Done)
    }

    fn add_many(self, path: &Path, opts: JobOptions, session: &mut Session) -> Result<Exit, Error> {
        let defaults = Defaults { name: self.name.clone(), opts };
        let input = open(path)?;
        let bulk = Bulk::new(input.from, input.name, defaults);
        let progress = progress(input.length, self.ids && io::stdout().is_terminal());
        let mut ids = Vec::new();
        let wants_ids = self.ids;
        let queue_name = self.queue.clone();
        let bar = progress.clone();
        let added = session.with_store(|store, config| async move {
            let queue = store.queue(&queue_name);
            let mut batches = read_ahead(bulk);
            let mut added = 0;
            let mut failure = None;
            while let Some(batch) = batches.recv().await {
                let result = match batch {
                    Ok(batch) => {
                        bar.set_position(batch.position);
                        queue.add_with(&batch.jobs, &config.status).await.map_err(Failure::Store)
                    }
                    Err(error) => Err(Failure::Bulk(error)),
                };
                match result {
                    Ok(new) => {
                        added += new.len();
                        bar.set_message(format!("{added} jobs"));
                        if wants_ids {
                            ids.extend(new);
                        }
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            (added, ids, failure)
        });
        progress.finish_and_clear();
        let (added, ids, failure) = added?;
        if session.out.is_json() {
            let ids = wants_ids.then_some(&ids);
            session.out.json(&json!({ "queue": self.queue, "added": added, "ids": ids }))?;
        } else if wants_ids {
            for id in &ids {
                session.out.line(crate::daemon::escape::text(id.as_str()))?;
            }
        } else {
            session.out.line(format_args!(
                "added {added} job{} to {}",
                if added == 1 { "" } else { "s" },
                self.queue
            ))?;
        }
        match failure {
            None => Ok(Exit::Done),
            Some(Failure::Bulk(error)) => Err(error.into()),
            Some(Failure::Store(error)) => Err(error.into()),
        }
    }
}

enum Failure {
    Bulk(BulkError),
    Store(store::Error),
}

/// Reads and checks the next lines while Redis takes the ones before. Bounded: two batches wait.
fn read_ahead<R: Read + Send + 'static>(mut bulk: Bulk<R>) -> mpsc::Receiver<Result<Batch, BulkError>> {
    let (send, batches) = mpsc::channel(2);
    // a thread, not a runtime task: a pipe nobody writes to must not keep the runtime from ending
    std::thread::spawn(move || {
        while let Some(batch) = bulk.next_batch().transpose() {
            let is_end = batch.is_err();
            if send.blocking_send(batch).is_err() || is_end {
                return;
            }
        }
    });
    batches
}

/// Where lines come from.
struct Input {
    from: Box<dyn Read + Send>,
    /// For messages.
    name: String,
    /// Bytes, if known.
    length: Option<u64>,
}

fn open(path: &Path) -> Result<Input, Error> {
    if path == Path::new("-") {
        return Ok(Input { from: Box::new(io::stdin()), name: "standard input".into(), length: None });
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| BulkError::Read { file: name.clone(), source })?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
    Ok(Input { from: Box::new(file), name, length })
}

/// On standard error, and only where somebody watches it.
fn progress(length: Option<u64>, is_hidden: bool) -> ProgressBar {
    if is_hidden || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:40} {percent:>3}%  {msg}  {bytes_per_sec}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is ours and well formed"))
}

/// The data argument: JSON text, `@FILE`, or `-`.
fn data(argument: &str) -> Result<Box<RawValue>, Error> {
    let (text, source) = match argument.strip_prefix('@') {
        _ if argument == "-" => (io::read_to_string(io::stdin()), "standard input"),
        Some(path) => (std::fs::read_to_string(path), path),
        None => (Ok(argument.to_owned()), "data"),
    };
    let text = text.map_err(|source_error| BulkError::Read { file: source.to_owned(), source: source_error })?;
    let text = text.trim();
    RawValue::from_string(text.to_owned()).map_err(|e| {
        let hint = if source == "data" { "; text needs its own quotes, as in '\"hello\"'" } else { "" };
        Error::Input(format!(
            "{source}:{}:{}: expected JSON, got something else: {}{hint}",
            e.line(),
            e.column(),
            without_place(&e)
        ))
    })
}
