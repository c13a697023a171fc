//! A private redis-server of our own, its data and socket in one directory.
//!
//! Who uses a directory holds a shared lock on `users.lock`. The first starts the server, the last stops it, whichever
//! processes those are. A process that is killed lets go of its lock and leaves the server running; the next one finds
//! it by its socket. Starting and stopping happen under `start.lock`, so they never overlap: two servers on one
//! append-only file would destroy it.

mod program;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::{Pid, getuid};

use super::error::Error;

const SOCKET: &str = "redis.sock";
const PID: &str = "redis.pid";
const LOG: &str = "redis.log";
/// Longest path `connect` takes, the final NUL not counted.
const LONGEST: usize = 107;
/// How long another process may take to start or stop the server, and ours to say why it cannot.
const PATIENCE: Duration = Duration::from_secs(30);

/// A share in the server of one directory. Dropping it leaves the server as it is; [`Embedded::leave`] stops it when
/// nobody else has a share.
pub(crate) struct Embedded {
    directory: PathBuf,
    users: Flock<File>,
    child: Mutex<Option<Child>>,
}

/// What is at the other end of the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Nobody,
    /// It takes connections but is frozen, or busy reading its data.
    NotReady,
    Ready,
}

/// Whether a server may be started where none runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedding {
    Start,
    /// Only join a server that somebody else has started.
    Join,
}

impl Embedded {
    /// Joins the server of this directory, starting it where none runs; returns when it answers.
    pub(crate) async fn open(directory: &Path, embedding: Embedding) -> Result<Self, Error> {
        let asked = directory.to_owned();
        let fail = |reason: String| Error::Embedded { directory: asked.display().to_string(), reason };
        if embedding == Embedding::Join && !directory.is_dir() {
            return Err(not_running(&asked));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|e| fail(e.to_string()))?;
        let directory = directory.canonicalize().map_err(|e| fail(e.to_string()))?;
        let start = lock(&directory, "start.lock", FlockArg::LockExclusiveNonblock).await.map_err(&fail)?;
        // never held exclusively by anyone without start.lock, which is ours now
        let users = lock(&directory, "users.lock", FlockArg::LockSharedNonblock).await.map_err(&fail)?;
        if embedding == Embedding::Join && ask(&directory).await == Answer::Nobody {
            return Err(not_running(&asked));
        }
        let embedded = Self { directory, users, child: Mutex::new(None) };
        embedded.run(&start).await?;
        Ok(embedded)
    }

    /// Starts the server again if it has gone. For when the link is lost.
    pub(crate) async fn mend(&self) -> Result<(), Error> {
        let start =
            lock(&self.directory, "start.lock", FlockArg::LockExclusiveNonblock).await.map_err(|r| self.fail(r))?;
        self.reap();
        if ask(&self.directory).await == Answer::Nobody {
            tracing::warn!(directory = %self.directory.display(), "the private redis-server has gone, starting it again");
            self.run(&start).await?;
        }
        Ok(())
    }

    /// Gives the share back. When it was the last one, stops the server and returns once its data is on disk.
    pub(crate) async fn leave(self) -> Result<(), Error> {
        let directory = self.directory.clone();
        let fail = |reason: String| Error::Embedded { directory: directory.display().to_string(), reason };
        let _start = lock(&self.directory, "start.lock", FlockArg::LockExclusiveNonblock).await.map_err(&fail)?;
        let Self { directory, users, child } = self;
        let file = users.unlock().map_err(|(_, e)| fail(e.to_string()))?;
        let Ok(_alone) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            return Ok(()); // others go on using it
        };
        let child = child.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let pid = read_pid(&directory);
        stop(&directory).await.map_err(&fail)?;
        gone(&directory, pid, child).await.map_err(&fail)?;
        let _ = std::fs::remove_file(directory.join(PID));
        let _ = std::fs::remove_file(directory.join(SOCKET));
        Ok(())
    }

    /// Brings the server to where it answers. The caller holds the start lock.
    async fn run(&self, _start: &Flock<File>) -> Result<(), Error> {
        let mut answer = ask(&self.directory).await;
        if answer == Answer::Nobody
            && let Some(pid) = read_pid(&self.directory).filter(|pid| is_ours(*pid, &self.directory))
        {
            // started by a process that was killed before the server listened
            let deadline = Instant::now() + PATIENCE;
            while answer == Answer::Nobody && is_ours(pid, &self.directory) && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
                answer = ask(&self.directory).await;
            }
            if answer == Answer::Nobody && is_ours(pid, &self.directory) {
                return Err(self.fail(format!("process {pid} has the data open but does not listen; end it")));
            }
        }
        if answer == Answer::Nobody {
            let _ = std::fs::remove_file(self.directory.join(SOCKET));
            let child = self.spawn().await?;
            *self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(child);
        }
        let mut said = false;
        let start = Instant::now();
        while ask(&self.directory).await != Answer::Ready {
            if let Some(status) = self.reap() {
                return Err(self.fail(format!("it stopped at once ({status}): {}", self.log_tail())));
            }
            if !said && start.elapsed() > Duration::from_secs(5) {
                tracing::warn!(directory = %self.directory.display(), "the private redis-server is still reading its data");
                said = true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn spawn(&self) -> Result<Child, Error> {
        let program = tokio::task::spawn_blocking(program::find)
            .await
            .map_err(|e| self.fail(e.to_string()))?
            .map_err(|reason| self.fail(reason))?;
        let log = OpenOptions::new().create(true).append(true).open(self.directory.join(LOG));
        let log = log.map_err(|e| self.fail(format!("{LOG}: {e}")))?;
        let errors = log.try_clone().map_err(|e| self.fail(e.to_string()))?;
        let mut command = Command::new(&program);
        command
            // names relative to the directory: a socket's path must be short
            .args(["--port", "0", "--unixsocket", SOCKET, "--unixsocketperm", "700", "--daemonize", "no"])
            .args(["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--dir", "."])
            .current_dir(&self.directory)
            // our secrets are none of its business
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // a Ctrl-C at the terminal is for us; the server is stopped after us
            .process_group(0);
        let child = command.spawn().map_err(|e| self.fail(format!("cannot start {}: {e}", program.display())))?;
        std::fs::write(self.directory.join(PID), format!("{}\n", child.id())).map_err(|e| self.fail(e.to_string()))?;
        Ok(child)
    }

    /// Collects the server if it was our child and has ended.
    fn reap(&self) -> Option<std::process::ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let status = child.as_mut()?.try_wait().ok().flatten()?;
        *child = None;
        Some(status)
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read(self.directory.join(LOG)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(2)..].join("; ");
        format!("{last}; see {}", self.directory.join(LOG).display())
    }

    fn fail(&self, reason: String) -> Error {
        Error::Embedded { directory: self.directory.display().to_string(), reason }
    }
}

