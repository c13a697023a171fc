//! `oxherd job`: add jobs, and look at those that are there.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::enqueue::Add;
use super::print::{Colour, Out};
use super::queues::{age, known};
use super::session::Session;
use super::{Error, Exit, value};
use crate::daemon::escape;
use crate::handler::glob_matches;
use crate::job::{JobId, QueueName, State, UnixMillis};
use crate::store::{self, JobRecord, Queue};

#[derive(Subcommand)]
pub enum Verb {
    Add(Add),
    Ls(List),
    /// Show everything about one job
    Show {
        /// Name of the queue
        #[arg(value_parser = value::queue)]
        queue: QueueName,
        /// Id of the job
        #[arg(value_parser = value::id)]
        id: JobId,
    },
}

/// List jobs, of each state what is served first, of finished ones the newest first
#[derive(Args)]
pub struct List {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Only this state: waiting, active, delayed, prioritized, completed, failed, waiting-children
    #[arg(long, value_parser = value::state)]
    state: Option<State>,
    /// Only names this covers, as in 'send-*'
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Skip this many
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Add(add) => add.execute(session),
            Self::Ls(list) => list.execute(session),
            Self::Show { queue, id } => show(&queue, &id, session),
        }
    }
}

impl List {
    fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (jobs, now) = session.with_store(|store, _| async move {
            known(&store, &self.queue).await?;
            let jobs = self.read(&store.queue(&self.queue)).await?;
            Ok::<_, Error>((jobs, store.now()))
        })??;
        if session.out.is_json() {
            session.out.json(&jobs)?;
            return Ok(Exit::Done);
        }
        let rows: Vec<_> = jobs.iter().map(|job| row(job, now)).collect();
        session.out.table(&["ID", "NAME", "STATE", "ATTEMPTS", "AGE", "REASON"], &rows)?;
        Ok(Exit::Done)
    }

    /// Page by page, until there are enough: a name is only known once its job is read.
    async fn read(&self, queue: &Queue) -> Result<Vec<JobRecord>, store::Error> {
        let states = self.state.as_ref().map_or(&State::ALL[..], std::slice::from_ref);
        let mut skip = self.offset;
        let mut found: Vec<JobRecord> = Vec::new();
        for state in states {
            let total = usize::try_from(queue.counts().await?.of(*state)).unwrap_or(usize::MAX);
            let mut offset = 0;
            // without a filter whole jobs can be skipped unread
            if self.name.is_none() {
                offset = skip.min(total);
                skip -= offset;
            }
            while offset < total && found.len() < self.limit {
                let page = match self.name {
                    Some(_) => store::MAX_PAGE,
                    None => (self.limit - found.len()).min(store::MAX_PAGE),
                };
                let jobs = queue.jobs(*state, offset, page).await?;
                offset += page;
                let matching = jobs.into_iter().filter(|job| match &self.name {
                    Some(glob) => glob_matches(glob, job.name()),
                    None => true,
                });
                for job in matching {
                    if self.name.is_some() && skip > 0 {
                        skip -= 1;
                    } else if found.len() < self.limit {
                        found.push(job);
                    }
                }
            }
        }
        Ok(found)
    }
}

fn row(job: &JobRecord, now: UnixMillis) -> Vec<String> {
    const REASON: usize = 80;
    let reason = job.failed_reason().unwrap_or_default();
    let mut shown: String = reason.chars().take(REASON).collect();
    if shown.len() < reason.len() {
        shown.push('…');
    }
    vec![
        job.id.to_string(),
        job.name().to_owned(),
        job.state.to_string(),
        job.attempts_made().to_string(),
        job.timestamp().map(|at| age(crate::job::millis(now.since(at)))).unwrap_or_default(),
        shown,
    ]
}

fn show(queue: &QueueName, id: &JobId, session: &mut Session) -> Result<Exit, Error> {
    let (name, wanted) = (queue.clone(), id.clone());
    let job = session.with_store(|store, _| async move {
        let job = store.queue(&name).job(&wanted).await?;
        if job.is_none() {
            known(&store, &name).await?;
        }
        Ok::<_, Error>(job)
    })??;
    let Some(job) = job else {
        return Err(Error::No(format!("no job {:?} in queue {queue}; it may be finished and removed", id.as_str())));
    };
    if session.out.is_json() {
        session.out.json(&job)?;
    } else {
        print(&mut session.out, &job)?;
    }
    Ok(Exit::Done)
}

/// The job for people: short fields as pairs, long ones as blocks, what is not there left out.
fn print(out: &mut Out, job: &JobRecord) -> Result<(), Error> {
    const BLOCKS: [&str; 5] = ["data", "opts", "returnvalue", "stacktrace", "logs"];
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

/// A moment in Unix ms, as RFC 3339 in UTC.
pub fn moment(ms: u64) -> String {
    match std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(ms)) {
        // the formatter knows no year beyond 9999
        Some(at) if ms < 253_402_300_800_000 => humantime::format_rfc3339_millis(at).to_string(),
        _ => format!("{ms} ms"),
    }
}
