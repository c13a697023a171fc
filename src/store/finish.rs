//! Records what became of jobs: completed, failed, retried, delayed, handed back.

use std::sync::Arc;
use std::time::Duration;

use super::Value;
use serde_json::value::RawValue;

use super::Error;
use super::claim::{Take, Taken};
use super::reply::{self, Recorded};
use super::script::FINISH_JOBS;
use super::work::{BullQueue, Token};
use crate::job::{Job, JobId, Keep, millis};

/// One outcome to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Finish {
    pub(crate) id: JobId,
    pub(crate) token: Token,
    /// The job's last progress, if it is not stored yet.
    pub(crate) progress: Option<LastProgress>,
    /// Rows for the job's log.
    pub(crate) log: Vec<String>,
    /// How many of them, from the first, may be there already, from a call that had no answer.
    pub(crate) doubtful: usize,
    /// Rows kept of the log.
    pub(crate) keep_logs: Option<u32>,
    pub(crate) change: Change,
    /// The job itself, where it is an element of a list.
    pub(crate) element: Option<Arc<Job>>,
}

/// What a job told last.
#[derive(Debug, Clone)]
pub(crate) struct LastProgress {
    pub(crate) value: Box<RawValue>,
    /// It has no status message of its own: that of the outcome tells it.
    pub(crate) hushed: bool,
}

/// What a job changes to.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Complete {
        value: Box<RawValue>,
        keep: Keep,
    },
    Fail {
        reason: String,
        /// All stack traces so far, a JSON array of strings.
        stack: String,
        keep: Keep,
        /// Total tries the job had.
        attempts: u32,
        /// failed, expired or cancelled: what the status message says.
        state: &'static str,
    },
    /// Back to waiting at once, an attempt charged.
    Retry {
        reason: String,
        stack: String,
        front: bool,
    },
    /// Delayed; with reason and stack when an attempt is charged.
    Delay {
        wait: Duration,
        charged: Option<(String, String)>,
    },
    /// Delayed as if it had never been taken.
    PutOff {
        wait: Duration,
    },
    /// Back to the head of the queue, no attempt charged.
    HandBack,
    /// Away until the children have ended; back to the head when none is pending.
    WaitForChildren,
}

impl BullQueue {
    /// Records outcomes and, in the same step, takes jobs for free slots. The first list answers
    /// each outcome in order.
    ///
    /// Repeating it after an ambiguous error is safe for the outcomes: one recorded before answers
    /// that its job is missing, unlocked or elsewhere. The take needs a token of its own each time.
    pub(crate) async fn finish_jobs(
        &self,
        outcomes: impl ExactSizeIterator<Item = &Finish>,
        take: Option<&Take>,
    ) -> Result<(Vec<Recorded>, Taken), Error> {
        let now = self.store.now();
        let count = outcomes.len();
        let mut args = Vec::with_capacity(14 + 6 * count);
        self.take_arguments(&mut args, now, take);
        args.push(self.metrics.clone());
        for outcome in outcomes {
            outcome.arguments(&mut args);
        }
        let reply = self.store.command().script(&FINISH_JOBS, &self.slot_key, args).await?;
        let mut parts = reply::array("finish_jobs", reply)?.into_iter();
        let codes = reply::array("finish_jobs", parts.next().unwrap_or(Value::Null))?;
        let recorded = codes.iter().map(reply::recorded).collect::<Result<Vec<_>, _>>()?;
        if recorded.len() != count {
            let got = format!("{} codes for {} outcomes", recorded.len(), count);
            return Err(Error::Reply { what: "finish_jobs", expected: "a code per outcome", got });
        }
        let taken = match (take, parts.next()) {
            (Some(_), Some(taken)) => self.read_take(taken, now)?,
            _ => Taken::default(),
        };
        Ok((recorded, taken))
    }
}

impl Finish {
    fn arguments(&self, args: &mut Vec<Value>) {
        if let Some(progress) = &self.progress {
            let told = if progress.hushed { "" } else { "1" };
            args.extend(["p".into(), self.id.as_str().into(), progress.value.get().into(), told.into()]);
        }
        if self.doubtful > 0 {
            args.extend(["u".into(), self.id.as_str().into(), self.doubtful.to_string().into()]);
        }
        for line in &self.log {
            let keep = self.keep_logs.map(|rows| rows.to_string()).unwrap_or_default();
            args.extend(["l".into(), self.id.as_str().into(), keep.into(), line.as_str().into()]);
        }
        let (id, token) = (Value::from(self.id.as_str()), Value::from(&*self.token));
        match &self.change {
            Change::Complete { value, keep } => {
                args.extend(["c".into(), id, token, value.get().into(), keep_argument(*keep)]);
            }
            Change::Fail { reason, stack, keep, attempts, state } => {
                args.extend(["f".into(), id, token, reason.as_str().into(), keep_argument(*keep)]);
                args.extend([stack.as_str().into(), i64::from(*attempts).into(), (*state).into()]);
            }
            Change::Retry { reason, stack, front } => {
                let end = if *front { "front" } else { "back" };
                args.extend(["r".into(), id, token, reason.as_str().into(), stack.as_str().into(), end.into()]);
            }
            Change::Delay { wait, charged } => {
                args.extend(["d".into(), id, token, millis(*wait).into()]);
                match charged {
                    Some((reason, stack)) => args.extend(["1".into(), reason.as_str().into(), stack.as_str().into()]),
                    None => args.extend(["".into(), "".into(), "".into()]),
                }
            }
            Change::PutOff { wait } => {
                args.extend(["d".into(), id, token, millis(*wait).into(), "-".into(), "".into(), "".into()]);
            }
            Change::HandBack => args.extend(["w".into(), id, token]),
            Change::WaitForChildren => args.extend(["h".into(), id, token]),
        }
    }
}

/// A retention policy as `fragments/read_keep.lua` reads it.
pub(super) fn keep_argument(keep: Keep) -> Value {
    match keep {
        Keep::All => Value::from_static_str(""),
        Keep::Nothing | Keep::Some { count: Some(0), .. } => Value::from_static_str("0"),
        Keep::Some { count, age, limit } => {
            let part = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
            format!("{},{},{}", part(count), part(age.map(|age| age.as_secs())), part(limit)).into()
        }
    }
}
