//! What becomes of a job when its program has ended, or could not be started: the exit code table.

use std::os::unix::process::ExitStatusExt;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::memory::{Before, Cause};
use super::output::Kept;
use super::{REASON, Run};
use crate::config::units::{show_duration, show_size};
use crate::config::{Answer, ExitMeaning};
use crate::handler::circuit::Since;
use crate::handler::keeper::{Ended, NotStarted, Step};
use crate::handler::wire;
use crate::job::{Failure, Outcome};

/// What shells say of a program that is there and cannot be run, and of one that is not there.
const NOT_RUNNABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

impl Run {
    /// The exit code table: the configuration's, then the built-in one.
    pub(super) fn outcome(
        &self,
        since: Since,
        end: Ended,
        before: Before,
        printed: Kept,
        complaints: &[u8],
    ) -> Outcome {
        let Some(code) = end.status.code() else {
            return Outcome::Crashed(failure(&self.death(end, before), complaints));
        };
        let what = format!("exit code {code}");
        if let Some(meaning) = u8::try_from(code).ok().and_then(|code| self.exit.get(&code)) {
            return meant(*meaning, failure(&what, complaints), Some(printed));
        }
        match code {
            0 => Outcome::Complete(wire::value(printed.into_bytes())),
            64 | 65 => Outcome::Fail(failure(&what, complaints)),
            75 => Outcome::Defer { reason: failure(&what, complaints).message, after: wire::DEFER },
            126 | 127 => {
                let what = format!("handler broken: {} ended with {what}", self.program.path());
                let reason = failure(&what, complaints).message;
                self.starts.is_broken(since, &reason);
                Outcome::Defer { reason, after: wire::DEFER }
            }
            _ => Outcome::Retry { failure: failure(&what, complaints), after: None },
        }
    }

    /// Which signal ended the program, none of ours, and why if that is known.
    fn death(&self, end: Ended, before: Before) -> String {
        let number = end.status.signal().unwrap_or_default();
        let Ok(signal) = Signal::try_from(number) else { return format!("killed by signal {number}") };
        let limits = self.program.limits();
        match signal {
            // a program that does not listen to the first is killed by the second
            Signal::SIGXCPU | Signal::SIGKILL
                if limits.cpu.is_some_and(|limit| signal == Signal::SIGXCPU || end.cpu >= limit) =>
            {
                let limit = limits.cpu.map(show_duration).unwrap_or_default();
                format!("out of processor time: killed by {signal}, limits.cpu is {limit}")
            }
            Signal::SIGXFSZ if limits.file_size.is_some() => {
                let limit = limits.file_size.map(show_size).unwrap_or_default();
                format!("wrote too large a file: killed by {signal}, limits.file_size is {limit}")
            }
            Signal::SIGKILL => match before.cause() {
                Cause::Memory => format!("out of memory: killed by {signal}"),
                Cause::Other => format!("killed by {signal}"),
                Cause::Unknown => format!("killed by {signal}, not by oxherd: out of memory?"),
            },
            _ => format!("killed by {signal}"),
        }
    }

    /// By somebody, perhaps the program itself.
    pub(super) fn keeper_killed(&self) -> Outcome {
        Outcome::Crashed(Failure::new(format!("the keeper of {} was killed", self.program.path())))
    }

    /// The program could not be started: not the job's fault, unless its arguments are too long.
    pub(super) fn not_started(&self, since: Since, failed: &NotStarted) -> Outcome {
        let reason = self.program.why_not_started(failed);
        let errno = Errno::from_raw(failed.error.raw_os_error().unwrap_or_default());
        let code = match (failed.step, errno) {
            (Step::Keeper, _) => return self.keeper_killed(),
            (_, Errno::E2BIG) => return Outcome::fail(reason),
            (Step::Program | Step::Directory, Errno::ENOENT | Errno::ENOTDIR) => NOT_FOUND,
            _ => NOT_RUNNABLE,
        };
        match self.exit.get(&code).filter(|_| matches!(failed.step, Step::Program | Step::Directory)) {
            Some(meaning) => meant(*meaning, Failure::new(reason), None),
            None => self.starts.failed(since, errno, reason),
        }
    }

    /// Whether the exit code says that the program cannot do any job.
    pub(super) fn says_broken(&self, code: Option<i32>) -> bool {
        let code = code.and_then(|code| u8::try_from(code).ok());
        code.is_some_and(|code| matches!(code, NOT_RUNNABLE | NOT_FOUND) && !self.exit.contains_key(&code))
    }
}

/// The outcome the configuration gives to an exit code. What was not started cannot be complete.
fn meant(ExitMeaning { answer, after }: ExitMeaning, failure: Failure, printed: Option<Kept>) -> Outcome {
    match (answer, printed) {
        (Answer::Complete, Some(printed)) => Outcome::Complete(wire::value(printed.into_bytes())),
        (Answer::WaitingChildren, Some(_)) => Outcome::WaitForChildren,
        (Answer::Complete | Answer::WaitingChildren, None) | (Answer::Defer, _) => {
            Outcome::Defer { reason: failure.message, after: after.unwrap_or(wire::DEFER) }
        }
        (Answer::Retry, _) => Outcome::Retry { failure, after },
        (Answer::Fail, _) => Outcome::Fail(failure),
        (Answer::Discard, _) => Outcome::Discard { reason: failure.message },
    }
}

/// What happened, and the end of what the program said about it.
pub(in crate::handler) fn failure(what: &str, complaints: &[u8]) -> Failure {
    let tail = wire::tail(complaints, REASON);
    if tail.is_empty() {
        return Failure::new(what);
    }
    let lines: Vec<String> =
        complaints.trim_ascii().split(|b| *b == b'\n').map(|l| wire::snippet(l, wire::LOG_LINE)).collect();
    let message = format!("{what}: {tail}");
    let stack = (lines.len() > 1).then(|| format!("{what}\n{}", lines.join("\n")));
    Failure { message, stack }
}
