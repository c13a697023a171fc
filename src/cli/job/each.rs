//! Does one thing to many jobs: shows what would be done, asks where something is destroyed, does it, and says of how
//! many it was done and why not of the others.

use std::fmt::Write as _;
use std::future::Future;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use super::super::audit::Verb;
use super::super::consent::Consent;
use super::super::print::{self, Out, Table};
use super::super::queue::known;
use super::super::{Error, Exit, progress};
use super::ls::{self, Row};
use super::selection::{Chosen, Targets};
use crate::job::{JobId, QueueName, State};
use crate::store::{self, Code, Store};

/// Calls under way at once.
const IN_FLIGHT: usize = 64;
/// Refusals told to people one by one.
const TOLD: usize = 5;

/// What is done, in words, and to which jobs it can be done.
pub struct Deed {
    /// "retry"
    pub verb: &'static str,
    /// "retried"
    pub done: &'static str,
    /// "in", or "from" for what is gone then.
    pub at: &'static str,
    /// The states it starts from.
    pub from: &'static [State],
}

/// Why one job was left as it was.
pub enum No {
    /// That one cannot, the next one may.
    Refused(String),
    /// Nothing can any more.
    Failed(store::Error),
}

/// What comes before anything is done.
pub enum Begun {
    /// It was a dry run.
    Shown(Exit),
    May(Vec<JobId>),
}

impl From<store::Error> for No {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Rejected { code, .. } => Self::Refused(code.to_string()),
            error => Self::Failed(error),
        }
    }
}

impl No {
    pub fn missing() -> Self {
        Self::Refused(Code::Missing.to_string())
    }
}

/// Of how many jobs it was done, and why not of the others.
#[derive(Default)]
pub struct Tally {
    pub done: u64,
    /// Jobs that needed nothing, where there can be such.
    pub skipped: Option<u64>,
    pub refused: Vec<(JobId, String)>,
}

impl Tally {
    pub fn exit(&self) -> Exit {
        if self.refused.is_empty() { Exit::Done } else { Exit::No }
    }

    pub fn tell(&self, deed: &Deed, queue: &QueueName, out: &mut Out) -> Result<(), Error> {
        if out.is_json() {
            let refused: Vec<_> = self.refused.iter().map(|(id, reason)| json!({"id": id, "reason": reason})).collect();
            let mut told = json!({"queue": queue, "done": self.done});
            if let Some(skipped) = self.skipped {
                told["skipped"] = skipped.into();
            }
            told["refused"] = refused.into();
            out.json(&told)?;
            return Ok(out.flush()?);
        }
        let done = usize::try_from(self.done).unwrap_or(usize::MAX);
        let mut line = format!("{} {} {} {queue}", deed.done, jobs(done), deed.at);
        if let Some(skipped) = self.skipped.filter(|skipped| *skipped > 0) {
            write!(line, ", skipped {skipped} that are there already").expect("writing to a string cannot fail");
        }
        if !self.refused.is_empty() {
            write!(line, ", refused {}", self.refused.len()).expect("writing to a string cannot fail");
        }
        out.line(line)?;
        out.flush()?;
        self.explain(deed);
        Ok(())
    }

    /// Leaves a line of who has done it.
    pub async fn audit(&self, deed: &Deed, targets: &Targets, store: &Store, failure: Option<&store::Error>) {
        let result = failure.map_or_else(|| "done".into(), ToString::to_string);
        Verb::new(deed.verb, &targets.queue).leave(store, self.done, targets.in_words(), result).await;
    }

    /// Says of the first refused jobs why.
    pub fn explain(&self, deed: &Deed) {
        for (id, reason) in self.refused.iter().take(TOLD) {
            print::error(format_args!("cannot {} job {id}: {reason}", deed.verb));
        }
        if self.refused.len() > TOLD {
            print::error(format_args!("… and {} more", self.refused.len() - TOLD));
        }
    }
}

