//! From a verdict to what is written down, and the verdicts that need no handler.

use std::time::Duration;

use crate::config::{self, Unmatched};
use crate::job::verdict::{CRASH_LIMIT, FailKind, is_crash};
use crate::job::{Failure, Job, Outcome, Policy, Verdict};
use crate::store::Change;

/// Longest reason stored with a job, in bytes.
const REASON_BYTES: usize = 16 * 1024;
/// Longest wait of a job no handler is named for.
const UNMATCHED_WAIT: Duration = Duration::from_secs(60);

/// What is recorded for a verdict.
pub(crate) fn change(job: &Job, verdict: Verdict, policy: &Policy) -> Change {
    match verdict {
        Verdict::Complete { value, .. } => {
            Change::Complete { value, keep: job.opts.remove_on_complete.unwrap_or(policy.keep_completed) }
        }
        Verdict::Fail { failure, kind } => Change::Fail {
            stack: stack_with(job, &failure),
            reason: cut(failure.message),
            keep: job.opts.remove_on_fail.unwrap_or(policy.keep_failed),
            attempts: policy.attempts_of(job),
            state: match kind {
                FailKind::Failed => "failed",
                FailKind::Expired => "expired",
                FailKind::Cancelled => "cancelled",
            },
        },
        Verdict::Retry { failure, wait } => {
            let stack = stack_with(job, &failure);
            let reason = cut(failure.message);
            if wait.is_zero() {
                Change::Retry { reason, stack, front: job.opts.lifo }
            } else {
                Change::Delay { wait, charged: Some((reason, stack)) }
            }
        }
        Verdict::Delay { wait, .. } => Change::Delay { wait, charged: None },
        Verdict::PutOff { wait, .. } => Change::PutOff { wait },
        Verdict::HandBack => Change::HandBack,
        Verdict::WaitForChildren => Change::WaitForChildren,
    }
}

/// The job's stack traces with this failure's added, cut to the job's own limit.
///
/// Protocol: §5.8: one text per failed attempt, oldest first.
fn stack_with(job: &Job, failure: &Failure) -> String {
    let mut entries: Vec<String> =
        job.stacktrace.as_deref().and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    entries.push(cut(failure.stack.clone().unwrap_or_else(|| failure.message.clone())));
    if let Some(limit) = job.opts.stack_trace_limit {
        let surplus = entries.len().saturating_sub(limit as usize);
        let old: Vec<String> = entries.drain(..surplus).collect();
        // what says how often it has crashed stays, or nothing would bound that
        let mut crashes: Vec<String> = old.into_iter().filter(|entry| is_crash(entry)).collect();
        crashes.drain(..crashes.len().saturating_sub(CRASH_LIMIT - 1));
        entries.splice(..0, crashes);
    }
    serde_json::to_string(&entries).expect("a list of texts is always JSON")
}

