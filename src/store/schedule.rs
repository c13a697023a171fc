//! Job schedulers: made, listed and removed. Protocol: §5.13.
//!
//! For producers and the command line; what makes an iteration be followed by the next is in `next`, the schedules of
//! a configuration are in `put`, `kept` and `fire`.
//!
//! # Where a schedule is kept
//!
//! Every schedule of ours is a BullMQ job scheduler: an entry of `K(repeat)` scored by its next time, and the hash
//! `K(repeat:<name>)` with BullMQ's own fields, so that every dashboard shows it. Our fields stand beside them:
//!
//! | field | what it holds |
//! |---|---|
//! | `oxherd.mark` | who made it, its revision, hashes of its definition and of its times; JSON |
//! | `oxherd.definition` | the whole of it, so that any instance can fire it; JSON |
//! | `oxherd.fired` | the last time that was claimed, ms |
//! | `oxherd.last` | id of its last job |
//! | `oxherd.pending` | the time whose job waits for the one before to end (`overlap = "queue"`), ms |
//! | `oxherd.paused` | there while it is paused |
//!
//! What BullMQ can carry ([`config::Schedule::fits_bullmq`]) is a series of BullMQ's own: its next job is there before its
//! time, and whoever works the queue, oxherd or Node, has a job taken followed by the next. Instances of oxherd do the
//! same when a time has come and nobody has taken its job, so that a queue that is behind misses no time. Both ask
//! whether the series still stands at that time, so one of them does it.
//!
//! Everything else would be something else in BullMQ's hands: it knows neither overlap nor jitter, and makes a job when
//! the one before is taken. Such a schedule has no job before its time. Instances of oxherd, as many as there are, claim
//! each time: one script compares the entry's score with the time, moves it to the next one, and adds the job. There is
//! no leader to lose, a job never comes without its claim or a claim without its job, and a clock that jumps back finds
//! its times claimed. Its jobs are iterations like BullMQ's own and may be worked by anyone; none of them is ever the
//! current one, so nobody has them followed. The price: while no oxherd runs, such a schedule stands still, and its
//! times are made up for as it says when one does.
//!
//! The definition in Redis is what is fired, not the file's: instances with different files agree on every time at
//! once. A file only writes, at start and reload, and each write asks whether the entry is still what was seen.
//! Entries that are gone are never written but then, so what was removed stays removed.
//!
//! # Where a mark of ours lives
//!
//! [`SchedulerSpec::mark`] is the field `oxherd.mark` of `K(repeat:<sid>)`. What clients do with a field they do not know
//! (bullmq 5.81.5 and 6.7.0, observed; the interop test `schedulers` holds it):
//!
//! - iterating keeps it: the next iteration adds to `ic` and leaves the rest alone;
//! - reading and listing ignore it: `getJobScheduler` and dashboards show the scheduler as ever;
//! - `upsertJobScheduler` replaces the hash, carrying over `ic` and `offset` alone: the mark goes;
//! - removing takes it along with the hash.
//!
//! So the mark says who defined the scheduler as it stands: whoever upserts it makes it his own. There is no place in
//! the scheduler itself that an upsert keeps; only its id outlives one.

mod diff;
mod find;
mod fire;
mod kept;
mod last;
mod mark;
mod next;
mod put;

use std::collections::BTreeMap;

use serde_json::Value as Json;
use serde_json::value::RawValue;

pub use diff::ScheduleStep;
pub(crate) use fire::{Claim, Fired, FiredJob, Firing, NEVER};
pub(crate) use kept::StoredSchedule;
pub use last::LastRun;
pub use mark::{Mark, Origin};
pub(crate) use next::NextIteration;

use super::error::Error;
use super::script::{REMOVE_SCHEDULER, SCHEDULERS, UPSERT_SCHEDULER};
use super::work::status_arguments;
use super::{MAX_PAGE, Queue, Value, reply};
use crate::config;
use crate::job::{JobId, SchedulerSpec, SpecError, Template, UnixMillis, millis};

/// Members of an iteration's options that are its own and not the next one's.
const OWN: [&str; 8] = ["repeat", "rep", "repeatJobKey", "jobId", "delay", "del", "timestamp", "prevMillis"];

/// A job scheduler as it stands in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredScheduler {
    pub id: String,
    /// When its current iteration is due, or was; `None` when it is not listed in the queue.
    pub next: Option<UnixMillis>,
    /// `None` when the queue lists the scheduler but holds no definition.
    pub definition: Option<Definition>,
    /// What else there is to a schedule of ours; `None` for any other job scheduler.
    pub own: Option<OwnSchedule>,
}

