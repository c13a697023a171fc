//! What becomes of the jobs of a process that has gone, and of a pool whose processes do not start.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::member::{InFlight, Standing};
use super::pool::{Pool, State};
use super::starts::LIMIT;
use super::ticket::{End, News, Ticket};
use crate::handler::Notice;
use crate::handler::wire::snippet;
use crate::job::Failure;

/// How a process ended.
pub(super) enum Gone {
    /// As it was asked to.
    Left,
    /// By itself, under the jobs it had.
    Died(Failure),
    /// Ended by us because of jobs that did not stop; the others have done nothing.
    Ended(String),
}

impl Pool {
    /// A process has gone, and nothing of it is left.
    pub(super) fn gone(&self, id: usize, how: &Gone) {
        let now = Instant::now();
        let mut state = self.state();
        let Some(mut member) = state.members.get_mut(id).and_then(Option::take) else { return };
        let never_ready = !member.was_ready();
        let pid = member.pid;
        if let Gone::Died(Failure { message: why, .. }) | Gone::Ended(why) = how {
            state.lost += 1;
            let age = member.age(now).as_secs();
            tracing::warn!(
                handler = self.name,
                pid,
                jobs = member.jobs.len(),
                done = member.done,
                age,
                "a process has gone: {why}"
            );
            self.tell(Notice::ProcessLost { handler: self.name.clone(), pid, why: why.clone() });
            if never_ready {
                state.starts.failed(now, fastrand::f64());
            } else if member.done == 0 {
                state.starts.died(now, fastrand::f64());
            }
        }
        let (stopped, mut jobs): (Vec<_>, Vec<_>) = member.jobs.drain(..).partition(|job| job.stop_by.is_some());
        let only_one = stopped.is_empty() && jobs.len() == 1;
        for job in stopped {
            state.clear(&job.ticket);
            job.ticket.tell(News::End(End::Stopped));
        }
        match how {
            Gone::Died(failure) if only_one && !member.has_said_bye() => {
                let job = jobs.remove(0);
                for innocent in state.suspects.catch(&job.ticket).into_iter().rev() {
                    state.waiting.push_front(innocent);
                }
                state.keep_none();
                job.ticket.tell(News::End(End::Crashed(failure.clone())));
            }
            Gone::Died(_) if !member.has_said_bye() => {
                if !jobs.is_empty() {
                    tracing::warn!(
                        handler = self.name,
                        pid,
                        jobs = jobs.len(),
                        "any of several jobs may have ended the process: each is tried alone"
                    );
                }
                state.suspects.suspect(jobs.drain(..).map(back));
            }
            _ => {
                for job in jobs.drain(..).rev() {
                    let ticket = back(job);
                    state.clear(&ticket);
                    state.waiting.push_front(ticket);
                }
            }
        }
        if state.starts.is_broken()
            && let Gone::Died(why) = how
            && !state.members.iter().flatten().any(|member| member.standing == Standing::Ready)
        {
            self.break_down(&mut state, &why.message);
        }
        self.dispatch(&mut state);
        self.keeper.notify_one();
    }

    /// The pool can do nothing until a process starts.
    fn break_down(&self, state: &mut State, why: &str) {
        if self.gate.standing() == crate::handler::Standing::Open {
            tracing::error!(
                handler = self.name,
                "broken: {LIMIT} processes in a row did not start, the last one: {why}"
            );
        }
        self.gate.shut(format!("no process starts: {}", snippet(why.as_bytes(), 200)), None);
        let reason = self.broken();
        state.is_broken = true;
        let suspects = state.suspects.give_up();
        for ticket in state.waiting.drain(..).chain(suspects) {
            ticket.tell(News::End(End::PutOff(reason.clone())));
        }
    }

    pub(super) fn broken(&self) -> String {
        format!("handler broken: no process of {} starts", self.name)
    }
}

/// A job comes out of a process to begin again, and has all its time to wait for that.
fn back(job: InFlight) -> Arc<Ticket> {
    // refused only at the end of the attempt, when it matters no more
    let _ = job.ticket.ctx.extend(Duration::MAX);
    job.ticket.set_waits(true);
    job.ticket.tell(News::Again);
    job.ticket
}
