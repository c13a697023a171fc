//! One process as its pool sees it: how it stands, what it does, what is to be written to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::frame::{self, Pongs, Reference};
use super::ticket::Ticket;
use crate::config::ProcessHandler;
use crate::handler::CancelReason;

/// Bytes not yet written from which on a process gets no more jobs.
const UNWRITTEN: usize = 256 * 1024;
/// Lines without sense, since the last job it has done, that a process is allowed.
const NONSENSE: u32 = 20;
/// How much earlier than configured a process may be replaced, so that not all are at once.
const SPREAD: f64 = 0.2;

pub(super) struct Member {
    pub(super) pid: i32,
    pub(super) standing: Standing,
    pub(super) slots: u32,
    pub(super) jobs: Vec<InFlight>,
    pub(super) company: Company,
    /// Jobs done since it is ready.
    pub(super) done: u64,
    /// When a job last began or ended.
    pub(super) used: Instant,
    pub(super) frames: Vec<u8>,
    /// Wakes what writes the frames and listens.
    pub(super) talk: Arc<Notify>,
    /// Wakes what looks after the process.
    pub(super) life: Arc<Notify>,
    said_hello: bool,
    refused: Option<String>,
    /// Since when it is, or was, ready.
    ready_at: Option<Instant>,
    nonsense: u32,
    /// Since when it talks to us no more.
    silent: Option<Instant>,
    said_bye: bool,
    born: Instant,
    start_by: Instant,
    max_jobs: Option<u64>,
    retire_at: Option<Instant>,
    max_memory: Option<usize>,
    /// When it was asked to end, at the latest to be ended then.
    drained_by: Option<Instant>,
    pongs: Pongs,
    heard: Instant,
    pinged: Option<Instant>,
    pings: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Starting,
    Ready,
    /// Gets no more jobs and ends when it has none.
    Leaving,
}

/// Which jobs a process may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Any,
    /// None until it is empty: a suspect will have it for itself.
    Kept,
    /// None beside the suspect it has.
    Suspect,
}

/// A job in a process.
pub(super) struct InFlight {
    pub(super) reference: Reference,
    pub(super) ticket: Arc<Ticket>,
    /// It was asked to stop, at the latest to be ended then.
    pub(super) stop_by: Option<Instant>,
}

/// Why a process is ended by us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    SlowStart,
    /// Jobs were told to stop and did not.
    Stuck,
    Hung,
    Nonsense,
    /// What it says of itself does not fit.
    Refused(String),
    /// It closed its end of the channel and lives on.
    Silent,
    /// It was asked to leave and does not.
    Lingers,
}

/// What is to be done with a process now.
pub(super) enum Check {
    /// Nothing before then, unless something happens.
    Until(Option<Instant>),
    End(Why),
}

impl Member {
    pub(super) fn new(config: &ProcessHandler, now: Instant) -> Self {
        let earlier = || 1.0 - SPREAD * fastrand::f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let fewer = |jobs: u64| ((jobs as f64 * earlier()).ceil() as u64).max(1);
        Self {
            pid: 0,
            standing: Standing::Starting,
            slots: 1,
            jobs: Vec::new(),
            company: Company::Any,
            done: 0,
            used: now,
            frames: Vec::new(),
            talk: Arc::default(),
            life: Arc::default(),
            said_hello: false,
            refused: None,
            ready_at: None,
            nonsense: 0,
            silent: None,
            said_bye: false,
            born: now,
            start_by: now + config.start_timeout,
            max_jobs: config.max_jobs.map(fewer),
            retire_at: config.max_age.map(|age| now + age.mul_f64(earlier())),
            max_memory: config.max_memory.map(|bytes| usize::try_from(fewer(bytes as u64)).unwrap_or(bytes)),
            drained_by: None,
            pongs: Pongs::Idle,
            heard: now,
            pinged: None,
            pings: 0,
        }
    }

    /// Whether it takes jobs at all.
    pub(super) fn takes_jobs(&self) -> bool {
        self.standing == Standing::Ready && self.silent.is_none()
    }

    /// Whether it can take a job beside those it has.
    pub(super) fn has_room(&self) -> bool {
        self.takes_jobs()
            && self.company == Company::Any
            && self.jobs.len() < self.slots as usize
            && self.frames.len() < UNWRITTEN
    }

    /// What a process says of itself, first of all.
    pub(super) fn hello(&mut self, hello: &frame::Hello, most: u32) {
        if hello.proto != frame::PROTO {
            self.refused =
                Some(format!("it speaks version {} of the protocol, expected {}", hello.proto, frame::PROTO));
            self.life.notify_one();
            return;
        }
        self.said_hello = true;
        self.slots = hello.slots.clamp(1, most);
        self.pongs = hello.pongs.unwrap_or(if self.slots > 1 { Pongs::Always } else { Pongs::Idle });
    }

    /// It is ready, if it was starting.
    pub(super) fn ready(&mut self, now: Instant) -> bool {
        let begins = self.standing == Standing::Starting && self.said_hello;
        if begins {
            self.standing = Standing::Ready;
            self.ready_at = Some(now);
            self.used = now;
            self.life.notify_one();
        }
        begins
    }

