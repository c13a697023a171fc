//! What a verb is given to read: one JSON document, or a file of lines.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::value::RawValue;
use tokio::sync::mpsc;

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
    let name = shown(path);
    if path == Path::new("-") {
        return Ok(Input { from: Box::new(io::stdin()), name, length: None });
    }
    let file = File::open(path).map_err(|source| BulkError::Read { file: name.clone(), source })?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
    Ok(Input { from: Box::new(file), name, length })
}

/// Reads and checks what comes next while Redis takes what came before. Bounded: two batches wait. `next` is not called
/// again after an error.
pub fn read_ahead<T: Send + 'static, E: Send + 'static>(
    mut next: impl FnMut() -> Option<Result<T, E>> + Send + 'static,
) -> mpsc::Receiver<Result<T, E>> {
    let (send, batches) = mpsc::channel(2);
    // a thread, not a runtime task: a pipe nobody writes to must not keep the runtime from ending
    std::thread::spawn(move || {
        while let Some(batch) = next() {
            let is_end = batch.is_err();
            if send.blocking_send(batch).is_err() || is_end {
                return;
            }
        }
    });
    batches
}

/// An argument that is JSON text, `@FILE`, or `-`.
pub fn json(argument: &str) -> Result<Box<RawValue>, Error> {
    let (text, source) = match argument.strip_prefix('@') {
        _ if argument == "-" => (read_whole(Path::new("-"))?, "standard input"),
        Some(path) => (read_whole(Path::new(path))?, path),
        None => (argument.to_owned(), "data"),
    };
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

/// All bytes of a file, or of standard input.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    open(path)?.from.read_to_end(&mut bytes).map_err(|source| BulkError::Read { file: shown(path), source })?;
    Ok(bytes)
}

/// All of a file, or of standard input.
pub fn read_whole(path: &Path) -> Result<String, Error> {
    let text = if path == Path::new("-") { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(path) };
    text.map_err(|source| BulkError::Read { file: shown(path), source }.into())
}

/// The name of an input, for messages.
pub fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}
