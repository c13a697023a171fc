//! From a handler's answer to a recorded outcome, and what to do when Redis will not have it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Call, LONG_PAUSE, Pool};
use crate::engine::event::Event;
use crate::engine::record::change;
use crate::engine::slots::{Slot, Stage};
use crate::engine::trace::Span;
use crate::handler::Part;
use crate::job::{Failure, Job, Outcome, Verdict, verdict};
use crate::store::{Code, Finish, LastProgress, Recorded, Taken, Token};

/// A fixed outcome on its way to Redis.
pub(super) struct Pending {
    slot: Slot,
    pub(super) finish: Finish,
    verdict: Told,
    /// A call with it ended without an answer: it may be recorded already.
    pub(super) asked: bool,
}

/// What observers hear once the outcome is recorded.
enum Told {
    Completed { discarded: bool },
    Failed { reason: String, kind: verdict::FailKind },
    Retrying { reason: String, wait: Duration },
    Deferred { reason: String, wait: Duration },
    PutOff { reason: String, wait: Duration },
    WaitingForChildren,
    HandedBack,
}

impl Pool {
    /// Fixes the outcome of the job in a slot and queues it for recording.
    pub(super) fn ended(&mut self, slot: Slot, token: &Token, outcome: Outcome) {
        let Some((stage, job, ctx, unwanted)) = self
            .slots
            .with(slot, |occupant| {
                (*occupant.token == **token).then(|| {
                    let before = occupant.stage;
                    if before == Stage::Running {
                        occupant.stage = Stage::Recording;
                    }
                    (before, Arc::clone(&occupant.job), occupant.ctx.clone(), occupant.unwanted.take())
                })
            })
            .flatten()
        else {
            return;
        };
        match stage {
            // its outcome is fixed already: it was handed back before its handler ended
            Stage::Recording => {}
            Stage::Lost => {
                let span = self.slots.free(slot).and_then(|occupant| occupant.span);
                self.tell_end(span, &Event::Lost { job, why: "its lock was gone while it ran".into() });
            }
            Stage::Running => {
                let outcome = match (outcome, unwanted) {
                    // the words of who asked, not those of who stopped
                    (Outcome::Cancelled { .. }, Some(reason)) => Outcome::Cancelled { reason },
                    (outcome, _) => outcome,
                };
                let pending = self.pending_for(slot, &job, ctx.close_report(), token, outcome);
                self.pending.push_back(pending);
            }
        }
    }

    fn pending_for(&self, slot: Slot, job: &Arc<Job>, rest: Part, token: &Token, outcome: Outcome) -> Pending {
        let policy = &self.settings.config.policy;
        let now = self.settings.queue.store().now();
        let verdict = crate::job::verdict::judge(job, outcome, policy, now, fastrand::f64());
        let told = match &verdict {
            Verdict::Complete { discarded, .. } => Told::Completed { discarded: *discarded },
            Verdict::Fail { failure, kind } => Told::Failed { reason: failure.message.clone(), kind: *kind },
            Verdict::Retry { failure, wait } => Told::Retrying { reason: failure.message.clone(), wait: *wait },
            Verdict::Delay { reason, wait } => Told::Deferred { reason: reason.clone(), wait: *wait },
            Verdict::PutOff { reason, wait } => Told::PutOff { reason: reason.clone(), wait: *wait },
            Verdict::WaitForChildren => Told::WaitingForChildren,
            Verdict::HandBack => Told::HandedBack,
        };
        let finish = Finish {
            id: job.id.clone(),
            token: token.clone(),
            progress: rest.progress.map(|value| LastProgress { value, hushed: rest.hushed }),
            log: rest.lines,
            doubtful: rest.doubtful,
            keep_logs: job.opts.keep_logs,
            change: change(job, verdict, policy),
            element: job.element.is_some().then(|| Arc::clone(job)),
        };
        Pending { slot, finish, verdict: told, asked: false }
    }

