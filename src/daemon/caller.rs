//! How another process finds a running daemon, has it reload, and hears what became of that. `oxherd reload` calls it.
//!
//! The order is HUP, which every service manager can send too. The answer is a file in the state directory: it needs no
//! listener that could be in the way of a start, is there for whoever looks later, and is seen by those who may see the
//! state of the daemon, whatever sandbox it runs in. Reloads are counted, so an answer is never taken for that to an
//! earlier order.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::reload::{Outcome, Reload};
use super::state::LOCK;

/// How often it is looked whether there is an answer.
const LOOK: Duration = Duration::from_millis(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("the process {0} has ended")]
    Gone(i32),
    #[error("the process {0} does not listen for HUP, which would end it; it is no running oxherd")]
    Deaf(i32),
    #[error("the process {0} belongs to somebody else; ask as its user, or as root")]
    NotOurs(i32),
    #[error("the process {0} has not answered in time; it may wait for redis, and its log says what becomes of it")]
    Late(i32),
    #[error("cannot read what the process has answered")]
    Unreadable(#[source] io::Error),
}

/// The process that holds a state directory; `None` when nobody does.
pub fn holder(state_dir: &Path) -> io::Result<Option<i32>> {
    let mut file = match File::open(state_dir.join(LOCK)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        // what stands there is of one that has gone
        Ok(_) => Ok(None),
        Err((_, Errno::EWOULDBLOCK)) => Ok(pid.trim().parse().ok()),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Has a process read its configuration again.
pub fn order(pid: i32) -> Result<(), NoAnswer> {
    if !hears_hup(pid) {
        return Err(NoAnswer::Deaf(pid));
    }
    match kill(Pid::from_raw(pid), Signal::SIGHUP) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) => Err(NoAnswer::NotOurs(pid)),
        Err(_) => Err(NoAnswer::Gone(pid)),
    }
}

/// What became of an order, where the last reload noted `before` it was this one. One that began in between has read what
/// is to be read too.
pub fn answer(state_dir: &Path, pid: i32, before: Option<&Reload>, patience: Duration) -> Result<Reload, NoAnswer> {
    let until = Instant::now() + patience;
    let before = before.filter(|before| before.pid == pid).map_or(0, |before| before.number);
    loop {
        // in this order: the last thing it does may be to answer
        let is_gone = kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH);
        match Reload::read(state_dir).map_err(NoAnswer::Unreadable)? {
            Some(reload)
                if reload.pid == pid && reload.number > before && !matches!(reload.outcome, Outcome::UnderWay) =>
            {
                return Ok(reload);
            }
            _ if is_gone => return Err(NoAnswer::Gone(pid)),
            _ if Instant::now() >= until => return Err(NoAnswer::Late(pid)),
            _ => std::thread::sleep(LOOK),
        }
    }
}

/// Whether HUP does anything but end the process. Where the system does not tell, it is believed to.
fn hears_hup(pid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_none_or(|mask| mask & (1 << (Signal::SIGHUP as i32 - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Diff;
    use crate::daemon::StateDir;

    #[test]
    fn the_holder_is_found_as_long_as_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()).unwrap(), None);
        let state = StateDir::open(dir.path()).unwrap();
        assert_eq!(holder(dir.path()).unwrap(), i32::try_from(std::process::id()).ok());
        drop(state);
        assert_eq!(holder(dir.path()).unwrap(), None, "what is left in the file is of nobody");
    }

    #[test]
    fn an_earlier_answer_is_not_taken_for_a_later_one() {
        let dir = tempfile::tempdir().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let reload = |number, outcome| Reload::new(number, outcome);
        let first = reload(1, Outcome::TakenOver(Diff::default()));
        first.write(dir.path()).unwrap();
        let late = |before: Option<&Reload>| answer(dir.path(), pid, before, Duration::ZERO);
        assert!(matches!(late(Some(&first)), Err(NoAnswer::Late(_))));
        let second = reload(2, Outcome::UnderWay);
        second.write(dir.path()).unwrap();
        assert!(matches!(late(Some(&first)), Err(NoAnswer::Late(_))));
        let second = reload(2, Outcome::Refused(Vec::new()));
        second.write(dir.path()).unwrap();
        assert_eq!(late(Some(&first)).unwrap(), second);
        // one that was under way when it was ordered may have read what was there before
        let under_way = reload(2, Outcome::UnderWay);
        assert!(matches!(late(Some(&under_way)), Err(NoAnswer::Late(_))));
        // of an earlier process
        let other = Reload { pid: 1, ..second.clone() };
        assert_eq!(late(Some(&other)).unwrap(), second);
    }

    #[test]
    fn who_would_die_of_it_is_not_told() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(matches!(order(pid), Err(NoAnswer::Deaf(_))));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(order(pid), Err(NoAnswer::Gone(_))));
    }
}