fn not_running(directory: &Path) -> Error {
    Error::Unreachable {
        server: format!("embedded:{}", directory.display()),
        reason: "no server runs there; is the daemon running?".into(),
    }
}

/// Where the server of this directory, which exists, is reached.
///
/// The path of a socket is limited to 107 bytes; a longer one is reached through a symbolic link in the directory for
/// temporary files.
pub(crate) fn socket_of(directory: &Path) -> Result<PathBuf, Error> {
    let fail = |reason: String| Error::Embedded { directory: directory.display().to_string(), reason };
    let directory = directory.canonicalize().map_err(|e| fail(e.to_string()))?;
    let socket = directory.join(SOCKET);
    if socket.as_os_str().len() <= LONGEST {
        return Ok(socket);
    }
    let hash = sha1_smol::Sha1::from(directory.as_os_str().as_encoded_bytes()).digest().to_string();
    let link = std::env::temp_dir().join(format!("oxherd-{}-{}", getuid(), &hash[..16]));
    if let Err(error) = std::os::unix::fs::symlink(&directory, &link)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(fail(format!("{}: {error}", link.display())));
    }
    let owner = link.symlink_metadata().map(|meta| meta.uid());
    if owner.is_ok_and(|owner| owner == getuid().as_raw()) && std::fs::read_link(&link).is_ok_and(|to| to == directory)
    {
        Ok(link.join(SOCKET))
    } else {
        Err(fail(format!("the path is too long for a socket and {} is not ours; use a shorter path", link.display())))
    }
}

/// Waits for a lock file of the directory.
async fn lock(directory: &Path, name: &str, how: FlockArg) -> Result<Flock<File>, String> {
    let path = directory.join(name);
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let mut file = open.map_err(|e| format!("{}: {e}", path.display()))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Flock::lock(file, how) {
            Ok(lock) => return Ok(lock),
            Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < deadline => file = back,
            Err((_, Errno::EWOULDBLOCK)) => return Err(format!("{} is held by another process", path.display())),
            Err((_, error)) => return Err(format!("{}: {error}", path.display())),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn ask(directory: &Path) -> Answer {
    match talk(directory, "PING", Duration::from_secs(2)).await {
        Err(_) => Answer::Nobody,
        Ok(answer) if answer.starts_with("+PONG") => Answer::Ready,
        Ok(_) => Answer::NotReady,
    }
}

/// Tells the server to end; it writes and syncs its file first, then closes our connection by ending.
async fn stop(directory: &Path) -> Result<(), String> {
    match talk(directory, "SHUTDOWN", PATIENCE).await {
        Ok(answer) if answer.starts_with('-') => Err(format!("it does not stop: {}", answer.trim())),
        _ => Ok(()),
    }
}

/// Sends one line and reads one, or the end. An error when nobody listens, an empty text when nothing is said in time.
async fn talk(directory: &Path, line: &'static str, patience: Duration) -> Result<String, std::io::Error> {
    let socket = socket_of(directory).map_err(std::io::Error::other)?;
    let talking = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(patience))?;
        let mut answer = [0u8; 256];
        let said = stream.write_all(format!("{line}\r\n").as_bytes()).and_then(|()| stream.read(&mut answer));
        Ok(String::from_utf8_lossy(&answer[..said.unwrap_or(0)]).into_owned())
    });
    talking.await.map_err(std::io::Error::other)?
}

/// Waits until the process has ended.
async fn gone(directory: &Path, pid: Option<i32>, child: Option<Child>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    let mut child = child;
    loop {
        let ended = match &mut child {
            Some(child) => child.try_wait().is_ok_and(|status| status.is_some()),
            None => pid.is_none_or(|pid| !is_ours(pid, directory)),
        };
        if ended {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("it does not end".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn read_pid(directory: &Path) -> Option<i32> {
    std::fs::read_to_string(directory.join(PID)).ok()?.trim().parse().ok()
}

/// The process lives and, where that can be seen, works in the directory: process numbers are used again.
fn is_ours(pid: i32, directory: &Path) -> bool {
    match std::fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(working) => working == directory,
        Err(_) if Path::new("/proc/self").exists() => false,
        Err(_) => kill(Pid::from_raw(pid), None).is_ok(),
    }
}

#[cfg(test)]
mod tests;
