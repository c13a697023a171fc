//! Takes jobs, holds their locks, finds those whose take was answered into a dead wire.

use std::time::Duration;

use super::Value;

use super::codec::read_jobs;
use super::script::{ADOPT_JOBS, CHECK_QUEUE, EXTEND_LOCKS, MOVE_TO_ACTIVE, RELEASE_LOCKS};
use super::upkeep::PUT_BACK;
use super::work::{BullQueue, Held, Token};
use super::{Error, Store, reply};
use crate::config;
use crate::job::{Job, JobId, UnixMillis};

/// Due delayed jobs moved in one call: enough for a full batch, few enough that the first of
/// 20,000 due at once does not wait for a thousand others.
const PROMOTE: i64 = 128;

/// Locks renewed in one call: a script cannot hand a command more than some 8000 arguments.
const RENEW: usize = 1000;

/// What is asked for in one take.
#[derive(Debug, Clone)]
pub(crate) struct Take {
    /// Never used before: jobs of a take whose reply got lost are found by it.
    pub(crate) token: Token,
    /// Free slots.
    pub(crate) want: u32,
}

/// What a take brought.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) jobs: Vec<Job>,
    /// The rate limit is used up for this long.
    pub(crate) limited: Option<Duration>,
    /// When the next delayed job is due, as far as known.
    pub(crate) next_due: Option<UnixMillis>,
    /// More may be there right now.
    pub(crate) more: bool,
    /// Ids that had no job behind them, or one that could not be read as a job.
    pub(crate) dropped: Vec<JobId>,
    /// Jobs among them that have or had children, where takes tell.
    pub(crate) parents: Vec<JobId>,
    /// Jobs among them that are to be cancelled instead of run, and why.
    pub(crate) cancelled: Vec<(JobId, String)>,
}

/// What a renewal of locks has shown.
#[derive(Debug, Default)]
pub(crate) struct Renewal {
    /// Jobs that are not ours any more.
    pub(crate) lost: Vec<JobId>,
    /// Takes none of whose jobs is ours any more.
    pub(crate) ended: Vec<Token>,
    /// Jobs that are to be cancelled, and why; told at every renewal.
    pub(crate) cancelled: Vec<(JobId, String)>,
}

impl BullQueue {
    /// Takes up to `take.want` jobs.
    ///
    /// Not to be repeated after an ambiguous error: the jobs may be ours already, see
    /// [`BullQueue::adopt_jobs`]. Not cancel safe for the same reason.
    pub(crate) async fn move_to_active(&self, take: &Take) -> Result<Taken, Error> {
        let now = self.store.now();
        let mut args = Vec::with_capacity(13);
        self.take_arguments(&mut args, now, Some(take));
        let reply = self.store.command().script(&MOVE_TO_ACTIVE, &self.slot_key, args).await?;
        self.read_take(reply, now)
    }

    /// The arguments 1 to 13 that the scripts which take jobs share.
    pub(super) fn take_arguments(&self, args: &mut Vec<Value>, now: UnixMillis, take: Option<&Take>) {
        args.extend([
            self.base.clone(),
            now.0.into(),
            take.map_or_else(|| "".into(), |take| Value::from(&*take.token)),
            self.lock.clone(),
            take.map_or(0, |take| i64::from(take.want)).into(),
            self.worker.clone(),
            "".into(),
            "".into(),
            PROMOTE.into(),
            self.payload.clone(),
        ]);
        args.extend(self.status.clone());
        args.push(self.family.clone());
    }

