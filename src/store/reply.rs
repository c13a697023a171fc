//! Script and command replies → plain values.

use super::connection::Value;
use super::error::Error;
use crate::job::JobId;

/// The reply as text; `what` names the command or script for the error.
pub(crate) fn text(what: &'static str, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.to_string()),
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Value::Integer(number) => Ok(number.to_string()),
        other => Err(unexpected(what, "text", &other)),
    }
}

pub(crate) fn integer(what: &'static str, value: &Value) -> Result<i64, Error> {
    match value {
        Value::Integer(number) => Ok(*number),
        Value::String(text) => text.parse().map_err(|_| unexpected(what, "a whole number", value)),
        other => Err(unexpected(what, "a whole number", other)),
    }
}

/// A whole number that is never negative.
pub(crate) fn count(what: &'static str, value: &Value) -> Result<u64, Error> {
    integer(what, value).map(|number| u64::try_from(number).unwrap_or(0))
}

pub(crate) fn array(what: &'static str, value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(unexpected(what, "a list", &other)),
    }
}

/// Every element of a list as text.
pub(crate) fn texts(what: &'static str, value: Value) -> Result<Vec<String>, Error> {
    array(what, value)?.into_iter().map(|value| text(what, value)).collect()
}

/// A list of so many whole numbers, none of which is negative.
#[cfg(feature = "app")]
pub(crate) fn counts<const N: usize>(what: &'static str, value: Value) -> Result<[u64; N], Error> {
    let parts = array(what, value)?;
    let numbers = parts.iter().map(|part| count(what, part)).collect::<Result<Vec<_>, _>>()?;
    numbers.try_into().map_err(|_| unexpected(what, "so many numbers", &Value::Array(parts)))
}

pub(crate) fn unexpected(what: &'static str, expected: &'static str, got: &Value) -> Error {
    let mut got = format!("{got:?}");
    if got.len() > 200 {
        let end = (0..=200).rev().find(|at| got.is_char_boundary(*at)).unwrap_or(0);
        got.truncate(end);
        got.push('…');
    }
    Error::Reply { what, expected, got }
}

/// Ids of jobs.
pub(crate) fn ids(what: &'static str, value: Value) -> Result<Vec<JobId>, Error> {
    Ok(texts(what, value)?.iter().map(|id| JobId::stored(id)).collect())
}

/// Why an operation was refused. Protocol: §5.18.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Code {
    /// −1: the job's hash is gone.
    #[error("there is no such job")]
    Missing,
    /// −2: the lock ran out or was deleted.
    #[error("its lock is gone")]
    NoLock,
    /// −3: the job is not in the state the operation starts from.
    #[error("it is not in the state this starts from")]
    NotInState,
    /// −4: children are not finished.
    #[error("it has pending children")]
    PendingChildren,
    /// −5: the parent's hash is gone.
    #[error("its parent does not exist")]
    ParentMissing,
    /// −6: somebody else holds the lock.
    #[error("another worker holds its lock")]
    OtherLock,
    /// −7: the job is the child of another parent that is there.
    #[error("it is the child of another parent")]
    OtherParent,
    /// −8: the job is the next one of a job scheduler.
    #[error("it is the next iteration of a job scheduler; remove the scheduler instead")]
    SchedulerIteration,
    /// −9: children failed.
    #[error("children of it have failed")]
    FailedChildren,
    /// −10: a cron iteration with this id is there already.
    #[error("the iteration of a job scheduler with this id is there already")]
    IterationExists,
    /// −11: 32 slots of an `every` scheduler in a row are taken.
    #[error("the next 32 iterations of the job scheduler are there already")]
    NoFreeIteration,
    /// A command failed on the way, on a key of the wrong type for one; the job is where it was.
    #[error("a command failed: {0}")]
    Broken(String),
}

impl Code {
    fn new(number: i64) -> Option<Self> {
        Some(match number {
            -1 => Self::Missing,
            -2 => Self::NoLock,
            -3 => Self::NotInState,
            -4 => Self::PendingChildren,
            -5 => Self::ParentMissing,
            -6 => Self::OtherLock,
            -7 => Self::OtherParent,
            -8 => Self::SchedulerIteration,
            -9 => Self::FailedChildren,
            -10 => Self::IterationExists,
            -11 => Self::NoFreeIteration,
            _ => return None,
        })
    }
}

/// The number an operation on one job answers; a negative one that is a code becomes [`Error::Rejected`].
pub(crate) fn accepted(operation: &'static str, id: &JobId, value: &Value) -> Result<i64, Error> {
    let number = integer(operation, value)?;
    match Code::new(number) {
        Some(code) => Err(Error::Rejected { operation, id: id.clone(), code }),
        None => Ok(number),
    }
}

/// What became of one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recorded {
    Done,
    /// Not recorded; `place` is the collection the job is in now, BullMQ's word.
    Refused {
        code: Code,
        place: String,
    },
}

/// One answer of `finish_jobs`: 0, or "code place", or "-100 place text".
pub(crate) fn recorded(value: &Value) -> Result<Recorded, Error> {
    let what = "finish_jobs";
    let text = match value {
        Value::Integer(0) => return Ok(Recorded::Done),
        Value::String(text) => text,
        other => return Err(unexpected(what, "0 or a code and a place", other)),
    };
    let mut words = text.splitn(3, ' ');
    let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let place = words.next().unwrap_or_default().to_owned();
    let code = match Code::new(number) {
        None if number == -100 => Code::Broken(words.next().unwrap_or_default().to_owned()),
        Some(code) => code,
        None => return Err(unexpected(what, "a code it documents", value)),
    };
    Ok(Recorded::Refused { code, place })
}
