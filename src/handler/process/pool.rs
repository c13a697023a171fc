//! The processes of a pool, the jobs in them and the jobs that wait: who gets what, and what becomes of the jobs of a
//! process that has gone.
//!
//! Everything is behind one mutex held for a few instructions at a time. Three kinds of tasks meet here: the attempts
//! (`mod.rs`), which put tickets in and wait for news; for each process one that talks and one that looks after it
//! (`worker.rs`); and the keeper, which starts processes.
//!
//! **Culprits.** A process that dies with one job was ended by that job. Of several any may have done it: they begin
//! again one after the other, each alone in a process, until one is caught at it. Only that one has crashed; the rest
//! never notice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::frame::{self, Reference, Said};
use super::member::{Check, InFlight, Member, Standing};
use super::starts::{LIMIT, Starts};
use super::ticket::{End, News, Ticket};
use crate::config::{ProcessHandler, Workers};
use crate::handler::CancelReason;
use crate::handler::gate::Gate;
use crate::handler::program::Program;
use crate::handler::wire::snippet;
use crate::job::Failure;
use crate::store::Dependencies;

/// How long jobs must have waited without a pause before another process is started for them.
const SHORT: Duration = Duration::from_millis(100);

pub(super) struct Pool {
    pub(super) name: String,
    pub(super) config: ProcessHandler,
    pub(super) program: Program,
    pub(super) gate: Gate,
    /// Wakes the keeper.
    pub(super) keeper: Notify,
    has_ended: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    members: Vec<Option<Member>>,
    waiting: VecDeque<Arc<Ticket>>,
    incidents: Vec<Incident>,
    /// Since when jobs wait without a pause.
    short: Option<Instant>,
    starts: Starts,
    /// Jobs one process takes, as the last one said that was asked.
    slots: u32,
    references: u64,
    /// Processes that ended otherwise than asked.
    lost: u64,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Ends when nothing is left in it.
    Closing,
    Closed,
}

/// The jobs of a process that died with several.
struct Incident {
    suspects: VecDeque<Arc<Ticket>>,
    /// The one that runs, alone.
    tried: Option<Arc<Ticket>>,
}

/// How a process ended.
pub(super) enum Gone {
    /// As it was asked to.
    Left,
    /// By itself, under the jobs it had.
    Died(Failure),
    /// Ended by us because of jobs that did not stop; the others have done nothing.
    Ended(String),
}

/// What the keeper is to do.
pub(super) struct Plan {
    /// Places for which processes are to be started.
    pub(super) start: Vec<usize>,
    /// When to look again, unless something happens.
    pub(super) next: Option<Instant>,
    pub(super) is_closed: bool,
}

impl Pool {
    pub(super) fn new(name: &str, config: ProcessHandler, program: Program) -> Self {
        let state = Mutex::new(State { slots: 1, ..State::default() });
        Self {
            name: name.to_owned(),
            config,
            program,
            gate: Gate::default(),
            keeper: Notify::new(),
            has_ended: watch::Sender::default(),
            state,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }

    /// Takes a job in: into a process with a free slot, else into the queue.
    pub(super) fn submit(&self, ticket: &Arc<Ticket>) {
        let mut state = self.state();
        if state.phase == Phase::Closed {
            return ticket.tell(News::End(End::Interrupted));
        }
        if state.starts.is_broken() {
            return ticket.tell(News::End(End::PutOff(self.broken())));
        }
        state.waiting.push_back(Arc::clone(ticket));
        self.dispatch(&mut state);
    }

    /// Takes a job out that is in no process; `false`: it is in one.
    pub(super) fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        let mut state = self.state();
        let found = state.withdraw(ticket);
        self.dispatch(&mut state);
        found
    }

