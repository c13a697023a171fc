//! The log: one event, one line on standard error, pretty on a terminal, short in the journal and JSON elsewhere.
//!
//! Lines are handed to a thread of their own, so that a full pipe slows no job, and a closed
//! one ends nothing: what cannot be written is counted and the count is logged when writing
//! works again. Nothing from job data reaches the log raw.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::{Registry, reload};

use super::{Error, Masks, escape, journal};
use crate::config::{Log, LogFormat, Secret};

/// Lines that may wait for a slow reader before lines are dropped.
const QUEUE: usize = 4096;
/// Longest wait, at the end, for lines not yet written.
const FLUSH: Duration = Duration::from_secs(1);
/// Bytes shown of one value; job data can be megabytes.
const VALUE_BYTES: usize = 8 * 1024;

/// The running log. Dropping it writes what is still waiting.
pub struct Logging {
    level: reload::Handle<Targets, Registry>,
    masks: Masks,
    lines: SyncSender<Message>,
    dropped: Arc<Dropped>,
}

/// Lines that could not be written.
#[derive(Debug, Default)]
pub struct Dropped {
    all: AtomicU64,
    /// Those not told of yet.
    untold: AtomicU64,
}

impl Dropped {
    fn one(&self) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
    }

    /// Since the start.
    pub fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

impl Logging {
    /// Starts logging for the whole process; what is secret is covered in every line. Does nothing but return when a
    /// subscriber is set already, as in tests.
    pub fn start(config: &Log, secrets: &[Secret]) -> Result<Self, Error> {
        let masks = Masks::default();
        masks.add(secrets);
        let terminal = io::stderr().is_terminal();
        let to_journal = journal::reads_stderr();
        let shape = match (config.format, terminal) {
            (LogFormat::Auto, false) if to_journal => Shape::Short,
            (LogFormat::Json, _) | (LogFormat::Auto, false) => Shape::Json,
            (LogFormat::Pretty, _) | (LogFormat::Auto, true) => {
                Shape::Pretty { colour: terminal && colour_is_wanted() }
            }
        };
        let style = Style { shape, to_journal };
        let (filter, level) = reload::Layer::new(parse_level(&config.level)?);
        let (lines, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(Dropped::default());
        let writer = Writer { queue, dropped: Arc::clone(&dropped), style };
        std::thread::Builder::new()
            .name("log".into())
            .stack_size(128 * 1024)
            .spawn(move || writer.run(io::stderr()))
            .map_err(Error::Log)?;
        let sink = Sink { lines: lines.clone(), dropped: Arc::clone(&dropped), style, masks: masks.clone() };
        if tracing::subscriber::set_global_default(Registry::default().with(filter).with(sink)).is_ok() {
            log_panics();
        }
        Ok(Self { level, masks, lines, dropped })
    }

    /// Counts the lines that get lost.
    #[must_use]
    pub fn dropped(&self) -> Arc<Dropped> {
        Arc::clone(&self.dropped)
    }

    /// Whether [`Logging::reconfigure`] could take this over.
    pub fn check(config: &Log) -> Result<(), Error> {
        parse_level(&config.level).map(drop)
    }

    /// What is covered in every line: for others who tell something of jobs, and for who reads more secrets.
    #[must_use]
    pub fn masks(&self) -> Masks {
        self.masks.clone()
    }

    /// Takes over a new level that was checked; the format stays until the next start.
    pub fn reconfigure(&self, config: &Log) {
        if let Ok(targets) = parse_level(&config.level) {
            // fails only when the subscriber is gone, and then there is nothing left to log
            let _ = self.level.reload(targets);
        }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let (done, wait) = sync_channel(1);
        if self.lines.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

/// `NO_COLOR`, whatever its value unless empty, turns colours off (no-color.org).
#[must_use]
pub fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn parse_level(level: &str) -> Result<Targets, Error> {
    // `Targets` would take a bare word that is no level for a target, and a typo would silence us
    let is_level = |word: &str| !word.trim().is_empty() && word.trim().parse::<LevelFilter>().is_ok();
    if level.split(',').all(|part| part.contains('=') || is_level(part))
        && let Ok(targets) = level.parse()
    {
        return Ok(targets);
    }
    Err(Error::LogLevel(level.to_owned()))
}

/// A panic is one line like any other, with its place.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(place, thread, "panic: {text}");
    }));
}

enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

/// How events become lines.
#[derive(Clone, Copy)]
struct Style {
    shape: Shape,
    /// Each line says how grave it is, in the journal's own way.
    to_journal: bool,
}

#[derive(Clone, Copy)]
enum Shape {
    Pretty {
        colour: bool,
    },
    /// Without what the journal has of its own: time and level.
    Short,
    Json,
}

/// Turns events into lines and hands them on without ever waiting.
struct Sink {
    lines: SyncSender<Message>,
    dropped: Arc<Dropped>,
    style: Style,
    masks: Masks,
}

impl<S: Subscriber> Layer<S> for Sink {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record::default();
        event.record(&mut record);
        record.cover(&self.masks);
        let meta = event.metadata();
        let line = self.style.line(SystemTime::now(), *meta.level(), meta.target(), &record);
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Message::Line(line)) {
            self.dropped.one();
        }
    }
}

/// The thread that writes.
struct Writer {
    queue: Receiver<Message>,
    dropped: Arc<Dropped>,
    style: Style,
}

impl Writer {
    fn run(self, mut out: impl io::Write) {
        while let Ok(message) = self.queue.recv() {
            match message {
                Message::Line(line) => {
                    if out.write_all(line.as_bytes()).is_err() {
                        self.dropped.one();
                        continue;
                    }
                }
                Message::Flush(done) => {
                    let _ = out.flush();
                    let _ = done.try_send(());
                }
            }
            match self.dropped.untold.swap(0, Ordering::Relaxed) {
                0 => {}
                count => {
                    let record = Record { message: format!("{count} log lines were dropped"), fields: Map::new() };
                    let line = self.style.line(SystemTime::now(), Level::WARN, module_path!(), &record);
                    if out.write_all(line.as_bytes()).is_err() {
                        self.dropped.untold.fetch_add(count, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}

/// One event's message and fields.
#[derive(Default)]
struct Record {
    message: String,
    fields: Map<String, Value>,
}

impl Record {
    /// Before anything is escaped: then a secret is still as it is written elsewhere.
    fn cover(&mut self, masks: &Masks) {
        let cover = |text: &mut String| {
            if let Cow::Owned(covered) = masks.cover(text) {
                *text = covered;
            }
        };
        cover(&mut self.message);
        for value in self.fields.values_mut() {
            if let Value::String(text) = value {
                cover(text);
            }
        }
    }

    fn put(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }

    fn put_text(&mut self, field: &Field, mut text: String) {
        if text.len() > VALUE_BYTES {
            let length = text.len();
            let end = (0..=VALUE_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            let _ = write!(text, "… ({length} bytes)");
        }
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text.into());
        }
    }

    /// Behind what a line begins with: the message and the fields, safe to show, and a line break.
    fn text(&self, mut line: String, dim: &str, plain: &str) -> String {
        line.push_str(&escape::text(&self.message));
        for (name, value) in &self.fields {
            let value = match value {
                Value::String(text) => shown(text),
                other => other.to_string(),
            };
            let _ = write!(line, " {dim}{name}={plain}{value}");
        }
        line.push('\n');
        line
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.put_text(field, text);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl Style {
    /// The whole line, its line break included.
    fn line(self, at: SystemTime, level: Level, target: &str, record: &Record) -> String {
        let line = self.shape.line(at, level, target, record);
        if self.to_journal { journal::entry(level, &line) } else { line }
    }
}

impl Shape {
    fn line(self, at: SystemTime, level: Level, target: &str, record: &Record) -> String {
        let time = humantime::format_rfc3339_millis(at);
        match self {
            Self::Json => {
                let mut members = Map::with_capacity(4 + record.fields.len());
                members.insert("time".into(), time.to_string().into());
                members.insert("level".into(), level.as_str().to_ascii_lowercase().into());
                members.insert("target".into(), target.into());
                members.insert("message".into(), record.message.as_str().into());
                for (name, value) in &record.fields {
                    // a field of ours never hides the four above
                    members.entry(name.as_str()).or_insert_with(|| value.clone());
                }
                let mut line = escape::json(Value::Object(members).to_string());
                line.push('\n');
                line
            }
            Self::Pretty { colour } => {
                let paint = match (colour, level) {
                    (false, _) => "",
                    (true, Level::ERROR) => "\x1b[31m",
                    (true, Level::WARN) => "\x1b[33m",
                    (true, Level::INFO) => "\x1b[32m",
                    (true, _) => "\x1b[34m",
                };
                let (dim, plain) = if colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
                let head = format!("{dim}{time}{plain} {paint}{:>5}{plain} ", level.as_str());
                record.text(head, dim, plain)
            }
            Self::Short => record.text(String::new(), "", ""),
        }
    }
}

/// Text with blanks is quoted, so that its end can be seen; JSON shows its own.
fn shown(text: &str) -> String {
    let safe = escape::text(text);
    let is_json = safe.starts_with(['{', '[', '"']);
    if safe.is_empty() || (safe.contains(' ') && !is_json) { format!("\"{safe}\"") } else { safe.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: &str, fields: &[(&str, Value)]) -> Record {
        Record {
            message: message.into(),
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }

    const PLAIN: Shape = Shape::Pretty { colour: false };

    #[test]
    fn hostile_text_stays_inside_its_line() {
        let hostile = record("job\nERROR forged", &[("data", "\u{1b}[2J\u{202e}evil\r\n<0>".into())]);
        for (shape, to_journal) in
            [(Shape::Json, false), (PLAIN, false), (Shape::Short, true), (Shape::Json, true), (PLAIN, true)]
        {
            let line = Style { shape, to_journal }.line(SystemTime::UNIX_EPOCH, Level::INFO, "t", &hostile);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(line.ends_with('\n') && !line.contains(['\r', '\u{1b}', '\u{202e}']), "{line}");
            assert_eq!(line.starts_with("<6>"), to_journal, "{line}");
        }
    }

    #[test]
    fn all_shapes_say_the_same() {
        let event = record("job done", &[("queue", "email".into()), ("ms", 12.into()), ("level", "mine".into())]);
        let json = Shape::Json.line(SystemTime::UNIX_EPOCH, Level::WARN, "oxherd::engine", &event);
        assert_eq!(
            json,
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\"target\":\"oxherd::engine\",\
             \"message\":\"job done\",\"queue\":\"email\",\"ms\":12}\n"
        );
        let pretty = PLAIN.line(SystemTime::UNIX_EPOCH, Level::WARN, "x", &event);
        assert_eq!(pretty, "1970-01-01T00:00:00.000Z  WARN job done queue=email ms=12 level=mine\n");
        let short = Style { shape: Shape::Short, to_journal: true };
        let short = short.line(SystemTime::UNIX_EPOCH, Level::WARN, "x", &event);
        assert_eq!(short, "<4>job done queue=email ms=12 level=mine\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_reported_once_writing_works() {
        struct Flaky {
            failures: u32,
            written: Arc<std::sync::Mutex<String>>,
        }
        impl io::Write for Flaky {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.failures > 0 {
                    self.failures -= 1;
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                self.written.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (lines, queue) = sync_channel(8);
        for text in ["one\n", "two\n", "three\n"] {
            lines.send(Message::Line(text.into())).unwrap();
        }
        drop(lines);
        let written = Arc::new(std::sync::Mutex::new(String::new()));
        let style = Style { shape: PLAIN, to_journal: false };
        let writer = Writer { queue, dropped: Arc::default(), style };
        writer.run(Flaky { failures: 2, written: Arc::clone(&written) });
        let written = written.lock().unwrap();
        assert!(written.starts_with("three\n") && written.contains("2 log lines were dropped"), "{written}");
    }

    #[test]
    fn levels_are_words_or_lists() {
        for good in ["info", "warn", "info,oxherd::store=debug", "off"] {
            assert!(parse_level(good).is_ok(), "{good}");
        }
        for bad in ["loud=very", "inof", "info,stroe", ""] {
            assert!(parse_level(bad).is_err(), "{bad}");
        }
    }
}
