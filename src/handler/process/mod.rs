//! A job as a frame to a process that stays (`docs/handlers/process.md`).
//!
//! [`Process`] is the handler and follows one attempt from its call to its outcome. The [`Pool`] knows which process does
//! what; a `keeper` task starts processes, a `worker` task per process talks to it and looks after it. All of them run
//! on the engine's thread: none ever blocks, and a job costs no more than the frames that carry it.

mod beside;
mod chatter;
mod frame;
mod gone;
mod keeper;
mod member;
mod plan;
mod pool;
mod starts;
mod suspects;
#[cfg(test)]
mod tests;
mod ticket;
mod worker;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use self::beside::Asks;
use self::pool::Pool;
use self::ticket::{End, News, Ticket};
use super::error::Refused;
use super::program::Program;
use super::wire::{self, Heard, Listener};
use super::{CancelReason, Closing, Gate, Handler, JobContext, Notices, Processes, Running};
use crate::config::ProcessHandler;
use crate::job::{Failure, Job, Outcome};

/// A job that waits for a slot leaves so much before its time is up, with a better reason than that.
const EARLY: Duration = Duration::from_millis(20);

/// `[handlers.NAME.process]`
pub struct Process {
    pool: Arc<Pool>,
    keeper: OnceLock<AbortOnDropHandle<()>>,
}

impl Process {
    /// Checks the settings. Starts nothing.
    pub fn new(name: &str, config: ProcessHandler) -> Result<Self, Refused> {
        let program = Program::new(config.program.clone())?;
        Ok(Self { pool: Arc::new(Pool::new(name, config, program)), keeper: OnceLock::new() })
    }

    /// Starts the pool, if nobody has.
    fn begin(&self) {
        self.keeper.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(keeper::keep(Arc::clone(&self.pool)))));
    }
}

impl Handler for Process {
    fn runs_inline(&self) -> bool {
        true
    }

    fn reads_children(&self) -> bool {
        true
    }

    fn start(&self, notices: &Notices) {
        self.pool.tells(notices);
        self.begin();
    }

    fn follow(&self, before: Arc<dyn Handler>, notices: &Notices) -> Closing {
        self.start(notices);
        let pool = Arc::clone(&self.pool);
        if pool.config.workers.min == 0 {
            // it starts none before there is a job
            return before.close();
        }
        pool.set_predecessor(Some(Arc::clone(&before)));
        Box::pin(async move {
            // at the limit it takes the jobs all the same: they wait, or its gate keeps them away
            let _ = tokio::time::timeout(pool.config.start_timeout, pool.is_ready()).await;
            pool.set_predecessor(None);
            before.close().await;
        })
    }

    fn close(&self) -> Closing {
        let pool = Arc::clone(&self.pool);
        pool.close();
        let is_kept = self.keeper.get().is_some();
        Box::pin(async move {
            if is_kept {
                pool.ended().await;
            }
        })
    }

    fn gate(&self) -> Option<&Gate> {
        Some(&self.pool.gate)
    }

    fn processes(&self) -> Option<Processes> {
        Some(self.pool.processes())
    }

    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        if let Some(before) = self.pool.predecessor() {
            return before.run(job, ctx);
        }
        self.begin();
        let pool = Arc::clone(&self.pool);
        Box::pin(async move {
            let children = match wire::children_of(&ctx).await {
                Ok(children) => children,
                Err(outcome) => return outcome,
            };
            let ticket = Arc::new(Ticket::new(job, ctx, children));
            let stay = Stay { pool: &pool, ticket: &ticket };
            let outcome = stay.until_it_ends().await;
            std::mem::forget(stay);
            outcome
        })
    }

    fn stop_grace(&self) -> Duration {
        // for the job, for others beside it in its process, for TERM and KILL, and a moment
        self.pool.config.program.kill_after * 2 + Duration::from_secs(3)
    }
}

/// A job in the pool. Dropped, it is taken out, and whatever it runs in is ended.
struct Stay<'a> {
    pool: &'a Pool,
    ticket: &'a Arc<Ticket>,
}

impl Stay<'_> {
    async fn until_it_ends(&self) -> Outcome {
        let Self { pool, ticket } = self;
        let ctx = &ticket.ctx;
        let mut listener = Listener::new("the process");
        let mut told_to_stop: Option<CancelReason> = None;
        let mut has_begun = false;
        let mut asks = Asks::new(ctx, &pool.config.app);
        pool.submit(ticket);
        loop {
            while let Some(news) = ticket.next() {
                match news {
                    News::Heard(heard @ Heard::Outcome(_)) => {
                        listener.hear(heard, ctx).await;
                        return outcome(listener);
                    }
                    News::Heard(heard) => listener.hear(heard, ctx).await,
                    News::Asks(n) => {
                        let children = ctx.children().await;
                        let told = children.as_ref().map_err(ToString::to_string);
                        pool.say(ticket, |frames| frame::told(frames, n, told));
                    }
                    News::App(request) => {
                        if let Err((n, why)) = asks.push(request) {
                            pool.say(ticket, |frames| frame::app(frames, n, Err(why)));
                        }
                    }
                    News::Again => {
                        asks.forget();
                        ctx.log("its process has gone, of which it is not certain to be the cause; it begins again");
                        listener = Listener::new("the process");
                        has_begun = true;
                    }
                    News::End(end) => {
                        return match end {
                            End::Stopped => ctx.stopped(told_to_stop.unwrap_or(CancelReason::Shutdown)),
                            End::Crashed(failure) => Outcome::Crashed(failure),
                            End::Fail(failure) => Outcome::Fail(failure),
                            // the gate is what keeps it away until a process starts
                            End::PutOff(reason) => Outcome::PutOff { reason, after: Duration::from_secs(1) },
                            End::Interrupted => Outcome::Interrupted,
                        };
                    }
                }
            }
            let waits = ticket.waits() && told_to_stop.is_none();
            let until = ctx.deadline().checked_sub(EARLY).unwrap_or_else(|| ctx.deadline());
            tokio::select! {
                biased;
                () = ticket.news.notified() => {}
                (n, answer) = asks.answered() => {
                    pool.say(ticket, |frames| frame::app(frames, n, answer.as_deref().map_err(Clone::clone)));
                }
                reason = ctx.cancelled(), if told_to_stop.is_none() => {
                    told_to_stop = Some(reason);
                    let is_running = pool.cancel(ticket, reason, pool.config.program.kill_after);
                    if !is_running && !ticket.has_news() {
                        return ctx.stopped(reason);
                    }
                }
                () = tokio::time::sleep_until(until.into()), if waits => {
                    if has_begun {
                        // it is no fault of its own that it waits; every wait ends with the time of those before it
                        drop(ctx.extend(Duration::MAX));
                    } else if pool.withdraw(ticket) {
                        let reason = format!("no process of {} was free in time: {}", pool.name, pool.load());
                        return Outcome::Defer { reason, after: wire::DEFER };
                    }
                }
            }
        }
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        self.pool.cancel(self.ticket, CancelReason::Shutdown, Duration::ZERO);
    }
}

fn outcome(listener: Listener) -> Outcome {
    match (listener.undone, listener.stated) {
        (Some(undone), _) => undone,
        (None, Some(stated)) => {
            let null = || serde_json::value::RawValue::NULL.to_owned();
            stated.outcome(|asked| Failure::new(format!("the process {asked}")), null)
        }
        (None, None) => Outcome::retry("the process said nothing of how it went"),
    }
}