/// A schedule of ours, as it stands in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnSchedule {
    pub mark: Mark,
    /// `None` when it cannot be read, as one of a newer release.
    pub schedule: Option<config::Schedule>,
    pub is_paused: bool,
    /// The last time that was claimed.
    pub fired: Option<UnixMillis>,
    /// A time whose job waits for the one before to end.
    pub put_off: Option<UnixMillis>,
    pub last: Option<LastJob>,
}

/// The last job of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastJob {
    pub id: JobId,
    pub outcome: LastOutcome,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastOutcome {
    Completed,
    Failed,
    Unfinished,
    /// It was deleted, as finished jobs are after a while.
    Gone,
}

/// What a scheduler's hash says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Name of its jobs; empty when there is none.
    pub name: String,
    pub spec: SchedulerSpec,
    /// Iterations so far; `None` for a repeatable job of an old release.
    pub iterations: Option<u64>,
    /// JSON text.
    pub data: Option<String>,
    /// JSON text.
    pub opts: Option<String>,
}

impl Queue {
    /// Makes a job scheduler, or replaces the one of that id along with the iteration that waits for its time.
    /// Answers the id of the iteration added; `None` when there is none to come, and nothing was changed.
    ///
    /// A contradiction in `spec` or `template` is [`Error::Setup`]; an iteration that cannot be added, because one is
    /// there at that moment already, [`Error::Rejected`]. Repeating it after an ambiguous error does no harm.
    pub async fn upsert_scheduler(
        &self,
        id: &str,
        spec: &SchedulerSpec,
        template: &Template,
    ) -> Result<Option<JobId>, Error> {
        let silent = config::Status { enabled: false, ..config::Status::default() };
        self.upsert_scheduler_with(id, spec, template, &silent).await
    }

    /// As [`Queue::upsert_scheduler`], with a status message for the iteration.
    pub async fn upsert_scheduler_with(
        &self,
        id: &str,
        spec: &SchedulerSpec,
        template: &Template,
        status: &config::Status,
    ) -> Result<Option<JobId>, Error> {
        let refused = |error: SpecError| Error::Setup(error.to_string());
        let now = self.store.now();
        if id.is_empty() {
            return Err(refused(SpecError::NoId));
        }
        spec.check(template, now).map_err(refused)?;
        let mut next = None;
        if spec.pattern.is_some() {
            let zone = if spec.timezone.is_none() { config::local_zone() } else { String::new() };
            // read in any case: a wrong pattern is one also when it is to run at once
            let time = spec.first_time(now, &zone).map_err(|error| refused(error.into()))?;
            next = if spec.immediately { Some(now) } else { time };
            if next.is_none() {
                return Ok(None);
            }
        }
        if spec.limit == Some(0) {
            return Ok(None);
        }
        let opts = template.opts.encode_set();
        let data = template.data.get();
        let head = head(&opts, &spec.repeat(1).to_string(), id, now);
        let mut args: Vec<Value> = vec![self.keys.base().into(), now.0.into()];
        args.extend(status_arguments(status, &self.name, 1, false));
        args.extend([
            id.into(),
            template.name.as_str().into(),
            data.into(),
            head.into(),
            i64::from(template.opts.priority).into(),
            flag(template.opts.lifo),
            optional(next.map(|at| at.0)),
            optional(spec.every.map(millis)),
            optional(spec.offset.map(millis)),
            optional(spec.start.map(|at| at.0)),
            "name".into(),
            template.name.as_str().into(),
        ]);
        for (field, value) in spec.fields() {
            args.extend([field.into(), value.into()]);
        }
        for (field, value) in [("data", data), ("opts", opts.as_str())] {
            if value != "{}" {
                args.extend([field.into(), value.into()]);
            }
        }
        let script = &UPSERT_SCHEDULER;
        let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
        if let Value::Integer(_) = answer {
            let about = next.map_or_else(|| format!("repeat:{id}"), |at| format!("repeat:{id}:{at}"));
            reply::accepted("add the next iteration of a job scheduler as", &JobId::stored(&about), &answer)?;
        }
        reply::text(script.name, answer).map(|id| Some(JobId::stored(&id)))
    }

    /// Removes a job scheduler with the iteration that waits for its time; one that is waiting to be taken, or running,
    /// stays and is the last. False when there was no such scheduler. Safe to repeat.
    pub async fn remove_scheduler(&self, id: &str) -> Result<bool, Error> {
        let args = vec![self.keys.base().into(), id.into(), "".into()];
        let script = &REMOVE_SCHEDULER;
        let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
        Ok(reply::integer(script.name, &answer)? == 0)
    }

