//! Processes that became our children because their own parents ended. Where we are the first process, as in a container
//! without an init, that may be anybody's; else they have lost their keeper, and we asked for them.
//!
//! Whoever has ended is collected, whoever still works for a job is killed. Our own children are left to those who started
//! them: a child that has ended is only collected when nobody else has done it for a while.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::handler::{Stat, end_leftovers};

/// How long those who started a process may take to collect it.
const PAUSE: Duration = Duration::from_secs(2);

/// We are the parent of all that is orphaned below us.
pub struct Orphans {
    ended: Signal,
}

impl Orphans {
    /// Becomes that parent.
    pub fn adopt() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_child_subreaper(true)?;
        Ok(Self { ended: signal(SignalKind::child())? })
    }

    /// Does so for ever, looking only after a child has ended.
    pub async fn collect(mut self) {
        let mut dead = BTreeSet::new();
        loop {
            if dead.is_empty() && self.ended.recv().await.is_none() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            let ended = end_leftovers().await;
            if ended > 0 {
                tracing::warn!(processes = ended, "killed what commands whose keeper was killed had left behind");
            }
            let now = dead_children();
            for id in now.intersection(&dead) {
                let _ = waitpid(Pid::from_raw(*id), Some(WaitPidFlag::WNOHANG));
            }
            dead = now.difference(&dead).copied().collect();
        }
    }
}

fn dead_children() -> BTreeSet<i32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let ids = lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>());
    ids.filter(|id| Stat::read(*id).is_some_and(|stat| stat.is_dead)).collect()
}