    /// Asks a process to end a job; `false`: the job is in none, and nowhere else any more.
    pub(super) fn cancel(&self, ticket: &Arc<Ticket>, reason: CancelReason, patience: Duration) -> bool {
        let mut state = self.state();
        let stop_by = Instant::now() + patience;
        let found = state.members.iter_mut().flatten().any(|member| member.cancel(ticket, reason, stop_by));
        if !found {
            state.withdraw(ticket);
            self.dispatch(&mut state);
        }
        found
    }

    /// How many of how many processes are there and have no free slot.
    pub(super) fn load(&self) -> String {
        let state = self.state();
        let ready = state.members.iter().flatten().filter(|member| member.standing == Standing::Ready);
        format!("{} processes are ready and none has a free slot", ready.count())
    }

    /// Gives waiting jobs to processes.
    fn dispatch(&self, state: &mut State) {
        let now = Instant::now();
        if !state.incidents.is_empty() {
            state.try_suspects(now);
        }
        while !state.waiting.is_empty()
            && let Some(member) = state.roomiest()
            && let Some(ticket) = state.waiting.pop_front()
        {
            state.give(member, ticket, now);
        }
        if state.waiting.is_empty() && state.incidents.iter().all(|incident| incident.tried.is_some()) {
            state.short = None;
        } else if state.short.is_none() {
            state.short = Some(now);
            self.keeper.notify_one();
        }
        if state.phase == Phase::Closing && state.is_empty() {
            self.keeper.notify_one();
        }
    }

    /// Hears one line of a process. `true`: the process is to be listened to again when its `talk` is woken.
    pub(super) fn hear(&self, id: usize, line: &[u8], cut: usize) -> bool {
        let Some(said) = Said::parse(line, cut) else { return false };
        let now = Instant::now();
        let mut state = self.state();
        let Some(member) = state.members.get_mut(id).and_then(Option::as_mut) else { return false };
        match said {
            Said::OfJob(reference, frame) => {
                let Some(at) = member.jobs.iter().position(|job| job.reference == reference) else {
                    tracing::debug!(handler = self.name, pid = member.pid, %reference, "said of a job that has ended; ignored");
                    return false;
                };
                let heard = frame.understand(line, &member.jobs[at].ticket.job.queue);
                let is_last = matches!(heard, crate::handler::wire::Heard::Outcome(_));
                let hold = member.jobs[at].ticket.hear(News::Heard(heard), &member.talk);
                if is_last {
                    let job = member.done(at, now);
                    self.done(&mut state, &job);
                    return false;
                }
                return hold;
            }
            Said::Asks(reference, n) => {
                if let Some(job) = member.jobs.iter().find(|job| job.reference == reference) {
                    return job.ticket.hear(News::Asks(n), &member.talk);
                }
            }
            Said::TooLong(reference) => {
                if let Some(at) = member.jobs.iter().position(|job| job.reference == reference) {
                    let job = member.done(at, now);
                    let why = format!("the result was longer than max_frame, {} bytes", self.config.max_frame);
                    job.ticket.tell(News::End(End::Fail(Failure::new(why))));
                    self.done(&mut state, &job);
                }
            }
            Said::Hello(hello) => {
                member.hello(&hello, self.config.slots);
                state.slots = member.slots;
            }
            Said::Ready => {
                if member.ready(now) {
                    state.starts.ready();
                    self.gate.open();
                    self.dispatch(&mut state);
                    self.keeper.notify_one();
                }
            }
            Said::Pong => {}
            Said::Bye => {
                member.said_bye();
                self.keeper.notify_one();
            }
            Said::Nonsense(why) => self.nonsense(member, &why),
        }
        false
    }

    /// Something was read from a process.
    pub(super) fn heard(&self, id: usize) {
        self.with(id, |member| member.heard(Instant::now()));
    }

    fn nonsense(&self, member: &mut Member, why: &str) {
        let is_too_much = member.nonsense();
        if let [job] = member.jobs.as_slice() {
            job.ticket.ctx.log(format!("the process: {why}"));
        }
        tracing::warn!(handler = self.name, pid = member.pid, is_too_much, "a process talks nonsense: {why}");
    }

