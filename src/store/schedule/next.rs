//! Has an iteration that was taken followed by the next one. The engine calls it for each iteration it takes.

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::{Definition, Members, flag, head, members, optional};
use crate::job::series::is_first_shape;
use crate::job::{Job, JobId, JobOptions, SchedulerSpec, SpecError, UnixMillis, millis};
use crate::store::script::ADD_NEXT_ITERATION;
use crate::store::work::BullQueue;
use crate::store::{Error, Value, reply};

/// What became of the iteration that should follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NextIteration {
    Added(JobId),
    /// Somebody else has done it, or has made the scheduler another one.
    Passed,
    /// The series has come to its end: by its limit, its end date, or because its pattern never comes again.
    Ended,
    /// The scheduler was removed.
    Removed,
    /// A job with that id is there already, so the series does not go on.
    Exists(JobId),
    /// The id is that of a repeatable job of an early release, which BullMQ 6 does not go on with.
    Legacy,
}

impl BullQueue {
    /// Has an iteration that was taken followed by the next one, once for all who try. Safe to repeat, also while others
    /// do; safe to cancel.
    ///
    /// Where the job's options do not say when the next one comes, or in a way that cannot be read, the scheduler's
    /// definition does; a pattern that cannot be read there either is [`Error::Setup`]. `zone` is that of patterns
    /// which name none.
    pub(crate) async fn add_next_iteration(&self, job: &Job, zone: &str) -> Result<NextIteration, Error> {
        let Some(iteration) = &job.scheduler else { return Ok(NextIteration::Removed) };
        let now = self.store.now();
        let mut plan = Plan::of_job(job, &iteration.opts, now, zone);
        if !matches!(plan, Ok(Some(_))) {
            let stored = self.store.queue(&self.name).scheduler(&iteration.scheduler).await?;
            if let Some(definition) = stored.and_then(|stored| stored.definition) {
                plan = Plan::of_definition(job, &iteration.opts, &definition, now, zone).map(Some);
            }
        }
        let wrong = |what: String| Error::Setup(format!("the job scheduler {:?}: {what}", iteration.scheduler));
        let plan = plan.map_err(|error| wrong(error.to_string()))?;
        let Some(plan) = plan else { return Ok(NextIteration::Removed) };
        let next = match plan.next {
            Next::Ended => return Ok(NextIteration::Ended),
            Next::Slot => None,
            Next::At(moment) => Some(moment.0),
        };
        let mut args: Vec<Value> = vec![self.base.clone(), now.0.into()];
        args.extend(self.status.clone());
        args.extend([
            iteration.scheduler.as_str().into(),
            job.id.as_str().into(),
            head(&plan.opts, &plan.repeat, &iteration.scheduler, now).into(),
            i64::from(plan.priority).into(),
            flag(plan.lifo),
            plan.deduplication.unwrap_or_default().into(),
            optional(next),
            optional(plan.every),
            flag(is_first_shape(&iteration.scheduler)),
        ]);
        let script = &ADD_NEXT_ITERATION;
        let answer = reply::texts(script.name, self.store.command().script(script, &self.slot_key, args).await?)?;
        let id = || JobId::stored(answer.get(1).map_or("", String::as_str));
        match answer.first().map_or("", String::as_str) {
            "added" => Ok(NextIteration::Added(id())),
            "exists" => Ok(NextIteration::Exists(id())),
            "passed" => Ok(NextIteration::Passed),
            "removed" => Ok(NextIteration::Removed),
            "legacy" => Ok(NextIteration::Legacy),
            _ => Err(wrong("it has neither a pattern nor an interval; upsert it again".to_owned())),
        }
    }
}

/// When the next iteration comes and what it is.
struct Plan {
    next: Next,
    /// JSON text.
    opts: String,
    /// JSON text.
    repeat: String,
    every: Option<i64>,
    priority: u32,
    lifo: bool,
    deduplication: Option<String>,
}

enum Next {
    At(UnixMillis),
    /// The script knows better: it has the slot that was current, and the offset.
    Slot,
    Ended,
}

impl Plan {
    /// By what the job says of its series; `None` when it says nothing.
    fn of_job(job: &Job, opts: &str, now: UnixMillis, zone: &str) -> Result<Option<Self>, SpecError> {
        let members = members(opts);
        let Some(repeat) = members.get("repeat").or_else(|| members.get("rep")) else { return Ok(None) };
        let Ok(mut repeat) = serde_json::from_str::<Members>(repeat.get()) else { return Ok(None) };
        let member = |name: &str| repeat.get(name).and_then(|value| serde_json::from_str::<Json>(value.get()).ok());
        let spec = SchedulerSpec::read(member);
        if spec.pattern.is_none() && spec.every.is_none() {
            return Ok(None);
        }
        let count = member("count").as_ref().and_then(Json::as_u64).unwrap_or(0).saturating_add(1);
        let next = next(&spec, count, prev_millis(&members), now, zone)?;
        repeat.insert("count".into(), RawValue::from_string(count.to_string()).expect("a number is JSON"));
        let repeat = serde_json::to_string(&repeat).expect("JSON text always serializes");
        Ok(Some(Self::new(next, &spec, opts, repeat, &job.opts)))
    }

    /// By what the scheduler says, for a job that does not.
    fn of_definition(
        job: &Job,
        opts: &str,
        definition: &Definition,
        now: UnixMillis,
        zone: &str,
    ) -> Result<Self, SpecError> {
        let spec = &definition.spec;
        let count = definition.iterations.unwrap_or(1).saturating_add(1);
        let next = next(spec, count, prev_millis(&members(opts)), now, zone)?;
        let repeat = spec.repeat(count).to_string();
        // options that cannot be read are not passed on
        let template = definition.opts.as_deref().unwrap_or("{}");
        if JobOptions::parse(opts).is_ok() {
            return Ok(Self::new(next, spec, opts, repeat, &job.opts));
        }
        let (read, _) = JobOptions::parse(template).unwrap_or_default();
        Ok(Self::new(next, spec, template, repeat, &read))
    }

    fn new(next: Next, spec: &SchedulerSpec, opts: &str, repeat: String, read: &JobOptions) -> Self {
        let mut members = members(opts);
        if !members.contains_key("attempts") && !members.contains_key("at") {
            // as a job that Node has read once
            members.insert("attempts".into(), RawValue::from_string("0".into()).expect("a number is JSON"));
        }
        Self {
            next,
            opts: serde_json::to_string(&members).expect("JSON text always serializes"),
            repeat,
            every: spec.every.map(millis),
            priority: read.priority,
            lifo: read.lifo,
            deduplication: read.deduplication.as_ref().map(|window| window.id.clone()),
        }
    }
}

/// When the iteration of this number comes, if the series goes on.
fn next(
    spec: &SchedulerSpec,
    count: u64,
    before: Option<UnixMillis>,
    now: UnixMillis,
    zone: &str,
) -> Result<Next, SpecError> {
    if spec.limit.is_some_and(|limit| count > limit) || spec.has_ended(now) {
        return Ok(Next::Ended);
    }
    if spec.pattern.is_none() {
        return Ok(Next::Slot);
    }
    let after = before.map_or(now, |before| before.max(now));
    Ok(spec.next_time(after, zone)?.map_or(Next::Ended, Next::At))
}

/// The slot of a pattern's iteration.
fn prev_millis(members: &Members) -> Option<UnixMillis> {
    members.get("prevMillis").and_then(|value| value.get().parse().ok()).map(UnixMillis)
}
