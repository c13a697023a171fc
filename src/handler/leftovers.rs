//! Processes that work for a job and whom no keeper keeps any more: a keeper was killed, alone or together with its daemon.
//! `daemon` asks for them when its state directory tells that an earlier start did not end, before any job runs again, and
//! when it has become the parent of processes it did not start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long what was killed may take to go before the daemon starts all the same. Longer only when the kernel cannot end
/// a process.
const PATIENCE: Duration = Duration::from_secs(5);
/// Looked through from a process up to its keeper; a chain that is longer is nobody's work.
const GENERATIONS: usize = 100;

/// Kills the processes that carry a job's environment and have no keeper whose daemon is there, until there are none.
/// Returns how many. Finds none where there is no `/proc`.
pub(crate) async fn end_leftovers() -> usize {
    let started = tokio::time::Instant::now();
    let mut ended = std::collections::BTreeSet::new();
    loop {
        let left = leftovers();
        if left.is_empty() || started.elapsed() > PATIENCE {
            return ended.len();
        }
        for id in left {
            // gone already, or not ours to kill: neither is left to us
            if kill(Pid::from_raw(id), Signal::SIGKILL).is_ok() {
                ended.insert(id);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn leftovers() -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| carries_a_job(*id) && !is_kept(*id) && Stat::read(*id).is_some_and(|stat| !stat.is_dead)).collect()
}

/// What every program that does a job is given, and nobody else is.
fn carries_a_job(id: i32) -> bool {
    let environment = fs::read(of(id, "environ")).unwrap_or_default();
    ["OXHERD_JOB_ID=", "OXHERD_IDEMPOTENCY_KEY="]
        .iter()
        .all(|name| environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(name.as_bytes())))
}

/// Whether a keeper is above it that serves somebody. Itself is none: a daemon may be run by a job.
fn is_kept(id: i32) -> bool {
    let mut process = Stat::read(id);
    for _ in 0..GENERATIONS {
        let Some(stat) = process else { return false };
        if stat.is_keeper {
            // it was forked, so it is the same program; one that has lost its daemon is about to end
            let program = |id| fs::read_link(of(id, "exe")).ok();
            return program(stat.id).is_some_and(|own| program(stat.parent) == Some(own));
        }
        process = Stat::read(stat.parent);
    }
    false
}

fn of(id: i32, file: &str) -> PathBuf {
    Path::new("/proc").join(id.to_string()).join(file)
}

/// A process as the kernel shows it.
pub(crate) struct Stat {
    pub(crate) id: i32,
    /// Ended, and not yet collected.
    pub(crate) is_dead: bool,
    pub(crate) parent: i32,
    is_keeper: bool,
}

impl Stat {
    pub(crate) fn read(id: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(of(id, "stat")).ok()?)
    }

    /// `id (name) state parent …`; the name may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.rsplit_once(')')?;
        let (id, name) = before.split_once(" (")?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?;
        Some(Self {
            id: id.parse().ok()?,
            is_dead: state == "Z" || state == "X",
            parent: fields.next()?.parse().ok()?,
            is_keeper: name == super::keeper::NAME.to_str().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = Stat::parse("12 (a) R 1 (b) S 7 8 9 0 -1").unwrap();
        assert_eq!((stat.id, stat.is_dead, stat.parent, stat.is_keeper), (12, false, 7, false));
        assert!(Stat::parse("12 (a) Z 7 8 9").unwrap().is_dead);
        assert!(Stat::parse("12 (oxherd-keeper) S 7 8 9").unwrap().is_keeper);
        assert!(Stat::parse("12 (a) Z").is_none());
    }

    #[test]
    fn we_are_no_leftover() {
        assert!(!leftovers().contains(&std::process::id().try_into().unwrap()));
    }
}