    pub(super) fn recorded(&mut self, mut pending: Pending, recorded: Recorded) {
        let Recorded::Refused { code, place } = recorded else {
            self.finished(pending);
            return;
        };
        // an earlier call with this outcome went through: it is no longer where we had it
        if pending.asked && place != "active" {
            self.finished(pending);
            return;
        }
        match code {
            Code::NoLock if place == "active" => self.relock(pending),
            Code::PendingChildren | Code::FailedChildren => {
                let final_one = code == Code::FailedChildren;
                let failure = Failure::new(if final_one {
                    "children of this job have failed"
                } else {
                    "the job has pending children"
                });
                let outcome = if final_one { Outcome::Fail(failure) } else { Outcome::Retry { failure, after: None } };
                let known = self.slots.with(pending.slot, |occupant| Arc::clone(&occupant.job));
                if let Some(job) = known {
                    let Finish { token, progress, log, doubtful, .. } = pending.finish;
                    let hushed = progress.as_ref().is_some_and(|progress| progress.hushed);
                    let progress = progress.map(|progress| progress.value);
                    let rest = Part { progress, lines: log, doubtful, hushed };
                    let again = self.pending_for(pending.slot, &job, rest, &token, outcome);
                    self.pending.push_back(again);
                }
            }
            Code::Broken(text) => {
                tracing::error!(queue = %self.settings.queue.name(), job = %pending.finish.id, error = text, "an outcome cannot be recorded; trying again in 5 s");
                pending.asked = false;
                self.pending.push_back(pending);
                self.paused = Some(Instant::now() + LONG_PAUSE);
            }
            _ => {
                let why = match code {
                    Code::Missing => "the job was removed while it ran".to_owned(),
                    Code::OtherLock => "another worker holds its lock".to_owned(),
                    _ => format!("it is {place} already"),
                };
                if let Some(occupant) = self.slots.free(pending.slot) {
                    self.tell_end(occupant.span, &Event::Lost { job: occupant.job, why });
                }
            }
        }
    }

    /// The lock ran out while the outcome was on its way and nobody has taken the job: locks it
    /// again and records the outcome after all.
    fn relock(&mut self, pending: Pending) {
        let held = self.slots.with(pending.slot, |occupant| occupant.held());
        let Some(held) = held else { return };
        self.leaving += 1;
        let queue = self.settings.queue.clone();
        self.calls.push(Box::pin(async move {
            let result = match queue.relock(&held).await {
                // asks again with the lock in hand
                Ok(true) => queue.finish_jobs(std::iter::once(&pending.finish), None).await,
                Ok(false) => {
                    let lost = Recorded::Refused { code: Code::OtherLock, place: String::new() };
                    Ok((vec![lost], Taken::default()))
                }
                Err(error) => Err(error),
            };
            Call::Work { outcomes: vec![pending], take: None, trial: None, result }
        }));
    }

    /// Frees the slot of a recorded outcome and says so.
    fn finished(&mut self, pending: Pending) {
        let Some(occupant) = self.slots.free(pending.slot) else { return };
        if matches!(pending.verdict, Told::HandedBack)
            && let Some(task) = &occupant.task
        {
            // only now: a handler that would not stop has given its job back
            task.abort();
        }
        let (job, span, took) = (occupant.job, occupant.span, occupant.since.elapsed());
        let totals = &self.shared.totals;
        let event = match pending.verdict {
            Told::Completed { discarded } => {
                totals.completed.one();
                if discarded {
                    totals.discarded.one();
                    Event::Discarded { job, took }
                } else {
                    Event::Completed { job, took }
                }
            }
            Told::Failed { reason, kind } => {
                totals.failed.one();
                match kind {
                    verdict::FailKind::Failed => Event::Failed { job, reason, took },
                    verdict::FailKind::Expired => {
                        totals.expired.one();
                        Event::Expired { job }
                    }
                    verdict::FailKind::Cancelled => {
                        totals.cancelled.one();
                        Event::Cancelled { job, reason }
                    }
                }
            }
            Told::Retrying { reason, wait } => Event::Retrying { job, reason, wait, took },
            Told::Deferred { reason, wait } => Event::Deferred { job, reason, wait },
            Told::PutOff { reason, wait } => Event::PutOff { job, reason, wait },
            Told::WaitingForChildren => Event::WaitingForChildren { job },
            Told::HandedBack => {
                totals.handed_back.one();
                Event::HandedBack { job }
            }
        };
        self.tell_end(span, &event);
    }

    /// Says what has come of an attempt.
    fn tell_end(&self, span: Option<Box<dyn Span>>, event: &Event) {
        self.shared.tell(event);
        if let Some(span) = span {
            span.end(event);
        }
    }
}
