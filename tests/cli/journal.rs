//! What systemd's journal gets on standard error: lines that say how grave they are.

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use crate::harness::{Oxherd, PATIENCE, Redis};

const QUEUE: &str = "[queues.q]\nhandler = \"broken\"\nattempts = 1\n[handlers.broken.command]\nargv = [\"false\"]\n";

/// A run of the binary whose standard error is a socket, as under systemd.
struct Journaled {
    child: Child,
    lines: BufReader<UnixStream>,
}

impl Journaled {
    /// `JOURNAL_STREAM` names the socket, or with `named` something else.
    fn start(oxherd: &Oxherd, arguments: &[&str], named: Option<&str>) -> Self {
        let (journal, stderr) = UnixStream::pair().unwrap();
        journal.set_read_timeout(Some(PATIENCE)).unwrap();
        let stderr = stderr.as_fd().try_clone_to_owned().unwrap();
        let file = std::fs::File::from(stderr.try_clone().unwrap()).metadata().unwrap();
        let stream = named.map_or_else(|| format!("{}:{}", file.dev(), file.ino()), str::to_owned);
        let mut command = oxherd.command(arguments);
        let child = command.env("JOURNAL_STREAM", stream).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        Self { child, lines: BufReader::new(journal) }
    }

    /// The next line that holds this text.
    #[track_caller]
    fn says(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let start = seen.len();
            assert!(self.lines.read_line(&mut seen).unwrap() > 0, "never {text:?}, but\n{seen}");
            if seen[start..].contains(text) {
                return seen[start..].trim_end_matches('\n').to_owned();
            }
        }
    }
}

impl Drop for Journaled {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_journal_gets_short_lines_with_their_priority() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.file("oxherd.toml", QUEUE);
    let name = "forged\n<0>kernel: all is lost\r\u{1b}[2J";
    oxherd.run(&["job", "add", "q", name]).exits(0);
    let mut daemon = Journaled::start(&oxherd, &["run", "--log-level", "debug"], None);
    assert!(daemon.says("oxherd starts").starts_with("<6>oxherd starts "));
    assert!(daemon.says("started").starts_with("<7>started "));
    let failed = daemon.says("forged");
    assert!(failed.starts_with("<4>failed ") && failed.contains("\\n<0>kernel: all is lost\\r\\u001b[2J"), "{failed}");
}

#[test]
fn a_shape_that_was_asked_for_keeps_its_priority() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.file("oxherd.toml", QUEUE);
    let mut daemon = Journaled::start(&oxherd, &["run", "--log-format", "json"], None);
    let line = daemon.says("oxherd starts");
    let json = line.strip_prefix("<6>").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap()["level"], "info");
}

#[test]
fn what_is_no_journal_gets_json() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.file("oxherd.toml", QUEUE);
    // the variable is handed down to whoever is started with another standard error
    for named in ["1:1", "", "no numbers"] {
        let line = Journaled::start(&oxherd, &["run"], Some(named)).says("oxherd starts");
        assert!(line.starts_with("{\"time\""), "{named:?}: {line}");
    }
}

#[test]
fn what_keeps_the_daemon_from_starting_is_an_error_in_the_journal() {
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", &QUEUE.replace("attempts = 1", "attempts = 0"));
    let mut run = Journaled::start(&oxherd, &["run"], None);
    assert!(run.says("attempts").starts_with("<3>error: "));
    assert!(run.says("oxherd.toml:3").starts_with("<3> "));
    oxherd.file("oxherd.toml", QUEUE);
    let mut run = Journaled::start(
        &oxherd,
        &["run", "--redis", "redis+unix:///nowhere/redis.sock", "--set", "redis.at_start=\"fail\""],
        None,
    );
    assert!(run.says("nowhere").starts_with("<3>error: "));
}
