//! What a running job has told, progress and log lines, on its way to Redis.
//!
//! The engine takes what is there, has it written and says how that went ([`Report::settle`]). What could not be
//! written goes back to the front; whatever is left when the attempt ends is recorded together with its outcome. So
//! every line is written once, in order, however often a call has to be repeated.

use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::oneshot;

/// From one report of a job to its next, at least: what it tells is passed on twice a second.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);
/// Log bytes kept of one attempt; what comes later is counted and dropped.
const LOG_BYTES: usize = 64 * 1024;
/// What a line counts at least, so that many tiny ones are bounded too.
const LINE_BYTES: usize = 16;

#[derive(Default)]
pub(crate) struct Report {
    /// The latest value that is not written yet.
    progress: Option<Box<RawValue>>,
    /// Lines not written yet.
    lines: Vec<String>,
    /// How many of them, from the first, may be written already: a call with them had no answer.
    doubtful: usize,
    /// Of all lines of the attempt.
    bytes: usize,
    dropped: usize,
    /// The engine knows that there is something.
    rung: bool,
    /// When something was taken last.
    taken: Option<Instant>,
    /// When progress was taken last.
    moved: Option<Instant>,
    /// What was taken is not settled.
    under_way: bool,
    /// Waits for that.
    waiter: Option<oneshot::Sender<()>>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd)]
enum Stage {
    #[default]
    Open,
    /// The handler has ended: the rest goes with its outcome.
    Ending,
    /// Nothing more is listened to.
    Closed,
}

/// A part of a report.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) progress: Option<Box<RawValue>>,
    pub(crate) lines: Vec<String>,
    /// How many of the lines, from the first, may be written already.
    pub(crate) doubtful: usize,
    /// Progress was taken so short a time ago that whoever listens is not told of this one.
    pub(crate) hushed: bool,
}

/// How writing a part went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Written, or nobody's business any more.
    Done,
    /// Not written.
    Undone,
    /// Without an answer.
    Doubtful,
}

impl Report {
    /// Keeps a line, or counts it beyond the bound. `true`: the engine is to be told.
    pub(crate) fn log(&mut self, line: String) -> bool {
        if self.stage == Stage::Closed {
            return false;
        }
        let bytes = line.len().max(LINE_BYTES);
        if self.bytes + bytes > LOG_BYTES {
            self.dropped += 1;
            return false;
        }
        self.bytes += bytes;
        self.lines.push(line);
        self.ring()
    }

    /// Keeps the value as the latest; `None` once the attempt has ended. `true`: the engine is to be told.
    pub(crate) fn progress(&mut self, value: Box<RawValue>) -> Option<bool> {
        if self.stage == Stage::Closed {
            return None;
        }
        self.progress = Some(value);
        Some(self.ring())
    }

    fn ring(&mut self) -> bool {
        self.stage == Stage::Open && !std::mem::replace(&mut self.rung, true)
    }

    /// When something was taken last.
    pub(crate) fn taken(&self) -> Option<Instant> {
        self.taken
    }

