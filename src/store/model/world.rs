//! The queue in memory: what each operation does to it. Protocol: §4 and §5, in the way of bullmq 6.7.0.

mod adding;
mod by_hand;
mod parents;
mod stored;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::action::Action;
use crate::job::{ChildFailure, JobOptions, Keep, State};

/// Where a job can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Waiting,
    Prioritized,
    Delayed,
    Active,
    Completed,
    Failed,
    WaitingChildren,
}

const PLACES: [Place; 7] = [
    Place::Waiting,
    Place::Prioritized,
    Place::Delayed,
    Place::Active,
    Place::Completed,
    Place::Failed,
    Place::WaitingChildren,
];

/// Of a sorted set: by score, then by name, as Redis orders.
type Scored = BTreeSet<(i64, String)>;

#[derive(Debug, Clone, Default)]
struct Job {
    priority: u32,
    /// ms, as in the hash.
    delay: i64,
    lifo: bool,
    timestamp: i64,
    processed_on: Option<i64>,
    /// It ran when it was cancelled.
    unwanted: bool,
    made: Option<u32>,
    started: Option<u32>,
    stalls: Option<u32>,
    decided: Option<String>,
    finished_on: Option<i64>,
    window: Option<String>,
    /// Token of its lock.
    lock: Option<String>,
    parent: Option<String>,
    on_failure: Option<ChildFailure>,
    /// Children by what became of them.
    pending: BTreeSet<String>,
    processed: BTreeSet<String>,
    ignored: BTreeSet<String>,
    unsuccessful: Scored,
}

/// A window of deduplication.
#[derive(Debug, Clone)]
struct Window {
    owner: String,
    /// It ends by its own time, which no sequence lives to see.
    expires: bool,
    /// The job to be added when the owner ends, and its options.
    next: Option<(String, JobOptions)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) now: i64,
    steps: u32,
    number: u64,
    turns: i64,
    limit: Option<u32>,
    paused: bool,
    jobs: BTreeMap<String, Job>,
    /// Served from the back.
    wait: VecDeque<String>,
    active: VecDeque<String>,
    prioritized: Scored,
    delayed: Scored,
    completed: Scored,
    failed: Scored,
    waiting_children: Scored,
    stalled: BTreeSet<String>,
    windows: BTreeMap<String, Window>,
    /// A job that ran was cancelled, less than a minute ago.
    some_unwanted: bool,
}

fn take(set: &mut Scored, id: &str) -> bool {
    let found = set.iter().find(|(_, other)| other == id).cloned();
    found.is_some_and(|entry| set.remove(&entry))
}

fn has(set: &Scored, id: &str) -> bool {
    set.iter().any(|(_, other)| other == id)
}

/// The highest score of a place in line for a priority.
const TURNS: i64 = 1 << 32;

impl World {
    pub(super) fn new(now: i64) -> Self {
        Self { now, ..Self::default() }
    }

    /// A number no step had before.
    pub(super) fn serial(&self) -> u32 {
        self.steps
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.jobs.keys().cloned().collect()
    }

    pub(super) fn ids_in(&self, place: Place) -> Vec<String> {
        let of = |set: &Scored| set.iter().map(|(_, id)| id.clone()).collect();
        match place {
            Place::Waiting => self.wait.iter().cloned().collect(),
            Place::Active => self.active.iter().cloned().collect(),
            Place::Prioritized => of(&self.prioritized),
            Place::Delayed => of(&self.delayed),
            Place::Completed => of(&self.completed),
            Place::Failed => of(&self.failed),
            Place::WaitingChildren => of(&self.waiting_children),
        }
    }

    /// A job with an id that a flow may name.
    pub(super) fn any_child(&self, choice: proptest::sample::Index) -> Option<String> {
        let ids: Vec<_> = self.jobs.keys().filter(|id| id.parse::<u64>().is_err()).collect();
        (!ids.is_empty()).then(|| (*choice.get(&ids)).clone())
    }

