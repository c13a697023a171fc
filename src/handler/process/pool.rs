//! The processes of a pool, the jobs in them and the jobs that wait: who gets what, and what becomes of the jobs of a
//! process that has gone.
//!
//! Everything is behind one mutex held for a few instructions at a time. Three kinds of tasks meet here: the attempts
//! (`mod.rs`), which put tickets in and wait for news; for each process one that talks and one that looks after it
//! (`worker.rs`); and the keeper, which starts processes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::frame::{Reference, Said};
use super::member::{Check, Company, InFlight, Member, Standing};
use super::starts::Starts;
use super::suspects::Suspects;
use super::ticket::{End, News, Ticket};
use crate::config::ProcessHandler;
use crate::handler::gate::Gate;
use crate::handler::program::Program;
use crate::handler::{CancelReason, Handler, Notice, Notices, Processes};
use crate::job::Failure;

pub(super) struct Pool {
    pub(super) name: String,
    pub(super) config: ProcessHandler,
    pub(super) program: Program,
    pub(super) gate: Gate,
    /// Wakes the keeper.
    pub(super) keeper: Notify,
    has_ended: watch::Sender<bool>,
    /// As many processes were ready at once as there are to be at least.
    has_begun: watch::Sender<bool>,
    notices: OnceLock<Notices>,
    state: Mutex<State>,
}

/// `plan.rs` and `gone.rs` look at it, too.
#[derive(Default)]
pub(super) struct State {
    pub(super) members: Vec<Option<Member>>,
    pub(super) waiting: VecDeque<Arc<Ticket>>,
    /// Does the jobs until this pool can.
    predecessor: Option<Arc<dyn Handler>>,
    pub(super) suspects: Suspects,
    /// Since when jobs wait without a pause.
    pub(super) short: Option<Instant>,
    pub(super) starts: Starts,
    /// Jobs one process takes, as the last one said that was asked.
    pub(super) slots: u32,
    pub(super) references: u64,
    /// No process starts.
    pub(super) is_broken: bool,
    /// Processes that ended otherwise than asked.
    pub(super) lost: u64,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Ends when nothing is left in it.
    Closing,
    Closed,
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
            has_begun: watch::Sender::default(),
            notices: OnceLock::new(),
            state,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }

    /// Where to tell what happens between jobs.
    pub(super) fn tells(&self, notices: &Notices) {
        let _ = self.notices.set(notices.clone());
    }

    pub(super) fn tell(&self, notice: Notice) {
        if let Some(notices) = self.notices.get() {
            // nobody listens any more when the engine ends
            let _ = notices.send(notice);
        }
    }

    pub(super) fn set_predecessor(&self, before: Option<Arc<dyn Handler>>) {
        self.state().predecessor = before;
    }

    /// Who does the jobs for now, if it is not this pool.
    pub(super) fn predecessor(&self) -> Option<Arc<dyn Handler>> {
        self.state().predecessor.clone()
    }

    /// Resolves when as many processes were ready at once as there are to be at least.
    pub(super) async fn is_ready(&self) {
        // fails only when the pool is dropped, and we hold it
        let _ = self.has_begun.subscribe().wait_for(|begun| *begun).await;
    }

    pub(super) fn processes(&self) -> Processes {
        let state = self.state();
        let (waiting, lost, is_broken) = (state.waiting.len(), state.lost, state.is_broken);
        let mut processes = Processes { waiting, lost, is_broken, ..Processes::default() };
        for member in state.members.iter().flatten() {
            match member.standing {
                Standing::Starting => processes.starting += 1,
                Standing::Ready => processes.ready += 1,
                Standing::Leaving => processes.leaving += 1,
            }
            processes.busy += usize::from(member.standing == Standing::Ready && !member.jobs.is_empty());
            processes.jobs += member.jobs.len();
        }
        processes
    }

    /// Takes a job in: into a process with a free slot, else into the queue.
    pub(super) fn submit(&self, ticket: &Arc<Ticket>) {
        let mut state = self.state();
        if state.phase == Phase::Closed {
            return ticket.tell(News::End(End::Interrupted));
        }
        if state.is_broken {
            return ticket.tell(News::End(End::PutOff(self.broken())));
        }
        if state.waiting.is_empty()
            && let Some(member) = state.roomiest()
        {
            return state.give(member, Arc::clone(ticket), Instant::now());
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
    pub(super) fn dispatch(&self, state: &mut State) {
        let now = Instant::now();
        if !state.suspects.is_empty() {
            state.try_suspects(now);
        }
        while !state.waiting.is_empty()
            && let Some(member) = state.roomiest()
            && let Some(ticket) = state.waiting.pop_front()
        {
            // it begins with all its time, or its wait would fail it
            let _ = ticket.ctx.extend(Duration::MAX);
            state.give(member, ticket, now);
        }
        if state.waiting.is_empty() && state.suspects.due() == 0 {
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
            Said::App(reference, request) => {
                if let Some(job) = member.jobs.iter().find(|job| job.reference == reference) {
                    return job.ticket.hear(News::App(request), &member.talk);
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
                    state.is_broken = false;
                    self.gate.open();
                    let members = state.members.iter().flatten();
                    let ready = members.filter(|member| member.standing == Standing::Ready).count();
                    if ready >= self.config.workers.min as usize {
                        self.has_begun.send_replace(true);
                    }
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
        state.clear(&job.ticket);
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

    /// Says something to the process of a job; nothing when it is in none.
    pub(super) fn say(&self, ticket: &Arc<Ticket>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let mut members = state.members.iter_mut().flatten();
        if let Some(member) = members.find(|member| member.jobs.iter().any(|job| Arc::ptr_eq(&job.ticket, ticket))) {
            write(&mut member.frames);
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
}

impl State {
    /// Nothing is left to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.suspects.is_empty()
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

    /// Gives suspects to processes that have nothing else; keeps one free for the next if there is none.
    fn try_suspects(&mut self, now: Instant) {
        while self.suspects.due() > 0 {
            let members = self.members.iter().enumerate();
            let usable = members.filter_map(|(id, member)| {
                let member =
                    member.as_ref().filter(|member| member.takes_jobs() && member.company != Company::Suspect)?;
                Some((id, member))
            });
            let chosen = usable.min_by_key(|(_, member)| (member.company != Company::Kept, member.jobs.len()));
            let Some(id) = chosen.map(|(id, _)| id) else { return };
            let Some(member) = self.members[id].as_mut() else { return };
            if !member.jobs.is_empty() {
                member.company = Company::Kept;
                return;
            }
            let Some(ticket) = self.suspects.try_next() else { return };
            member.company = Company::Suspect;
            // refused only at the end of the attempt, when it matters no more
            let _ = ticket.ctx.extend(Duration::MAX);
            self.give(id, ticket, now);
        }
    }

    /// A job is no suspect any more.
    pub(super) fn clear(&mut self, ticket: &Arc<Ticket>) {
        if self.suspects.is_empty() {
            return;
        }
        self.suspects.clear(ticket);
        self.keep_none();
    }

    /// With the last suspect gone what was kept free for them is free for all.
    pub(super) fn keep_none(&mut self) {
        if self.suspects.is_empty() {
            let kept = self.members.iter_mut().flatten().filter(|member| member.company == Company::Kept);
            kept.for_each(|member| member.company = Company::Any);
        }
    }

    /// Takes a job out that waits; `false`: it does not.
    fn withdraw(&mut self, ticket: &Arc<Ticket>) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| !Arc::ptr_eq(waiting, ticket));
        let is_suspect = self.suspects.holds(ticket);
        self.clear(ticket);
        before != self.waiting.len() || is_suspect
    }
}
