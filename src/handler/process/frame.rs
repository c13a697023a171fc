//! The frames of a pool: one JSON object a line, in both directions (`docs/handlers/process.md`).

use std::io::Write;

use serde::Deserialize;

use crate::handler::CancelReason;
use crate::handler::wire::{self, Frame, snippet};
use crate::store::Dependencies;

/// The only version of the protocol there is.
pub(super) const PROTO: u32 = 1;
/// A line longer than allowed is looked at this far, for whom it was about.
const HEAD: usize = 256;

/// A job on its way through one process. Written `a1`, so that no language makes a number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference(pub(super) u64);

impl Reference {
    fn parse(text: &str) -> Option<Self> {
        text.strip_prefix('a')?.parse().ok().map(Self)
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a{}", self.0)
    }
}

/// What a process says.
#[expect(clippy::large_enum_variant, reason = "one at a time, and never kept")]
pub(super) enum Said {
    Hello(Hello),
    Ready,
    Pong,
    /// It ends and takes nothing any more.
    Bye,
    OfJob(Reference, Frame),
    /// It asks, under this number, what became of the job's children up to now.
    Asks(Reference, u64),
    /// It asks for something that stands beside the queues.
    App(Reference, Request),
    /// A line about this job was too long, and was its last one as it seems.
    TooLong(Reference),
    Nonsense(String),
}

