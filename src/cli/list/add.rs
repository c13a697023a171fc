//! `job add` to a plain list: one element from the arguments, or one from each line of a file, pushed as the list's own
//! producers push them.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::bulk::{BulkError, without_place};
use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit, input};
use crate::config::{self, Payload};
use crate::daemon::escape;
use crate::store::List;

/// Elements pushed in one call.
const BATCH: usize = 500;

/// Pushes one element and prints its id where it says it.
pub fn one(element: &str, queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
    let element = Bytes::from(given(element, payload(queue))?);
    let mut out = Out::new(session.global.json);
    session.with_list(queue, async move |_, list| {
        let id = list.check(&element).map_err(Error::Input)?;
        let length = list.push([element]).await?;
        match id {
            _ if out.is_json() => out.json(&json!({"id": id, "queue": list.name(), "waiting": length}))?,
            Some(id) => out.line(escape::text(&id))?,
            None => out.line(format_args!("added 1 job to {}", list.name()))?,
        }
        out.flush()?;
        Ok(Exit::Done)
    })
}

/// Pushes an element for every line. Those before a line that cannot be used stay.
pub fn many(from: &Path, wants_ids: bool, queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
    let input = input::open(from)?;
    let payload = payload(queue);
    let mut out = Out::new(session.global.json);
    session.with_list(queue, async move |_, list| {
        let reader = list.clone();
        let mut lines = Lines { from: BufReader::new(input.from), file: input.name, line: 0, payload, list: reader };
        let mut batches = input::read_ahead(move || lines.next_batch());
        let (mut count, mut ids) = (0, Vec::new());
        let mut failure = None;
        while let Some(batch) = batches.recv().await {
            let (elements, error) = batch.unwrap_or_else(|error| (Vec::new(), Some(error)));
            count += elements.len();
            if wants_ids {
                ids.extend(elements.iter().filter_map(|element| list.check(element).ok().flatten()));
            }
            if !elements.is_empty() {
                list.push(elements).await?;
            }
            if error.is_some() {
                failure = error;
                break;
            }
        }
        if out.is_json() {
            out.json(&json!({"queue": list.name(), "added": count, "ids": wants_ids.then_some(&ids)}))?;
        } else if wants_ids {
            ids.iter().try_for_each(|id| out.line(escape::text(id)))?;
        } else {
            out.line(format_args!("added {count} job{} to {}", if count == 1 { "" } else { "s" }, list.name()))?;
        }
        out.flush()?;
        failure.map_or(Ok(Exit::Done), |error| Err(error.into()))
    })
}

fn payload(queue: &config::Queue) -> Payload {
    queue.list.as_ref().map(|list| list.payload).unwrap_or_default()
}

/// The bytes an argument means: an id is taken as it is; else it may be a file's content.
fn given(argument: &str, payload: Payload) -> Result<Vec<u8>, Error> {
    let path = if argument == "-" { Some("-") } else { argument.strip_prefix('@') };
    match (payload, path) {
        (Payload::Json, _) => Ok(input::json(argument)?.get().as_bytes().to_vec()),
        (Payload::Text | Payload::Base64, Some(path)) => input::read_bytes(Path::new(path)),
        (Payload::Id | Payload::Text, _) => Ok(argument.as_bytes().to_vec()),
        (Payload::Base64, None) => STANDARD.decode(argument).map_err(|error| {
            Error::Input(format!("expected base64, or @FILE for the bytes of a file: {}", lower(&error)))
        }),
    }
}

/// The elements of a file's lines.
struct Lines {
    from: BufReader<Box<dyn Read + Send>>,
    file: String,
    line: u64,
    payload: Payload,
    list: List,
}

/// Elements, and what ended the reading after them.
type Batch = (Vec<Bytes>, Option<BulkError>);

impl Lines {
    /// The next elements; `None` at the end. What was read before a line that cannot be used comes with it.
    fn next_batch(&mut self) -> Option<Result<Batch, BulkError>> {
        let mut elements = Vec::new();
        let mut text = Vec::new();
        while elements.len() < BATCH {
            text.clear();
            match self.from.read_until(b'\n', &mut text) {
                Ok(0) => break,
                Ok(_) => self.line += 1,
                Err(source) => return Some(Ok((elements, Some(BulkError::Read { file: self.file.clone(), source })))),
            }
            let line = text.strip_suffix(b"\n").unwrap_or(&text);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            match self.element(line) {
                Ok(element) => elements.push(element),
                Err((column, problem)) => {
                    let (file, line) = (self.file.clone(), self.line);
                    return Some(Ok((elements, Some(BulkError::Line { file, line, column, problem }))));
                }
            }
            // a pause in the input does not hold back what came before it
            if self.from.buffer().is_empty() && !elements.is_empty() {
                break;
            }
        }
        (!elements.is_empty()).then_some(Ok((elements, None)))
    }

    /// The element of a line, or the column of what is wrong with it and that.
    fn element(&self, line: &[u8]) -> Result<Bytes, (usize, String)> {
        let element = match self.payload {
            Payload::Text => line.to_vec(),
            Payload::Id => line.trim_ascii().to_vec(),
            Payload::Base64 => STANDARD
                .decode(line.trim_ascii())
                .map_err(|error| (1, format!("expected base64: {}", lower(&error))))?,
            Payload::Json => {
                let text = line.trim_ascii();
                serde_json::from_slice::<&RawValue>(text)
                    .map_err(|error| (error.column(), format!("expected JSON: {}", without_place(&error))))?;
                text.to_vec()
            }
        };
        let element = Bytes::from(element);
        self.list.check(&element).map_err(|problem| (1, problem))?;
        Ok(element)
    }
}

fn lower(error: &base64::DecodeError) -> String {
    error.to_string().to_lowercase()
}
