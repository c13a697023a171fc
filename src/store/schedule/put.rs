//! Makes Redis hold the schedules of a file, or one made by hand. The engine's scheduler and the command line call it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::diff::{ScheduleStep, Seen, diff};
use super::fire::{NEVER, iteration_options};
use super::mark::{Mark, Origin, encode};
use super::{flag, optional};
use crate::config::{self, Schedule};
use crate::job::{JobId, NewJob, SpecError, Template, Times, UnixMillis};
use crate::store::script::{PUT_SCHEDULES, REMOVE_SCHEDULER};
use crate::store::{Error, Queue, Value, reply};

/// Schedules in one call: a thousand keep Redis from others for about 50 ms.
const BATCH: usize = 200;
/// How often it is looked anew what others have made of the schedules meanwhile.
const TRIES: usize = 20;

/// A schedule as it is to be written.
struct Planned {
    schedule: Schedule,
    times: Times,
    definition: String,
    mark: Mark,
}

impl Planned {
    /// With the time zone of this host where one is needed and not named, and the offset of an interval: what is stored
    /// must mean the same everywhere.
    fn new(schedule: &Schedule, origin: Origin) -> Result<Self, Error> {
        let wrong = |error: SpecError| Error::Setup(format!("schedule {:?}: {error}", schedule.name));
        let mut schedule = schedule.clone();
        if schedule.name.is_empty() {
            return Err(wrong(SpecError::NoId));
        }
        let (name, data, opts) = (schedule.job_name.clone(), schedule.data.clone(), schedule.opts.clone());
        // an end that is past is no mistake in a file: the schedule has had its time
        schedule.spec.check(&Template { name, data, opts }, UnixMillis(i64::MIN)).map_err(wrong)?;
        let needs_zone = schedule.spec.pattern.is_some() || schedule.has_placeholders();
        if needs_zone && schedule.spec.timezone.is_none() {
            schedule.spec.timezone = Some(config::local_zone());
        }
        let times = Times::of(&schedule.spec, "UTC").map_err(wrong)?;
        let offset = u64::try_from(times.offset()).ok().filter(|offset| *offset > 0);
        schedule.spec.offset = offset.map(Duration::from_millis);
        let definition = encode(&schedule);
        let mark = Mark::new(origin, &schedule, &definition);
        Ok(Self { schedule, times, definition, mark })
    }
}

/// One schedule to be written, if it is still as it was seen.
struct Write<'a> {
    planned: &'a Planned,
    /// `None` when it was not there.
    seen: Option<&'a (String, Mark)>,
    /// Begins or ends a pause.
    pause: Option<bool>,
}

impl Queue {
    /// What [`Queue::put_schedules`] would do, job scheduler by job scheduler; changes nothing.
    pub async fn diff_schedules(
        &self,
        schedules: &[&Schedule],
        owner: &str,
    ) -> Result<BTreeMap<String, ScheduleStep>, Error> {
        let planned = self.plan(schedules, owner)?;
        let seen = self.seen(planned.keys().cloned()).await?;
        Ok(steps(&planned, &seen, owner))
    }

    /// Makes the queue's schedules those of a file: creates, changes and removes what carries the mark of that `owner`,
    /// and leaves alone what does not. Schedules of other queues and disabled ones do not count as the file's.
    ///
    /// Answers what was done, job scheduler by job scheduler. Safe to repeat, to cancel, and while others do the same. A
    /// schedule that cannot be one is [`Error::Setup`], and then nothing was done.
    pub async fn put_schedules(
        &self,
        schedules: &[&Schedule],
        owner: &str,
    ) -> Result<BTreeMap<String, ScheduleStep>, Error> {
        let planned = self.plan(schedules, owner)?;
        let mut done = BTreeMap::new();
        let mut seen = self.seen(planned.keys().cloned()).await?;
        for _ in 0..TRIES {
            let raced = self.step(&planned, &seen, owner, &mut done).await?;
            if raced.is_empty() {
                return Ok(done);
            }
            for name in &raced {
                done.remove(name);
            }
            seen = self.seen_of(&raced).await?;
            // what others have removed meanwhile needs no step
            for name in raced {
                if !planned.contains_key(&name) && !seen.contains_key(&name) {
                    done.insert(name, ScheduleStep::Remove);
                }
            }
        }
        Err(Error::Setup(format!(
            "the schedules of queue {} are changed again and again; do daemons with different files share the name \
             {owner:?}? give each file a [daemon] name of its own",
            self.name
        )))
    }

