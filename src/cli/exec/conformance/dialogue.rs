//! A conversation with a program: frames to it, frames from it, and what it may not say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use nix::errno::Errno;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::super::super::print;
use super::jobs::Jobs;
use super::{Trouble, failed};
use crate::handler::{Child, Heard, Incoming, Input, Keepers, LOG_LINE, Launch, Lines, NotStarted, snippet};
use crate::job::QueueName;

/// Longest line a program may write, as of a pool.
const MAX_FRAME: usize = 8 << 20;
/// From TERM to KILL for a program that is given up.
const TERM: Duration = Duration::from_secs(1);

/// The program under examination, and the process of it that is spoken to.
pub struct Dialogue<'a> {
    command: &'a [String],
    keepers: Keepers,
    /// Frames on standard input and output.
    is_stdio: bool,
    pub jobs: Jobs,
    /// How long anything may take.
    pub within: Duration,
    process: Option<Process>,
    /// Jobs given so far, over all processes.
    given: u32,
    complaint: Option<String>,
}

/// One process of it.
struct Process {
    child: Child,
    to: Option<Box<dyn AsyncWrite + Unpin>>,
    from: mpsc::UnboundedReceiver<Line>,
    slots: u32,
    /// Jobs that have not ended.
    running: BTreeSet<String>,
    said_bye: bool,
}

struct Line {
    text: Vec<u8>,
    cut: usize,
}

#[derive(Deserialize)]
struct Hello {
    proto: u32,
    #[serde(default = "one")]
    slots: u32,
}

fn one() -> u32 {
    1
}

/// What all frames may have.
#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    t: String,
    #[serde(rename = "ref")]
    reference: Option<String>,
    n: Option<serde_json::Value>,
}

/// What the program says, as far as checks wait for it.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Hello {
        proto: u32,
        slots: u32,
    },
    Ready,
    Pong(String),
    Bye,
    /// A job has ended, by a frame of this kind.
    Ended {
        reference: String,
        by: String,
    },
    /// Something about a running job.
    Of(String),
    /// What became of a job's children, under this number.
    Asks(serde_json::Value),
    /// It asks for something that stands beside the queues, under this number.
    Requests(serde_json::Value),
}

impl<'a> Dialogue<'a> {
    pub fn new(command: &'a [String], is_stdio: bool, jobs: Jobs, within: Duration) -> Self {
        Self { command, keepers: Keepers::default(), is_stdio, jobs, within, process: None, given: 0, complaint: None }
    }

    /// Until when something that begins now may take.
    pub fn limit(&self) -> Instant {
        Instant::now() + self.within
    }

