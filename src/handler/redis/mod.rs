//! Keeps house in Redis: deletes by pattern or by tag, sets times to live, prunes indexes, shortens logs, warms caches.
//!
//! It works in slices over a connection of its own, and never on keys of queues. Each slice may be done twice, so a lost
//! connection, a failover or a restart of the server only has it begin again.

mod line;
mod members;
mod sweep;
mod tally;
mod text;
#[cfg(feature = "http")]
mod warm;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::Refused;
use super::{CancelReason, Handler, JobContext, Running};
use crate::config::{self, Housekeeping, KeyType, RedisHandler};
use crate::job::{Job, Outcome};
use crate::store::{self, Guard, Keyspace, Sieve};

use line::Line;
use members::Member;
use sweep::{Lifetime, Shape};
use tally::{Asked, Stop, Tally};
use text::KeyText;

/// How often a run begins again within one attempt.
const RESTARTS: u32 = 6;
/// How long a call under way may take once the attempt is told to stop.
const LAST_CALL: Duration = Duration::from_secs(4);

/// `[handlers.NAME.redis]`
pub struct Keeper {
    inner: Arc<Inner>,
}

struct Inner {
    config: RedisHandler,
    task: Task,
    guard: Guard,
    line: Arc<Line>,
}

/// What is done, its texts checked.
enum Task {
    Delete(KeyText, Option<KeyType>),
    Expire(KeyText, Option<KeyType>, Lifetime),
    Trim(KeyText, Shape),
    TagDelete(KeyText, Member),
    SetPrune(KeyText, Member, Duration),
    #[cfg(feature = "http")]
    Warm(Box<warm::Fetcher>),
}

impl Task {
    fn new(task: &Housekeeping) -> Result<Self, Refused> {
        Ok(match task {
            Housekeeping::Delete { pattern, kind } => Self::Delete(KeyText::pattern(pattern)?, *kind),
            Housekeeping::Expire { pattern, kind, ttl, jitter, always } => {
                let life = Lifetime { ttl: *ttl, jitter: *jitter, always: *always };
                Self::Expire(KeyText::pattern(pattern)?, *kind, life)
            }
            Housekeeping::Trim { pattern, count, older, unit, keep } => {
                let shape = Shape { count: *count, older: *older, unit: *unit, keep: *keep };
                Self::Trim(KeyText::pattern(pattern)?, shape)
            }
            Housekeeping::TagDelete { tag, member } => Self::TagDelete(KeyText::key(tag)?, Member::new(member)),
            Housekeeping::SetPrune { pattern, member, grace } => {
                Self::SetPrune(KeyText::pattern(pattern)?, Member::new(member), *grace)
            }
            #[cfg(feature = "http")]
            Housekeeping::Warm(warm) => Self::Warm(Box::new(warm::Fetcher::new(warm)?)),
            #[cfg(not(feature = "http"))]
            Housekeeping::Warm(_) => return Err(Refused::NoFetch),
        })
    }

    /// Whether beginning again changes again what was changed.
    fn repeats(&self) -> bool {
        matches!(self, Self::Expire(_, _, Lifetime { always: true, .. }))
    }
}

/// One go through the keys.
struct Run<'a, 'c> {
    keyspace: &'a Keyspace,
    sieve: Sieve<'a>,
    tally: &'a mut Tally<'c>,
}

impl Run<'_, '_> {
    /// Those of the keys that may be changed.
    async fn free(&mut self, keys: Vec<Bytes>) -> Result<Vec<Bytes>, Stop> {
        self.tally.scanned(keys.len());
        let (free, protected) = self.sieve.sift(keys, |key| key).await?;
        self.tally.counts.protected_count += protected;
        Ok(free)
    }
}

impl Keeper {
    /// Checks the settings. Opens no connection; `queues` is the server of the queues, and theirs are the keys that are
    /// never touched, there and elsewhere; so are `lists` that are queues.
    pub fn new(config: RedisHandler, queues: &config::Redis, lists: &[String]) -> Result<Self, Refused> {
        if let Some((key, invalid)) = config.problems(&queues.prefix).into_iter().next() {
            return Err(Refused::Setting { key, invalid });
        }
        let task = Task::new(&config.task)?;
        let mut server = config.server.clone().unwrap_or_else(|| queues.clone());
        server.database = config.database.unwrap_or(server.database);
        let guard = Guard::new(&queues.prefix, &config.protect).with_lists(lists);
        Ok(Self { inner: Arc::new(Inner { task, guard, line: Line::new(server), config }) })
    }
}

