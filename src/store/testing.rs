//! A private redis-server per test, on a unix socket in a fresh directory, gone with its handle.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::Store;
use super::connection::{Connection, Role, Value};
use crate::config;

pub(crate) struct Server {
    process: Child,
    directory: TempDir,
    args: Vec<String>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With more arguments for redis-server.
    pub(crate) async fn with(args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let process = spawn(&directory, &args);
        let server = Self { process, directory, args };
        server.answering().await;
        server
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    pub(crate) fn config(&self) -> config::Redis {
        config::Redis {
            endpoint: config::Endpoint::Unix(self.socket()),
            at_start: config::AtStart::Fail,
            ..config::Redis::default()
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(self.socket());
    }

    /// Starts it again after [`Server::stop`]; what is on disk is loaded.
    pub(crate) async fn again(&mut self) {
        self.process = spawn(&self.directory, &self.args);
        self.answering().await;
    }

    /// A connection of the test's own.
    pub(crate) async fn connection(&self) -> Connection {
        Connection::open(&self.config(), Role::Command).await.unwrap()
    }

    /// One command, its words separated by spaces.
    pub(crate) async fn run(&self, command: &'static str) -> Value {
        let mut words = command.split(' ');
        let name = words.next().unwrap();
        self.connection().await.call(name, words.map(Value::from).collect()).await.unwrap()
    }

    async fn answering(&self) {
        let socket = self.socket();
        let connect = async {
            while tokio::net::UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), connect).await.expect("redis-server did not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The texts of an answer.
pub(crate) fn texts(value: Value) -> Vec<String> {
    super::reply::texts("a test", value).unwrap()
}

fn spawn(directory: &TempDir, args: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no", "--daemonize", "no"])
        .args(args)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is needed for this test: apt install redis-server")
}

/// One command, its words separated by spaces, the values of the answer as one text.
pub(crate) async fn redis(store: &Store, command: &str) -> String {
    let mut args: Vec<Value> = vec!["return redis.call(unpack(ARGV))".into(), "0".into()];
    args.extend(command.split(' ').map(Value::from));
    joined(&store.command().call("EVAL", args).await.unwrap())
}

/// The events of a queue so far, the fields of each separated by spaces.
pub(crate) async fn events(store: &Store, queue: &str) -> Vec<String> {
    let stream = format!("bull:{queue}:events");
    let mut found = Vec::new();
    let mut from = "-".to_owned();
    loop {
        let args = [stream.as_str(), from.as_str(), "+", "COUNT", "10000"].map(Value::from).to_vec();
        let Value::Array(entries) = store.command().call("XRANGE", args).await.unwrap() else { return found };
        for entry in &entries {
            let Value::Array(entry) = entry else { panic!("an entry, not {entry:?}") };
            from = format!("({}", joined(&entry[0]));
            found.push(joined(&entry[1]).trim_start_matches("event ").to_owned());
        }
        if entries.is_empty() {
            return found;
        }
    }
}

/// Every key with its value, streams by their length.
pub(crate) async fn everything(store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    for key in redis(store, "KEYS *").await.split(' ').filter(|key| !key.is_empty()) {
        let call = async |command: &'static str, more: &[&str]| {
            let args = std::iter::once(key).chain(more.iter().copied()).map(Value::from).collect();
            store.command().call(command, args).await.unwrap()
        };
        let value = match joined(&call("TYPE", &[]).await).as_str() {
            "string" => joined(&call("GET", &[]).await),
            "list" => joined(&call("LRANGE", &["0", "-1"]).await),
            "set" => joined(&call("SORT", &["ALPHA"]).await),
            "zset" => joined(&call("ZRANGE", &["0", "-1", "WITHSCORES"]).await),
            "stream" => joined(&call("XLEN", &[]).await),
            _ => {
                let fields = call("HGETALL", &[]).await.into_array();
                let mut fields: Vec<_> =
                    fields.chunks(2).map(|pair| format!("{}={}", joined(&pair[0]), joined(&pair[1]))).collect();
                // long hashes have no order of their own
                fields.sort();
                fields.join(" ")
            }
        };
        found.push(format!("{key}: {value}"));
    }
    found.sort();
    found
}

fn joined(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(joined).collect::<Vec<_>>().join(" "),
        value => value.as_string().unwrap_or_default(),
    }
}

/// Asks again and again until it is so; fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking).await.unwrap_or_else(|_| panic!("never {what}"));
}
