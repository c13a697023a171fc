//! Where a tutorial is tried: an empty directory, a shell in it, and a Redis of its own on the port that `6379` of the page
//! becomes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::page::{Block, blocks, fits};
use crate::support::{PATIENCE, eventually};

/// Printed after each block.
const MARK: &str = "-- the block has ended --";

pub struct Desk {
    directory: tempfile::TempDir,
    redis: Child,
    shell: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// What the page says → what it is here.
    replaced: Vec<(String, String)>,
}

impl Desk {
    /// With these ports of the page as free ones of this machine. The sources are `~/oxherd`.
    pub fn new(ports: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ports: Vec<&str> = std::iter::once("6379").chain(ports.iter().copied()).collect();
        let replaced: Vec<_> = ports.iter().map(|port| ((*port).to_owned(), free_port(&ports))).collect();
        let redis_port = replaced[0].1.clone();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (home, bin, work) = (folder(&directory, "home"), folder(&directory, "bin"), folder(&directory, "work"));
        symlink(root, home.join("oxherd")).unwrap();
        symlink(env!("CARGO_BIN_EXE_oxherd"), bin.join("oxherd")).unwrap();
        // by a link Python would not know what is installed beside it
        program(&bin.join("python3"), &format!("exec '{}' \"$@\"", root.join(".cache/python/bin/python").display()));
        let server = std::env::var("OXHERD_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let client = Path::new(&server).with_file_name("redis-cli");
        let client = if client.is_file() { client.display().to_string() } else { "redis-cli".into() };
        let path = std::env::var("PATH").unwrap();
        program(&bin.join("redis-cli"), &format!("PATH='{path}' exec {client} -p {redis_port} \"$@\""));
        let redis = Command::new(&server)
            .args(["--port", &redis_port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--loglevel", "warning"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{server}: {error}; run make setup"));
        eventually("redis-server listens", || std::net::TcpStream::connect(format!("127.0.0.1:{redis_port}")).is_ok());
        let mut command = Command::new("sh");
        command.current_dir(&work).env_clear().envs([("LANG", "C.UTF-8"), ("HOME", home.to_str().unwrap())]);
        command
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("REDIS_URL", format!("redis://127.0.0.1:{redis_port}"));
        // a group of its own, so that what it leaves running ends with it
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut shell = command.spawn().unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        writeln!(stdin, "exec 2>&1; set -e").unwrap();
        let (send, lines) = channel();
        let stdout = BufReader::new(shell.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { directory, redis, shell, stdin, lines, replaced }
    }

    /// The directory the page's reader works in.
    pub fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.work().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Does what a page says, from its top to its bottom.
    pub fn follow(&mut self, page: &str) {
        for block in blocks(page) {
            match block {
                Block::File { name, text } => {
                    let path = self.work().join(&name);
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, self.here(&text)).unwrap();
                }
                Block::Commands { text, again: true, prints: Some(prints) } => {
                    let begin = Instant::now();
                    loop {
                        // there may be nothing to see yet
                        let printed = self.run(&format!("{{ {text}}} || true\n"));
                        if fits(&self.here(&prints), &printed) {
                            break;
                        }
                        assert!(begin.elapsed() < PATIENCE, "{text}never printed\n{prints}but\n{printed}");
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
                Block::Commands { text, prints, again } => {
                    assert!(!again, "no text says what is waited for:\n{text}");
                    let printed = self.run(&text);
                    if let Some(prints) = prints {
                        assert!(
                            fits(&self.here(&prints), &printed),
                            "{text}should print\n{prints}but printed\n{printed}"
                        );
                    }
                }
            }
        }
    }

    /// Types commands; what they print. Each has to end well.
    pub fn run(&mut self, commands: &str) -> String {
        let file = self.directory.path().join("block");
        std::fs::write(&file, self.here(commands)).unwrap();
        writeln!(self.stdin, ". '{}' </dev/null\necho '{MARK}'", file.display()).unwrap();
        let (begin, mut printed) = (Instant::now(), String::new());
        loop {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) if line == MARK => return printed,
                Ok(line) => printed.extend([line.as_str(), "\n"]),
                Err(RecvTimeoutError::Disconnected) => panic!("a command failed in\n{commands}{printed}"),
                Err(RecvTimeoutError::Timeout) => {
                    // what runs in the background may keep the pipe open
                    let ended = self.shell.try_wait().unwrap();
                    assert!(ended.is_none() && begin.elapsed() < PATIENCE, "{ended:?} in\n{commands}{printed}");
                }
            }
        }
    }

    fn here(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from.as_str(), to))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = nix::sys::signal::killpg(Pid::from_raw(self.shell.id().try_into().unwrap()), Signal::SIGKILL);
        for child in [&mut self.shell, &mut self.redis] {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.work().join("oxherd.log")).unwrap_or_default();
            #[expect(clippy::print_stderr, reason = "a failed test says what the daemon said")]
            {
                eprintln!("oxherd.log:\n{log}");
            }
        }
    }
}

fn folder(directory: &tempfile::TempDir, name: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

fn program(path: &Path, command: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{command}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A port in which none of these would be replaced again.
fn free_port(replaced: &[&str]) -> String {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        if !replaced.iter().any(|other| port.contains(other)) {
            return port;
        }
    }
}