    fn done(&self, state: &mut State, job: &InFlight) {
        state.starts.worked();
        state.cleared(&job.ticket);
        self.dispatch(state);
    }

    /// Swaps what is to be written to a process with an empty buffer.
    pub(super) fn take_frames(&self, id: usize, buffer: &mut Vec<u8>) {
        self.with(id, |member| std::mem::swap(&mut member.frames, buffer));
    }

    /// A process has closed its end of the channel.
    pub(super) fn silent(&self, id: usize) {
        self.with(id, |member| member.silent(Instant::now()));
    }

    /// Answers what the process of a job has asked.
    pub(super) fn answer(&self, ticket: &Arc<Ticket>, n: u64, children: Result<&Dependencies, String>) {
        let mut state = self.state();
        let mut members = state.members.iter_mut().flatten();
        if let Some(member) = members.find(|member| member.jobs.iter().any(|job| Arc::ptr_eq(&job.ticket, ticket))) {
            frame::told(&mut member.frames, n, children);
            member.talk.notify_one();
        }
    }

    /// Looks at one process, or changes it.
    pub(super) fn with<T>(&self, id: usize, look: impl FnOnce(&mut Member) -> T) -> Option<T> {
        self.state().members.get_mut(id)?.as_mut().map(look)
    }

    /// What is to be done with a process now.
    pub(super) fn check(&self, id: usize) -> Check {
        let mut state = self.state();
        let Some(member) = state.members.get_mut(id).and_then(Option::as_mut) else { return Check::Until(None) };
        let before = member.standing;
        let check = member.check(Instant::now(), &self.config);
        if before != member.standing {
            self.keeper.notify_one();
        }
        check
    }

    /// A process has gone, and nothing of it is left.
    pub(super) fn gone(&self, id: usize, how: Gone) {
        let now = Instant::now();
        let mut state = self.state();
        let Some(mut member) = state.members.get_mut(id).and_then(Option::take) else { return };
        let never_ready = !member.was_ready();
        let pid = member.pid;
        if let Gone::Died(Failure { message: why, .. }) | Gone::Ended(why) = &how {
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
            if never_ready {
                if state.starts.failed(now, fastrand::f64()) {
                    self.break_down(&mut state, why);
                }
            } else if member.done == 0 {
                state.starts.died(now, fastrand::f64());
            }
        }
        let (stopped, mut jobs): (Vec<_>, Vec<_>) = member.jobs.drain(..).partition(|job| job.stop_by.is_some());
        let only_one = stopped.is_empty() && jobs.len() == 1;
        for job in stopped {
            state.cleared(&job.ticket);
            job.ticket.tell(News::End(End::Stopped));
        }
        match how {
            Gone::Died(failure) if only_one && !member.has_said_bye() => {
                let job = jobs.remove(0);
                state.caught(&job.ticket);
                job.ticket.tell(News::End(End::Crashed(failure)));
            }
            Gone::Died(_) if !member.has_said_bye() => {
                let suspects: VecDeque<_> = jobs.drain(..).map(back).collect();
                if !suspects.is_empty() {
                    tracing::warn!(
                        handler = self.name,
                        pid,
                        jobs = suspects.len(),
                        "any of several jobs may have ended the process: each is tried alone"
                    );
                    state.incidents.push(Incident { suspects, tried: None });
                }
            }
            _ => {
                for job in jobs.drain(..).rev() {
                    let ticket = back(job);
                    state.cleared(&ticket);
                    state.waiting.push_front(ticket);
                }
            }
        }
        self.dispatch(&mut state);
        self.keeper.notify_one();
    }

