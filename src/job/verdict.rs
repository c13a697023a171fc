//! From what a handler answered to what becomes of the job: attempts, backoff, bounds.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{Backoff, BackoffKind, Failure, Job, Keep, Outcome, UnixMillis};

/// What the queue's settings say where the job's own options are silent.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Total tries; at least 1.
    pub attempts: u32,
    pub backoff: Backoff,
    /// Bounds any backoff, the job's own too.
    pub backoff_max: Option<Duration>,
    /// Applied where the job's own backoff names none.
    pub jitter: f64,
    pub keep_completed: Keep,
    pub keep_failed: Keep,
    /// A job taken this often without an attempt being charged fails when it is deferred, interrupted, or waits for
    /// children again.
    pub max_uncharged: u32,
    /// A job that was first deferred longer ago than this, no attempt being charged since, fails when deferred again.
    pub max_defer_age: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Backoff { kind: BackoffKind::Exponential, delay: Duration::from_secs(1), jitter: None },
            backoff_max: Some(Duration::from_secs(600)),
            jitter: 0.2,
            keep_completed: Keep::Some { count: Some(100), age: Some(Duration::from_secs(24 * 3600)), limit: None },
            keep_failed: Keep::Some { count: Some(500), age: Some(Duration::from_secs(7 * 24 * 3600)), limit: None },
            max_uncharged: 1000,
            max_defer_age: Duration::from_secs(24 * 3600),
        }
    }
}

impl Policy {
    /// Total tries of this job.
    #[must_use]
    pub fn attempts_of(&self, job: &Job) -> u32 {
        job.opts.attempts.unwrap_or(self.attempts).max(1)
    }
}

/// Why a job failed for good, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailKind {
    Failed,
    Expired,
    Cancelled,
}

/// What is to be recorded.
#[derive(Debug)]
pub enum Verdict {
    Complete {
        value: Box<RawValue>,
        discarded: bool,
    },
    Fail {
        failure: Failure,
        kind: FailKind,
    },
    /// An attempt is charged; a wait of zero puts the job back at once.
    Retry {
        failure: Failure,
        wait: Duration,
    },
    /// No attempt is charged.
    Delay {
        reason: String,
        wait: Duration,
    },
    /// Not even its start is counted.
    PutOff {
        reason: String,
        wait: Duration,
    },
    /// Back to the head of the queue, no attempt charged.
    HandBack,
    /// Away until its children have ended, no attempt charged.
    WaitForChildren,
}

/// Crashes within this time count together.
const CRASH_WINDOW: Duration = Duration::from_secs(72 * 3600);
/// The crash at which a job is given up.
pub(crate) const CRASH_LIMIT: usize = 3;
/// What is taken again and again for nothing must not keep Redis busy.
const PUT_OFF_MIN: Duration = Duration::from_secs(1);
const CRASH_MARK: &str = "crashed at ";

/// Whether an entry of a job's stack traces tells of a crash.
pub(crate) fn is_crash(entry: &str) -> bool {
    entry.starts_with(CRASH_MARK)
}

/// Decides what becomes of the job. `random` is in `[0, 1)`, for the jitter.
///
/// Protocol: §5.8, with `maxStartedAttempts` as bullmq 6.7.0 has it.
#[must_use]
pub fn judge(job: &Job, outcome: Outcome, policy: &Policy, now: UnixMillis, random: f64) -> Verdict {
    match outcome {
        Outcome::Complete(value) => Verdict::Complete { value, discarded: false },
        Outcome::Discard { reason } => Verdict::Complete {
            value: serde_json::value::to_raw_value(&serde_json::json!({ "discarded": reason }))
                .expect("a JSON value is always JSON"),
            discarded: true,
        },
        Outcome::Fail(failure) => Verdict::Fail { failure, kind: FailKind::Failed },
        Outcome::Expired => Verdict::Fail {
            failure: Failure::new("expired: waited longer than the queue allows"),
            kind: FailKind::Expired,
        },
        Outcome::Cancelled { reason } => {
            Verdict::Fail { failure: Failure::new(format!("cancelled: {reason}")), kind: FailKind::Cancelled }
        }
        Outcome::Retry { failure, after } => retry(job, failure, after, policy, random),
        Outcome::RetryLater { failure, least } => match retry(job, failure, None, policy, random) {
            Verdict::Retry { failure, wait } => Verdict::Retry { failure, wait: wait.max(least) },
            verdict => verdict,
        },
        Outcome::Crashed(failure) => crashed(job, failure, policy, now, random),
        Outcome::Defer { reason, after } => defer(job, reason, after, policy, now),
        Outcome::PutOff { reason, after } => Verdict::PutOff { reason, wait: after.max(PUT_OFF_MIN) },
        Outcome::Interrupted => hand_back(job, policy),
        Outcome::WaitForChildren => wait_for_children(job, policy),
    }
}

