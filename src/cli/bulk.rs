//! JSON lines → jobs, for `job add --from`. One job a line:
//! `{"name": "welcome", "data": {…}, "opts": {…}}`.

use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::job::{JobOptions, NewJob};
use crate::store::check_job;

/// Jobs added in one call.
pub const BATCH: usize = 500;

/// Where a line cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    #[error("{file}:{line}:{column}: {problem}")]
    Line { file: String, line: u64, column: usize, problem: String },
    #[error("cannot read {file}")]
    Read {
        file: String,
        #[source]
        source: io::Error,
    },
}

/// What a job is when its line does not say.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    pub name: Option<String>,
    pub opts: JobOptions,
}

/// Some jobs in the order of their lines.
#[derive(Debug, Default)]
pub struct Batch {
    pub jobs: Vec<NewJob>,
    /// Bytes of input read so far, this batch included.
    pub position: u64,
}

/// Reads a file of JSON lines batch by batch.
pub struct Bulk<R: Read> {
    from: BufReader<R>,
    file: String,
    defaults: Defaults,
    line: u64,
    position: u64,
    /// A line that could not be used, kept back until the jobs before it are handed out.
    broken: Option<BulkError>,
    is_done: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    name: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    opts: Option<&'a RawValue>,
}

impl<R: Read> Bulk<R> {
    /// `file` is the name that messages give.
    pub fn new(from: R, file: impl Into<String>, defaults: Defaults) -> Self {
        Self {
            from: BufReader::with_capacity(256 * 1024, from),
            file: file.into(),
            defaults,
            line: 0,
            position: 0,
            broken: None,
            is_done: false,
        }
    }

    /// The next jobs, at most [`BATCH`]; `None` at the end. Blocks while the input does, but a
    /// pause in the input does not hold back lines that came before it.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, BulkError> {
        if let Some(error) = self.broken.take() {
            self.is_done = true;
            return Err(error);
        }
        let mut batch = Batch::default();
        let mut text = Vec::new();
        while !self.is_done && batch.jobs.len() < BATCH {
            text.clear();
            match self.from.read_until(b'\n', &mut text) {
                Ok(0) => self.is_done = true,
                Ok(length) => {
                    self.line += 1;
                    self.position += length as u64;
                    match self.job(&text) {
                        Ok(job) => batch.jobs.extend(job),
                        Err(error) => return self.stop(batch, error),
                    }
                    if self.from.buffer().is_empty() && !batch.jobs.is_empty() {
                        break;
                    }
                }
                Err(source) => {
                    let error = BulkError::Read { file: self.file.clone(), source };
                    return self.stop(batch, error);
                }
            }
        }
        batch.position = self.position;
        Ok((!batch.jobs.is_empty()).then_some(batch))
    }

    fn stop(&mut self, batch: Batch, error: BulkError) -> Result<Option<Batch>, BulkError> {
        self.is_done = true;
        if batch.jobs.is_empty() {
            return Err(error);
        }
        self.broken = Some(error);
        Ok(Some(Batch { position: self.position, ..batch }))
    }

    /// The job of one line; `None` for an empty one.
    fn job(&self, bytes: &[u8]) -> Result<Option<NewJob>, BulkError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => {
                let valid = String::from_utf8_lossy(&bytes[..e.valid_up_to()]).into_owned();
                return Err(self.refuse(&valid, valid.len(), "expected UTF-8, got other bytes"));
            }
        };
        let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
        if text.trim().is_empty() {
            return Ok(None);
        }
        let start = text.len() - text.trim_start().len();
        if !text[start..].starts_with('{') {
            return Err(self.refuse(text, start, "expected an object {\"name\": …, \"data\": …, \"opts\": …}"));
        }
        let line: Line<'_> = serde_json::from_str(text).map_err(|e| {
            let problem = format!("{}; expected {{\"name\": …, \"data\": …, \"opts\": …}}", without_place(&e));
            self.refuse(text, e.column().saturating_sub(1), problem)
        })?;
        let Some(name) = line.name.or_else(|| self.defaults.name.clone()) else {
            return Err(self.refuse(text, 0, "expected a \"name\", got none; or name all jobs on the command line"));
        };
        let place = line.opts.map_or(0, |raw| raw.get().as_ptr() as usize - text.as_ptr() as usize);
        let refused = |problem: String| self.refuse(text, place, problem);
        let opts = match line.opts {
            None => JobOptions::default(),
            Some(raw) => JobOptions::from_producer(raw.get()).map_err(refused)?,
        };
        let data = line.data.map_or_else(no_data, ToOwned::to_owned);
        let job = NewJob { name, data, opts: opts.or(&self.defaults.opts) };
        check_job(&job).map_err(refused)?;
        Ok(Some(job))
    }

    /// `at` is a byte offset into the line; people count characters, from 1.
    fn refuse(&self, text: &str, at: usize, problem: impl Into<String>) -> BulkError {
        let column = text.char_indices().take_while(|(offset, _)| *offset < at).count() + 1;
        BulkError::Line { file: self.file.clone(), line: self.line, column, problem: problem.into() }
    }
}

