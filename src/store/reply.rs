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

/// Why an outcome was not recorded. Protocol: §5.18.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// −1: the job's hash is gone.
    Missing,
    /// −2: the lock ran out or was deleted.
    NoLock,
    /// −3: the job is not active.
    NotActive,
    /// −4: children are not finished.
    PendingChildren,
    /// −6: somebody else holds the lock.
    OtherLock,
    /// −9: children failed.
    FailedChildren,
    /// A command failed on the way, on a key of the wrong type for one; the job is active as before.
    Broken(String),
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
    let code = match words.next() {
        Some("-1") => Code::Missing,
        Some("-2") => Code::NoLock,
        Some("-3") => Code::NotActive,
        Some("-4") => Code::PendingChildren,
        Some("-6") => Code::OtherLock,
        Some("-9") => Code::FailedChildren,
        Some("-100") => Code::Broken(String::new()),
        _ => return Err(unexpected(what, "a code it documents", value)),
    };
    let place = words.next().unwrap_or_default().to_owned();
    let code = match code {
        Code::Broken(_) => Code::Broken(words.next().unwrap_or_default().to_owned()),
        code => code,
    };
    Ok(Recorded::Refused { code, place })
}
