//! Reads the schedules of ours, as those who fire and those who change them need it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::diff::Seen;
use super::mark::{Mark, decode};
use crate::config::Schedule;
use crate::job::UnixMillis;
use crate::store::script::{ITERATIONS_AHEAD, SCHEDULE_MARKS};
use crate::store::{Error, Queue, Value, reply};

/// Job schedulers read in one call.
const STEP: usize = 1000;

/// A schedule as it stands in Redis, for those who fire it.
#[derive(Debug, Clone)]
pub(crate) struct StoredSchedule {
    /// Text of its mark: what it has to carry when it is fired.
    pub(crate) mark: Arc<str>,
    /// Of its definition.
    pub(crate) hash: Arc<str>,
    pub(crate) schedule: Arc<Schedule>,
    /// Each job is there before its time, and BullMQ workers keep the series going too.
    pub(crate) is_series: bool,
    pub(crate) next: Option<UnixMillis>,
    /// A time whose job waits for the one before to end.
    pub(crate) put_off: Option<UnixMillis>,
}

/// What stands under an id.
struct Marked {
    /// Empty when there is none.
    mark: Arc<str>,
    next: Option<UnixMillis>,
    put_off: Option<UnixMillis>,
    /// The field that was asked for.
    field: Option<String>,
}

impl Marked {
    fn read(answer: Value) -> Option<Self> {
        let Value::Array(parts) = answer else { return None };
        let mut parts = parts.into_iter().map(|part| part.as_string());
        let mut part = || parts.next().flatten();
        let mark = part().unwrap_or_default().into();
        let moment = |text: Option<String>| text.and_then(|ms| ms.parse().ok()).map(UnixMillis);
        let (next, put_off) = (moment(part()), moment(part()));
        Some(Self { mark, next, put_off, field: part() })
    }

    fn stored(&self, mark: &Mark, schedule: Arc<Schedule>) -> StoredSchedule {
        StoredSchedule {
            mark: Arc::clone(&self.mark),
            hash: mark.hash.as_str().into(),
            is_series: schedule.fits_bullmq().is_ok(),
            schedule,
            next: self.next,
            put_off: self.put_off,
        }
    }
}

impl Queue {
    /// Every schedule of ours that a daemon of that name fires. Definitions that are in `known`, by their hash, are not
    /// read again.
    pub(crate) async fn schedules_fired_by(
        &self,
        owner: &str,
        known: &HashMap<Arc<str>, Arc<Schedule>>,
    ) -> Result<Vec<StoredSchedule>, Error> {
        let mut found = Vec::new();
        for ids in self.scheduler_ids().await?.chunks(STEP) {
            let mut unread = Vec::new();
            let fired = |stored: &Marked| Mark::read(&stored.mark).filter(|mark| mark.is_fired_by(owner));
            for (id, stored) in ids.iter().zip(self.marked(ids, "").await?) {
                let Some(stored) = stored else { continue };
                let Some(mark) = fired(&stored) else { continue };
                match known.get(mark.hash.as_str()) {
                    Some(schedule) => found.push(stored.stored(&mark, Arc::clone(schedule))),
                    None => unread.push(id.clone()),
                }
            }
            for stored in self.marked(&unread, "oxherd.definition").await?.into_iter().flatten() {
                let Some(mark) = fired(&stored) else { continue };
                match decode(stored.field.as_deref().unwrap_or_default(), mark.revision) {
                    Ok(schedule) => found.push(stored.stored(&mark, Arc::new(schedule))),
                    Err(error) => tracing::error!(
                        queue = %self.name, mark = &*stored.mark, %error,
                        "a schedule is left to other instances; was it made by a newer release?"
                    ),
                }
            }
        }
        Ok(found)
    }

    /// A text that is another one whenever a schedule of ours was made, changed, paused, resumed or removed.
    pub(crate) async fn schedules_version(&self) -> Result<Option<String>, Error> {
        let args = vec![self.keys.meta().into(), "oxherd.schedules".into()];
        self.store.command().call("HGET", args).await.map(|answer| answer.as_string())
    }