/// `"data": null` is data; only a missing member is none.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// What BullMQ stores for a job added without data.
pub fn no_data() -> Box<RawValue> {
    RawValue::from_string("{}".into()).expect("an empty object is JSON")
}

/// What a parser says, without its idea of the place: it only ever sees one line.
pub fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.clone(), |at| text[..at].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives one line a call, as a slow pipe does
    struct Slow(u32);
    impl Read for Slow {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Ok(0);
            }
            self.0 -= 1;
            let line = b"{\"name\":\"x\"}\n";
            to[..line.len()].copy_from_slice(line);
            Ok(line.len())
        }
    }

    fn read(text: &str) -> (Vec<NewJob>, Option<BulkError>) {
        let mut bulk = Bulk::new(text.as_bytes(), "jobs.jsonl", Defaults::default());
        let mut jobs = Vec::new();
        loop {
            match bulk.next_batch() {
                Ok(Some(batch)) => jobs.extend(batch.jobs),
                Ok(None) => return (jobs, None),
                Err(error) => return (jobs, Some(error)),
            }
        }
    }

    #[test]
    fn data_is_kept_byte_for_byte_and_empty_lines_are_skipped() {
        let (jobs, error) = read(
            "\u{feff}{\"name\":\"a\",\"data\":{\"x\": 1.50}}\r\n\n{\"name\":\"b\"}\n{\"name\":\"c\",\"data\":null}",
        );
        assert!(error.is_none(), "{error:?}");
        assert_eq!(jobs.iter().map(|j| j.data.get()).collect::<Vec<_>>(), ["{\"x\": 1.50}", "{}", "null"]);
    }

    #[test]
    fn a_bad_line_names_its_place_and_ends_the_reading() {
        for (bad, column, word) in [
            ("{\"name\":\"ü\",\"data\":}", 20, "expected value"),
            ("{\"name\":3}", 9, "expected a string"),
            ("{\"nam\":\"x\"}", 6, "unknown field `nam`, expected one of"),
            ("{\"data\":{}}", 1, "expected a \"name\""),
            ("{\"name\":\"x\",\"opts\":{\"attempts\":\"three\"}}", 20, "whole number"),
            ("{\"name\":\"x\",\"opts\":{\"jobId\":\"12\"}}", 20, "plain integers"),
            ("{\"name\":\"x\",\"opts\":{\"lifo\":\"yes\"}}", 20, "must be true or false"),
            ("{\"name\":\"x\",\"opts\":{\"repeat\":{\"every\":1}}}", 20, "use a job scheduler"),
            ("{\"name\":\"x\",\"opts\":{\"deduplication\":{\"ttl\":1}}}", 20, "an object with an id"),
            ("{\"name\":\"x\",\"opts\":{\"parent\":{\"id\":\"a\",\"queue\":\"q\"}}}", 20, "a queue as"),
            ("{\"name\":\"x\",\"opts\":{\"priority\":2097153}}", 20, "from 0 to 2097151"),
            ("[]", 1, "expected"),
        ] {
            let (jobs, error) = read(&format!("{{\"name\":\"first\"}}\n{bad}\n{{\"name\":\"never\"}}\n"));
            assert_eq!(jobs.len(), 1, "{bad}");
            let text = error.expect(bad).to_string();
            assert!(text.starts_with(&format!("jobs.jsonl:2:{column}: ")) && text.contains(word), "{bad}: {text}");
            assert!(!text.contains(" at line 1"), "{text}");
        }
    }

    #[test]
    fn the_command_line_fills_in_what_lines_leave_open() {
        let defaults = Defaults {
            name: Some("n".into()),
            opts: JobOptions { attempts: Some(5), priority: 2, ..JobOptions::default() },
        };
        let mut bulk = Bulk::new(&b"{}\n{\"name\":\"m\",\"opts\":{\"attempts\":1}}"[..], "-", defaults);
        let jobs = bulk.next_batch().unwrap().unwrap().jobs;
        assert_eq!((jobs[0].name.as_str(), jobs[0].opts.attempts, jobs[0].opts.priority), ("n", Some(5), 2));
        assert_eq!((jobs[1].name.as_str(), jobs[1].opts.attempts, jobs[1].opts.priority), ("m", Some(1), 2));
    }

    #[test]
    fn batches_are_bounded_and_a_pause_hands_out_what_is_there() {
        let line = "{\"name\":\"x\"}\n";
        let text = line.repeat(BATCH * 2 + 1);
        let mut bulk = Bulk::new(text.as_bytes(), "-", Defaults::default());
        let mut sizes = Vec::new();
        while let Some(batch) = bulk.next_batch().unwrap() {
            sizes.push(batch.jobs.len());
        }
        assert_eq!(sizes, [BATCH, BATCH, 1]);

        let mut bulk = Bulk::new(Slow(2), "-", Defaults::default());
        assert_eq!(bulk.next_batch().unwrap().unwrap().jobs.len(), 1);
        assert_eq!(bulk.next_batch().unwrap().unwrap().jobs.len(), 1);
        assert!(bulk.next_batch().unwrap().is_none());
    }
}