    /// Reads `{ttl, next due, more, dropped, jobs, parents, marks…}`; without jobs what follows them may be missing.
    pub(super) fn read_take(&self, reply: Value, now: UnixMillis) -> Result<Taken, Error> {
        let mut parts = reply::array("a take", reply)?.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Null);
        let limited = reply::integer("a take", &next())?;
        let next_due = reply::integer("a take", &next())?;
        let more = reply::integer("a take", &next())? == 1;
        let dropped = reply::ids("a take", next())?;
        let jobs = read_jobs(&self.name, reply::array("a take", next())?, now)?;
        let parents = match next() {
            Value::Null => Vec::new(),
            parents => reply::ids("a take", parents)?,
        };
        let cancelled = marks("a take", parts)?;
        Ok(Taken {
            jobs,
            limited: u64::try_from(limited).ok().filter(|ms| *ms > 0).map(Duration::from_millis),
            next_due: Some(next_due).filter(|ms| *ms > 0).map(UnixMillis),
            more,
            dropped,
            parents,
            cancelled,
        })
    }

    /// Renews locks; says which jobs are not ours any more, and which are to be cancelled. Safe to repeat.
    ///
    /// Goes over the connection of its own that renewals have, if it can be opened. Waits for an answer no longer than a third
    /// of a lock's life, so that another connection can still be tried.
    pub(crate) async fn extend_locks(&self, held: &[Held]) -> Result<Renewal, Error> {
        let mut renewal = Renewal::default();
        // where none can be had, for want of descriptors, the shared one will do
        let connection = self.store.renewal().await.unwrap_or_else(|_| self.store.command());
        for batch in held.chunks(RENEW) {
            let mut args = Vec::with_capacity(2 + 3 * batch.len());
            args.extend([self.base.clone(), self.lock.clone()]);
            for job in batch {
                args.extend(held_arguments(job));
            }
            let answer = connection.script(&EXTEND_LOCKS, &self.slot_key, args);
            let reply = connection.in_time(EXTEND_LOCKS.name, self.settings.lock / 3, answer).await?;
            let mut parts = reply::array(EXTEND_LOCKS.name, reply)?.into_iter();
            renewal.lost.extend(reply::ids(EXTEND_LOCKS.name, parts.next().unwrap_or(Value::Null))?);
            renewal.cancelled.extend(marks(EXTEND_LOCKS.name, parts)?);
        }
        Ok(renewal)
    }

    /// Locks one job again whose lock ran out, if it is still ours. Safe to repeat. As
    /// [`BullQueue::extend_locks`], over the connection its outcome goes over.
    pub(crate) async fn relock(&self, held: &Held) -> Result<bool, Error> {
        let mut args = vec![self.base.clone(), self.lock.clone()];
        args.extend(held_arguments(held));
        let answer = self.store.command().script(&EXTEND_LOCKS, &self.slot_key, args).await?;
        let lost = reply::array(EXTEND_LOCKS.name, answer)?.into_iter().next().unwrap_or(Value::Null);
        Ok(reply::ids(EXTEND_LOCKS.name, lost)?.is_empty())
    }

    /// The jobs an unanswered take has moved to active, `known` ones left out. Safe to repeat.
    pub(crate) async fn adopt_jobs(&self, token: &Token, known: &[JobId]) -> Result<Vec<Job>, Error> {
        let mut args = vec![self.base.clone(), self.payload.clone(), Value::from(&**token)];
        args.extend(known.iter().map(|id| Value::from(id.as_str())));
        let jobs = self.store.command().script(&ADOPT_JOBS, &self.slot_key, args).await?;
        read_jobs(&self.name, reply::array("adopt_jobs", jobs)?, self.store.now())
    }

    /// Puts back what earlier incarnations of this worker held. Safe to repeat.
    pub(crate) async fn release_locks(&self, incarnations: &[String]) -> Result<Vec<JobId>, Error> {
        let mut released = Vec::new();
        loop {
            let mut args = vec![self.base.clone(), self.now(), i64::from(self.settings.max_stalled).into()];
            args.extend(self.status.clone());
            args.push(PUT_BACK.into());
            args.extend(incarnations.iter().map(|incarnation| Value::from(incarnation.as_str())));
            let answer = self.store.command().script(&RELEASE_LOCKS, &self.slot_key, args).await?;
            let mut parts = reply::array(RELEASE_LOCKS.name, answer)?.into_iter();
            let more = reply::integer(RELEASE_LOCKS.name, &parts.next().unwrap_or(Value::Null))? == 1;
            released.extend(reply::ids(RELEASE_LOCKS.name, Value::Array(parts.collect()))?);
            if !more {
                return Ok(released);
            }
        }
    }

    /// Rings the queue's doorbell again, for a ring that was heard and not answered.
    pub(crate) async fn ring(&self) -> Result<(), Error> {
        let args = vec![self.keys.marker().into(), 0.into(), "0".into()];
        self.store.command().call("ZADD", args).await.map(drop)
    }

    /// Fails with [`Error::WrongType`] when a key of the queue is not what BullMQ makes it.
    pub(crate) async fn check_queue(&self) -> Result<(), Error> {
        let args = vec![self.base.clone()];
        self.store.command().script(&CHECK_QUEUE, &self.slot_key, args).await.map(drop)
    }

    /// Stores the fleet's limits in the queue, where every BullMQ worker reads them. What the file
    /// does not name stays as it is, but for what the settings `before` these named.
    pub(crate) async fn apply_limits(&self, before: Option<&config::Queue>) -> Result<(), Error> {
        self.store.apply_limits(self.keys.meta(), &self.settings, before).await
    }
}

impl Store {
    /// Stores a queue's limits in its meta hash, whichever that is. Takes away those that settings before these had and
    /// these have not; others stay, for somebody may have set them by hand.
    pub(super) async fn apply_limits(
        &self,
        meta: String,
        settings: &config::Queue,
        before: Option<&config::Queue>,
    ) -> Result<(), Error> {
        let mut set: Vec<Value> = vec![meta.as_str().into()];
        let mut gone: Vec<Value> = vec![meta.into()];
        if let Some(concurrency) = settings.global_concurrency {
            set.extend(["concurrency".into(), i64::from(concurrency).into()]);
        } else if before.is_some_and(|before| before.global_concurrency.is_some()) {
            gone.push("concurrency".into());
        }
        if let Some(limit) = settings.rate_limit {
            let window = crate::job::millis(limit.per);
            set.extend(["max".into(), i64::from(limit.max).into(), "duration".into(), window.into()]);
        } else if before.is_some_and(|before| before.rate_limit.is_some()) {
            gone.extend(["max".into(), "duration".into()]);
        }
        for (command, args) in [("HSET", set), ("HDEL", gone)] {
            if args.len() > 1 {
                self.command().call(command, args).await?;
            }
        }
        Ok(())
    }
}

/// Ids and reasons in turn, to the end of a reply.
fn marks(what: &'static str, parts: std::vec::IntoIter<Value>) -> Result<Vec<(JobId, String)>, Error> {
    let texts = reply::texts(what, Value::Array(parts.collect()))?;
    Ok(texts.chunks_exact(2).map(|pair| (JobId::stored(&pair[0]), pair[1].clone())).collect())
}

fn held_arguments(held: &Held) -> [Value; 3] {
    [held.id.as_str().into(), Value::from(&*held.token), held.started.to_string().into()]
}