    /// How many of these queues hold any job scheduler, whoever made it.
    pub(crate) async fn with_schedulers(queues: &[&Self]) -> Result<u64, Error> {
        let Some(first) = queues.first() else { return Ok(0) };
        let keys = queues.iter().map(|queue| queue.keys.schedulers().into()).collect();
        let answer = first.store.command().call("EXISTS", keys).await?;
        reply::count("EXISTS", &answer)
    }

    /// How many of the delayed jobs are there before their time because a job scheduler has one ready.
    pub(crate) async fn iterations_ahead(&self) -> Result<u64, Error> {
        let (script, step) = (&ITERATIONS_AHEAD, i64::try_from(STEP).unwrap_or(i64::MAX));
        let (mut count, mut skip) = (0, 0_i64);
        loop {
            let args = vec![self.keys.base().into(), self.store.now().0.into(), skip.into(), step.into()];
            let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
            let parts = reply::array(script.name, answer)?;
            let part = |at: usize| reply::count(script.name, parts.get(at).unwrap_or(&Value::Null));
            count += part(0)?;
            if part(1)? == 0 {
                return Ok(count);
            }
            skip += step;
        }
    }

    /// A schedule of ours, with its mark.
    pub(super) async fn schedule(&self, name: &str) -> Result<Option<(Schedule, Mark)>, Error> {
        let mut found = self.marked(&[name.to_owned()], "oxherd.definition").await?;
        let Some(Some(stored)) = found.pop() else { return Ok(None) };
        let (Some(mark), Some(definition)) = (Mark::read(&stored.mark), stored.field) else { return Ok(None) };
        decode(&definition, mark.revision).map(|schedule| Some((schedule, mark)))
    }

    /// Every job scheduler of the queue, and those of these names that are there without being listed.
    pub(super) async fn seen(&self, names: impl Iterator<Item = String>) -> Result<BTreeMap<String, Seen>, Error> {
        let mut ids = self.scheduler_ids().await?;
        ids.extend(names);
        ids.sort_unstable();
        ids.dedup();
        self.seen_of(&ids).await
    }

    /// Those of these job schedulers that are there.
    pub(super) async fn seen_of(&self, ids: &[String]) -> Result<BTreeMap<String, Seen>, Error> {
        let mut seen = BTreeMap::new();
        for ids in ids.chunks(STEP) {
            for (id, stored) in ids.iter().zip(self.marked(ids, "").await?) {
                let Some(stored) = stored else { continue };
                let mark = Mark::read(&stored.mark).map(|mark| (stored.mark.to_string(), mark));
                seen.insert(id.clone(), Seen { mark });
            }
        }
        Ok(seen)
    }

    /// The ids of all job schedulers that are there from begin to end of the call; each once.
    async fn scheduler_ids(&self) -> Result<Vec<String>, Error> {
        Ok(self.scheduler_times().await?.into_keys().collect())
    }

    /// The same with their next times, in ms.
    pub(super) async fn scheduler_times(&self) -> Result<BTreeMap<String, f64>, Error> {
        let mut times = BTreeMap::new();
        let mut cursor = "0".to_owned();
        loop {
            let args = [self.keys.schedulers().as_str(), cursor.as_str(), "COUNT", "1000"].map(Value::from).to_vec();
            let mut parts = reply::array("ZSCAN", self.store.command().call("ZSCAN", args).await?)?.into_iter();
            let mut part = || parts.next().unwrap_or(Value::Null);
            cursor = reply::text("ZSCAN", part())?;
            for pair in reply::texts("ZSCAN", part())?.chunks_exact(2) {
                times.insert(pair[0].clone(), pair[1].parse().unwrap_or(f64::MAX));
            }
            if cursor == "0" {
                return Ok(times);
            }
        }
    }

    /// What stands under these ids, and a field of each definition, `""` for none.
    async fn marked(&self, ids: &[String], field: &str) -> Result<Vec<Option<Marked>>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut args: Vec<Value> = vec![self.keys.base().into(), field.into()];
        args.extend(ids.iter().map(|id| id.as_str().into()));
        let script = &SCHEDULE_MARKS;
        let answer = self.store.command().script(script, &self.keys.meta(), args).await?;
        Ok(reply::array(script.name, answer)?.into_iter().map(Marked::read).collect())
    }
}
