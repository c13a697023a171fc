//! What proves that a queue is worked, or that it is not.
//!
//! At every stalled check Redis says whether a job waits that may be taken. The rescuer notes that here beside what has come
//! into the queue's slots since the check before: a job that waited at one check after the other, with a slot free each time
//! and none filled, is passed over. The pool notes what Redis has refused it. [`super::health`] reads both.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::store::Error;

/// Checks in a row that count. A process that was stopped for long (a suspended machine) sees its first one late, and the
/// next before its pools have had a turn.
const CHECKS: u32 = 4;

/// One queue's notes.
#[derive(Default)]
pub(crate) struct Lookout(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    /// The queue's keys are checked, and what we have to say of it is written.
    opened: bool,
    /// When the last check ended, however.
    checked: Option<Instant>,
    passed_over: Option<PassedOver>,
    /// Of the pool's last call, and when that failed.
    call: Option<(Refusal, Instant)>,
    /// Of the last check.
    check: Option<Refusal>,
}

struct PassedOver {
    first: Instant,
    last: Instant,
    checks: u32,
    /// Jobs that had come into the slots by the first one.
    filled: u64,
}

/// A call that Redis did not carry out.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// See [`super::Finding::code`].
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// How a queue looks now.
pub(crate) struct Sight {
    pub(crate) opened: bool,
    pub(crate) checked: Option<Instant>,
    /// For how long jobs have been passed over.
    pub(crate) passed_over: Option<Duration>,
    pub(crate) refusal: Option<Refusal>,
    /// When Redis has refused the pool something last, and it has not answered it since.
    pub(crate) refused: Option<Instant>,
}

impl Lookout {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().expect("no code panics while holding this lock")
    }

    /// By the pool: the queue can be worked.
    pub(crate) fn opened(&self) {
        let mut notes = self.notes();
        (notes.opened, notes.call) = (true, None);
    }

    /// By the pool: a call has failed.
    pub(crate) fn refused(&self, error: &Error) {
        self.notes().call = Some((Refusal::of(error), Instant::now()));
    }

    /// By the pool: the first call after one that failed has not.
    pub(crate) fn answered(&self) {
        self.notes().call = None;
    }

    /// By the rescuer: at `now` a job waited that could have been taken here, or none did; `filled` jobs have come so far.
    pub(crate) fn checked(&self, now: Instant, waits: bool, filled: u64) {
        let mut notes = self.notes();
        (notes.checked, notes.check) = (Some(now), None);
        let before = notes.passed_over.take().filter(|before| before.filled == filled);
        notes.passed_over = waits.then(|| match before {
            Some(before) => PassedOver { last: now, checks: before.checks + 1, ..before },
            None => PassedOver { first: now, last: now, checks: 1, filled },
        });
    }

    /// By the rescuer: what waits is not known.
    pub(crate) fn check_failed(&self, now: Instant, error: &Error) {
        let mut notes = self.notes();
        (notes.checked, notes.passed_over) = (Some(now), None);
        // that a link was lost the link itself tells, and sooner when it is back
        notes.check = (!error.is_connection()).then(|| Refusal::of(error));
    }

    pub(crate) fn sight(&self) -> Sight {
        let notes = self.notes();
        let passed_over = notes.passed_over.as_ref().filter(|over| over.checks >= CHECKS);
        Sight {
            opened: notes.opened,
            checked: notes.checked,
            passed_over: passed_over.map(|over| over.last.duration_since(over.first)),
            refusal: notes.call.as_ref().map(|(refusal, _)| refusal).or(notes.check.as_ref()).cloned(),
            refused: notes.call.as_ref().map(|(_, at)| *at),
        }
    }
}

impl Refusal {
    fn of(error: &Error) -> Self {
        let code = match error {
            Error::Refused { message, .. } => match message.split(' ').next().unwrap_or_default() {
                "OOM" => "redis_oom",
                "CLUSTERDOWN" => "redis_clusterdown",
                "READONLY" => "redis_readonly",
                "LOADING" => "redis_loading",
                "BUSY" => "redis_busy",
                "MISCONF" => "redis_misconf",
                "NOREPLICAS" => "redis_noreplicas",
                _ => "redis_refuses",
            },
            Error::Denied { .. } => "redis_denied",
            error if error.is_temporary() => "redis_silent",
            _ => "queue_refused",
        };
        Self { code, text: error.to_string() }
    }

    /// Whether it says something of the server, not of one queue.
    pub(crate) fn is_of_redis(&self) -> bool {
        self.code.starts_with("redis_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn passed_over(lookout: &Lookout) -> Option<u64> {
        lookout.sight().passed_over.map(|over| over.as_secs())
    }

    #[test]
    fn a_job_is_passed_over_when_it_waits_at_check_after_check_and_nothing_comes() {
        let (lookout, start) = (Lookout::default(), Instant::now());
        let check = |at: u32, waits: bool, filled: u64| lookout.checked(start + SECOND * at, waits, filled);
        for at in 0..3 {
            check(at * 5, true, 7);
            assert_eq!(passed_over(&lookout), None, "after {at}");
        }
        check(15, true, 7);
        check(20, true, 7);
        assert_eq!(passed_over(&lookout), Some(20));
        check(25, true, 8);
        assert_eq!(passed_over(&lookout), None, "one was taken");
        for at in 6..9 {
            check(at * 5, true, 8);
        }
        assert_eq!(passed_over(&lookout), Some(15));
        check(45, false, 8);
        check(50, true, 8);
        assert_eq!(passed_over(&lookout), None, "between them none waited");
    }

    #[test]
    fn what_redis_refuses_has_a_word_and_ends_with_the_next_answer() {
        let lookout = Lookout::default();
        let refused = |message: &str| Error::Refused { command: "finish_jobs", message: message.into() };
        for (error, code) in [
            (refused("OOM command not allowed when used memory > 'maxmemory'."), "redis_oom"),
            (refused("CLUSTERDOWN The cluster is down"), "redis_clusterdown"),
            (refused("TRYAGAIN later"), "redis_refuses"),
            (Error::Denied { server: "r".into(), command: "EVALSHA", message: "NOPERM".into() }, "redis_denied"),
            (Error::Ambiguous { server: "r".into(), command: "EVALSHA", reason: "late".into() }, "redis_silent"),
            (Error::WrongType { command: "EVALSHA", message: "WRONGTYPE".into() }, "queue_refused"),
        ] {
            lookout.refused(&error);
            let refusal = lookout.sight().refusal.unwrap();
            assert_eq!((refusal.code, refusal.is_of_redis()), (code, code != "queue_refused"));
        }
        lookout.answered();
        assert!(lookout.sight().refusal.is_none());
        lookout.check_failed(Instant::now(), &refused("OOM"));
        assert_eq!(lookout.sight().refusal.unwrap().code, "redis_oom");
        lookout.check_failed(Instant::now(), &Error::Unreachable { server: "r".into(), reason: "gone".into() });
        assert!(lookout.sight().refusal.is_none());
    }
}
