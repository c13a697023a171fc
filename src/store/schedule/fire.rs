//! Fires schedules whose time has come: the claim of a time and its job are one step. The engine's scheduler calls it.

use serde_json::value::RawValue;

use super::kept::StoredSchedule;
use super::{flag, head, optional};
use crate::config::{CatchUp, Overlap, Schedule};
use crate::job::UnixMillis;
use crate::store::script::FIRE_SCHEDULES;
use crate::store::{Error, Queue, Value, reply};

/// Where the next time of a schedule lies that has none any more: the last second of the year 9999.
pub(crate) const NEVER: UnixMillis = UnixMillis(253_402_300_799_000);

/// One schedule to be fired.
pub(crate) struct Firing {
    pub(crate) stored: StoredSchedule,
    /// The time to claim: the schedule's next one as the caller knows it. `None` asks for the one that was put off.
    pub(crate) claim: Option<UnixMillis>,
    /// Its next time from then on; `None` when there is none.
    pub(crate) next: Option<UnixMillis>,
    pub(crate) jobs: Vec<FiredJob>,
}

/// A job that comes of it.
pub(crate) struct FiredJob {
    /// The time it is for.
    pub(crate) slot: UnixMillis,
    /// When it may be taken.
    pub(crate) due: UnixMillis,
    pub(crate) data: Box<RawValue>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fired {
    Claimed {
        by: Claim,
        next: UnixMillis,
        /// A time whose job waits for the one before to end.
        put_off: Option<UnixMillis>,
    },
    /// It is another one now, or another daemon's.
    Changed,
    /// A BullMQ client has made it its own.
    Foreign,
    /// It was removed.
    Gone,
    /// A key of it is of the wrong type.
    Failed(String),
}

/// Whose claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// This call's, with so many jobs added, and so many not because of overlap.
    Us { added: u64, left: u64 },
    /// This call's, and the schedule is paused.
    Paused,
    /// Nobody's yet: the job before has not ended.
    Busy,
    /// That of an earlier call, of whomever.
    Others,
}

/// The options of a schedule's jobs as JSON, around the number of each: up to it, and from behind it up to the moment
/// that the id ends in.
pub(super) fn iteration_options(schedule: &Schedule, now: UnixMillis) -> (String, String) {
    let repeat = schedule.spec.repeat(0).to_string();
    let opts = head(&schedule.opts.encode_set(), &repeat, &schedule.name, now);
    // nothing behind it can look the same: quotes are escaped there
    let end = opts.rfind(&repeat).unwrap_or_default() + repeat.len();
    let number = end - "0}".len();
    (opts[..number].to_owned(), opts[number + 1..].to_owned())
}

impl Queue {
    /// Fires schedules of the queue, each on its own: an answer per schedule, in order. After an error the same call
    /// may be repeated: a time that was claimed is claimed.
    pub(crate) async fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, Error> {
        let now = self.store.now();
        let mut args: Vec<Value> = vec![self.keys.base().into(), now.0.into()];
        args.extend(self.status.clone());
        args.push(NEVER.0.into());
        for Firing { stored, claim, next, jobs } in firings {
            let schedule = &stored.schedule;
            let mode = match schedule.overlap {
                _ if stored.is_series => "series",
                Overlap::Allow => "allow",
                Overlap::Skip => "skip",
                Overlap::Queue if schedule.catch_up == CatchUp::All => "each",
                Overlap::Queue => "queue",
            };
            let (before, after) = iteration_options(schedule, now);
            args.extend([
                schedule.name.as_str().into(),
                (&*stored.mark).into(),
                optional(claim.map(|at| at.0)),
                next.unwrap_or(NEVER).0.into(),
                mode.into(),
                optional(schedule.spec.limit.and_then(|limit| i64::try_from(limit).ok())),
                schedule.job_name.as_str().into(),
                before.into(),
                after.into(),
                i64::from(schedule.opts.priority).into(),
                flag(schedule.opts.lifo),
                flag(schedule.spec.pattern.is_some()),
                i64::try_from(jobs.len()).unwrap_or(i64::MAX).into(),
            ]);
            for job in jobs {
                args.extend([job.slot.0.into(), job.due.0.into(), job.data.get().into()]);
            }
        }
        let script = &FIRE_SCHEDULES;
        let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
        reply::array(script.name, answer)?.into_iter().map(Fired::read).collect()
    }
}

impl Fired {
    fn read(answer: Value) -> Result<Self, Error> {
        let what = FIRE_SCHEDULES.name;
        let mut parts = reply::array(what, answer)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let word = reply::text(what, part())?;
        match word.as_str() {
            "changed" => return Ok(Self::Changed),
            "foreign" => return Ok(Self::Foreign),
            "gone" => return Ok(Self::Gone),
            "failed" => return Ok(Self::Failed(reply::text(what, part())?)),
            _ => {}
        }
        let next = UnixMillis(reply::integer(what, &part())?);
        let put_off = part().as_string().and_then(|ms| ms.parse().ok()).map(UnixMillis);
        let by = match word.as_str() {
            "fired" => Claim::Us { added: reply::count(what, &part())?, left: reply::count(what, &part())? },
            "paused" => Claim::Paused,
            "busy" => Claim::Busy,
            _ => Claim::Others,
        };
        Ok(Self::Claimed { by, next, put_off })
    }
}