    /// What is there, to be written now and settled afterwards.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Part> {
        self.rung = false;
        if self.stage > Stage::Open || self.progress.is_none() && self.lines.is_empty() {
            return None;
        }
        self.taken = Some(now);
        self.under_way = true;
        if self.progress.is_some() {
            self.moved = Some(now);
        }
        Some(self.all())
    }

    fn all(&mut self) -> Part {
        Part {
            progress: self.progress.take(),
            lines: std::mem::take(&mut self.lines),
            doubtful: std::mem::take(&mut self.doubtful),
            hushed: false,
        }
    }

    /// What became of a part that was taken. `true`: there is something to be taken again, and nobody was part.
    pub(crate) fn settle(&mut self, mut part: Part, settled: Settled) -> bool {
        self.under_way = false;
        if let Some(waiter) = self.waiter.take() {
            let _ = waiter.send(());
        }
        if settled == Settled::Done || self.stage == Stage::Closed {
            return false;
        }
        self.doubtful = if settled == Settled::Doubtful { part.lines.len() } else { part.doubtful };
        part.lines.append(&mut self.lines);
        self.lines = part.lines;
        self.progress = self.progress.take().or(part.progress);
        self.ring()
    }

    /// The handler has ended: nothing more is taken. Resolves when what is under way is settled; `None` when nothing is.
    pub(crate) fn end(&mut self) -> Option<oneshot::Receiver<()>> {
        self.stage = Stage::Ending;
        self.under_way.then(|| {
            let (waiter, settled) = oneshot::channel();
            self.waiter = Some(waiter);
            settled
        })
    }

    /// What is left at the end of the attempt. Nothing is listened to after that.
    pub(crate) fn close(&mut self) -> Part {
        self.stage = Stage::Closed;
        let mut told = self.all();
        told.hushed = self.moved.is_some_and(|moved| moved.elapsed() < INTERVAL);
        if self.dropped > 0 {
            told.lines.push(format!("… {} more lines dropped", std::mem::take(&mut self.dropped)));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(n: u32) -> Box<RawValue> {
        serde_json::value::to_raw_value(&n).unwrap()
    }

    #[test]
    fn the_engine_is_told_once_for_all_that_gathers() {
        let mut report = Report::default();
        assert!(report.log("a".into()));
        assert!(!report.log("b".into()));
        assert_eq!(report.progress(value(1)), Some(false));
        assert_eq!(report.progress(value(2)), Some(false));
        let told = report.take(Instant::now()).unwrap();
        assert_eq!(
            (told.lines.as_slice(), told.progress.as_deref().unwrap().get()),
            (&["a".into(), "b".into()][..], "2")
        );
        assert!(report.log("c".into()), "told again once the first is taken");
        assert!(!report.settle(told, Settled::Done));
        assert_eq!(report.close().lines, ["c"]);
    }

    #[test]
    fn what_was_not_written_goes_back_to_the_front() {
        let mut report = Report::default();
        report.log("a".into());
        report.progress(value(1));
        let told = report.take(Instant::now()).unwrap();
        report.log("b".into());
        report.progress(value(2));
        assert!(!report.settle(told, Settled::Doubtful), "the engine knows of b");
        let told = report.take(Instant::now()).unwrap();
        assert_eq!((&*told.lines, told.doubtful), (&["a".to_owned(), "b".to_owned()][..], 1));
        assert_eq!(told.progress.as_deref().unwrap().get(), "2", "the newer value stands");
        assert!(report.settle(told, Settled::Undone), "and must be told that all of it is there again");
        let rest = report.close();
        assert_eq!((rest.lines.len(), rest.doubtful), (2, 1), "not sent is not written: the doubt is as it was");
    }

    #[test]
    fn the_end_waits_for_what_is_under_way_and_then_nothing_is_heard() {
        let mut report = Report::default();
        assert!(report.end().is_none());
        let mut report = Report::default();
        report.log("a".into());
        let told = report.take(Instant::now()).unwrap();
        let mut settled = report.end().unwrap();
        report.log("b".into());
        assert!(report.take(Instant::now()).is_none(), "the rest goes with the outcome");
        assert!(settled.try_recv().is_err());
        assert!(!report.settle(told, Settled::Undone));
        assert!(settled.try_recv().is_ok());
        assert_eq!(report.close().lines, ["a", "b"]);
        assert!(!report.log("late".into()) && report.progress(value(1)).is_none());
        assert!(report.take(Instant::now()).is_none());
    }

    #[test]
    fn progress_just_after_progress_is_hushed_and_after_lines_it_is_not() {
        let mut report = Report::default();
        report.log("a".into());
        let told = report.take(Instant::now()).unwrap();
        report.settle(told, Settled::Done);
        report.progress(value(1));
        let part = report.close();
        assert!(part.progress.is_some() && !part.hushed);

        let mut report = Report::default();
        report.progress(value(1));
        let told = report.take(Instant::now()).unwrap();
        report.settle(told, Settled::Done);
        report.progress(value(2));
        assert!(report.close().hushed);
    }

    #[test]
    fn the_bound_counts_the_whole_attempt_and_tiny_lines_too() {
        let mut report = Report::default();
        report.log("x".repeat(LOG_BYTES - LINE_BYTES));
        let told = report.take(Instant::now()).unwrap();
        report.settle(told, Settled::Done);
        report.log(String::new());
        report.log(String::new());
        assert_eq!(report.close().lines, ["", "… 1 more lines dropped"]);
    }
}