impl Handler for Keeper {
    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            #[cfg(feature = "http")]
            if let Task::Warm(fetcher) = &inner.task {
                return fetcher.run(&job, &ctx, &inner.line, &inner.guard).await;
            }
            inner.run(&job, &ctx).await
        })
    }
}

impl Inner {
    async fn run(&self, job: &Job, ctx: &JobContext) -> Outcome {
        let asked = match Asked::read(&job.data) {
            Ok(asked) => asked,
            Err(reason) => return Outcome::fail(reason),
        };
        let mut tally = Tally::new(&self.config, &asked, ctx);
        let stopped = {
            let going = self.go(job, &mut tally);
            // a slice that is under way is waited for, so that what it did is counted
            tokio::select! {
                biased;
                done = going => done,
                () = async { ctx.cancelled().await; tokio::time::sleep(LAST_CALL).await } => Err(Stop::Cancelled),
            }
        };
        self.outcome(stopped, &mut tally, ctx)
    }

    /// Goes through the keys, from the beginning again when the connection is lost: a cursor is of no use to another
    /// server process.
    async fn go(&self, job: &Job, tally: &mut Tally<'_>) -> Result<(), Stop> {
        loop {
            let error = match self.once(job, tally).await {
                Err(Stop::Store(error)) if error.is_temporary() && tally.counts.restarts < RESTARTS => error,
                ended => return ended,
            };
            tracing::warn!(queue = %job.queue, job = %job.id, %error, "housekeeping begins again");
            tally.restart(self.task.repeats());
            tally.sleep(Duration::from_millis(100 << tally.counts.restarts)).await?;
        }
    }

    async fn once(&self, job: &Job, tally: &mut Tally<'_>) -> Result<(), Stop> {
        let keyspace = self.line.keyspace().await?;
        let mut run = Run { keyspace: &keyspace, sieve: Sieve::new(&keyspace, &self.guard), tally };
        let fill = |text: &KeyText| text.fill(job).map_err(Stop::Unfit);
        match &self.task {
            Task::Delete(text, kind) => run.delete(&fill(text)?, *kind).await,
            Task::Expire(text, kind, life) => run.expire(&fill(text)?, *kind, *life).await,
            Task::Trim(text, shape) => run.trim(&fill(text)?, shape).await,
            Task::TagDelete(text, member) => run.tag_delete(&text.fill_one(job).map_err(Stop::Unfit)?, member).await,
            Task::SetPrune(text, member, grace) => run.set_prune(&fill(text)?, member, *grace).await,
            #[cfg(feature = "http")]
            Task::Warm(_) => Ok(()),
        }
    }

    fn outcome(&self, ended: Result<(), Stop>, tally: &mut Tally<'_>, ctx: &JobContext) -> Outcome {
        let counts = tally.end().clone();
        let said = serde_json::value::to_raw_value(&counts).expect("numbers and flags are JSON");
        let so_far = |what: &str| format!("{what}; so far {}", said.get());
        match ended {
            Ok(()) => Outcome::Complete(said),
            Err(Stop::Capped) => {
                ctx.log(format!("stopped at max_keys = {}; the next run goes on", self.config.max_keys));
                let capped = tally::Counts { capped: true, ..counts };
                Outcome::Complete(serde_json::value::to_raw_value(&capped).expect("numbers and flags are JSON"))
            }
            Err(Stop::Cancelled) => {
                let reason = ctx.cancel_reason().unwrap_or(CancelReason::Shutdown);
                ctx.log(so_far("stopped"));
                match ctx.stopped(reason) {
                    Outcome::Cancelled { reason } => Outcome::Cancelled { reason: so_far(&reason) },
                    other => other,
                }
            }
            Err(Stop::Excess) => Outcome::fail(so_far(&format!(
                "there is more than {} times what data.expected says; look what a dry run counts now",
                self.config.max_excess
            ))),
            Err(Stop::Unfit(reason)) => Outcome::fail(reason),
            Err(Stop::Store(error @ store::Error::Setup(_))) => Outcome::fail(error.to_string()),
            Err(Stop::Store(error)) => Outcome::retry(so_far(&error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