impl Deed {
    /// Does it to every target, or shows them. `consent` is asked for where a filter chooses what is destroyed.
    pub async fn carry_out<Fut>(
        &self,
        store: &Store,
        targets: &Targets,
        consent: Consent,
        out: &mut Out,
        act: impl Fn(JobId) -> Fut,
    ) -> Result<Exit, Error>
    where
        Fut: Future<Output = Result<(), No>>,
    {
        let ids = match self.begin(store, targets, consent, out).await? {
            Begun::Shown(exit) => return Ok(exit),
            Begun::May(ids) => ids,
        };
        let mut tally = Tally::default();
        let mut failure = None;
        let take = |id, answer| {
            match answer {
                Ok(()) => tally.done += 1,
                Err(No::Refused(reason)) => tally.refused.push((id, reason)),
                Err(No::Failed(error)) => failure = Some(error),
            }
            failure.is_none()
        };
        each(ids, act, take).await;
        tally.audit(self, targets, store, failure.as_ref()).await;
        tally.tell(self, &targets.queue, out)?;
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(tally.exit()),
        }
    }

    /// Shows what would be done where only that is asked for; else the jobs it is to be done to, once it may be.
    pub async fn begin(
        &self,
        store: &Store,
        targets: &Targets,
        consent: Consent,
        out: &mut Out,
    ) -> Result<Begun, Error> {
        known(store, &targets.queue).await?;
        if consent.dry_run {
            return self.preview(store, targets, out).await.map(Begun::Shown);
        }
        let ids = targets.collect(store).await?;
        if targets.ids.is_empty() && !ids.is_empty() {
            consent.ask(format!("{} {} {} {}", self.verb, jobs(ids.len()), self.at, targets.queue)).await?;
        }
        Ok(Begun::May(ids))
    }

    /// The jobs it would be done to: a table and their number, or their ids.
    async fn preview(&self, store: &Store, targets: &Targets, out: &mut Out) -> Result<Exit, Error> {
        let mut show = Preview::default();
        if let Some(chosen) = targets.chosen(store) {
            show.all(chosen, out, store).await?;
        } else {
            let queue = store.queue(&targets.queue);
            for id in &targets.ids {
                match queue.job(id).await? {
                    Some(job) if self.from.contains(&job.state) => show.page(out, &[job], store)?,
                    Some(job) => print::note(format_args!("cannot {} job {id}: it is {}", self.verb, job.state)),
                    None => print::note(format_args!("cannot {} job {id}: {}", self.verb, Code::Missing)),
                }
            }
        }
        show.end(out, self, &targets.queue)
    }
}

/// Acts on many jobs at a time and hands the answers on in order, until one of them says stop.
pub async fn each<T: Clone, Fut: Future>(
    jobs: Vec<T>,
    act: impl Fn(T) -> Fut,
    mut take: impl FnMut(T, Fut::Output) -> bool,
) {
    let bar = progress::jobs(jobs.len() as u64, false);
    let mut answers = stream::iter(jobs)
        .map(|job| {
            let answer = act(job.clone());
            async move { (job, answer.await) }
        })
        // in order: what is run again first was first
        .buffered(IN_FLIGHT);
    while let Some((job, answer)) = answers.next().await {
        bar.inc(1);
        if !take(job, answer) {
            break;
        }
    }
    bar.finish_and_clear();
}

/// What a dry run has shown so far.
pub struct Preview {
    table: Table,
    ids: Vec<JobId>,
    count: usize,
}

impl Default for Preview {
    fn default() -> Self {
        Self { table: Table::new(&ls::HEAD), ids: Vec::new(), count: 0 }
    }
}

impl Preview {
    pub async fn all(&mut self, mut chosen: Chosen, out: &mut Out, store: &Store) -> Result<(), Error> {
        while let Some(jobs) = chosen.next().await? {
            self.page(out, &jobs, store)?;
        }
        Ok(())
    }

    pub fn page<'a, T>(&mut self, out: &mut Out, jobs: &'a [T], store: &Store) -> Result<(), Error>
    where
        Row<'a>: From<&'a T>,
    {
        self.count += jobs.len();
        if out.is_json() {
            self.ids.extend(jobs.iter().map(|job| Row::from(job).id.clone()));
            return Ok(());
        }
        ls::print(out, &mut self.table, jobs.iter().map(Row::from), store.now())
    }

    pub fn end(self, out: &mut Out, deed: &Deed, queue: &QueueName) -> Result<Exit, Error> {
        let (verb, count) = (deed.verb, self.count);
        if out.is_json() {
            out.json(&json!({"queue": queue, "dryRun": true, "verb": verb, "count": count, "ids": self.ids}))?;
        } else {
            out.line(format_args!("would {verb} {} {} {queue}", jobs(count), deed.at))?;
        }
        out.flush()?;
        Ok(Exit::Done)
    }
}

/// `1 job`, `2 jobs`.
pub fn jobs(count: usize) -> String {
    jobs_that_are("", count)
}

/// `1 failed job`, `2 failed jobs`.
pub fn jobs_that_are(what: &str, count: usize) -> String {
    let (blank, plural) = (if what.is_empty() { "" } else { " " }, if count == 1 { "" } else { "s" });
    format!("{count}{blank}{what} job{plural}")
}
