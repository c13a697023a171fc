//! The state directory: who we are, and who we were before a crash.
//!
//! It holds an advisory lock, so that two daemons never share it, and the ids of incarnations
//! whose locks in Redis may still stand. After a crash the next start reads them and releases
//! their locks at once instead of waiting until they lapse.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{Error, reload};
use crate::{config, engine};

pub(super) const LOCK: &str = "lock";
const INCARNATIONS: &str = "incarnations.json";
/// Crashes remembered. Older incarnations lost their locks to time long ago.
const REMEMBERED: usize = 64;

/// How often, and after which pause, a lock is asked for whose holder has gone.
const LEFTOVER: (u32, Duration) = (100, Duration::from_millis(20));

/// An exclusively held state directory; given up when dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: Flock<File>,
}

#[derive(Default, Serialize, Deserialize)]
struct Incarnations {
    ids: Vec<String>,
}

impl StateDir {
    /// Takes the directory, creating it when missing. [`Error::Held`] when another process has it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let refused = |source| Error::State { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refused)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(refused)?;
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let mut lock = take(file, holder.trim()).map_err(|errno| match errno {
            Errno::EWOULDBLOCK => {
                let pid = holder.trim();
                let holder = if pid.is_empty() { "another process".into() } else { format!("the process {pid}") };
                Error::Held { path: path.to_owned(), holder }
            }
            errno => refused(errno.into()),
        })?;
        // the pid only serves the message above: a full disk must not keep the daemon from starting
        let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The process that holds the directory now. Takes nothing, so that a daemon that starts meanwhile is not held up.
    #[must_use]
    pub fn holder(path: &Path) -> Option<u32> {
        let pid = fs::read_to_string(path.join(LOCK)).ok()?;
        let pid = pid.trim();
        (!has_gone(pid)).then(|| pid.parse().ok()).flatten()
    }

    /// Notes `id` as the running incarnation and returns the earlier ones whose locks may still
    /// stand, oldest first. Must be called before the first job is taken.
    ///
    /// A file that cannot be read or written costs speed after a crash, nothing else, so it is
    /// logged and the daemon goes on.
    pub fn begin(&self, id: &str) -> Vec<String> {
        let mut earlier = self.read();
        let excess = earlier.len().saturating_sub(REMEMBERED);
        earlier.drain(..excess);
        // of a process that has gone
        let _ = fs::remove_file(self.path.join(reload::FILE));
        self.write(earlier.iter().map(String::as_str).chain([id]));
        earlier
    }

    /// Notes that of all incarnations only these may still own locks.
    pub fn keep_only<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        self.write(ids);
    }

    fn read(&self) -> Vec<String> {
        let path = self.path.join(INCARNATIONS);
        let read = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Incarnations>(&bytes).map_err(io::Error::from),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Incarnations::default()),
            Err(e) => Err(e),
        };
        match read {
            Ok(incarnations) => incarnations.ids,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read earlier incarnations; their jobs are recovered when their locks lapse");
                Vec::new()
            }
        }
    }

    fn write<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        let incarnations = Incarnations { ids: ids.into_iter().map(str::to_owned).collect() };
        let path = self.path.join(INCARNATIONS);
        if let Err(error) = write_whole(&path, &incarnations, Survives::PowerCut) {
            tracing::warn!(path = %path.display(), %error, "cannot note this incarnation; after a crash its jobs are recovered when their locks lapse");
        }
    }
}

/// What a file is to outlive. A disk can take its time to be sure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Survives {
    PowerCut,
    Nothing,
}

/// A reader sees the old file or the new one, never half of one.
pub(super) fn write_whole<T: Serialize>(path: &Path, value: &T, survives: Survives) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    if survives == Survives::PowerCut {
        file.sync_all()?;
    }
    fs::rename(&beside, path)
}

/// A new instance id: name, host, pid and a random part, so that no two starts share one.
#[must_use]
pub fn instance_id(name: Option<&str>) -> String {
    let host = nix::unistd::gethostname().map_or_else(|_| "unknown".into(), |h| h.to_string_lossy().into_owned());
    let id =
        format!("{}-{host}-{}-{}", name.unwrap_or(config::Daemon::NAME), std::process::id(), engine::random_part());
    // it becomes part of lock tokens and client names, where these would be taken for separators
    id.chars().map(|c| if c.is_whitespace() || c.is_control() || c == ':' { '-' } else { c }).collect()
}

/// Locks the file. Where the process that is said to hold it has gone, waits a moment: one that was killed while it forked
/// leaves a copy of itself, which closes what it was handed right after.
fn take(mut file: File, holder: &str) -> Result<Flock<File>, Errno> {
    let mut patience = LEFTOVER.0;
    loop {
        (file, patience) = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EWOULDBLOCK)) if patience > 0 && has_gone(holder) => (file, patience - 1),
            Err((_, errno)) => return Err(errno),
        };
        std::thread::sleep(LEFTOVER.1);
    }
}

/// Whether it is a process id that nobody has.
fn has_gone(pid: &str) -> bool {
    pid.parse().is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(StateDir::holder(&path), None);
        let first = StateDir::open(&path).unwrap();
        assert_eq!(StateDir::holder(&path), Some(std::process::id()));
        let error = StateDir::open(&path).unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error}");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn what_a_dead_holder_has_left_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::open(dir.path()).unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        fs::write(dir.path().join(LOCK), format!("{}\n", gone.id())).unwrap();
        assert_eq!(StateDir::holder(dir.path()), None);
        let leaving = std::thread::spawn(|| {
            std::thread::sleep(LEFTOVER.1 * 5);
            drop(first);
        });
        StateDir::open(dir.path()).unwrap();
        leaving.join().unwrap();
    }

    #[test]
    fn incarnations_are_remembered_until_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert!(state.begin("a").is_empty());
        assert_eq!(state.begin("b"), ["a"]);
        assert_eq!(state.begin("c"), ["a", "b"]);
        state.keep_only(["c"]);
        assert_eq!(state.begin("d"), ["c"]);
        state.keep_only([]);
        assert!(state.begin("e").is_empty());
    }

    #[test]
    fn a_broken_file_does_not_stop_the_daemon_and_growth_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        fs::write(dir.path().join(INCARNATIONS), "{").unwrap();
        assert!(state.begin("a").is_empty());
        for n in 0..100 {
            state.begin(&n.to_string());
        }
        let earlier = state.begin("last");
        assert_eq!((earlier.len(), earlier.last().map(String::as_str)), (REMEMBERED, Some("99")));
    }

    #[test]
    fn ids_differ_with_equal_names_and_hold_no_separator() {
        let a = instance_id(Some("w: 1"));
        assert_ne!(a, instance_id(Some("w: 1")));
        assert!(a.starts_with("w--1-") && !a.contains([':', ' ']), "{a}");
    }
}