    fn is_held(&self) -> bool {
        self.paused || self.limit.is_some_and(|limit| self.active.len() >= limit as usize)
    }

    fn ready(&self) -> BTreeSet<&String> {
        self.wait.iter().chain(self.prioritized.iter().map(|(_, id)| id)).collect()
    }

    /// Whether the doorbell has to ring after a step: something new may be taken.
    pub(super) fn must_ring(&self, before: &Self) -> bool {
        let (now, then) = (self.ready(), before.ready());
        !self.is_held() && (now.iter().any(|id| !then.contains(*id)) || (before.is_held() && !now.is_empty()))
    }

    /// When the alarm has to go off after a step that has put another job first among the delayed ones.
    pub(super) fn must_alarm(&self, before: &Self) -> Option<i64> {
        let first = self.delayed.first()?;
        (!before.delayed.contains(first)).then_some(first.0 / 4096)
    }

    /// No job is in two places, none is lost.
    pub(super) fn check(&self) {
        let mut seen = BTreeSet::new();
        for place in PLACES {
            for id in self.ids_in(place) {
                assert!(self.jobs.contains_key(&id), "{id} is {place:?} and has no hash");
                assert!(seen.insert(id.clone()), "{id} is in two places, {place:?} being one");
            }
        }
        assert_eq!(seen.len(), self.jobs.len(), "a job is nowhere");
    }

    /// Does what the operation does; `got` is what Redis answered, which says the order where there is none.
    pub(super) fn apply(&mut self, action: &Action, got: &str) -> String {
        self.steps += 1;
        match action {
            Action::Add { opts } => self.add(opts),
            Action::AddFlow { parent, children } => self.add_flow(parent, children),
            Action::Take { token, want } => self.take(token, *want),
            Action::Complete { id, keep } => self.finish(id, true, *keep),
            Action::Fail { id, keep } => self.finish(id, false, *keep),
            Action::Retry { id } => self.ended(id, |world, job| {
                world.promote_due();
                let job = world.charge(job);
                world.make_ready(&job, false);
            }),
            Action::Delay { id, ms, charged } => self.ended(id, |world, id| {
                let id = if *charged { world.charge(id) } else { id.to_owned() };
                world.job(&id).delay = i64::try_from(*ms).unwrap();
                world.add_delayed(&id, world.now, i64::try_from(*ms).unwrap());
            }),
            Action::HandBack { id } => self.ended(id, Self::put_back),
            Action::WaitForChildren { id } => {
                if self.jobs.get(id).is_some_and(|job| !job.unsuccessful.is_empty()) {
                    return "FailedChildren".into();
                }
                self.ended(id, |world, id| {
                    if world.jobs[id].pending.is_empty() {
                        world.put_back(id);
                    } else {
                        world.waiting_children.insert((world.now, id.to_owned()));
                    }
                })
            }
            Action::Lapse { id } => {
                self.job(id).lock = None;
                String::new()
            }
            Action::Check => self.stalled_check(got),
            Action::Advance { ms } => {
                self.now += ms;
                String::new()
            }
            Action::Promote { id } => self.by_hand(
                id,
                |world| take(&mut world.delayed, id),
                |world| {
                    world.make_ready(id, false);
                    world.job(id).delay = 0;
                },
            ),
            Action::PromoteAll => {
                let due = std::mem::take(&mut self.delayed);
                for (_, id) in &due {
                    self.wait.push_front(id.clone());
                }
                due.len().to_string()
            }
            Action::RetryByHand { id, state, reset } => self.retry_by_hand(id, *state, *reset),
            Action::RetryAll { state } => {
                let ended = std::mem::take(self.ended_in(*state));
                for (_, id) in &ended {
                    self.forget_end(id, *state);
                    self.wait.push_front(id.clone());
                }
                ended.len().to_string()
            }
            Action::ChangeDelay { id, ms } => self.by_hand(
                id,
                |world| take(&mut world.delayed, id),
                |world| {
                    let ms = i64::try_from(*ms).unwrap();
                    world.job(id).delay = ms;
                    world.add_delayed(id, world.now, ms);
                },
            ),
            Action::ChangePriority { id, priority, lifo } => self.change_priority(id, *priority, *lifo),
            Action::Cancel { id } => self.cancel(id),
            Action::Concurrency { limit } => {
                self.limit = *limit;
                "done".into()
            }
            Action::Pause | Action::Resume => {
                self.paused = matches!(action, Action::Pause);
                "done".into()
            }
            Action::Remove { id, children } => self.remove(id, *children).to_string(),
            Action::Drain { delayed } => {
                let mut ids: Vec<String> = self.wait.drain(..).rev().collect();
                ids.extend(std::mem::take(&mut self.prioritized).into_iter().map(|(_, id)| id));
                if *delayed {
                    ids.extend(std::mem::take(&mut self.delayed).into_iter().map(|(_, id)| id));
                }
                self.sweep(ids).to_string()
            }
            Action::Clean { state, grace } => self.clean(*state, self.now - grace),
        }
    }

