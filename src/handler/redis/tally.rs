//! What one job has done so far, and what it may still do.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::config::RedisHandler;
use crate::handler::JobContext;
use crate::store;

/// Errors that are written to the job's log, each on a line.
const SHOWN: u64 = 20;
/// How long it works without a pause, and how long that is at least: others get their turn, however little there is to
/// change.
const WORK: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_millis(1);

/// Why a run ends before it has gone through everything.
pub(super) enum Stop {
    /// The attempt was told to stop.
    Cancelled,
    /// `max_keys` is reached.
    Capped,
    /// More is found than the dry run has promised.
    Excess,
    /// The job is about something it cannot be about.
    Unfit(String),
    Store(store::Error),
}

impl From<store::Error> for Stop {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// What a job may say about its run, at the top of its data.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    dry_run: Option<bool>,
    /// What a dry run has counted.
    expected: Option<u64>,
}

impl Asked {
    /// The error is the reason the job fails for good.
    pub(super) fn read(data: &RawValue) -> Result<Self, String> {
        if !data.get().trim_start().starts_with('{') {
            return Ok(Self::default());
        }
        serde_json::from_str(data.get())
            .map_err(|error| format!("data.dryRun must be true or false, data.expected a number: {error}"))
    }
}

/// The job's return value.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// Keys, members or entries that went; in a dry run, that would.
    pub(super) deleted_count: u64,
    /// Keys that were given a time to live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expiring_count: Option<u64>,
    /// Keys or members looked at.
    pub(super) scanned_count: u64,
    /// Keys left alone because they belong to queues, to oxherd, or to the list of the configuration.
    pub(super) protected_count: u64,
    /// Keys of a type that nothing can be done with.
    pub(super) errors: u64,
    pub(super) dry_run: bool,
    /// There was more than `max_keys`.
    pub(super) capped: bool,
    /// How often it began again because the connection was lost; counts may be too low then.
    pub(super) restarts: u32,
    pub(super) duration_ms: u64,
}

pub(super) struct Tally<'a> {
    pub(super) counts: Counts,
    ctx: &'a JobContext,
    begun: Instant,
    paused: Instant,
    max: u64,
    per_second: Option<u32>,
    /// The most that may be changed, where a dry run was told of.
    promised: Option<u64>,
    /// Changed in all, by whatever name.
    changed: u64,
}

impl<'a> Tally<'a> {
    pub(super) fn new(config: &RedisHandler, asked: &Asked, ctx: &'a JobContext) -> Self {
        let dry_run = asked.dry_run.unwrap_or(false) || config.dry_run;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a bound need not be exact beyond 2^53"
        )]
        let promised = |expected: u64| (expected as f64 * config.max_excess) as u64;
        Self {
            counts: Counts { dry_run, ..Counts::default() },
            ctx,
            begun: Instant::now(),
            paused: Instant::now(),
            max: if dry_run { u64::MAX } else { config.max_keys },
            per_second: config.rate,
            promised: asked.expected.filter(|_| !dry_run).map(promised),
            changed: 0,
        }
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.counts.dry_run
    }

    /// Keys changed in one call: no more than are allowed in a second.
    pub(super) fn slice(&self, most: usize) -> usize {
        self.per_second.map_or(most, |rate| most.min(usize::try_from(rate).unwrap_or(most)))
    }

    /// How many of this many may be changed now: none only where none is wanted.
    pub(super) fn grant(&self, wanted: usize) -> Result<usize, Stop> {
        let wanted = wanted as u64;
        if self.promised.is_some_and(|promised| self.changed.saturating_add(wanted) > promised) {
            return Err(Stop::Excess);
        }
        if wanted == 0 { Ok(0) } else { self.left(usize::try_from(wanted).unwrap_or(usize::MAX)) }
    }

    /// How many of this many may be changed before `max_keys` is reached: never none.
    pub(super) fn left(&self, most: usize) -> Result<usize, Stop> {
        let left = usize::try_from(self.max.saturating_sub(self.changed)).unwrap_or(usize::MAX);
        if left == 0 { Err(Stop::Capped) } else { Ok(left.min(most)) }
    }

    /// Whether a dry run has told how many there are.
    pub(super) fn is_promised(&self) -> bool {
        self.promised.is_some()
    }

    pub(super) fn scanned(&mut self, count: usize) {
        self.counts.scanned_count += count as u64;
    }

    pub(super) fn deleted(&mut self, count: u64) {
        self.counts.deleted_count += count;
        self.changed += count;
    }

    pub(super) fn expiring(&mut self, count: u64) {
        *self.counts.expiring_count.get_or_insert(0) += count;
        self.changed += count;
    }

    /// Says what is wrong with a key.
    pub(super) fn error(&mut self, key: &[u8], what: &str) {
        self.counts.errors += 1;
        if self.counts.errors <= SHOWN {
            self.ctx.log(format!("{}: {what}", shown(key)));
        } else if self.counts.errors == SHOWN + 1 {
            self.ctx.log("more keys like that are only counted");
        }
    }

    /// What was counted is counted again from the beginning; what was deleted stays deleted.
    pub(super) fn restart(&mut self, counts_again: bool) {
        self.counts.restarts += 1;
        // what was left alone is met again
        (self.counts.protected_count, self.counts.errors) = (0, 0);
        if counts_again || self.is_dry_run() {
            (self.counts.deleted_count, self.counts.scanned_count) = (0, 0);
            self.counts.expiring_count = self.counts.expiring_count.map(|_| 0);
            self.changed = 0;
        }
    }

    /// Between two slices: tells how far it is, keeps to the rate, leaves others their turn, and stops where that is
    /// asked for.
    pub(super) async fn pause(&mut self) -> Result<(), Stop> {
        #[expect(clippy::cast_precision_loss, reason = "a pause need not be exact")]
        let due = self.per_second.filter(|_| !self.is_dry_run()).map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64(self.changed as f64 / f64::from(rate)).unwrap_or(Duration::MAX)
        });
        let ahead = due.saturating_sub(self.begun.elapsed());
        if ahead.is_zero() && self.paused.elapsed() < WORK {
            return if self.ctx.cancel_reason().is_some() { Err(Stop::Cancelled) } else { Ok(()) };
        }
        let counts = &self.counts;
        let progress = serde_json::json!({
            "scannedCount": counts.scanned_count,
            "deletedCount": counts.deleted_count,
            "expiringCount": counts.expiring_count,
        });
        // an attempt that ends wants no progress any more
        let _ = self.ctx.update_progress(progress);
        let slept = self.sleep(ahead.max(PAUSE)).await;
        self.paused = Instant::now();
        slept
    }

    /// Sleeps unless the attempt is told to stop.
    pub(super) async fn sleep(&self, time: Duration) -> Result<(), Stop> {
        tokio::select! {
            biased;
            _ = self.ctx.cancelled() => Err(Stop::Cancelled),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// The return value.
    pub(super) fn end(&mut self) -> &Counts {
        self.counts.duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        &self.counts
    }
}

/// A key as people can read it.
pub(super) fn shown(key: &[u8]) -> String {
    /// Characters of it.
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(&key[..key.len().min(4 * LONGEST)]);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("key {:?}…", &text[..end]),
        None => format!("key {text:?}"),
    }
}