    /// A page of the queue's job schedulers, the one due next first; at most [`MAX_PAGE`].
    ///
    /// Whatever the queue lists is told, also what has no definition any more.
    pub async fn schedulers(&self, offset: usize, limit: usize) -> Result<Vec<StoredScheduler>, Error> {
        let limit = limit.min(MAX_PAGE);
        self.read_schedulers(vec![offset.to_string().into(), limit.to_string().into()]).await
    }

    /// The job scheduler of that id, if any of it is there.
    pub async fn scheduler(&self, id: &str) -> Result<Option<StoredScheduler>, Error> {
        let found = self.read_schedulers(vec!["0".into(), "1".into(), id.into()]).await?;
        Ok(found.into_iter().next().filter(|found| found.next.is_some() || found.definition.is_some()))
    }

    async fn read_schedulers(&self, page: Vec<Value>) -> Result<Vec<StoredScheduler>, Error> {
        let script = &SCHEDULERS;
        let mut args: Vec<Value> = vec![self.keys.base().into()];
        args.extend(page);
        let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
        let mut found = Vec::new();
        for entry in reply::array(script.name, answer)? {
            let mut parts = reply::array(script.name, entry)?.into_iter();
            let mut part = || parts.next().unwrap_or(Value::Null);
            let id = reply::text(script.name, part())?;
            let next = part().as_string().and_then(|ms| ms.parse().ok()).map(UnixMillis);
            let fields = reply::texts(script.name, part())?;
            let own = OwnSchedule::read(&fields, part().as_string().as_deref());
            found.push(StoredScheduler { id, next, definition: Definition::read(&fields), own });
        }
        Ok(found)
    }
}

impl Definition {
    /// From fields and values in turn.
    fn read(fields: &[String]) -> Option<Self> {
        if fields.is_empty() {
            return None;
        }
        let field = |name: &str| field(fields, name).map(str::to_owned);
        Some(Self {
            name: field("name").unwrap_or_default(),
            spec: SchedulerSpec::read(|name| field(name).map(Json::String)),
            iterations: field("ic").and_then(|count| count.parse().ok()),
            data: field("data"),
            opts: field("opts"),
        })
    }
}

impl OwnSchedule {
    /// From fields and values in turn, and what became of its last job.
    fn read(fields: &[String], last: Option<&str>) -> Option<Self> {
        let mark = field(fields, "oxherd.mark").and_then(Mark::read)?;
        let moment = |name| field(fields, name).and_then(|ms| ms.parse().ok()).map(UnixMillis);
        let outcome = match last {
            Some("completed") => LastOutcome::Completed,
            Some("failed") => LastOutcome::Failed,
            Some("unfinished") => LastOutcome::Unfinished,
            _ => LastOutcome::Gone,
        };
        Some(Self {
            schedule: field(fields, "oxherd.definition").and_then(|text| mark::decode(text, mark.revision).ok()),
            is_paused: field(fields, "oxherd.paused").is_some(),
            fired: moment("oxherd.fired"),
            put_off: moment("oxherd.pending"),
            last: field(fields, "oxherd.last").map(|id| LastJob { id: JobId::stored(id), outcome }),
            mark,
        })
    }
}

fn field<'a>(fields: &'a [String], name: &str) -> Option<&'a str> {
    fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].as_str())
}

/// The members of a job's options, each as it is written.
type Members = BTreeMap<String, Box<RawValue>>;

fn members(opts: &str) -> Members {
    serde_json::from_str(opts).unwrap_or_default()
}

/// The options of an iteration up to the moment its id ends in, which is the script's to say.
fn head(opts: &str, repeat: &str, scheduler: &str, now: UnixMillis) -> String {
    let mut members = members(opts);
    members.retain(|name, _| !OWN.contains(&name.as_str()));
    let mut text = serde_json::to_string(&members).expect("JSON text always serializes");
    text.pop();
    if !members.is_empty() {
        text.push(',');
    }
    let json = |text: &str| Json::from(text).to_string();
    let id = json(&format!("repeat:{scheduler}:"));
    let id = &id[..id.len() - 1];
    format!("{text}\"repeat\":{repeat},\"repeatJobKey\":{},\"timestamp\":{now},\"jobId\":{id}", json(scheduler))
}

fn flag(is_set: bool) -> Value {
    if is_set { "1" } else { "0" }.into()
}

fn optional(ms: Option<i64>) -> Value {
    ms.map_or_else(|| "".into(), |ms| ms.to_string().into())
}

#[cfg(test)]
mod tests;
