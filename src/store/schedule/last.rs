//! What became of the last job of each job scheduler. Those who list schedules ask.

use crate::config;
use crate::job::{JobId, State, Times, UnixMillis, millis};
use crate::store::script::LAST_RUNS;
use crate::store::{Error, Queue, StoredScheduler, Value, reply};

/// Jobs looked for in one call.
const STEP: usize = 1000;
/// How far back the time before a pattern's next one is looked for, in ms: most come within a day, and every date falls
/// on every weekday within 28 years.
const BACK: [i64; 2] = [86_400_000, 28 * 366 * 86_400_000];

/// The last job of a job scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    pub id: JobId,
    /// The time it was for.
    pub slot: Option<UnixMillis>,
    /// `None` when the job is not there any more, as finished jobs are after a while.
    pub state: Option<State>,
    pub finished: Option<UnixMillis>,
}

impl Queue {
    /// The last run of each of these job schedulers, in order; `None` where none is known.
    ///
    /// Of a series of BullMQ's it is the job of its current time, where that has come, or of the time before, where that
    /// job is still there. A schedule of ours notes its last job as well.
    pub async fn last_runs(&self, schedulers: &[StoredScheduler]) -> Result<Vec<Option<LastRun>>, Error> {
        let now = self.store.now();
        let zone = config::local_zone();
        let mut ids = Vec::new();
        let mut owners = Vec::new();
        for (place, scheduler) in schedulers.iter().enumerate() {
            for id in candidates(scheduler, now, &zone) {
                ids.push(id);
                owners.push(place);
            }
        }
        let mut runs = vec![None; schedulers.len()];
        for (ids, owners) in ids.chunks(STEP).zip(owners.chunks(STEP)) {
            for ((id, place), answer) in ids.iter().zip(owners).zip(self.places(ids).await?) {
                let (state, finished) = answer.map_or((None, None), |(state, finished)| (Some(state), finished));
                let own = schedulers[*place].own.as_ref().and_then(|own| own.last.as_ref());
                let is_noted = own.is_some_and(|last| last.id.as_str() == id);
                if runs[*place].is_none() && (state.is_some() || is_noted) {
                    let slot = id.rsplit(':').next().and_then(|ms| ms.parse().ok()).map(UnixMillis);
                    runs[*place] = Some(LastRun { id: JobId::stored(id), slot, state, finished });
                }
            }
        }
        Ok(runs)
    }

    async fn places(&self, ids: &[String]) -> Result<Vec<Option<(State, Option<UnixMillis>)>>, Error> {
        let mut args: Vec<Value> = vec![self.keys.base().into()];
        args.extend(ids.iter().map(|id| id.as_str().into()));
        let script = &LAST_RUNS;
        let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
        let read = |answer: Value| {
            let Value::Array(parts) = answer else { return Ok(None) };
            let mut parts = parts.into_iter();
            let mut part = || parts.next().unwrap_or(Value::Null);
            let state = reply::text(script.name, part())?.parse().unwrap_or(State::Unknown);
            Ok(Some((state, part().as_string().and_then(|ms| ms.parse().ok()).map(UnixMillis))))
        };
        reply::array(script.name, answer)?.into_iter().map(read).collect()
    }
}

/// Ids of jobs that may be the last one, the latest first.
fn candidates(scheduler: &StoredScheduler, now: UnixMillis, zone: &str) -> Vec<String> {
    let id = |slot: UnixMillis| format!("repeat:{}:{slot}", scheduler.id);
    let noted = scheduler.own.as_ref().and_then(|own| own.last.as_ref());
    let is_series = scheduler
        .own
        .as_ref()
        .is_none_or(|own| own.schedule.as_ref().is_some_and(|schedule| schedule.fits_bullmq().is_ok()));
    let mut ids = Vec::new();
    if is_series {
        // the current iteration, once its time has come
        ids.extend(scheduler.next.filter(|next| *next <= now).map(id));
        // a BullMQ worker that takes one notes nothing
        ids.extend(before(scheduler, zone).map(id));
    }
    ids.extend(noted.map(|last| last.id.to_string()));
    ids
}

/// The time before the current one.
fn before(scheduler: &StoredScheduler, zone: &str) -> Option<UnixMillis> {
    let spec = &scheduler.definition.as_ref()?.spec;
    let next = scheduler.next?.0;
    if let Some(every) = spec.every {
        return Some(UnixMillis(next.saturating_sub(millis(every))));
    }
    let times = Times::of(spec, zone).ok()?;
    let until = UnixMillis(next.saturating_sub(1));
    BACK.iter().find_map(|back| times.latest(UnixMillis(next.saturating_sub(*back)), until))
}
