//! What a verb is given to read: one JSON document as an argument, or a file of lines.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::value::RawValue;

use super::Error;
use super::bulk::{BulkError, without_place};

/// Where lines come from.
pub struct Input {
    pub from: Box<dyn Read + Send>,
    /// For messages.
    pub name: String,
    /// Bytes, if known.
    pub length: Option<u64>,
}

/// Opens a file, or standard input for `-`.
pub fn open(path: &Path) -> Result<Input, Error> {
    if path == Path::new("-") {
        return Ok(Input { from: Box::new(io::stdin()), name: "standard input".into(), length: None });
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| BulkError::Read { file: name.clone(), source })?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
    Ok(Input { from: Box::new(file), name, length })
}

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