    fn job(&mut self, id: &str) -> &mut Job {
        self.jobs.get_mut(id).unwrap()
    }

    fn key(id: &str) -> String {
        format!("bull:q:{id}")
    }

    fn make_ready(&mut self, id: &str, front: bool) {
        match self.jobs[id].priority {
            0 if front => self.wait.push_back(id.to_owned()),
            0 => self.wait.push_front(id.to_owned()),
            priority => {
                self.turns += 1;
                self.prioritized.insert((i64::from(priority) * TURNS + self.turns, id.to_owned()));
            }
        }
    }

    fn add_delayed(&mut self, id: &str, from: i64, delay: i64) {
        let due = from + delay.max(0);
        let (low, high) = (due * 4096, (due + 1) * 4096 - 1);
        let last = self.delayed.iter().map(|(score, _)| *score).filter(|score| (low..=high).contains(score)).max();
        self.delayed.insert((last.map_or(low, |last| high.min(last + 1)), id.to_owned()));
    }

    fn promote_due(&mut self) {
        let later = self.delayed.split_off(&((self.now + 1) * 4096, String::new()));
        for (_, id) in std::mem::replace(&mut self.delayed, later) {
            self.make_ready(&id, false);
            self.job(&id).delay = 0;
        }
    }

    fn take(&mut self, token: &str, want: u32) -> String {
        self.promote_due();
        if self.paused {
            return String::new();
        }
        let room = self.limit.map_or(u32::MAX, |limit| limit.saturating_sub(u32::try_from(self.active.len()).unwrap()));
        if room == 0 {
            return String::new();
        }
        let mut taken = Vec::new();
        while taken.len() < want.min(room) as usize {
            let next = self.wait.pop_back().or_else(|| self.prioritized.pop_first().map(|(_, id)| id));
            let Some(id) = next else { break };
            self.active.push_front(id.clone());
            let now = self.now;
            let job = self.job(&id);
            job.processed_on = Some(now);
            job.lock = Some(token.to_owned());
            job.started = Some(job.started.unwrap_or(0) + 1);
            taken.push(if job.unwanted { format!("{id} unwanted") } else { id });
        }
        if taken.is_empty() {
            self.turns = 0;
        }
        taken.join(" ")
    }

    /// What the holder of a lock does to its job, which leaves `active`; else why not.
    fn ended(&mut self, id: &str, then: impl FnOnce(&mut Self, &str)) -> String {
        let Some(job) = self.jobs.get_mut(id) else { return "Missing".into() };
        if job.lock.take().is_none() {
            return "NoLock".into();
        }
        self.active.retain(|other| other != id);
        self.stalled.remove(id);
        then(self, id);
        "done".into()
    }

    /// To where it is taken next.
    fn put_back(&mut self, id: &str) {
        match self.jobs[id].priority {
            0 => self.wait.push_back(id.to_owned()),
            priority => drop(self.prioritized.insert((i64::from(priority) * TURNS, id.to_owned()))),
        }
    }

