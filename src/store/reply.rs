//! Script and command replies → plain values.

use super::connection::Value;
use super::error::Error;

/// The reply as text; `what` names the command or script for the error.
pub(crate) fn text(what: &'static str, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.to_string()),
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Value::Integer(number) => Ok(number.to_string()),
        other => Err(unexpected(what, "text", &other)),
    }
}

/// As [`text`], with nil as `None`.
pub(crate) fn text_or_nil(what: &'static str, value: Value) -> Result<Option<String>, Error> {
    match value {
        Value::Null => Ok(None),
        other => text(what, other).map(Some),
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