    /// The pool can do nothing until a process starts.
    fn break_down(&self, state: &mut State, why: &str) {
        if state.members.iter().flatten().any(|member| member.standing == Standing::Ready) {
            return;
        }
        if self.gate.standing() == crate::handler::Standing::Open {
            tracing::error!(
                handler = self.name,
                "broken: {LIMIT} processes in a row did not start, the last one: {why}"
            );
        }
        self.gate.shut(format!("no process starts: {}", snippet(why.as_bytes(), 200)), None);
        let reason = self.broken();
        let suspects = state.incidents.drain(..).flat_map(|incident| incident.suspects);
        for ticket in state.waiting.drain(..).chain(suspects.collect::<Vec<_>>()) {
            ticket.tell(News::End(End::PutOff(reason.clone())));
        }
    }

    fn broken(&self) -> String {
        format!("handler broken: no process of {} starts", self.name)
    }

    /// Ends the pool when nothing is left in it.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        self.keeper.notify_one();
    }

    /// Its last process has gone.
    pub(super) fn end(&self) {
        self.has_ended.send_replace(true);
    }

    /// Resolves when its last process has gone.
    pub(super) async fn ended(&self) {
        // fails only when the pool is dropped, and we hold it
        let _ = self.has_ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// What is to be started now, and which processes are not needed any more.
    pub(super) fn plan(&self) -> Plan {
        let now = Instant::now();
        let mut state = self.state();
        let state = &mut *state;
        let mut plan = Plan { start: Vec::new(), next: None, is_closed: false };
        if state.phase != Phase::Open && state.is_empty() {
            state.phase = Phase::Closed;
            state.members.iter_mut().flatten().for_each(Member::leave);
            plan.is_closed = true;
            return plan;
        }
        let count = |standing| state.members.iter().flatten().filter(|member| member.standing == standing).count();
        let (starting, ready) = (count(Standing::Starting), count(Standing::Ready));
        let alive = starting + ready;
        let Workers { min, max } = self.config.workers;
        let min = if state.phase == Phase::Open { min as usize } else { 0 };
        let max = max as usize;
        let mut later = |at: Instant| plan.next = Some(plan.next.map_or(at, |next: Instant| next.min(at)));
        let mut wanted = min.saturating_sub(alive);
        if let Some(short) = state.short.filter(|_| alive < max) {
            // the first at once, more only for jobs that go on waiting
            if alive == 0 || now >= short + SHORT {
                let suspects = state.incidents.iter().filter(|incident| incident.tried.is_none()).count();
                let slots = state.slots.max(1) as usize;
                let short_of = state.waiting.len().div_ceil(slots) + suspects;
                wanted = wanted.max(short_of.saturating_sub(starting).min(max - alive));
            } else {
                later(short + SHORT);
            }
        }
        if state.starts.is_trying() {
            wanted = wanted.min(1usize.saturating_sub(starting));
        }
        if wanted > 0
            && let Some(at) = state.starts.not_before().filter(|at| *at > now)
        {
            later(at);
            wanted = 0;
        }
        if let Some(idle) = self.config.idle.filter(|_| ready > min) {
            let all = state.members.iter_mut().flatten();
            let mut ready_ones: Vec<_> = all.filter(|member| member.standing == Standing::Ready).collect();
            ready_ones.sort_by_key(|member| (!member.jobs.is_empty(), member.used));
            for member in ready_ones.into_iter().take(ready - min) {
                let last = if member.jobs.is_empty() { member.used } else { now };
                if last + idle <= now {
                    member.leave();
                } else {
                    later(last + idle);
                }
            }
        }
        for _ in 0..wanted {
            let member = Some(Member::new(&self.config, now));
            if let Some(free) = state.members.iter().position(Option::is_none) {
                state.members[free] = member;
                plan.start.push(free);
            } else {
                state.members.push(member);
                plan.start.push(state.members.len() - 1);
            }
        }
        plan
    }
}

