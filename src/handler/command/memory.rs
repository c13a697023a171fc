//! Whether the kernel has ended processes for want of memory while a program ran.
//!
//! It counts them, wherever on the machine and under whichever limit. To look costs as much as a few system calls, so the
//! count of a moment ago does for the beginning of a run.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How old a count may be at the beginning of a run.
const RECENT: Duration = Duration::from_secs(1);

/// One per handler.
#[derive(Default)]
pub(super) struct Watch {
    last: Mutex<Option<(Instant, Option<u64>)>>,
}

/// A count at the beginning of a run; none where the kernel does not tell.
#[derive(Clone, Copy)]
pub(super) struct Before(Option<u64>);

/// What is known of a program that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Memory,
    Other,
    Unknown,
}

impl Watch {
    /// For a run that begins.
    pub(super) fn begin(&self) -> Before {
        let mut last = self.last.lock().expect("no code panics while holding this lock");
        match *last {
            Some((at, count)) if at.elapsed() < RECENT => Before(count),
            _ => {
                let count = count();
                *last = Some((Instant::now(), count));
                Before(count)
            }
        }
    }
}

impl Before {
    /// For a run whose program was killed, by whom is not known.
    pub(super) fn cause(self) -> Cause {
        cause(self.0, count())
    }
}

fn cause(before: Option<u64>, after: Option<u64>) -> Cause {
    match (before, after) {
        (Some(before), Some(after)) if after > before => Cause::Memory,
        (Some(_), Some(_)) => Cause::Other,
        _ => Cause::Unknown,
    }
}

fn count() -> Option<u64> {
    let counts = std::fs::read_to_string("/proc/vmstat").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("oom_kill "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f84_a_rise_is_a_cause() {
        assert_eq!(cause(Some(1), Some(2)), Cause::Memory);
        assert_eq!(cause(Some(2), Some(2)), Cause::Other);
        assert_eq!((cause(None, Some(2)), cause(Some(2), None)), (Cause::Unknown, Cause::Unknown));
    }
}