    /// Takes a job.
    pub(super) fn give(&mut self, reference: Reference, ticket: Arc<Ticket>, now: Instant) {
        self.frames.extend(crate::handler::wire::job_frame(
            &reference.to_string(),
            &ticket.job,
            &ticket.ctx,
            ticket.children.as_ref(),
        ));
        self.frames.push(b'\n');
        self.used = now;
        self.jobs.push(InFlight { reference, ticket, stop_by: None });
        self.talk.notify_one();
    }

    /// Asks it to end a job.
    pub(super) fn cancel(&mut self, ticket: &Arc<Ticket>, reason: CancelReason, stop_by: Instant) -> bool {
        let Some(job) = self.jobs.iter_mut().find(|job| Arc::ptr_eq(&job.ticket, ticket)) else { return false };
        job.stop_by = Some(job.stop_by.map_or(stop_by, |before| before.min(stop_by)));
        frame::cancel(&mut self.frames, job.reference, reason);
        self.talk.notify_one();
        self.life.notify_one();
        true
    }

    /// A job has ended in it.
    pub(super) fn done(&mut self, at: usize, now: Instant) -> InFlight {
        let job = self.jobs.swap_remove(at);
        self.done += 1;
        self.used = now;
        self.nonsense = 0;
        if self.company == Company::Suspect {
            self.company = Company::Any;
        }
        if self.max_jobs.is_some_and(|most| self.done >= most) {
            self.leave();
        }
        if self.standing == Standing::Leaving {
            self.life.notify_one();
        }
        job
    }

    /// Its resident bytes, as they are now.
    pub(super) fn weighs(&mut self, bytes: usize) {
        if self.max_memory.is_some_and(|most| bytes >= most) && self.standing == Standing::Ready {
            self.leave();
        }
    }

    /// No more jobs; it ends with the last one it has.
    pub(super) fn leave(&mut self) {
        if self.standing != Standing::Leaving {
            self.standing = Standing::Leaving;
            self.life.notify_one();
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn said_bye(&mut self) {
        self.said_bye = true;
        self.leave();
    }

    /// What it has was never begun: it had said that it ends.
    pub(super) fn has_said_bye(&self) -> bool {
        self.said_bye
    }

    /// One more line without sense; `true` when it is one too many.
    pub(super) fn nonsense(&mut self) -> bool {
        self.nonsense += 1;
        if self.nonsense > NONSENSE {
            self.life.notify_one();
        }
        self.nonsense == NONSENSE + 1
    }

    /// It has closed its end of the channel. That nothing takes its place before it has gone lets a pause be made first.
    pub(super) fn silent(&mut self, now: Instant) {
        self.silent.get_or_insert(now);
        self.life.notify_one();
    }

    /// It was asked to end or said that it does.
    pub(super) fn is_free_to_go(&self) -> bool {
        self.drained_by.is_some() || self.said_bye
    }

    pub(super) fn was_ready(&self) -> bool {
        self.ready_at.is_some()
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now - self.born
    }

    /// Looks at all limits, and asks for what is due.
    pub(super) fn check(&mut self, now: Instant, config: &ProcessHandler) -> Check {
        let kill_after = config.program.kill_after;
        let mut next: Option<Instant> = None;
        let mut passed = |at: Instant| {
            if at > now {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
            at <= now
        };
        if let Some(why) = &self.refused {
            return Check::End(Why::Refused(why.clone()));
        }
        if self.nonsense > NONSENSE {
            return Check::End(Why::Nonsense);
        }
        if self.standing == Standing::Starting && passed(self.start_by) {
            return Check::End(Why::SlowStart);
        }
        if self.silent.is_some_and(|since| passed(since + kill_after)) {
            return Check::End(Why::Silent);
        }
        // the others may go on for a while beside one that does not stop; new ones are not put beside it
        let overdue: Vec<Instant> = self.jobs.iter().filter_map(|job| job.stop_by.filter(|by| passed(*by))).collect();
        if let Some(first) = overdue.iter().min() {
            if overdue.len() == self.jobs.len() || passed(*first + kill_after) {
                return Check::End(Why::Stuck);
            }
            self.leave();
        }
        if self.standing == Standing::Ready && self.retire_at.is_some_and(&mut passed) {
            self.leave();
        }
        if self.standing == Standing::Leaving && self.jobs.is_empty() {
            if self.drained_by.is_none() {
                frame::drain(&mut self.frames);
                self.talk.notify_one();
            }
            if passed(*self.drained_by.get_or_insert(now + kill_after)) {
                return Check::End(Why::Lingers);
            }
        }
        if let Some(every) = config.ping.filter(|_| self.standing == Standing::Ready) {
            if self.pinged.is_some_and(|at| self.heard >= at) {
                self.pinged = None;
            }
            let must_answer = self.jobs.is_empty() || self.pongs == Pongs::Always;
            match self.pinged {
                // what was busy has its time from the moment it is idle
                Some(at) if must_answer => {
                    let from = if self.pongs == Pongs::Always { at } else { at.max(self.used) };
                    if passed(from + every) {
                        return Check::End(Why::Hung);
                    }
                }
                None if must_answer => {
                    if passed(self.heard.max(self.used) + every) {
                        self.pings += 1;
                        frame::ping(&mut self.frames, self.pings);
                        self.talk.notify_one();
                        self.pinged = Some(now);
                        passed(now + every);
                    }
                }
                _ => {
                    passed(now + every);
                }
            }
        }
        Check::Until(next)
    }
}