impl State {
    /// Nothing is left to be done.
    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.incidents.is_empty()
            && self.members.iter().flatten().all(|member| member.jobs.is_empty())
    }

    /// The process for the next job: the least busy, of several the one used last, so that others become idle.
    fn roomiest(&self) -> Option<usize> {
        let members = self.members.iter().enumerate();
        let with_room =
            members.filter_map(|(id, member)| Some((id, member.as_ref().filter(|member| member.has_room())?)));
        with_room.min_by_key(|(_, member)| (member.jobs.len(), std::cmp::Reverse(member.used))).map(|(id, _)| id)
    }

    fn give(&mut self, id: usize, ticket: Arc<Ticket>, now: Instant) {
        self.references += 1;
        let reference = Reference(self.references);
        if let Some(member) = self.members[id].as_mut() {
            ticket.set_waits(false);
            member.give(reference, ticket, now);
        }
    }

    /// Gives each incident's next suspect to a process that has nothing else; keeps one free for it if there is none.
    fn try_suspects(&mut self, now: Instant) {
        for at in 0..self.incidents.len() {
            if self.incidents[at].tried.is_some() {
                continue;
            }
            let members = self.members.iter().enumerate();
            let ready =
                members.filter_map(|(id, member)| Some((id, member.as_ref().filter(|member| member.takes_jobs())?)));
            // one kept free before comes first, then the least busy
            let busy_with_a_suspect = |id: usize| {
                let tried = self.incidents.iter().filter_map(|incident| incident.tried.as_ref());
                let mut tried = tried.filter(|ticket| !ticket.waits());
                let member = self.members[id].as_ref();
                tried.any(|ticket| member.is_some_and(|m| m.jobs.iter().any(|job| Arc::ptr_eq(&job.ticket, ticket))))
            };
            let chosen = ready
                .filter(|(id, _)| !busy_with_a_suspect(*id))
                .min_by_key(|(_, member)| (!member.alone, member.jobs.len()))
                .map(|(id, _)| id);
            let Some(id) = chosen else { return };
            let Some(member) = self.members[id].as_mut() else { return };
            member.alone = true;
            if member.jobs.is_empty()
                && let Some(ticket) = self.incidents[at].suspects.pop_front()
            {
                let _ = ticket.ctx.extend(Duration::MAX);
                self.incidents[at].tried = Some(Arc::clone(&ticket));
                self.give(id, ticket, now);
            }
        }
    }

    /// A job has ended, or will begin again, and is no suspect any more.
    fn cleared(&mut self, ticket: &Arc<Ticket>) {
        for incident in &mut self.incidents {
            incident.tried.take_if(|tried| Arc::ptr_eq(tried, ticket));
            incident.suspects.retain(|suspect| !Arc::ptr_eq(suspect, ticket));
        }
        self.forget_closed_incidents();
    }

    /// A job was alone when its process died: the others it was suspected with go on as if nothing had been.
    fn caught(&mut self, ticket: &Arc<Ticket>) {
        for incident in &mut self.incidents {
            if incident.tried.take_if(|tried| Arc::ptr_eq(tried, ticket)).is_some() {
                for innocent in incident.suspects.drain(..).rev() {
                    self.waiting.push_front(innocent);
                }
            }
        }
        self.forget_closed_incidents();
    }

    fn forget_closed_incidents(&mut self) {
        let before = self.incidents.len();
        self.incidents.retain(|incident| incident.tried.is_some() || !incident.suspects.is_empty());
        if self.incidents.is_empty() && before > 0 {
            // what was kept free for suspects is free for all
            self.members.iter_mut().flatten().for_each(|member| member.alone = false);
        }
    }

    fn withdraw(&mut self, ticket: &Arc<Ticket>) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| !Arc::ptr_eq(waiting, ticket));
        let suspects = |state: &Self| state.incidents.iter().map(|incident| incident.suspects.len()).sum::<usize>();
        let suspected = suspects(self);
        self.cleared(ticket);
        before != self.waiting.len() || suspected != suspects(self)
    }
}

/// A job comes out of a process to begin again, with all its time.
fn back(job: InFlight) -> Arc<Ticket> {
    // refused only at the end of the attempt, when it matters no more
    let _ = job.ticket.ctx.extend(Duration::MAX);
    job.ticket.set_waits(true);
    job.ticket.tell(News::Again);
    job.ticket
}
