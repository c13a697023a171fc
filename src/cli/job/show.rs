//! `oxherd job show`: everything about one job.

use clap::Args;
use serde_json::Value;

use super::super::list;
use super::super::print::{Colour, Out};
use super::super::queue::known;
use super::super::session::Session;
use super::super::time::moment;
use super::super::{Error, Exit, value};
use super::tree;
use crate::daemon::escape;
use crate::job::{JobId, QueueName};
use crate::store::{JobRecord, Store};

/// Show everything about one job
#[derive(Args)]
pub struct Show {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Id of the job
    #[arg(value_parser = value::id)]
    id: JobId,
    /// Its children and theirs, over all queues, instead of its details; with --json nested
    #[arg(long)]
    tree: bool,
}

impl Show {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        if self.tree {
            session.is_no_list(&self.queue, "its elements have no children; leave out --tree")?;
            return tree::show(self.queue, self.id, session);
        }
        if let Some(queue) = session.plain_list(&self.queue)? {
            return list::look::job_show(self.id, &queue, session);
        }
        let job = session.with_store(|store, _| async move { existing(&store, &self.queue, &self.id).await })??;
        print(&mut session.out, &job)?;
        Ok(Exit::Done)
    }
}

/// A job that must be there.
pub async fn existing(store: &Store, queue: &QueueName, id: &JobId) -> Result<JobRecord, Error> {
    match store.queue(queue).job(id).await? {
        Some(job) => Ok(job),
        None => Err(missing(store, queue, id).await),
    }
}

/// What is to be said of a job that is not there: maybe not even its queue is.
pub async fn missing(store: &Store, queue: &QueueName, id: &JobId) -> Error {
    match known(store, queue).await {
        Ok(_) => Error::No(format!("no job {:?} in queue {queue}; it may be finished and removed", id.as_str())),
        Err(error) => error,
    }
}

/// The job as JSON, or for people: short fields as pairs, long ones as blocks, what is not there left out.
pub fn print(out: &mut Out, job: &JobRecord) -> Result<(), Error> {
    const BLOCKS: [&str; 5] = ["data", "opts", "returnvalue", "stacktrace", "logs"];
    if out.is_json() {
        return Ok(out.json(job)?);
    }
    let Value::Object(members) = serde_json::to_value(job).map_err(std::io::Error::from)? else {
        return Ok(());
    };
    let mut pairs = Vec::new();
    let mut blocks = Vec::new();
    for (name, value) in &members {
        let is_empty = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
            _ => false,
        };
        if is_empty {
            continue;
        }
        if BLOCKS.contains(&name.as_str()) {
            blocks.push((name, value));
            continue;
        }
        let text = match (name.as_str(), value) {
            ("timestamp" | "processedOn" | "finishedOn", Value::Number(ms)) => {
                ms.as_u64().map_or_else(|| ms.to_string(), moment)
            }
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        };
        pairs.push((name.as_str(), text));
    }
    out.pairs(&pairs)?;
    for (name, value) in blocks {
        out.line("")?;
        out.line(out.paint(Colour::Bold, name))?;
        match value {
            Value::Array(lines) if name != "data" && name != "returnvalue" => {
                for line in lines {
                    let text = line.as_str().map_or_else(|| line.to_string(), str::to_owned);
                    out.line(escape::block(&text))?;
                }
            }
            other => out.line(escape::json(format!("{other:#}")))?,
        }
    }
    Ok(())
}