fn retry(job: &Job, failure: Failure, after: Option<Duration>, policy: &Policy, random: f64) -> Verdict {
    let attempt = job.attempt();
    let out_of_starts = job.opts.max_started_attempts.is_some_and(|max| max <= job.attempts_started);
    if attempt >= policy.attempts_of(job) || out_of_starts {
        return Verdict::Fail { failure, kind: FailKind::Failed };
    }
    let wait = after.unwrap_or_else(|| {
        let backoff = job.opts.backoff.as_ref().unwrap_or(&policy.backoff);
        backoff.wait(attempt, policy.jitter, policy.backoff_max, random)
    });
    Verdict::Retry { failure, wait }
}

fn crashed(job: &Job, mut failure: Failure, policy: &Policy, now: UnixMillis, random: f64) -> Verdict {
    let before: Vec<String> = job.stacktrace.as_deref().and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
    let recent = before
        .iter()
        .filter_map(|entry| entry.strip_prefix(CRASH_MARK)?.split(':').next()?.parse().ok())
        .filter(|at| now.since(UnixMillis(*at)) < CRASH_WINDOW)
        .count();
    failure.stack = Some(format!("{CRASH_MARK}{now}: {}", failure.stack.as_deref().unwrap_or(&failure.message)));
    if recent + 1 >= CRASH_LIMIT {
        failure.message = format!("{}; given up after {CRASH_LIMIT} crashes", failure.message);
        return Verdict::Fail { failure, kind: FailKind::Failed };
    }
    retry(job, failure, None, policy, random)
}

/// Bounded in count alone: children may take as long as they need, but a job that waits without any runs again at once.
fn wait_for_children(job: &Job, policy: &Policy) -> Verdict {
    let uncharged = uncharged(job);
    if uncharged >= policy.max_uncharged {
        let failure = Failure::new(format!("waited for children too often ({uncharged} times)"));
        return Verdict::Fail { failure, kind: FailKind::Failed };
    }
    Verdict::WaitForChildren
}

/// Bounded in count alone: what stops and starts again and again may not keep a job for ever.
fn hand_back(job: &Job, policy: &Policy) -> Verdict {
    let uncharged = uncharged(job);
    if uncharged >= policy.max_uncharged {
        let failure = Failure::new(format!("interrupted too often ({uncharged} times)"));
        return Verdict::Fail { failure, kind: FailKind::Failed };
    }
    Verdict::HandBack
}

/// Every take that charged no attempt: deferrals, hand-backs, waits for children and stalls alike.
fn uncharged(job: &Job) -> u32 {
    job.attempts_started.saturating_sub(job.attempts_made)
}

fn defer(job: &Job, reason: String, after: Duration, policy: &Policy, now: UnixMillis) -> Verdict {
    let uncharged = uncharged(job);
    if uncharged >= policy.max_uncharged {
        let failure = Failure::new(format!("deferred too often ({uncharged} times): {reason}"));
        return Verdict::Fail { failure, kind: FailKind::Failed };
    }
    if job.deferred_since.is_some_and(|since| now.since(since) > policy.max_defer_age) {
        let hours = policy.max_defer_age.as_secs() / 3600;
        let failure = Failure::new(format!("deferred for longer than {hours} h: {reason}"));
        return Verdict::Fail { failure, kind: FailKind::Failed };
    }
    Verdict::Delay { reason, wait: after }
}

#[cfg(test)]
mod tests;
