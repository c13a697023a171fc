//! What this process and the server have used up so far.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::super::Error;
use crate::store::{ServerUsage, Store};

/// A reading; two of them make a figure.
pub struct Usage {
    /// User and system time of this process.
    pub own: Duration,
    pub server: ServerUsage,
}

impl Usage {
    pub async fn now(store: &Store) -> Result<Self, Error> {
        Ok(Self { own: own_cpu()?, server: store.usage().await? })
    }

    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            own: self.own.saturating_sub(earlier.own),
            server: ServerUsage {
                cpu: self.server.cpu.saturating_sub(earlier.server.cpu),
                commands: self.server.commands.saturating_sub(earlier.server.commands),
            },
        }
    }
}

fn own_cpu() -> Result<Duration, Error> {
    let used = getrusage(UsageWho::RUSAGE_SELF).map_err(std::io::Error::from)?;
    let duration = |time: TimeVal| {
        let whole = Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or(0));
        whole + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
    };
    Ok(duration(used.user_time()) + duration(used.system_time()))
}

/// Bytes of memory resident now; `None` where the system does not say.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        assert!(own_cpu().unwrap() > Duration::ZERO);
        assert!(resident().is_none_or(|bytes| bytes > 100_000));
    }
}
