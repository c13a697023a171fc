//! What a verb is given to read: one JSON document as an argument.

use std::io;

use serde_json::value::RawValue;

use super::Error;
use super::bulk::{BulkError, without_place};

/// An argument that is JSON text, `@FILE`, or `-`.
pub fn json(argument: &str) -> Result<Box<RawValue>, Error> {
    let (text, source) = match argument.strip_prefix('@') {
        _ if argument == "-" => (io::read_to_string(io::stdin()), "standard input"),
        Some(path) => (std::fs::read_to_string(path), path),
        None => (Ok(argument.to_owned()), "data"),
    };
    let text = text.map_err(|source_error| BulkError::Read { file: source.to_owned(), source: source_error })?;
    let text = text.trim();
    RawValue::from_string(text.to_owned()).map_err(|e| {
        let hint = if source == "data" { "; text needs its own quotes, as in '\"hello\"'" } else { "" };
        Error::Input(format!(
            "{source}:{}:{}: expected JSON, got something else: {}{hint}",
            e.line(),
            e.column(),
            without_place(&e)
        ))
    })
}
