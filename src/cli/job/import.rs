//! `oxherd job import`: puts back what `job export` printed.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;

use clap::Args;

use super::super::audit::Verb;
use super::super::bulk::{BulkError, without_place};
use super::super::consent::DryRun;
use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit, input, progress, value};
use super::each::{Deed, Tally};
use crate::job::{QueueName, State};
use crate::store::{ExportedJob, Imported, Queue};

const IMPORT: Deed = Deed { verb: "import", done: "imported", at: "into", from: &State::ALL };
/// Jobs, and bytes of lines, held at once.
const MOST_JOBS: usize = 100;
const MOST_BYTES: u64 = 4 << 20;

/// Put back jobs that job export printed, each into the state it was in
///
/// Jobs whose ids are there already are skipped. Active jobs come back as waiting ones, in front of the others. A line
/// that cannot be used ends it with exit 65; the jobs before it stay.
#[derive(Args)]
pub struct Import {
    /// Name of the queue; it may be another than the jobs came from
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// The lines; - for standard input
    #[arg(value_name = "FILE.jsonl|-")]
    from: PathBuf,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Some jobs in the order of their lines.
struct Batch {
    jobs: Vec<ExportedJob>,
    /// Bytes of input read so far.
    position: u64,
}

impl Import {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        session.is_no_list(&self.queue, "it takes elements, not jobs; push them with oxherd job add --from")?;
        let input = input::open(&self.from)?;
        let bar = progress::bytes(input.length, false);
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let queue = store.queue(&self.queue).announcing(&config.status);
            let mut lines = Lines::new(input.from, input.name);
            let mut batches =
                input::read_ahead(move || lines.next_batch().map(Ok).or_else(|| lines.broken.take().map(Err)));
            let mut tally = Tally { skipped: Some(0), ..Tally::default() };
            let mut failure: Option<Error> = None;
            while let Some(batch) = batches.recv().await {
                let result = match batch {
                    Ok(batch) => {
                        bar.set_position(batch.position);
                        self.put(&batch.jobs, &queue, &mut tally).await
                    }
                    Err(error) => Err(error.into()),
                };
                bar.set_message(format!("{} jobs", tally.done));
                if let Err(error) = result {
                    failure = Some(error);
                    break;
                }
            }
            bar.finish_and_clear();
            let deed = if self.dry_run.dry_run { Deed { done: "would import", ..IMPORT } } else { IMPORT };
            if !self.dry_run.dry_run {
                let result = failure.as_ref().map_or_else(|| "done".into(), Error::one_line);
                Verb::new("import", &self.queue)
                    .leave(&store, tally.done, self.from.display().to_string(), result)
                    .await;
            }
            tally.tell(&deed, &self.queue, &mut out)?;
            failure.map_or(Ok(tally.exit()), Err)
        })?
    }

    async fn put(&self, jobs: &[ExportedJob], queue: &Queue, tally: &mut Tally) -> Result<(), Error> {
        let answers = if self.dry_run.dry_run {
            let mut answers = Vec::with_capacity(jobs.len());
            for job in jobs {
                let is_there = queue.job(&job.id).await?.is_some();
                answers.push(if is_there { Imported::Exists } else { Imported::Restored });
            }
            answers
        } else {
            queue.import(jobs).await?
        };
        for (answer, job) in answers.into_iter().zip(jobs) {
            match answer {
                Imported::Restored => tally.done += 1,
                Imported::Exists => *tally.skipped.get_or_insert(0) += 1,
                Imported::Refused(reason) => tally.refused.push((job.id.clone(), reason)),
            }
        }
        Ok(())
    }
}

struct Lines {
    from: BufReader<Box<dyn Read + Send>>,
    /// The name that messages give.
    file: String,
    line: u64,
    position: u64,
    /// Why there is no going on.
    broken: Option<BulkError>,
}

impl Lines {
    fn new(from: Box<dyn Read + Send>, file: String) -> Self {
        Self { from: BufReader::with_capacity(256 * 1024, from), file, line: 0, position: 0, broken: None }
    }

