//! One queue's pool: its slots, the jobs in them, and every call about them.
//!
//! A pool is one task. Outcomes come in over a channel; whatever is ready when a call can go out
//! goes with it, and the same call takes jobs for the slots that are free. At most [`DEPTH`] calls
//! are under way at once: while one is, outcomes gather for the next. Nothing waits for company: a
//! lone outcome with no call under way leaves at once.
//!
//! An outcome is fixed when it reaches the pool. Recording it is repeated until Redis answers; the
//! renewer keeps the lock meanwhile. A take whose answer got lost is looked for by its token.

mod gates;
mod neighbours;
mod outcome;
mod search;
mod signboard;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use gates::{Gates, Leave};
use outcome::Pending;
use search::Unanswered;

use super::courier::Courier;
use super::event::Event;
use super::executor::execute;
use super::fetcher::Door;
use super::lookout::Lookout;
use super::phase::Phase;
use super::record::deferred_outcome;
use super::renewer::Locks;
use super::rescuer::Bound;
use super::series::Series;
use super::shared::Shared;
use super::slots::{Occupant, Slot, Slots, Stage};
use crate::config;
use crate::handler::{Attempt, CancelReason, JobContext, Pass, Router};
use crate::job::{Job, Outcome, UnixMillis};
use crate::store::{Error, Recorded, Take, Taken, Token, WorkQueue};

/// Calls under way at once: one that Redis works on, one that is on its way.
const DEPTH: usize = 2;
/// Jobs in one call. Above about 32 little is won, and each more keeps Redis from others.
const BATCH: usize = 64;
/// Longest wait for a rate limit to end before looking again, so that due jobs are promoted.
const MAX_LIMITED: Duration = Duration::from_secs(30);
/// How often it is looked whether jobs have ended that another pool began.
const BEFORE: Duration = Duration::from_millis(100);
/// First and longest pause after a call that failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Pause after an error that will not pass by itself, such as a key of the wrong type.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// What a pool is told.
pub(crate) enum Message {
    /// Something may be there to be taken.
    Ring,
    /// The next delayed job is due then, as its marker said.
    Due(UnixMillis),
    /// A handler has ended.
    Ended {
        slot: Slot,
        token: Token,
        outcome: Outcome,
    },
    Phase(Phase),
    /// A handler's gate has moved.
    Gate,
    /// New settings; jobs that run keep those they started with.
    Settings(Box<Settings>),
    /// Others are stored for the whole fleet.
    Limits,
}

/// What a reload can change.
pub(crate) struct Settings {
    pub(crate) config: config::Queue,
    pub(crate) queue: WorkQueue,
    pub(crate) router: Router,
    /// JSON pointer to the tenant in a job's data.
    pub(crate) tenant: Arc<str>,
    pub(crate) status: Arc<config::Status>,
}

impl Settings {
    #[cfg_attr(not(feature = "app"), expect(unused_variables, reason = "jobs have nothing else to reach there"))]
    fn courier(&self, shared: &Shared) -> Arc<Courier> {
        Courier::start(
            self.queue.clone(),
            Arc::clone(&self.status),
            #[cfg(feature = "app")]
            shared.app(),
        )
    }
}

/// What is known of a job that is to be started, beside what stands in it.
#[derive(Default)]
struct Start {
    may_be_parent: bool,
    /// It goes through a gate that is half open.
    trial: Option<Pass>,
    /// It is to be cancelled instead, and why.
    unwanted: Option<String>,
}

/// What a call was about, kept for the case that it failed, and its answer.
enum Call {
    /// Outcomes were recorded, jobs taken, or both; `trial` where the one job taken is to try a handler.
    Work {
        outcomes: Vec<Pending>,
        take: Option<Take>,
        trial: Option<Pass>,
        result: Result<(Vec<Recorded>, Taken), Error>,
    },
    /// The jobs of an unanswered take were looked for.
    Search { token: Token, result: Result<Vec<Job>, Error> },
}

type CallFuture = Pin<Box<dyn Future<Output = Call> + Send>>;

