//! Whether programs can be started at all, and do any job: shuts the handler's gate when not, so that no jobs are taken only to
//! be put off.

use std::time::Duration;

use nix::errno::Errno;

use crate::handler::circuit::{Circuit, Since};
use crate::handler::cool_down::CoolDown;
use crate::handler::shortage::Shortage;
use crate::handler::{Gate, wire};
use crate::job::Outcome;

/// Runs in a row that show a program to be broken.
const BROKEN: u32 = 3;
/// First and longest time it is left alone then. Somebody has to mend it.
const REST: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

pub(super) struct Starts {
    circuit: Circuit,
    shortage: Shortage,
}

impl Default for Starts {
    fn default() -> Self {
        let gate = Gate::default();
        Self {
            shortage: Shortage::new(gate.clone()),
            circuit: Circuit::new(gate, BROKEN, CoolDown::new(REST.0, REST.1)),
        }
    }
}

impl Starts {
    /// The handler's.
    pub(super) fn gate(&self) -> &Gate {
        self.circuit.gate()
    }

    /// A program is about to be started.
    pub(super) fn begin(&self) -> Since {
        self.circuit.begin()
    }

    /// It could not be. The outcome of its job, which has not begun.
    pub(super) fn failed(&self, since: Since, errno: Errno, reason: String) -> Outcome {
        if matches!(errno, Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE) {
            return self.shortage.met(errno);
        }
        self.circuit.failed(since, &reason);
        Outcome::PutOff { reason, after: wire::DEFER }
    }

    /// It was.
    pub(super) fn done(&self) {
        self.shortage.is_over();
    }

    /// The program said that it cannot do jobs.
    pub(super) fn is_broken(&self, since: Since, reason: &str) {
        self.circuit.failed(since, reason);
    }

    /// The program did a job, well or not.
    pub(super) fn works(&self) {
        self.circuit.worked();
    }
}
