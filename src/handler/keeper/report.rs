//! What a keeper tells: numbers of a fixed count, so that nothing is allocated and nothing arrives in halves.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

const WORDS: usize = 4;
pub(super) const LENGTH: usize = WORDS * size_of::<u64>();

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Report {
    /// The program runs.
    Started(Pid),
    /// It could not be started.
    NotStarted(Step, Errno),
    /// It has ended, and what it left behind is being killed if `is_alone` does not say that there is nothing.
    Ended { end: Ended, is_alone: bool },
    /// Nothing is left of it.
    Gone,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Processor time of the program and of those of its own children that it waited for.
    pub(crate) cpu: Duration,
}

/// Where on its way a process was when it could not become the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is no process.
    Fork,
    /// The keeper was killed. It cannot tell that itself.
    Keeper,
    Descriptors,
    Directory,
    Limits,
    Account,
    Program,
}

impl Step {
    const ALL: [Self; 6] = [Self::Fork, Self::Descriptors, Self::Directory, Self::Limits, Self::Account, Self::Program];
}

impl Report {
    pub(super) fn bytes(self) -> [u8; LENGTH] {
        #[expect(clippy::cast_sign_loss, reason = "read back as the same bits")]
        let number = |n: i32| u64::from(n as u32);
        let words = match self {
            Self::Started(pid) => [1, number(pid.as_raw()), 0, 0],
            Self::NotStarted(step, errno) => [2, step as u64, number(errno as i32), 0],
            Self::Ended { end, is_alone } => {
                let micros = u64::try_from(end.cpu.as_micros()).unwrap_or(u64::MAX);
                [3, number(end.status.into_raw()), micros, u64::from(is_alone)]
            }
            Self::Gone => [4, 0, 0, 0],
        };
        let mut bytes = [0; LENGTH];
        for (to, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    pub(super) fn read(bytes: [u8; LENGTH]) -> Option<Self> {
        let mut words = [0; WORDS];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(size_of::<u64>())) {
            *word = u64::from_ne_bytes(from.try_into().ok()?);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the bits that were written")]
        let number = |word: u64| word as u32 as i32;
        Some(match words {
            [1, pid, ..] => Self::Started(Pid::from_raw(number(pid))),
            [2, step, errno, _] => {
                let step = Step::ALL.into_iter().find(|known| *known as u64 == step)?;
                Self::NotStarted(step, Errno::from_raw(number(errno)))
            }
            [3, status, micros, is_alone] => Self::Ended {
                end: Ended { status: ExitStatus::from_raw(number(status)), cpu: Duration::from_micros(micros) },
                is_alone: is_alone == 1,
            },
            [4, ..] => Self::Gone,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let end = Ended { status: ExitStatus::from_raw(0x7f00), cpu: Duration::from_micros(7) };
        for report in [
            Report::Started(Pid::from_raw(4_194_304)),
            Report::NotStarted(Step::Account, Errno::EPERM),
            Report::Ended { end, is_alone: true },
            Report::Ended { end, is_alone: false },
            Report::Gone,
        ] {
            assert_eq!(Report::read(report.bytes()), Some(report));
        }
        assert_eq!(Report::read([9; LENGTH]), None);
    }
}