    fn charge(&mut self, id: &str) -> String {
        let job = self.job(id);
        job.made = Some(job.made.unwrap_or(0) + 1);
        id.to_owned()
    }

    fn finish(&mut self, id: &str, completed: bool, keep: Keep) -> String {
        match self.jobs.get(id) {
            None => return "Missing".into(),
            Some(job) if completed && !job.pending.is_empty() => return "PendingChildren".into(),
            Some(job) if completed && !job.unsuccessful.is_empty() => return "FailedChildren".into(),
            Some(_) => {}
        }
        self.ended(id, |world, id| {
            world.tell_of_end(id, completed);
            if keep == Keep::Nothing {
                if let Some(parent) = world.jobs[id].parent.clone().filter(|_| !completed) {
                    world.drop_dependency(&parent, id);
                }
                world.delete(id);
                return;
            }
            world.charge(id);
            let target = if completed { State::Completed } else { State::Failed };
            world.keep(id, target);
            if let Keep::Some { count: Some(count), .. } = keep {
                while world.ended_in(target).len() > usize::try_from(count).unwrap() {
                    let (_, oldest) = world.ended_in(target).pop_first().unwrap();
                    if let Some(parent) = world.jobs[&oldest].parent.clone().filter(|_| !completed) {
                        world.drop_dependency(&parent, &oldest);
                    }
                    world.delete(&oldest);
                }
            }
        })
    }

    /// What its window and its parent do about the end of a job.
    fn tell_of_end(&mut self, id: &str, completed: bool) {
        if let Some(window) = self.jobs[id].window.clone() {
            self.end_window(&window, id);
        }
        let (parent, on_failure) = (self.jobs[id].parent.clone(), self.jobs[id].on_failure);
        if let Some(parent) = parent {
            if completed {
                self.child_completed(&parent, id);
            } else {
                self.child_failed(&parent, id, on_failure);
            }
        }
    }

    /// Puts a job among the finished ones.
    fn keep(&mut self, id: &str, target: State) {
        let now = self.now;
        let job = self.job(id);
        job.finished_on = Some(now);
        job.unwanted = false;
        if target == State::Failed {
            job.decided = None;
        }
        self.ended_in(target).insert((now, id.to_owned()));
    }

    fn ended_in(&mut self, state: State) -> &mut Scored {
        if state == State::Completed { &mut self.completed } else { &mut self.failed }
    }

    fn end_window(&mut self, name: &str, id: &str) {
        let Some(window) = self.windows.get(name).cloned() else { return };
        if !window.expires && window.owner == id {
            self.windows.remove(name);
        }
        if let Some((next, opts)) = window.next {
            self.number += 1;
            self.windows.insert(name.to_owned(), Window { owner: next.clone(), expires: false, next: None });
            self.store(&next, &opts);
            self.enqueue(&next, &opts);
        }
    }

    fn delete(&mut self, id: &str) {
        self.jobs.remove(id);
    }

    /// The lists the job may be in are looked through by those who call this.
    fn stalled_check(&mut self, got: &str) -> String {
        let mut lapsed: Vec<&str> = Vec::new();
        for id in &self.stalled {
            if self.active.contains(id) && self.jobs[id].lock.is_none() {
                lapsed.push(id);
            }
        }
        let order: Vec<String> = got.split_whitespace().map(str::to_owned).collect();
        let mut sorted = order.clone();
        sorted.sort();
        if sorted != lapsed {
            return format!("these in any order: {}", lapsed.join(" "));
        }
        for id in &order {
            self.active.retain(|other| other != id);
            let job = self.job(id);
            let stalls = job.stalls.unwrap_or(0) + 1;
            job.stalls = Some(stalls);
            if stalls > 1 {
                job.decided = Some("job stalled more than allowable limit".into());
            }
            self.wait.push_back(id.clone());
        }
        self.stalled = self.active.iter().cloned().collect();
        got.to_owned()
    }
}
