//! A child process that prints one JSON value a line and stops when a line arrives on its stdin.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;
use super::redis::Redis;

pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Everything it has said so far, as far as anybody waited for it.
    pub said: Vec<Value>,
}

/// A program of tests/interop/node on this Redis, with the client of this BullMQ release (5 or 6).
pub fn node(file: &str, version: u8, redis: &Redis, arguments: &[&str]) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/node");
    assert!(folder.join("node_modules").is_dir(), "the Node clients are missing; run make setup");
    let mut command = Command::new("node");
    command.arg(folder.join(file)).args(["--version", &version.to_string(), "--redis", &redis.url()]).args(arguments);
    Program::start(file, command)
}

/// A program of tests/interop/python on this Redis.
pub fn python(file: &str, redis: &Redis, arguments: &[&str]) -> Program {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let interpreter = root.join(".cache/python/bin/python");
    assert!(interpreter.exists(), "the Python client is missing; run make setup");
    let mut command = Command::new(interpreter);
    command.arg(root.join("tests/interop/python").join(file)).args(["--redis", &redis.url()]).args(arguments);
    Program::start(file, command)
}

impl Program {
    pub fn start(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(value).is_err() {
                    return;
                }
            }
        });
        Self { name: name.into(), stdin: child.stdin.take(), child, lines, said: Vec::new() }
    }

    /// Waits for a line that fits, and answers it. Lines said before count too.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(line) = self.said.iter().find(|line| fits(line)) {
            return line.clone();
        }
        self.wait_until(what, &fits);
        self.said.last().unwrap().clone()
    }

    /// Waits until as many lines fit.
    pub fn wait_for_count(&mut self, what: &str, count: usize, fits: impl Fn(&Value) -> bool) {
        let mut seen = self.said.iter().filter(|line| fits(line)).count();
        while seen < count {
            let so_far = seen;
            self.wait_until(&format!("{what}: {so_far} of {count}"), &fits);
            seen += 1;
        }
    }

    /// Waits until the program says it is ready.
    pub fn ready(mut self) -> Self {
        self.wait_for("ready", |line| line["event"] == "ready");
        self
    }

    /// Writes a line to its stdin.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it was not told to stop yet");
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Has `control.mjs serve` press a button or `inspect.mjs serve` read something, and answers the result.
    pub fn press(&mut self, words: &[&str]) -> Value {
        self.tell(&Value::from(words).to_string());
        self.wait_until(words[0], |line: &Value| line["ok"] == true);
        self.said.last().unwrap()["result"].clone()
    }

    /// KILL: it gets no say. Answers all it ever said.
    pub fn kill(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.extend(self.lines.iter());
        std::mem::take(&mut self.said)
    }

    /// Tells it to stop and answers all it ever said.
    pub fn stop(mut self) -> Vec<Value> {
        if let Some(mut stdin) = self.stdin.take() {
            let _ = stdin.write_all(b"stop\n");
        }
        self.end()
    }

    /// Waits for its end, which has to be a good one, and answers all it ever said.
    pub fn end(mut self) -> Vec<Value> {
        let begin = Instant::now();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{} did not end; last: {:?}", self.name, self.said.last()),
            }
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{} ended with {status}", self.name);
        std::mem::take(&mut self.said)
    }

    fn wait_until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) {
        let begin = Instant::now();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
                Ok(line) => {
                    let is_it = fits(&line);
                    self.said.push(line);
                    if is_it {
                        return;
                    }
                }
                Err(error) => panic!("{}: waiting for {what}: {error}; last: {:?}", self.name, self.said.last()),
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