/// What a process says of itself at its start.
#[derive(Debug, Deserialize)]
pub(super) struct Hello {
    pub(super) proto: u32,
    /// Jobs it takes at once.
    #[serde(default = "one")]
    pub(super) slots: u32,
    /// When it answers a ping; left out: always, if it takes several jobs at once, else while it has none.
    pub(super) pongs: Option<Pongs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pongs {
    Always,
    Idle,
}

fn one() -> u32 {
    1
}

/// What it asks for, under which number.
#[derive(Deserialize)]
pub(super) struct Request {
    pub(super) n: u64,
    pub(super) op: String,
    pub(super) args: Option<Box<serde_json::value::RawValue>>,
}

#[derive(Deserialize)]
struct Question {
    n: u64,
    what: String,
}

impl Said {
    /// Reads one line that is `cut` bytes short; `None` for an empty one.
    pub(super) fn parse(line: &[u8], cut: usize) -> Option<Self> {
        if cut > 0 {
            return Some(too_long(line, cut));
        }
        if line.trim_ascii().is_empty() {
            return None;
        }
        let mut frame = match Frame::parse(line) {
            Ok(frame) => frame,
            Err(why) => return Some(Self::Nonsense(why)),
        };
        if let Some(reference) = frame.reference.take() {
            return Some(match Reference::parse(&reference) {
                Some(reference) if frame.kind() == Some("ask") => asks(reference, line),
                Some(reference) if frame.kind() == Some("app") => match serde_json::from_slice(line) {
                    Ok(request) => Self::App(reference, request),
                    Err(error) => Self::Nonsense(format!("request not understood ({error})")),
                },
                Some(reference) => Self::OfJob(reference, frame),
                None => Self::Nonsense(format!("a frame for {reference:?}, which no job was called")),
            });
        }
        Some(match frame.kind() {
            Some("ready") => Self::Ready,
            Some("pong") => Self::Pong,
            Some("bye") => Self::Bye,
            Some("hello") => match serde_json::from_slice(line) {
                Ok(hello) => Self::Hello(hello),
                Err(error) => Self::Nonsense(format!("hello not understood ({error})")),
            },
            _ => Self::Nonsense(format!(
                "line not understood (expected hello, ready, pong, bye, or a frame with the ref of a job): {}",
                snippet(line, 200)
            )),
        })
    }
}

fn asks(reference: Reference, line: &[u8]) -> Said {
    match serde_json::from_slice::<Question>(line) {
        Ok(question) if question.what == "children" => Said::Asks(reference, question.n),
        Ok(question) => Said::Nonsense(format!("asked for {:?}, expected \"children\"", question.what)),
        Err(error) => Said::Nonsense(format!("question not understood ({error})")),
    }
}

/// The beginning is there, so it may be known whose end this was.
fn too_long(line: &[u8], cut: usize) -> Said {
    let head = String::from_utf8_lossy(&line[..line.len().min(HEAD)]).replace(' ', "");
    let is_last = ["done", "fail", "outcome"].iter().any(|kind| head.contains(&format!(r#""t":"{kind}""#)));
    let reference = head.split_once(r#""ref":""#).and_then(|(_, rest)| Reference::parse(rest.split_once('"')?.0));
    match reference.filter(|_| is_last) {
        Some(reference) => Said::TooLong(reference),
        None => Said::Nonsense(format!("a line {cut} bytes too long was dropped")),
    }
}

/// Asks a process to end a job.
pub(super) fn cancel(frames: &mut Vec<u8>, reference: Reference, reason: CancelReason) {
    let reason = match reason {
        CancelReason::Timeout => "timeout",
        CancelReason::LockLost => "lock-lost",
        CancelReason::Shutdown => "shutdown",
        CancelReason::Requested => "requested",
    };
    write(frames, format_args!(r#"{{"t":"cancel","ref":"{reference}","reason":"{reason}"}}"#));
}

/// Answers what a process has asked.
pub(super) fn told(frames: &mut Vec<u8>, n: u64, children: Result<&Dependencies, String>) {
    match children {
        Ok(children) => {
            let children = wire::children(children);
            write(frames, format_args!(r#"{{"t":"told","n":{n},"children":{children}}}"#));
        }
        Err(why) => {
            let why = serde_json::Value::from(why);
            write(frames, format_args!(r#"{{"t":"told","n":{n},"error":{why}}}"#));
        }
    }
}

/// Answers what a process has asked for.
pub(super) fn app(frames: &mut Vec<u8>, n: u64, answer: Result<&serde_json::value::RawValue, String>) {
    match answer {
        Ok(result) => write(frames, format_args!(r#"{{"t":"app","n":{n},"result":{}}}"#, result.get())),
        Err(why) => {
            let why = serde_json::Value::from(why);
            write(frames, format_args!(r#"{{"t":"app","n":{n},"error":{why}}}"#));
        }
    }
}

/// Asks a process whether it is alive.
pub(super) fn ping(frames: &mut Vec<u8>, n: u64) {
    write(frames, format_args!(r#"{{"t":"ping","n":{n}}}"#));
}

/// Asks a process to end when its jobs have.
pub(super) fn drain(frames: &mut Vec<u8>) {
    write(frames, format_args!(r#"{{"t":"drain"}}"#));
}

fn write(frames: &mut Vec<u8>, frame: std::fmt::Arguments<'_>) {
    writeln!(frames, "{frame}").expect("a Vec takes every write");
}

/// What was read from a process, cut into lines of at most `limit` bytes.
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// What is before has been handed over.
    start: usize,
    /// No line ends between `start` and here.
    looked: usize,
    limit: usize,
    /// Bytes dropped of the line under way, which is too long.
    dropped: usize,
}

/// Room for one read.
const READ: usize = 64 * 1024;

impl Inbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, looked: 0, limit, dropped: 0 }
    }

    /// Where to read to.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.start);
        self.looked -= self.start;
        self.start = 0;
        // of a line that is too long the beginning is enough
        if self.bytes.len() > self.limit {
            self.dropped += self.bytes.len() - self.limit;
            self.bytes.truncate(self.limit);
            self.looked = self.limit;
        }
        if self.bytes.capacity() - self.bytes.len() < READ / 4 {
            self.bytes.reserve(READ);
        }
        &mut self.bytes
    }

    /// The next line that is complete, and how many bytes it is short of.
    pub(super) fn next(&mut self) -> Option<(&[u8], usize)> {
        let Some(length) = self.bytes[self.looked..].iter().position(|byte| *byte == b'\n') else {
            self.looked = self.bytes.len();
            return None;
        };
        let end = self.looked + length;
        let line = &self.bytes[self.start..end];
        let cut = std::mem::take(&mut self.dropped) + line.len().saturating_sub(self.limit);
        (self.start, self.looked) = (end + 1, end + 1);
        Some((&line[..line.len().min(self.limit)], cut))
    }
}