    /// One try: notes what it does, and answers of what somebody else was faster.
    async fn step(
        &self,
        planned: &BTreeMap<String, Planned>,
        seen: &BTreeMap<String, Seen>,
        owner: &str,
        done: &mut BTreeMap<String, ScheduleStep>,
    ) -> Result<Vec<String>, Error> {
        let mut writes = Vec::new();
        let mut raced = Vec::new();
        for (name, step) in steps(planned, seen, owner) {
            if done.contains_key(&name) {
                continue;
            }
            let mark = seen.get(&name).and_then(|seen| seen.mark.as_ref());
            match step {
                ScheduleStep::Create | ScheduleStep::Change => {
                    writes.push(Write { planned: &planned[&name], seen: mark, pause: None });
                }
                ScheduleStep::Remove if !self.remove_seen(&name, mark.map_or("", |(text, _)| text)).await? => {
                    raced.push(name.clone());
                }
                _ => {}
            }
            done.insert(name, step);
        }
        for batch in writes.chunks(BATCH) {
            let answers = self.write(batch).await?;
            let failed = batch.iter().zip(answers).filter(|(_, is_done)| !is_done);
            raced.extend(failed.map(|(write, _)| write.planned.schedule.name.clone()));
        }
        Ok(raced)
    }

    /// Makes a schedule by hand, or makes one that was made by hand another. It is fired by every instance that works
    /// the queue and stays until it is removed by hand.
    ///
    /// False when there is a job scheduler of that name that is not of this kind. A schedule that cannot be one is
    /// [`Error::Setup`].
    pub async fn add_schedule(&self, schedule: &Schedule) -> Result<bool, Error> {
        let planned = Planned::new(schedule, Origin::Hand)?;
        for _ in 0..TRIES {
            let mut seen = self.seen_of(std::slice::from_ref(&schedule.name)).await?;
            let seen = match seen.remove(&schedule.name) {
                None => None,
                Some(Seen { mark: Some((text, mark)) }) if mark.origin == Origin::Hand => Some((text, mark)),
                Some(_) => return Ok(false),
            };
            if self.write(&[Write { planned: &planned, seen: seen.as_ref(), pause: None }]).await? == [true] {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has a schedule of ours fired no more until it is resumed; its times go by. False when there is no such schedule.
    /// It stays paused over restarts and reloads. A job that is there already runs.
    pub async fn pause_schedule(&self, name: &str) -> Result<bool, Error> {
        self.set_pause(name, true).await
    }

    /// Ends a pause; no time of it is made up for. False when there is no such schedule.
    pub async fn resume_schedule(&self, name: &str) -> Result<bool, Error> {
        self.set_pause(name, false).await
    }

    async fn set_pause(&self, name: &str, pause: bool) -> Result<bool, Error> {
        for _ in 0..TRIES {
            let Some((schedule, mark)) = self.schedule(name).await? else { return Ok(false) };
            // the mark stays what it is: this is no other definition
            let planned = Planned { mark: mark.clone(), ..Planned::new(&schedule, mark.origin.clone())? };
            let seen = (mark.text(), mark);
            if self.write(&[Write { planned: &planned, seen: Some(&seen), pause: Some(pause) }]).await? == [true] {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a job of a schedule of ours now, beside those of its times: it waits for none of them, and keeps none from
    /// coming. `None` when there is no such schedule.
    ///
    /// After an ambiguous error the job may have been added.
    pub async fn trigger_schedule(&self, name: &str, status: &config::Status) -> Result<Option<JobId>, Error> {
        let Some((schedule, _)) = self.schedule(name).await? else { return Ok(None) };
        let data = schedule.render(self.store.now(), "UTC");
        let job = NewJob { name: schedule.job_name, data, opts: schedule.opts };
        self.add_with(&[job], status).await.map(|ids| ids.into_iter().next())
    }

    /// The file's schedules in this queue, by name.
    fn plan(&self, schedules: &[&Schedule], owner: &str) -> Result<BTreeMap<String, Planned>, Error> {
        let own = schedules.iter().filter(|schedule| schedule.queue == self.name && schedule.enabled);
        let planned = |schedule: &&Schedule| Planned::new(schedule, Origin::File(owner.to_owned()));
        own.map(|schedule| planned(schedule).map(|planned| (schedule.name.clone(), planned))).collect()
    }

    /// Writes schedules that are still as they were seen; says of each whether it was.
    async fn write(&self, writes: &[Write<'_>]) -> Result<Vec<bool>, Error> {
        let now = self.store.now();
        let mut args: Vec<Value> = vec![self.keys.base().into(), now.0.into()];
        args.extend(self.status.clone());
        args.push(NEVER.0.into());
        for Write { planned: Planned { schedule, times, definition, mark }, seen, pause } in writes {
            let opts = schedule.opts.encode_set();
            let (before, after) = iteration_options(schedule, now);
            let has_same_times = *pause != Some(false) && seen.is_some_and(|(_, seen)| seen.times == mark.times);
            args.extend([
                schedule.name.as_str().into(),
                seen.map_or("", |(text, _)| text).into(),
                times.next_after(now).unwrap_or(NEVER).0.into(),
                flag(has_same_times),
                pause.map_or_else(|| "".into(), flag),
                optional(schedule.spec.limit.and_then(|limit| i64::try_from(limit).ok())),
                if schedule.fits_bullmq().is_ok() { schedule.data.get() } else { "" }.into(),
                before.into(),
                after.into(),
                i64::from(schedule.opts.priority).into(),
                flag(schedule.opts.lifo),
                flag(schedule.spec.pattern.is_some()),
            ]);
            let mut fields: Vec<(&str, String)> = vec![("name", schedule.job_name.clone())];
            fields.extend(schedule.spec.fields());
            fields.push(("offset", times.offset().to_string()));
            let template = [("data", schedule.data.get()), ("opts", opts.as_str())];
            fields
                .extend(template.into_iter().filter(|(_, text)| *text != "{}").map(|(name, text)| (name, text.into())));
            fields.extend([("oxherd.mark", mark.text()), ("oxherd.definition", definition.clone())]);
            args.push(i64::try_from(2 * fields.len()).unwrap_or(i64::MAX).into());
            args.extend(fields.into_iter().flat_map(|(field, value)| [field.into(), Value::from(value)]));
        }
        let script = &PUT_SCHEDULES;
        let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
        Ok(reply::array(script.name, answer)?.iter().map(|answer| matches!(answer, Value::Array(_))).collect())
    }

    /// Removes a job scheduler that still carries this mark; false when somebody else was faster.
    pub(super) async fn remove_seen(&self, id: &str, mark: &str) -> Result<bool, Error> {
        let args = vec![self.keys.base().into(), id.into(), mark.into()];
        let script = &REMOVE_SCHEDULER;
        let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
        Ok(reply::integer(script.name, &answer)? == 0)
    }
}

fn steps(
    planned: &BTreeMap<String, Planned>,
    seen: &BTreeMap<String, Seen>,
    owner: &str,
) -> BTreeMap<String, ScheduleStep> {
    let wanted = planned.iter().map(|(name, planned)| (name.as_str(), &planned.mark)).collect();
    diff(&wanted, seen, owner)
}
