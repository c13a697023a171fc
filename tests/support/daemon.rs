//! The real binary: `oxherd run` in the background, and its other verbs.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use super::eventually;
use super::redis::Redis;

pub struct Daemon {
    child: Child,
    directory: tempfile::TempDir,
}

impl Daemon {
    /// Starts it on this Redis with the rest of a configuration.
    pub fn start(redis: &Redis, toml: &str) -> Self {
        Self::start_at(&redis.url(), toml)
    }

    /// As [`Daemon::start`], where Redis has another address or is not there yet.
    pub fn start_at(url: &str, toml: &str) -> Self {
        Self::begin(url, toml, &[])
    }

    /// As [`Daemon::start`], with more arguments; [`Daemon::again`] knows nothing of them.
    pub fn start_with(redis: &Redis, toml: &str, arguments: &[&str]) -> Self {
        Self::begin(&redis.url(), toml, arguments)
    }

    /// As [`Daemon::start`], as a user that is not root, which limits on processes do not hold for. Others than root start it
    /// as themselves.
    pub fn start_unprivileged(redis: &Redis, toml: &str) -> Self {
        /// Of nobody, as a rule.
        const USER: u32 = 65534;
        let directory = Self::directory_with(&redis.url(), toml);
        if !nix::unistd::geteuid().is_root() {
            let child = Self::spawn(&directory, &[]);
            return Self { child, directory };
        }
        redis.let_others_in();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        // the one that was built may be where only we can go
        let program = directory.path().join("oxherd");
        std::fs::copy(env!("CARGO_BIN_EXE_oxherd"), &program).unwrap();
        let mut command = Self::command(&program, &directory, &[]);
        let child = command.uid(USER).gid(USER).spawn().unwrap();
        Self { child, directory }
    }

    /// As [`Daemon::start`], where nothing of all it has to say can be written to its log.
    pub fn start_on_a_full_disk(redis: &Redis, toml: &str) -> Self {
        let directory = Self::directory_with(&redis.url(), toml);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command =
            Self::command(Path::new(env!("CARGO_BIN_EXE_oxherd")), &directory, &["--set", "log.level=debug"]);
        let child = command.stdout(full.try_clone().unwrap()).stderr(full).spawn().unwrap();
        Self { child, directory }
    }

    fn begin(url: &str, toml: &str, arguments: &[&str]) -> Self {
        let directory = Self::directory_with(url, toml);
        let child = Self::spawn(&directory, arguments);
        Self { child, directory }
    }

    fn directory_with(url: &str, toml: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        Self::write(directory.path(), url, toml);
        directory
    }

    fn write(directory: &Path, url: &str, toml: &str) {
        let text = format!("[redis]\nurl = \"{url}\"\n[log]\nformat = \"json\"\n{toml}");
        std::fs::write(directory.join("oxherd.toml"), text).unwrap();
    }

    /// Gives it another rest of its configuration, and waits until it has taken that over.
    #[track_caller]
    pub fn reload(&self, redis: &Redis, toml: &str) {
        let reloads = || self.log().matches("configuration reloaded").count();
        let before = reloads();
        self.write_config(redis, toml);
        self.signal(Signal::SIGHUP);
        eventually("the configuration is reloaded", || reloads() > before);
    }

    /// As [`Daemon::reload`], without telling it.
    pub fn write_config(&self, redis: &Redis, toml: &str) {
        Self::write(self.directory.path(), &redis.url(), toml);
    }

    /// Starts it again on the same file, the former one being gone.
    pub fn again(&mut self) {
        self.child = Self::spawn(&self.directory, &[]);
    }

    fn spawn(directory: &tempfile::TempDir, arguments: &[&str]) -> Child {
        Self::command(Path::new(env!("CARGO_BIN_EXE_oxherd")), directory, arguments).spawn().unwrap()
    }

    fn command(program: &Path, directory: &tempfile::TempDir, arguments: &[&str]) -> Command {
        let log = File::options().create(true).append(true).open(directory.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command
            .args(["run", "-c", "oxherd.toml"])
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits until the log holds this text.
    #[track_caller]
    pub fn says(&self, text: &str) {
        eventually(&format!("the log says {text:?}"), || self.log().contains(text));
    }

    /// The directory it runs in; `oxherd.toml` is there.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sets the soft limit on one of its resources, as prlimit names them.
    pub fn limit(&self, resource: &str, most: &str) {
        let process = format!("/proc/{}", self.id());
        let owner = std::fs::metadata(process).unwrap().uid();
        let arguments = ["--pid", &self.id().to_string(), &format!("--{resource}={most}:")];
        let mut command = Command::new("prlimit");
        command.args(arguments);
        if owner != nix::unistd::geteuid().as_raw() {
            // a root without all its capabilities may not
            command.uid(owner).gid(owner);
        }
        assert!(command.status().unwrap().success(), "prlimit {arguments:?}");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end and answers the exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// TERM, and the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.exit_code()
    }

    /// KILL: it gets no say.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(20).collect();
            for line in tail.iter().rev() {
                #[expect(clippy::print_stderr, reason = "a failed test says what the daemon said")]
                {
                    eprintln!("oxherd: {line}");
                }
            }
        }
    }
}

/// A verb of the command line on this Redis; its stdout, which has to be JSON with `--json`.
pub fn oxherd(redis: &Redis, arguments: &[&str]) -> Value {
    let (code, answer) = answered(redis, arguments);
    assert_eq!(code, 0, "oxherd {arguments:?}: {answer}");
    answer
}

/// As [`oxherd`], where the answer may be no: the exit code too.
pub fn answered(redis: &Redis, arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_oxherd"))
        .args(arguments)
        .args(["--redis", &redis.url(), "--json"])
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = serde_json::from_str(&text).unwrap_or_else(|error| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        panic!("oxherd {arguments:?} printed {text:?}: {error}\n{complaint}")
    });
    (output.status.code().expect("it was not killed"), answer)
}