    /// The next jobs; `None` at the end, or at the line that is broken.
    fn next_batch(&mut self) -> Option<Batch> {
        let begin = self.position;
        let mut jobs = Vec::new();
        let mut text = Vec::new();
        while self.broken.is_none() && jobs.len() < MOST_JOBS && self.position - begin < MOST_BYTES {
            text.clear();
            match self.from.read_until(b'\n', &mut text) {
                Ok(0) => break,
                Ok(length) => {
                    self.line += 1;
                    self.position += length as u64;
                    match self.job(&text) {
                        Ok(job) => jobs.extend(job),
                        Err(error) => self.broken = Some(error),
                    }
                }
                Err(source) => self.broken = Some(BulkError::Read { file: self.file.clone(), source }),
            }
        }
        (!jobs.is_empty()).then_some(Batch { jobs, position: self.position })
    }

    /// The job of one line; `None` for an empty one.
    fn job(&self, bytes: &[u8]) -> Result<Option<ExportedJob>, BulkError> {
        let refuse = |text: &str, at: usize, problem: String| {
            let column = text.char_indices().take_while(|(offset, _)| *offset < at).count() + 1;
            BulkError::Line { file: self.file.clone(), line: self.line, column, problem }
        };
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let valid = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
            refuse(&valid, valid.len(), "expected UTF-8, got other bytes".into())
        })?;
        let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
        // with its end of line the end of a cut-off text would be on the next
        let text = text.trim_end();
        if text.is_empty() {
            return Ok(None);
        }
        let start = text.len() - text.trim_start().len();
        if !text[start..].starts_with('{') {
            return Err(refuse(text, start, "expected an object, as job export prints them".into()));
        }
        serde_json::from_str(text).map(Some).map_err(|e| {
            let problem = format!("{}; expected a line that job export has printed", without_place(&e));
            refuse(text, e.column().saturating_sub(1), problem)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_ends_the_reading_behind_the_jobs_before_it() {
        let good = r#"{"id":"1","queue":"q","state":"waiting","fields":{"name":"ü"}}"#;
        for (bad, column, word) in [
            ("[\"1\"]", 1, "expected an object"),
            (r#"{"id":"ü","state":"lost"}"#, 24, "unknown variant"),
            (r#"{"id":"1","queue":"q","state":"failed","field":{}}"#, 46, "unknown field"),
            (r#"{"id":"1","queue":"q","state":"failed"}"#, 39, "missing field"),
            (r#"{"id":"1""#, 9, "EOF"),
        ] {
            let text = format!("\u{feff}{good}\r\n\n{good}\n{bad}\n{good}\n");
            let mut lines = Lines::new(Box::new(std::io::Cursor::new(text.into_bytes())), "jobs.jsonl".into());
            assert_eq!(lines.next_batch().unwrap().jobs.len(), 2, "{bad}");
            assert!(lines.next_batch().is_none(), "{bad}");
            let error = lines.broken.unwrap().to_string();
            assert!(error.starts_with(&format!("jobs.jsonl:4:{column}: ")) && error.contains(word), "{bad}: {error}");
            assert!(!error.contains(" at line 1"), "{error}");
        }
    }

    #[test]
    fn batches_are_bounded_in_jobs_and_bytes() {
        let line = |size: usize| {
            let data = "x".repeat(size);
            format!("{{\"id\":\"1\",\"queue\":\"q\",\"state\":\"failed\",\"fields\":{{\"data\":\"{data}\"}}}}\n")
        };
        let sizes = |text: String| {
            let mut lines = Lines::new(Box::new(std::io::Cursor::new(text.into_bytes())), "-".into());
            std::iter::from_fn(|| lines.next_batch().map(|batch| batch.jobs.len())).collect::<Vec<_>>()
        };
        assert_eq!(sizes(line(1).repeat(250)), [100, 100, 50]);
        assert_eq!(sizes(line(3 << 20).repeat(5)), [2, 2, 1]);
    }
}
