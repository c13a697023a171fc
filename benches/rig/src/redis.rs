//! A blocking Redis connection, just enough of it, and a private server to talk to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub enum Reply {
    Text(Vec<u8>),
    Number(i64),
    List(Vec<Reply>),
    Nothing,
}

impl Reply {
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Text(bytes) => bytes,
            Self::Number(number) => number.to_string().into_bytes(),
            Self::List(_) | Self::Nothing => Vec::new(),
        }
    }

    pub fn list(self) -> Vec<Reply> {
        if let Self::List(items) = self { items } else { Vec::new() }
    }
}

pub struct Redis {
    to: TcpStream,
    from: BufReader<TcpStream>,
    buffer: Vec<u8>,
}

impl Redis {
    /// `redis://host:port`.
    pub fn connect(url: &str) -> std::io::Result<Self> {
        let address = url.trim_start_matches("redis://").split('/').next().unwrap_or_default();
        let to = TcpStream::connect(address)?;
        to.set_nodelay(true)?;
        Ok(Self { from: BufReader::with_capacity(1 << 18, to.try_clone()?), to, buffer: Vec::new() })
    }

    /// Queues a command; `flush` sends what is queued.
    pub fn queue(&mut self, words: &[&[u8]]) {
        write!(self.buffer, "*{}\r\n", words.len()).expect("a Vec takes every write");
        for word in words {
            write!(self.buffer, "${}\r\n", word.len()).expect("a Vec takes every write");
            self.buffer.extend_from_slice(word);
            self.buffer.extend_from_slice(b"\r\n");
        }
    }

    pub fn flush(&mut self) {
        self.to.write_all(&self.buffer).expect("redis is there");
        self.buffer.clear();
    }

    /// Waits for the next reply.
    ///
    /// # Panics
    /// On an error reply, and when the connection is lost: a measurement is worth nothing then.
    pub fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("redis is there");
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "+" => Reply::Text(rest.as_bytes().to_vec()),
            ":" => Reply::Number(rest.parse().expect("an integer reply holds an integer")),
            "$" | "*" if rest == "-1" => Reply::Nothing,
            "$" => {
                let length: usize = rest.parse().expect("a bulk reply begins with its length");
                let mut bytes = vec![0; length + 2];
                self.from.read_exact(&mut bytes).expect("redis is there");
                bytes.truncate(length);
                Reply::Text(bytes)
            }
            "*" => {
                let length: usize = rest.parse().expect("an array reply begins with its length");
                Reply::List((0..length).map(|_| self.reply()).collect())
            }
            _ => panic!("redis answered {}", line.trim_end()),
        }
    }

    pub fn call(&mut self, words: &[&str]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.queue(&words);
        self.flush();
        self.reply()
    }

    /// Loads a script; the answer is its hash.
    pub fn load(&mut self, script: &str) -> Vec<u8> {
        self.call(&["SCRIPT", "LOAD", script]).bytes()
    }

    /// One number of INFO, 0 when it is not there.
    fn info(text: &str, field: &str) -> f64 {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| *name == field)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0.0)
    }

    pub fn usage(&mut self) -> Usage {
        let text = String::from_utf8_lossy(&self.call(&["INFO", "all"]).bytes()).into_owned();
        Usage {
            cpu: Self::info(&text, "used_cpu_user") + Self::info(&text, "used_cpu_sys"),
            commands: Self::info(&text, "total_commands_processed"),
            clients: Self::info(&text, "connected_clients"),
        }
    }
}

/// What the server has used since it started.
#[derive(Clone, Copy)]
pub struct Usage {
    /// Seconds.
    pub cpu: f64,
    pub commands: f64,
    pub clients: f64,
}

/// A redis-server of our own; gone when dropped.
pub struct Server {
    child: Child,
    directory: PathBuf,
    pub url: String,
}

impl Server {
    pub fn start(program: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port on the loopback interface")
            .port();
        let directory = std::env::temp_dir().join(format!("oxherd-rig-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a place for temporary files");
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--maxmemory-policy", "noeviction", "--loglevel", "warning", "--dir"])
            .arg(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let server = Self { child, directory, url: format!("redis://127.0.0.1:{port}") };
        let patience = Instant::now() + Duration::from_secs(10);
        while Redis::connect(&server.url).is_err() {
            assert!(Instant::now() < patience, "{} does not answer on port {port}", program.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
