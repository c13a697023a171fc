//! What commands of a daemon that was killed have left behind. The kernel kills the program that
//! was started, as it was asked to; nobody kills what that one had started. `daemon` calls this
//! when its state directory tells that an earlier start did not end, before any job runs again.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Kills the processes that carry a job's environment and belong to a group whose leader has gone.
/// Returns how many. Those that began a session of their own left on purpose and are spared.
/// Finds none where there is no `/proc`.
pub(crate) fn end_leftovers() -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // gone already, or not ours to kill: neither is left to us
    ids.filter(|id| is_leftover(*id) && kill(Pid::from_raw(*id), Signal::SIGKILL).is_ok()).count()
}

fn is_leftover(id: i32) -> bool {
    let Some(process) = Stat::read(id) else { return false };
    !process.is_dead
        && process.group != process.session
        && Stat::read(process.group).is_none_or(|leader| leader.is_dead)
        && carries_a_job(id)
}

/// What the handler gives to every program, and nobody else does.
fn carries_a_job(id: i32) -> bool {
    let environment = fs::read(Path::new("/proc").join(id.to_string()).join("environ")).unwrap_or_default();
    ["OXHERD_JOB_ID=", "OXHERD_IDEMPOTENCY_KEY="]
        .iter()
        .all(|name| environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(name.as_bytes())))
}

struct Stat {
    /// Ended, and not yet collected.
    is_dead: bool,
    group: i32,
    session: i32,
}

impl Stat {
    fn read(id: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).ok()?)
    }

    /// `id (name) state parent group session …`; the name may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let mut numbers = fields.skip(1).map(str::parse);
        Some(Self {
            is_dead: state == "Z" || state == "X",
            group: numbers.next()?.ok()?,
            session: numbers.next()?.ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = Stat::parse("12 (a) R 1 (b) S 7 8 9 0 -1").unwrap();
        assert_eq!((stat.is_dead, stat.group, stat.session), (false, 8, 9));
        assert!(Stat::parse("12 (a) Z 7 8 9").unwrap().is_dead);
        assert!(Stat::parse("12 (a) Z 7").is_none());
    }

    #[test]
    fn we_are_no_leftover() {
        assert!(!is_leftover(std::process::id().try_into().unwrap()));
    }
}
