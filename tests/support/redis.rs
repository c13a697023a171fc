//! A private redis-server on a unix socket in a fresh directory.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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
            UnixStream::connect(self.socket()).is_ok_and(|_| self.call(&["PING"]).as_deref() == Some("PONG"))
        });
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// As oxherd and the programs of tests/interop understand it.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// One command whose reply is one value; `None` for nil and for lists.
    pub fn call(&self, words: &[&str]) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        write!(stream, "*{}\r\n", words.len()).unwrap();
        for word in words {
            write!(stream, "${}\r\n{word}\r\n", word.len()).unwrap();
        }
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "+" | ":" => Some(rest.to_owned()),
            "$" if rest != "-1" => {
                let mut bytes = vec![0; rest.parse().unwrap()];
                reader.read_exact(&mut bytes).unwrap();
                Some(String::from_utf8(bytes).unwrap())
            }
            "-" => panic!("{words:?}: {rest}"),
            _ => None,
        }
    }

    /// A reply that is a number: LLEN, ZCARD and the like.
    pub fn number(&self, words: &[&str]) -> u64 {
        self.call(words).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{words:?} answered no number"))
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
