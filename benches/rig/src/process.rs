//! What another process uses; and a peer that is told when to go.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

#[repr(C)]
struct Timespec {
    seconds: std::ffi::c_long,
    nanoseconds: std::ffi::c_long,
}

unsafe extern "C" {
    fn clock_getcpuclockid(pid: std::ffi::c_int, clock: *mut std::ffi::c_int) -> std::ffi::c_int;
    fn clock_gettime(clock: std::ffi::c_int, now: *mut Timespec) -> std::ffi::c_int;
}

/// Seconds of CPU time a process has used, threads that have ended included, to the nanosecond.
///
/// # Panics
/// When there is no such process.
pub fn cpu(pid: u32) -> f64 {
    let pid = pid.try_into().expect("process ids are small");
    let (mut clock, mut now) = (0, Timespec { seconds: 0, nanoseconds: 0 });
    // SAFETY: both write to the one value they are given, which lives until they return
    let failed = unsafe { clock_getcpuclockid(pid, &raw mut clock) != 0 || clock_gettime(clock, &raw mut now) != 0 };
    assert!(!failed, "process {pid} has no CPU clock; has it ended?");
    now.seconds as f64 + now.nanoseconds as f64 / 1e9
}

/// Resident memory in MiB.
pub fn memory(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// The number behind `"key":` in a line of JSON that a bench program printed.
pub fn number(json: &str, key: &str) -> Option<f64> {
    let rest = json.split_once(&format!("\"{key}\":"))?.1.trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_digit() || ".-+eE".contains(c))).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A program that prints `ready`, waits for a line, works, prints one line of JSON, and ends with its stdin.
pub struct Peer {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Peer {
    pub fn start(command: &[String]) -> Self {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", command[0]));
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("stdout was piped"));
        let mut peer = Self { child, to, from };
        assert_eq!(peer.line(), "ready", "{command:?} is to say that it is ready");
        peer
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn go(&mut self) {
        let to = self.to.as_mut().expect("stdin is open until the peer ends");
        to.write_all(b"go\n").expect("the peer reads its stdin");
    }

    /// Its next line.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the peer writes text");
        line.trim_end().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
