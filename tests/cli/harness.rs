//! Runs the binary.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use super::support::redis::Redis;
pub use super::support::{PATIENCE, eventually};

/// How a run of the binary ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
        let code = output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", output.status));
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Fails the test, showing what was printed, unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// The binary in an empty directory and an environment of its own, so that no file and no
/// variable of this machine has a say.
pub struct Oxherd {
    pub directory: tempfile::TempDir,
    redis: Option<String>,
}

impl Oxherd {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), redis: None }
    }

    /// With `--redis` on every call.
    pub fn with(redis: &Redis) -> Self {
        Self { redis: Some(redis.url()), ..Self::new() }
    }

    /// Writes a file beside which the binary runs.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxherd"));
        command.args(arguments).current_dir(self.directory.path()).env_clear().stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(url) = &self.redis {
            command.args(["--redis", url]);
        }
        command
    }

    /// A shell in the same directory, with an environment as bare.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.directory.path()).env_clear();
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::new(&self.command(arguments).output().unwrap())
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // a binary that stops reading early closes the pipe, which is its right
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ended::new(&output)
    }
}

/// The path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
