//! A private redis-server on a unix socket in a fresh directory.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::eventually;

pub struct Redis {
    child: Option<Child>,
    directory: tempfile::TempDir,
}

impl Redis {
    pub fn start() -> Self {
        let mut redis = Self { child: None, directory: tempfile::tempdir().unwrap() };
        redis.again();
        redis
    }

    /// Starts it, again after [`Redis::stop`]; what was on disk is loaded.
    pub fn again(&mut self) {
        let program = std::env::var("OXHERD_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let child = Command::new(&program)
            .args(["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "yes"])
            .args(["--maxmemory-policy", "noeviction", "--loglevel", "warning"])
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; run make setup"));
        self.child = Some(child);
        eventually("redis-server answers", || {
            // not there yet, or still loading
            self.ask(&["PING"]).is_ok_and(|answer| answer == "PONG")
        });
    }

    /// KILL: nothing is said to anybody.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    /// TERM: it writes what it has to write and closes its connections.
    pub fn shut_down(&mut self) {
        self.signal(Signal::SIGTERM);
        self.child.take().unwrap().wait().unwrap();
        let _ = std::fs::remove_file(self.socket());
    }

    /// Deletes what is on disk; for a server that is stopped.
    pub fn forget_everything(&self) {
        assert!(self.child.is_none(), "the server runs");
        std::fs::remove_dir_all(self.directory.path().join("appendonlydir")).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().expect("the server runs").id();
        nix::sys::signal::kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Lets other users connect.
    pub fn let_others_in(&self) {
        for (path, mode) in [(self.directory.path(), 0o755), (&self.socket(), 0o777)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    /// As oxherd and the programs of tests/interop understand it.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// One command; its reply as text, a list one item a line, nil as nothing.
    pub fn call(&self, words: &[&str]) -> String {
        self.ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// As [`Redis::call`], the items of a list apart.
    pub fn list(&self, words: &[&str]) -> Vec<String> {
        self.call(words).lines().map(str::to_owned).collect()
    }

    /// As [`Redis::call`], with words of any bytes and what the server refuses as the error.
    pub fn ask<T: AsRef<[u8]>>(&self, words: &[T]) -> Result<String, String> {
        let mut stream = UnixStream::connect(self.socket()).map_err(|error| error.to_string())?;
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            request.extend(format!("${}\r\n", word.len()).bytes());
            request.extend(word);
            request.extend(b"\r\n");
        }
        stream.write_all(&request).map_err(|error| error.to_string())?;
        reply(&mut BufReader::new(stream))
    }

    /// A reply that is a number: LLEN, ZCARD and the like.
    pub fn number(&self, words: &[&str]) -> u64 {
        let text = self.call(words);
        text.parse().unwrap_or_else(|_| panic!("{words:?} answered {text:?}, expected a number"))
    }

    /// Hears what is published on a channel; messages come from the answer, subscribed by then.
    pub fn subscribe(&self, channel: &str) -> std::sync::mpsc::Receiver<String> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(format!("SUBSCRIBE {channel}\r\n").as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines();
        // *3 $9 subscribe $N channel :1
        assert_eq!(lines.by_ref().take(6).last().unwrap().unwrap(), ":1");
        let (send, messages) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // *3 $7 message $N channel $N payload
            while let Some(Ok(payload)) = lines.by_ref().take(7).last() {
                if send.send(payload).is_err() {
                    return;
                }
            }
        });
        messages
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The next reply; what the server refuses is the error.
fn reply(from: &mut impl BufRead) -> Result<String, String> {
    let mut line = String::new();
    if from.read_line(&mut line).map_err(|error| error.to_string())? == 0 {
        return Err("the connection was closed instead of an answer".into());
    }
    let (kind, rest) = line.trim_end().split_at(1);
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "$" | "*" if rest == "-1" => Ok(String::new()),
        "$" => {
            let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
            from.read_exact(&mut bytes).map_err(|error| error.to_string())?;
            bytes.truncate(bytes.len() - 2);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" => {
            let items: Result<Vec<String>, String> = (0..rest.parse().unwrap()).map(|_| reply(from)).collect();
            Ok(items?.join("\n"))
        }
        _ => Err(rest.to_owned()),
    }
}