fn cut(mut text: String) -> String {
    if text.len() > REASON_BYTES {
        let end = (0..=REASON_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The outcome of a job that must not be run, if its stored state says so.
pub(crate) fn deferred_outcome(job: &Job, config: &config::Queue) -> Option<Outcome> {
    if let Some(reason) = &job.deferred_failure {
        return Some(Outcome::fail(reason.clone()));
    }
    if job.opts.max_started_attempts.is_some_and(|max| max < job.attempts_started) {
        return Some(Outcome::fail("job started more than allowable limit"));
    }
    let waited = job.processed_on.since(job.timestamp.after(job.opts.delay.unwrap_or_default()));
    let expired = config.expires_after.is_some_and(|limit| waited > limit);
    // only a job that was never started: one that comes back, whether retried, handed back or left by a worker that died, has
    // been in somebody's hands in time. Who runs it again by hand may have taken back what was counted, but not the traces
    (expired && job.attempts_started <= 1 && job.stacktrace.is_none()).then_some(Outcome::Expired)
}

/// The outcome of a job no handler is named for. Each release waits twice as long as the one
/// before; the policy bounds how often and how long.
pub(crate) fn unmatched(job: &Job, unmatched: Unmatched) -> Outcome {
    let reason = format!("no handler for job name {:?} in queue {}", job.name, job.queue);
    match unmatched {
        Unmatched::Fail => Outcome::fail(reason),
        Unmatched::Release => {
            let before = job.attempts_started.saturating_sub(job.attempts_made).saturating_sub(1);
            let after = UNMATCHED_WAIT.min(Duration::from_secs(1) * 2u32.saturating_pow(before.min(16)));
            Outcome::Defer { reason, after }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::job::{JobId, JobOptions, QueueName, UnixMillis};

    fn job(opts: &str, stacktrace: Option<&str>) -> Job {
        Job {
            id: JobId::stored("1"),
            queue: QueueName::new("q").unwrap(),
            name: "work".into(),
            data: RawValue::NULL.to_owned(),
            opts: JobOptions::parse(opts).unwrap().0,
            timestamp: UnixMillis(0),
            processed_on: UnixMillis(1000),
            priority: 0,
            attempts_made: 1,
            attempts_started: 2,
            stalled: 0,
            deferred_failure: None,
            parent_key: None,
            scheduler: None,
            stacktrace: stacktrace.map(str::to_owned),
            deferred_since: None,
            element: None,
        }
    }

    #[test]
    fn stack_traces_are_kept_up_to_the_jobs_own_limit_the_newest() {
        let cases = [
            ("{}", Some(r#"["a","b"]"#), r#"["a","b","new"]"#),
            (r#"{"stackTraceLimit":2}"#, Some(r#"["a","b"]"#), r#"["b","new"]"#),
            (r#"{"stackTraceLimit":0}"#, Some(r#"["a"]"#), "[]"),
            ("{}", None, r#"["new"]"#),
            ("{}", Some("broken"), r#"["new"]"#),
            (r#"{"stackTraceLimit":1}"#, Some(r#"["crashed at 1: x","a"]"#), r#"["crashed at 1: x","new"]"#),
            (
                r#"{"stackTraceLimit":1}"#,
                Some(r#"["crashed at 1: x","crashed at 2: x","crashed at 3: x"]"#),
                r#"["crashed at 2: x","crashed at 3: x","new"]"#,
            ),
        ];
        for (opts, before, after) in cases {
            assert_eq!(stack_with(&job(opts, before), &Failure::new("new")), after, "{opts} {before:?}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        assert_eq!(cut("short".into()), "short");
        let long = cut(format!("a{}", "ø".repeat(REASON_BYTES)));
        assert!(long.len() <= REASON_BYTES + '…'.len_utf8() && long.ends_with("ø…"), "{}", long.len());
    }

    #[test]
    fn what_is_stored_may_keep_a_job_from_running() {
        let config = config::Queue::new(QueueName::new("q").unwrap());
        let reason = |job: &Job, config: &config::Queue| match deferred_outcome(job, config) {
            Some(Outcome::Fail(failure)) => failure.message,
            other => format!("{other:?}"),
        };
        assert_eq!(reason(&job("{}", None), &config), "None");
        let decided = Job { deferred_failure: Some("decided".into()), ..job("{}", None) };
        assert_eq!(reason(&decided, &config), "decided");
        let started = job(r#"{"maxStartedAttempts":1}"#, None);
        assert_eq!(reason(&started, &config), "job started more than allowable limit");

        let late = config::Queue { expires_after: Some(Duration::from_millis(900)), ..config };
        let first = Job { attempts_started: 1, ..job("{}", None) };
        assert_eq!(reason(&first, &late), "Some(Expired)");
        assert_eq!(reason(&job("{}", None), &late), "None", "its first attempt was in time");
        let delayed = Job { opts: JobOptions::parse(r#"{"delay":500}"#).unwrap().0, ..first };
        assert_eq!(reason(&delayed, &late), "None", "a delay is not waiting");
    }
}
