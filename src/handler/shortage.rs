//! What the machine, not the job nor the handler, has run out of: descriptors, processes, memory. The handler takes no jobs for
//! a moment; what it has of them is put off. Handlers that open sockets or start processes have one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;

use super::cool_down::CoolDown;
use super::{Gate, Standing};
use crate::job::Outcome;

/// First and longest time nothing is taken.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

pub(super) struct Shortage {
    gate: Gate,
    rest: Mutex<CoolDown>,
    /// Met and not yet over.
    met: AtomicBool,
}

impl Shortage {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, rest: Mutex::new(CoolDown::new(REST.0, REST.1)), met: AtomicBool::new(false) }
    }

    /// What becomes of a job that could not be begun for want of this.
    pub(super) fn met(&self, of: Errno) -> Outcome {
        let reason = match of {
            Errno::EMFILE => "out of file descriptors (EMFILE): raise the limit of open files or lower concurrency",
            Errno::ENFILE => "the machine is out of file descriptors (ENFILE): raise fs.file-max",
            Errno::EAGAIN => "cannot start a process (EAGAIN): raise the limit of processes or lower concurrency",
            _ => "out of memory (ENOMEM): lower concurrency",
        };
        let after = {
            let mut rest = self.rest.lock().expect("no code panics while holding this lock");
            // those that met it at the same time do not make it last longer
            if matches!(self.gate.standing(), Standing::Shut { .. }) {
                REST.0
            } else {
                self.met.store(true, Ordering::Release);
                let wait = rest.next();
                self.gate.shut(reason, Some(wait));
                wait
            }
        };
        Outcome::PutOff { reason: reason.to_owned(), after }
    }

    /// A job was begun. It ends the shortage once it is time to try again: in the middle of it some get what others let go.
    pub(super) fn is_over(&self) {
        if self.met.load(Ordering::Acquire)
            && !matches!(self.gate.standing(), Standing::Shut { .. })
            && self.met.swap(false, Ordering::AcqRel)
        {
            self.rest.lock().expect("no code panics while holding this lock").reset();
            self.gate.open();
        }
    }
}

/// Whether descriptors can be had now, where an error tells less than its cause, as that of a name look-up.
#[cfg(any(feature = "http", feature = "smtp"))]
pub(super) fn of_descriptors() -> Option<Errno> {
    let error = std::fs::File::open("/").err()?;
    let errno = Errno::from_raw(error.raw_os_error()?);
    matches!(errno, Errno::EMFILE | Errno::ENFILE).then_some(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_gate_stays_shut_for_longer_each_time_until_a_job_was_begun() {
        let gate = Gate::default();
        let shortage = Shortage::new(gate.clone());
        let wait = |outcome| match outcome {
            Outcome::PutOff { after, .. } => after,
            other => panic!("{other:?}"),
        };
        let first = wait(shortage.met(Errno::EMFILE));
        assert!(!gate.admits());
        shortage.met(Errno::EMFILE);
        tokio::time::advance(first).await;
        assert!(gate.admits(), "a second one at the same time does not count");
        let second = wait(shortage.met(Errno::EMFILE));
        assert!(second > first, "{first:?} {second:?}");
        shortage.is_over();
        assert!(!gate.admits(), "another one got what this one let go");
        tokio::time::advance(second).await;
        shortage.is_over();
        assert!(gate.is_open());
        assert!(wait(shortage.met(Errno::EAGAIN)) < second);
    }
}