    /// What was said out of turn since this was asked last.
    pub fn complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }

    /// Ends the process, if there is one.
    pub async fn give_up(&mut self) {
        self.complaint = None;
        if let Some(mut process) = self.process.take() {
            process.child.stop(TERM).await;
            process.child.sweep().await;
        }
    }

    /// A new process that is ready, and how long it took; the former one is ended.
    pub async fn start(&mut self) -> Result<Duration, Trouble> {
        self.give_up().await;
        let begin = Instant::now();
        match spawn(&self.keepers, self.command, self.is_stdio).await {
            Ok(process) => self.process = Some(process),
            Err(not) => return failed(format!("cannot start {}: {}", self.command[0], not.error)),
        }
        let limit = self.limit();
        match self.next(limit).await {
            Ok(Said::Hello { proto: 1, slots: slots @ 1.. }) => self.process()?.slots = slots,
            Ok(Said::Hello { proto, slots }) => {
                return failed(format!(
                    "hello with proto {proto} and slots {slots}, expected proto 1 and at least 1 slot"
                ));
            }
            Ok(other) => return failed(format!("{} before hello", other.shown())),
            Err(why) => return failed(format!("no hello: {why}")),
        }
        match self.next(limit).await {
            Ok(Said::Ready) => Ok(begin.elapsed()),
            Ok(other) => failed(format!("{} where ready was expected", other.shown())),
            Err(why) => failed(format!("no ready after hello: {why}")),
        }
    }

    /// Has a process that is ready.
    pub async fn ensure(&mut self) -> Result<(), Trouble> {
        if self.process.is_none() { self.start().await.map(drop) } else { Ok(()) }
    }

    fn process(&mut self) -> Result<&mut Process, Trouble> {
        self.process.as_mut().ok_or_else(|| Trouble::Failed("the process is gone".into()))
    }

    pub fn slots(&self) -> u32 {
        self.process.as_ref().map_or(1, |process| process.slots)
    }

    /// Gives a job and answers its ref. `more` stands at the end of the frame, as in `,"a":1`.
    pub async fn give(&mut self, data: Option<String>, more: &str) -> Result<String, Trouble> {
        self.given += 1;
        let reference = format!("a{}", self.given);
        let mut frame = self.jobs.frame(&reference, data);
        frame.pop();
        frame.extend_from_slice(more.as_bytes());
        frame.push(b'}');
        self.process()?.running.insert(reference.clone());
        self.send(frame).await?;
        Ok(reference)
    }

    /// Sends one line.
    pub async fn send(&mut self, line: impl Into<Vec<u8>>) -> Result<(), Trouble> {
        let limit = self.limit();
        let mut line = line.into();
        line.push(b'\n');
        let Some(to) = &mut self.process()?.to else { return failed("its input is closed") };
        let written = async {
            to.write_all(&line).await?;
            to.flush().await
        };
        match timeout_at(limit, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => failed(format!("it reads no more: {error}")),
            Err(_) => failed(format!("it did not read {} bytes within {:?}", line.len(), self.within)),
        }
    }

    /// Closes its input.
    pub fn hang_up(&mut self) -> Result<(), Trouble> {
        self.process()?.to = None;
        Ok(())
    }

    /// The next thing said. The error says why there is none.
    pub async fn next(&mut self, limit: Instant) -> Result<Said, String> {
        loop {
            let Some(process) = &mut self.process else { return Err("the process is gone".into()) };
            let line = match timeout_at(limit, process.from.recv()).await {
                Ok(Some(line)) => line,
                Ok(None) => return Err(how_it_ended(process, limit).await),
                Err(_) => return Err(format!("nothing within {:?}", self.within)),
            };
            match process.understand(&line, self.jobs.queue()) {
                Ok(Some(Said::Asks(n))) => {
                    let none = r#"{"processed":{},"ignored":{},"failed":[],"unprocessed":[]}"#;
                    // whether it reads that shows by what it does next
                    let _ = self.send(format!(r#"{{"t":"told","n":{n},"children":{none}}}"#)).await;
                }
                Ok(Some(Said::Requests(n))) => {
                    let why = "nothing stands beside the queues while conformance is checked";
                    let _ = self.send(format!(r#"{{"t":"app","n":{n},"error":"{why}"}}"#)).await;
                }
                Ok(Some(said)) => return Ok(said),
                Ok(None) => {}
                Err(complaint) => {
                    self.complaint = Some(complaint.clone());
                    return Err(complaint);
                }
            }
        }
    }

    /// Waits until all of these jobs have ended; answers by which frames.
    pub async fn ended(&mut self, references: &[String], limit: Instant) -> Result<Vec<String>, Trouble> {
        let mut by = Vec::new();
        while by.len() < references.len() {
            match self.next(limit).await {
                Ok(Said::Ended { by: kind, .. }) => by.push(kind),
                Ok(Said::Of(_)) => {}
                Ok(other) => return failed(format!("{} while a job ran", other.shown())),
                Err(why) => {
                    let left: Vec<&str> = self.process.iter().flat_map(|p| &p.running).map(String::as_str).collect();
                    return failed(format!("no end of {}: {why}", left.join(", ")));
                }
            }
        }
        Ok(by)
    }

    /// Waits until the process has ended, and answers with its exit code; nothing may be left of it.
    pub async fn exit(&mut self, limit: Instant) -> Result<i32, Trouble> {
        let within = self.within;
        let Some(mut process) = self.process.take() else { return failed("the process is gone") };
        let status = timeout_at(limit, process.child.wait()).await;
        let code = match &status {
            Ok(Ok(ended)) => {
                let status = ended.status;
                status.code().ok_or_else(|| Trouble::Failed(format!("it ended by {status}")))
            }
            Ok(Err(error)) => failed(format!("lost sight of it: {error}")),
            Err(_) => failed(format!("it has not ended within {within:?}")),
        };
        if status.is_err() {
            process.child.stop(TERM).await;
        }
        process.child.sweep().await;
        code
    }
}

impl Said {
    pub fn shown(&self) -> String {
        match self {
            Self::Hello { .. } => "hello".into(),
            Self::Ready => "ready".into(),
            Self::Pong(n) => format!("pong {n}"),
            Self::Bye => "bye".into(),
            Self::Ended { reference, by } => format!("{by} of {reference}"),
            Self::Of(what) => what.clone(),
            Self::Asks(n) => format!("question {n}"),
            Self::Requests(n) => format!("request {n}"),
        }
    }
}

impl Process {
    /// What a line says; the error is what is wrong with it.
    fn understand(&mut self, line: &Line, queue: &QueueName) -> Result<Option<Said>, String> {
        let quoted = || snippet(&line.text, 80);
        if line.cut > 0 {
            return Err(format!("a line longer than {MAX_FRAME} bytes"));
        }
        if line.text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let Ok(Frame { t: kind, reference, n }) = serde_json::from_slice(&line.text) else {
            return Err(format!("a line that is no frame: {}", quoted()));
        };
        if self.said_bye {
            return Err(format!("something after bye: {}", quoted()));
        }
        let Some(reference) = reference else {
            return match kind.as_str() {
                "hello" => serde_json::from_slice(&line.text)
                    .map(|Hello { proto, slots }| Some(Said::Hello { proto, slots }))
                    .map_err(|error| format!("hello not understood ({error})")),
                "ready" => Ok(Some(Said::Ready)),
                "bye" => {
                    self.said_bye = true;
                    Ok(Some(Said::Bye))
                }
                "pong" => Ok(Some(Said::Pong(n.map_or_else(|| "without n".into(), |n| n.to_string())))),
                _ => Err(format!("a frame without ref that is not hello, ready, pong or bye: {}", quoted())),
            };
        };
        if !self.running.contains(&reference) {
            return Err(format!("{kind} of {reference}, which is no running job: {}", quoted()));
        }
        if kind == "app" {
            let n = n.ok_or_else(|| format!("a request without n: {}", quoted()))?;
            return Ok(Some(Said::Requests(n)));
        }
        if kind == "ask" {
            let n = n.ok_or_else(|| format!("a question without n: {}", quoted()))?;
            return Ok(Some(Said::Asks(n)));
        }
        match Heard::parse(&line.text, 0, queue) {
            Some(Heard::Nonsense(why) | Heard::Unfit(why)) => Err(why),
            Some(Heard::Outcome(_)) => {
                self.running.remove(&reference);
                Ok(Some(Said::Ended { reference, by: kind }))
            }
            _ => Ok(Some(Said::Of(kind))),
        }
    }
}

/// It closed its output: why, as far as that can be known.
async fn how_it_ended(process: &mut Process, limit: Instant) -> String {
    let soon = limit.min(Instant::now() + Duration::from_secs(1));
    let mut text = String::from("it has closed its output");
    if let Ok(Ok(ended)) = timeout_at(soon, process.child.wait()).await {
        let _ = write!(text, " and ended with {}", ended.status);
    }
    text
}

/// Starts the program as a pool would, but with all of our environment.
async fn spawn(keepers: &Keepers, command: &[String], is_stdio: bool) -> Result<Process, NotStarted> {
    let mut launch = Launch::new(&command[0]);
    launch.envs(std::env::vars_os());
    for argument in &command[1..] {
        launch.arg(argument);
    }
    let (child, to, from): (_, Box<dyn AsyncWrite + Unpin>, Box<dyn AsyncRead + Unpin + Send>) = if is_stdio {
        let (child, streams) = Child::spawn(keepers, &launch, Input::Open, Vec::new()).await?;
        tokio::spawn(show(streams.stderr));
        let to = streams.stdin.ok_or(Errno::EPIPE).map_err(std::io::Error::from)?;
        (child, Box::new(pipe::Sender::from_owned_fd(to)?), Box::new(streams.stdout))
    } else {
        let (to, theirs) = pipe::pipe()?;
        let (ours, from) = pipe::pipe()?;
        let channels = vec![theirs.into_blocking_fd()?, ours.into_blocking_fd()?];
        let (child, streams) = Child::spawn(keepers, &launch, Input::Text(b""), channels).await?;
        tokio::spawn(show(streams.stdout));
        tokio::spawn(show(streams.stderr));
        (child, Box::new(to), Box::new(from))
    };
    let (say, said) = mpsc::unbounded_channel();
    tokio::spawn(listen(from, say));
    Ok(Process { child, to: Some(to), from: said, slots: 1, running: BTreeSet::new(), said_bye: false })
}

/// What it prints beside the frames is for the person who looks on.
async fn show(mut stream: Incoming) {
    let mut lines = Lines::new(LOG_LINE);
    let mut buffer = vec![0; 16 * 1024];
    let print = |line: &[u8], _| print::aside(snippet(line, LOG_LINE));
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        lines.push(&buffer[..count], print);
    }
    lines.finish(print);
}

async fn listen(mut from: impl AsyncRead + Unpin, say: mpsc::UnboundedSender<Line>) {
    let mut lines = Lines::new(MAX_FRAME);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        // fails only when nobody listens any more
        lines.push(&buffer[..count], |text, cut| drop(say.send(Line { text: text.to_vec(), cut })));
    }
    lines.finish(|text, cut| drop(say.send(Line { text: text.to_vec(), cut })));
}
