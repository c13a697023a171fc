//! The slots of one queue and the jobs in them, shared with the renewer.
//!
//! The renewer runs on a thread of its own and must not wait for anybody, so the table is behind a
//! plain mutex held only for a few instructions at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::trace::Span;
use crate::handler::{CancelReason, JobContext};
use crate::job::{Job, JobId};
use crate::store::{Held, Token};

/// A job in its slot.
pub(crate) struct Occupant {
    pub(crate) job: Arc<Job>,
    pub(crate) token: Token,
    pub(crate) ctx: JobContext,
    pub(crate) since: Instant,
    /// When the lock was last known to be whole.
    pub(crate) renewed: Instant,
    pub(crate) stage: Stage,
    /// How long its handler has to return once it is told to stop.
    pub(crate) grace: Duration,
    /// It was told that the slot is stuck.
    pub(crate) stuck: bool,
    /// Why it is to be cancelled, once somebody has asked for that.
    pub(crate) unwanted: Option<String>,
    pub(crate) task: Option<AbortHandle>,
    /// Of this attempt, where spans are made.
    pub(crate) span: Option<Box<dyn Span>>,
}

/// How far a job in a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its handler runs.
    Running,
    /// Its outcome is fixed and on the way to Redis.
    Recording,
    /// Its lock is gone; nothing will be recorded.
    Lost,
}

/// Number of a slot.
pub(crate) type Slot = usize;

/// The table. Grows past its size only for jobs that are ours already and found late.
#[derive(Default)]
pub(crate) struct Slots {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    places: Vec<Option<Occupant>>,
    free: Vec<Slot>,
    /// Jobs that were ever put into one.
    filled: u64,
}

impl Slots {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no code panics while holding this lock")
    }

    pub(crate) fn occupied(&self) -> usize {
        let table = self.table();
        table.places.len() - table.free.len()
    }

    /// How many jobs have come so far.
    pub(crate) fn filled(&self) -> u64 {
        self.table().filled
    }

    pub(crate) fn put(&self, occupant: Occupant) -> Slot {
        let mut table = self.table();
        table.filled += 1;
        if let Some(slot) = table.free.pop() {
            table.places[slot] = Some(occupant);
            slot
        } else {
            table.places.push(Some(occupant));
            table.places.len() - 1
        }
    }

    pub(crate) fn free(&self, slot: Slot) -> Option<Occupant> {
        let mut table = self.table();
        let occupant = table.places.get_mut(slot)?.take();
        if occupant.is_some() {
            table.free.push(slot);
        }
        occupant
    }

    /// Looks at one occupant, or changes it.
    pub(crate) fn with<T>(&self, slot: Slot, look: impl FnOnce(&mut Occupant) -> T) -> Option<T> {
        self.table().places.get_mut(slot)?.as_mut().map(look)
    }

    /// Looks at every occupant.
    pub(crate) fn each(&self, mut look: impl FnMut(Slot, &mut Occupant)) {
        for (slot, place) in self.table().places.iter_mut().enumerate() {
            if let Some(occupant) = place {
                look(slot, occupant);
            }
        }
    }

    /// The locks not renewed for `age`.
    pub(crate) fn due_for_renewal(&self, now: Instant, age: Duration) -> Vec<Held> {
        let mut due = Vec::new();
        self.each(|_, occupant| {
            if occupant.stage != Stage::Lost && now.duration_since(occupant.renewed) >= age {
                due.push(occupant.held());
            }
        });
        due
    }

    /// The jobs that run, and what proves that they are ours.
    pub(crate) fn running(&self) -> Vec<(Arc<Job>, Token)> {
        let mut running = Vec::new();
        self.each(|_, occupant| {
            if occupant.stage == Stage::Running {
                running.push((Arc::clone(&occupant.job), occupant.token.clone()));
            }
        });
        running
    }

    /// The lock of one job that runs.
    pub(crate) fn held(&self, id: &JobId) -> Option<Held> {
        let mut held = None;
        self.each(|_, occupant| {
            if occupant.stage == Stage::Running && occupant.job.id == *id {
                held = Some(occupant.held());
            }
        });
        held
    }

    /// Tells jobs that nobody wants them any more, and why; returns those that did not know. A fixed outcome is left
    /// alone.
    pub(crate) fn unwanted(&self, jobs: &[(JobId, String)]) -> Vec<JobId> {
        let mut told = Vec::new();
        self.each(|_, occupant| {
            let reason = jobs.iter().find(|(id, _)| *id == occupant.job.id);
            if let Some((id, reason)) =
                reason.filter(|_| occupant.stage == Stage::Running && occupant.unwanted.is_none())
            {
                occupant.unwanted = Some(reason.clone());
                occupant.ctx.cancel(CancelReason::Requested);
                told.push(id.clone());
            }
        });
        told
    }

    /// Tells jobs whose time is up, where their handlers keep the threads busy that would have told them; returns those that
    /// have become stuck, and since when their time is up.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<(Arc<Job>, Duration)> {
        let mut stuck = Vec::new();
        self.each(|_, occupant| {
            if occupant.stage == Stage::Running {
                occupant.ctx.expire(now);
            }
            if occupant.is_stuck(now) && !occupant.stuck {
                occupant.stuck = true;
                stuck.push((Arc::clone(&occupant.job), now.duration_since(occupant.ctx.deadline())));
            }
        });
        stuck
    }

    /// Notes that the locks of these jobs were whole at `at`.
    pub(crate) fn renewed(&self, held: &[Held], at: Instant) {
        let held: HashSet<(&str, &JobId)> = held.iter().map(|held| (&*held.token, &held.id)).collect();
        self.each(|_, occupant| {
            if held.contains(&(&*occupant.token, &occupant.job.id)) {
                occupant.renewed = occupant.renewed.max(at);
            }
        });
    }

    /// Marks jobs whose lock is gone and stops their handlers. A fixed outcome is left alone: the
    /// attempt to record it will show whose job it is.
    pub(crate) fn lost(&self, is_lost: impl Fn(&Occupant) -> bool) -> Vec<JobId> {
        let mut lost = Vec::new();
        self.each(|_, occupant| {
            if occupant.stage == Stage::Running && is_lost(occupant) {
                occupant.stage = Stage::Lost;
                occupant.ctx.cancel(CancelReason::LockLost);
                lost.push(occupant.job.id.clone());
            }
        });
        lost
    }
}

impl Occupant {
    /// Its time is up, and so is that to stop, and its handler has not returned.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        self.stage != Stage::Recording && now > self.ctx.deadline() + self.grace
    }

    pub(crate) fn held(&self) -> Held {
        Held { id: self.job.id.clone(), token: self.token.clone(), started: self.job.attempts_started }
    }
}