pub(crate) struct Pool {
    settings: Settings,
    shared: Arc<Shared>,
    gates: Gates,
    /// None of the handlers can do anything.
    barred: bool,
    /// Writes what running jobs tell.
    courier: Arc<Courier>,
    slots: Arc<Slots>,
    locks: Arc<Locks>,
    door: Arc<Door>,
    lookout: Arc<Lookout>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// For the executors to answer to.
    outbox: mpsc::UnboundedSender<Message>,
    calls: FuturesUnordered<CallFuture>,
    /// Slots promised to takes under way.
    reserved: usize,
    /// Slots whose outcomes are in calls under way: free by the time a later call takes.
    leaving: usize,
    pending: VecDeque<Pending>,
    unanswered: Vec<Unanswered>,
    phase: Phase,
    /// A take is worth while: the queue is not known to be empty.
    hungry: bool,
    /// The queue's rate limit is used up until then.
    limited: Option<Instant>,
    /// When the next delayed job is due.
    due: Option<Instant>,
    /// No call before then, after one that failed.
    paused: Option<Instant>,
    failures: u32,
    /// The queue's keys are checked and its limits stored.
    prepared: bool,
    /// The slots of pools that a reload has ended and that still run jobs of this queue: ours are not all free until they
    /// have gone.
    before: Vec<Arc<Slots>>,
    /// What has been told of calls that fail and will not mend themselves.
    complained: Option<String>,
}

impl Pool {
    pub(crate) fn new(
        settings: Settings,
        shared: Arc<Shared>,
        Bound { door, slots, lookout }: Bound,
        inbox: mpsc::UnboundedReceiver<Message>,
        phase: Phase,
        before: Vec<Arc<Slots>>,
    ) -> Self {
        let locks = Arc::new(Locks { queue: settings.queue.clone(), slots: Arc::clone(&slots) });
        shared.register(&locks);
        Self {
            gates: Gates::of(&settings.router, &settings.queue, &door.pool),
            barred: false,
            outbox: door.pool.clone(),
            courier: settings.courier(&shared),
            settings,
            shared,
            slots,
            locks,
            door,
            lookout,
            inbox,
            calls: FuturesUnordered::new(),
            reserved: 0,
            leaving: 0,
            pending: VecDeque::new(),
            unanswered: Vec::new(),
            phase,
            hungry: true,
            limited: None,
            due: None,
            paused: None,
            failures: 0,
            prepared: false,
            before,
            complained: None,
        }
    }

    /// Works the queue until told to drain and everything has come to an end.
    pub(crate) async fn run(mut self) {
        self.prepare().await;
        loop {
            self.barred = self.gates.bar();
            while self.call_is_due() {
                self.send_call();
            }
            self.tell_door();
            if self.phase >= Phase::Draining && self.is_idle() {
                break;
            }
            let timer = self.next_timer();
            tokio::select! {
                biased;
                Some(call) = self.calls.next(), if !self.calls.is_empty() => self.answered(call),
                message = self.inbox.recv() => match message {
                    Some(message) => {
                        let ended = matches!(message, Message::Ended { .. });
                        self.hear(message);
                        if ended {
                            // let the others that were started run: their outcomes may go with this one
                            tokio::task::yield_now().await;
                        }
                    }
                    None => break,
                },
                () = sleep_until(timer), if timer.is_some() => self.time_passed(),
            }
            while let Ok(message) = self.inbox.try_recv() {
                self.hear(message);
            }
        }
        self.gates.end().await;
    }

    /// Checks the queue's keys and stores its settings, as often as it takes; then tells who else is there.
    async fn prepare(&mut self) {
        let mut said = false;
        while !self.prepared && self.phase < Phase::Draining {
            let queue = &self.settings.queue;
            let result = async {
                queue.check_queue().await?;
                queue.apply_limits(None).await?;
                queue.open_queue().await
            };
            match result.await {
                Ok(()) => {
                    self.prepared = true;
                    self.lookout.opened();
                }
                Err(error) => {
                    self.lookout.refused(&error);
                    if !said {
                        tracing::error!(queue = %queue.name(), %error, "the queue cannot be worked; trying again");
                        said = true;
                    }
                    let pause = if error.is_temporary() { PAUSE.1 } else { LONG_PAUSE };
                    let until = Instant::now() + pause;
                    while Instant::now() < until && self.phase < Phase::Draining {
                        tokio::select! {
                            () = sleep_until(Some(until)) => {}
                            message = self.inbox.recv() => match message {
                                Some(message) => self.hear(message),
                                None => return,
                            },
                        }
                    }
                }
            }
        }
        if said && self.prepared {
            tracing::info!(queue = %self.settings.queue.name(), "the queue is worked again");
        }
        if self.prepared {
            neighbours::tell(&self.settings.queue).await;
        }
    }

    fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.pending.is_empty() && self.slots.occupied() == 0 && self.unanswered.is_empty()
    }

    /// Slots that a take sent now may fill. None while more are in use than a reload has left.
    fn free_slots(&self) -> usize {
        let before: usize = self.before.iter().map(|slots| slots.occupied()).sum();
        let in_use = self.slots.occupied().saturating_sub(self.leaving) + self.reserved + before;
        (self.settings.config.concurrency as usize).saturating_sub(in_use)
    }

    /// Whether jobs may be taken now, by everything but the number of free slots. The jobs of an
    /// unanswered take come first: they may fill the slots.
    fn may_take(&self) -> bool {
        self.phase == Phase::Running
            && self.hungry
            && !self.barred
            && self.limited.is_none()
            && self.unanswered.iter().all(|lost| lost.looked)
            && self.shared.budget_left()
    }

    fn call_is_due(&self) -> bool {
        if self.calls.len() >= DEPTH || self.paused.is_some() {
            return false;
        }
        if !self.pending.is_empty() {
            return true;
        }
        // a take alone does not overtake another
        self.reserved == 0 && self.may_take() && self.free_slots() > 0
    }

    fn send_call(&mut self) {
        let count = self.pending.len().min(BATCH);
        let outcomes: Vec<Pending> = self.pending.drain(..count).collect();
        self.leaving += outcomes.len();
        let (want, trial) = self.want();
        if outcomes.is_empty() && want == 0 {
            // a gate was shut since it was looked at
            self.barred = true;
            return;
        }
        let take =
            (want > 0).then(|| Take { token: self.shared.token(), want: u32::try_from(want).unwrap_or(u32::MAX) });
        self.reserved += want;
        let queue = self.settings.queue.clone();
        self.calls.push(Box::pin(async move {
            let result = if outcomes.is_empty() {
                let take = take.as_ref().expect("a call carries outcomes or takes");
                queue.move_to_active(take).await.map(|taken| (Vec::new(), taken))
            } else {
                queue.finish_jobs(outcomes.iter().map(|pending| &pending.finish), take.as_ref()).await
            };
            Call::Work { outcomes, take, trial, result }
        }));
    }

    /// How many jobs a call sent now takes; with a pass where the one is to try a handler.
    fn want(&self) -> (usize, Option<Pass>) {
        let free = self.free_slots().min(BATCH);
        if free == 0 || !self.may_take() {
            return (0, None);
        }
        match self.gates.enter() {
            Leave::Any => (self.shared.reserve(free), None),
            Leave::One(pass) => (self.shared.reserve(1), Some(pass)),
            Leave::Nothing => (0, None),
        }
    }

    fn answered(&mut self, call: Call) {
        let (mut outcomes, take, trial, result) = match call {
            Call::Work { outcomes, take, trial, result } => (outcomes, take, trial, result),
            Call::Search { token, result } => return self.searched(&token, result),
        };
        let want = take.as_ref().map_or(0, |take| take.want as usize);
        self.reserved -= want;
        self.leaving -= outcomes.len();
        match result {
            Ok((recorded, taken)) => {
                if std::mem::take(&mut self.failures) > 0 {
                    if self.complained.take().is_some() {
                        tracing::info!(queue = %self.settings.queue.name(), "calls go through again");
                    }
                    self.lookout.answered();
                }
                for (pending, recorded) in outcomes.drain(..).zip(recorded) {
                    self.recorded(pending, recorded);
                }
                self.shared.unreserve(want - taken.jobs.len().min(want));
                match (take, taken.next_due) {
                    (Some(take), _) => self.taken(&take, taken, trial),
                    (None, Some(due)) => self.due_at(due),
                    (None, None) => {}
                }
            }
            Err(error) => {
                self.shared.unreserve(want);
                self.failed_call(&error);
                // anything but a clean refusal may have been carried out, wholly or half
                let ambiguous = !matches!(error, Error::Unreachable { .. } | Error::Refused { .. });
                for mut pending in outcomes.into_iter().rev() {
                    pending.asked |= ambiguous;
                    self.pending.push_front(pending);
                }
                if let Some(take) = take {
                    self.hungry = true;
                    if ambiguous {
                        let now = Instant::now();
                        let until = now + self.settings.config.lock;
                        let lost =
                            Unanswered { token: take.token, known: Vec::new(), until, next: Some(now), looked: false };
                        self.unanswered.push(lost);
                    }
                }
            }
        }
    }

    fn failed_call(&mut self, error: &Error) {
        self.lookout.refused(error);
        let pause = if error.is_temporary() {
            let pause = PAUSE.0 * 2u32.saturating_pow(self.failures.min(8));
            pause.min(PAUSE.1).mul_f64(0.5 + fastrand::f64() / 2.0)
        } else {
            LONG_PAUSE
        };
        if error.is_temporary() {
            tracing::debug!(queue = %self.settings.queue.name(), %error, "a call failed; trying again");
        } else {
            let text = error.to_string();
            if self.complained.as_ref() != Some(&text) {
                tracing::error!(queue = %self.settings.queue.name(), %error, "a call failed; trying again every 5 s");
                self.complained = Some(text);
            }
        }
        self.failures = self.failures.saturating_add(1);
        self.paused = Some(Instant::now() + pause);
    }

    fn taken(&mut self, take: &Take, taken: Taken, mut trial: Option<Pass>) {
        self.hungry = taken.more;
        self.limited = taken.limited.map(|limited| Instant::now() + limited.min(MAX_LIMITED));
        if self.limited.is_some() {
            self.hungry = true;
        }
        if let Some(due) = taken.next_due {
            self.due_at(due);
        }
        for id in taken.dropped {
            let queue = self.settings.queue.name().clone();
            self.shared.tell(&Event::Ghost { queue, id });
        }
        for job in taken.jobs {
            let may_be_parent = !self.settings.queue.tells_parents() || taken.parents.contains(&job.id);
            let unwanted = taken.cancelled.iter().find(|(id, _)| *id == job.id).map(|(_, reason)| reason.clone());
            self.start(job, take.token.clone(), Start { may_be_parent, trial: trial.take(), unwanted });
        }
    }

    fn due_at(&mut self, due: UnixMillis) {
        let wait = due.since(self.settings.queue.store().now());
        let at = Instant::now() + wait;
        self.due = Some(self.due.map_or(at, |known| known.min(at)));
    }

    /// Puts a job into a slot and runs it; or decides at once what its stored state has decided, or that it is unwanted.
    fn start(&mut self, job: Job, token: Token, Start { may_be_parent, trial, unwanted }: Start) {
        let config = &self.settings.config;
        let job = Arc::new(job);
        let now = Instant::now();
        let span = self.shared.begin(&job);
        let attempt = Attempt {
            job: Arc::clone(&job),
            token: token.clone(),
            started: now,
            timeout: config.timeout,
            deadline_ms: job.processed_on.after(config.timeout).0,
            max_attempts: config.policy.attempts_of(&job),
            prefix: Arc::clone(&self.shared.prefix),
            tenant: Arc::clone(&self.settings.tenant),
            may_be_parent,
            trace: span.as_ref().map(|span| span.context().clone()),
        };
        let ctx = JobContext::new(attempt, Some(Arc::clone(&self.courier) as _));
        let occupant = Occupant {
            job: Arc::clone(&job),
            token: token.clone(),
            ctx: ctx.clone(),
            since: now,
            renewed: now,
            stage: Stage::Running,
            grace: Duration::ZERO,
            stuck: false,
            unwanted: unwanted.clone(),
            task: None,
            span,
        };
        let slot = self.slots.put(occupant);
        let series = Series::of(&job, &self.settings.queue, || self.shared.zone());
        let unwanted = unwanted.map(|reason| Outcome::Cancelled { reason });
        let decided = unwanted.or_else(|| deferred_outcome(&job, config));
        let handler = match (decided, self.settings.router.find(&job.name).cloned()) {
            (None, Some(handler)) => handler,
            (decided, _) => {
                let outcome = decided.unwrap_or_else(|| super::record::unmatched(&job, config.unmatched));
                return self.ended_unrun(slot, token, outcome, series);
            }
        };
        let pass = match self.gates.pass(&*handler, trial) {
            Ok(pass) => pass,
            Err(outcome) => return self.ended_unrun(slot, token, outcome, series),
        };
        self.shared.tell(&Event::Started { job: Arc::clone(&job) });
        let outbox = self.outbox.clone();
        let stop_now = self.phase >= Phase::HandingBack;
        if stop_now {
            ctx.cancel(CancelReason::Shutdown);
        }
        let (inline, grace) = (handler.runs_inline(), handler.stop_grace());
        let run = async move {
            let outcome = Series::around(series, execute(handler, job, ctx.clone())).await;
            // what the job has told comes before its outcome
            ctx.end_report().await;
            drop(pass);
            let _ = outbox.send(Message::Ended { slot, token, outcome });
        };
        let task = if inline { tokio::spawn(run) } else { self.shared.handlers.spawn(run) };
        self.slots.with(slot, |occupant| (occupant.task, occupant.grace) = (Some(task.abort_handle()), grace));
    }

    /// Ends a job whose outcome was decided before it was taken.
    fn ended_unrun(&mut self, slot: Slot, token: Token, outcome: Outcome, series: Option<Series>) {
        if series.is_none() {
            return self.ended(slot, &token, outcome);
        }
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            let outcome = Series::around(series, std::future::ready(outcome)).await;
            let _ = outbox.send(Message::Ended { slot, token, outcome });
        });
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Ring | Message::Due(_) if self.phase != Phase::Running => self.pass_on(),
            Message::Ring if self.barred => {
                // others may do what we cannot
                self.pass_on();
                self.hungry = true;
            }
            Message::Ring => self.hungry = true,
            Message::Due(due) => self.due_at(due),
            Message::Ended { slot, token, outcome } => self.ended(slot, &token, outcome),
            Message::Phase(phase) => self.enter(phase),
            // it has woken us, and each turn looks at the gates
            Message::Gate => {}
            Message::Settings(settings) => {
                tracing::info!(queue = %settings.queue.name(), slots = settings.config.concurrency, "new settings in force");
                self.shared.unregister(&self.locks);
                self.locks = Arc::new(Locks { queue: settings.queue.clone(), slots: Arc::clone(&self.slots) });
                self.shared.register(&self.locks);
                self.settings = *settings;
                self.limited = None;
                self.gates = Gates::of(&self.settings.router, &self.settings.queue, &self.outbox);
                self.courier = self.settings.courier(&self.shared);
                self.hungry = true;
            }
            Message::Limits => {
                self.limited = None;
                self.hungry = true;
            }
        }
    }

    /// Rings again for others what was rung for us too late.
    fn pass_on(&self) {
        let queue = self.settings.queue.clone();
        tokio::spawn(async move {
            if let Err(error) = queue.ring().await {
                tracing::debug!(queue = %queue.name(), %error, "cannot pass a ring on");
            }
        });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        if phase == Phase::HandingBack {
            self.slots.each(|_, occupant| {
                if occupant.stage == Stage::Running {
                    occupant.ctx.cancel(CancelReason::Shutdown);
                }
            });
        }
        if phase == Phase::Closed {
            // the handlers that did not stop: their jobs go back first, then their tasks are dropped
            let mut stuck = Vec::new();
            self.slots.each(|slot, occupant| {
                if occupant.stage == Stage::Running {
                    stuck.push((slot, occupant.token.clone()));
                }
            });
            // the last one pushed to the head is served first
            for (slot, token) in stuck.into_iter().rev() {
                self.ended(slot, &token, Outcome::Interrupted);
            }
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let waits = self.phase == Phase::Running && self.free_slots() > 0;
        let timers = [
            self.paused,
            self.limited,
            self.due.filter(|_| waits),
            (!self.before.is_empty()).then(|| Instant::now() + BEFORE),
            if self.barred && waits { self.gates.tried_at() } else { None },
            self.unanswered.iter().filter_map(|lost| lost.next).min(),
        ];
        timers.into_iter().flatten().min()
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        let past = |timer: &mut Option<Instant>| timer.take_if(|at| *at <= now).is_some();
        past(&mut self.paused);
        past(&mut self.limited);
        self.before.retain(|slots| slots.occupied() > 0);
        if past(&mut self.due) {
            self.hungry = true;
        }
        for lost in &mut self.unanswered {
            if past(&mut lost.next) {
                let (queue, token, known) = (self.settings.queue.clone(), lost.token.clone(), lost.known.clone());
                self.calls.push(Box::pin(async move {
                    let result = queue.adopt_jobs(&token, &known).await;
                    Call::Search { token, result }
                }));
            }
        }
    }

    /// Says whether the queue is waited for: free slots, and nothing known to be there.
    fn tell_door(&self) {
        let open = self.phase == Phase::Running
            && !self.hungry
            && !self.barred
            && self.reserved == 0
            && self.free_slots() > 0
            && self.shared.budget_left();
        let looking = self.hungry && self.phase == Phase::Running && self.reserved > 0;
        self.door.set(open, looking);
        self.door.set_idle(self.is_idle() && !self.hungry);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.door.set(false, false);
        self.shared.unregister(&self.locks);
    }
}

/// Sleeps until the moment; for ever without one.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
