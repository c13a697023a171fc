//! What is done to jobs by hand: run again, moved, removed. Protocol: §5.16.

use std::collections::BTreeSet;

use super::{Job, Place, TURNS, World, take};
use crate::job::State;

impl World {
    pub(super) fn by_hand(
        &mut self,
        id: &str,
        leaves: impl FnOnce(&mut Self) -> bool,
        then: impl FnOnce(&mut Self),
    ) -> String {
        if !self.jobs.contains_key(id) {
            return "Missing".into();
        }
        if !leaves(self) {
            return "NotInState".into();
        }
        then(self);
        "done".into()
    }

    pub(super) fn retry_by_hand(&mut self, id: &str, state: State, reset: bool) -> String {
        self.by_hand(
            id,
            |world| take(world.ended_in(state), id),
            |world| {
                world.make_ready(id, world.jobs[id].lifo);
                world.forget_end(id, state);
                if reset {
                    let job = world.job(id);
                    (job.made, job.started) = (None, None);
                }
            },
        )
    }

    pub(super) fn forget_end(&mut self, id: &str, state: State) {
        let job = self.job(id);
        (job.finished_on, job.processed_on, job.unwanted) = (None, None, false);
        let Some(parent) = job.parent.clone() else { return };
        let Some(parent) = self.jobs.get_mut(&parent) else { return };
        let known = if state == State::Failed {
            take(&mut parent.unsuccessful, id) | parent.ignored.remove(id)
        } else {
            parent.processed.remove(id)
        };
        if known {
            parent.pending.insert(id.to_owned());
        }
    }

    pub(super) fn cancel(&mut self, id: &str) -> String {
        if !self.jobs.contains_key(id) {
            return "Missing".into();
        }
        let is_in = |place| self.ids_in(place).iter().any(|other| other == id);
        if is_in(Place::Completed) || is_in(Place::Failed) {
            return "ended".into();
        }
        if is_in(Place::Active) {
            self.job(id).unwanted = true;
            self.some_unwanted = true;
            return "asked".into();
        }
        self.leave(id);
        self.tell_of_end(id, false);
        let job = self.job(id);
        job.made = Some(job.made.unwrap_or(0));
        self.keep(id, State::Failed);
        "done".into()
    }

    /// Takes a job out of wherever it is.
    pub(super) fn leave(&mut self, id: &str) {
        for list in [&mut self.wait, &mut self.active] {
            list.retain(|other| other != id);
        }
        let sets = [
            &mut self.prioritized,
            &mut self.delayed,
            &mut self.completed,
            &mut self.failed,
            &mut self.waiting_children,
        ];
        for set in sets {
            take(set, id);
        }
    }

    /// Deletes a job with the window it owns.
    pub(super) fn delete_unfinished(&mut self, id: &str) {
        if let Some(name) = self.jobs[id].window.clone()
            && self.windows.get(&name).is_some_and(|window| window.owner == id)
        {
            self.windows.remove(&name);
        }
        self.delete(id);
    }

    pub(super) fn remove(&mut self, id: &str, children: bool) -> bool {
        let mut family = vec![id.to_owned()];
        let mut at = 0;
        while children && at < family.len() {
            let job = &self.jobs[&family[at]];
            let ended = job.unsuccessful.iter().map(|(_, id)| id);
            let of: Vec<String> =
                job.processed.iter().chain(&job.ignored).chain(&job.pending).chain(ended).cloned().collect();
            let parent = family[at].clone();
            let is_child = |id: &String| {
                self.jobs.get(id).is_some_and(|job| job.parent.as_ref() == Some(&parent)) && !family.contains(id)
            };
            let more: Vec<String> = of.into_iter().filter(is_child).collect();
            family.extend(more);
            at += 1;
        }
        if family.iter().any(|id| self.jobs[id].lock.is_some()) {
            return false;
        }
        if let Some(parent) = self.jobs[id].parent.clone() {
            self.drop_dependency(&parent, id);
        }
        for id in &family {
            self.leave(id);
            self.delete_unfinished(id);
        }
        true
    }

    /// Deletes jobs without a word, and upwards the parents that waited for nothing else.
    pub(super) fn sweep(&mut self, ids: Vec<String>) -> usize {
        let mut gone = BTreeSet::new();
        for id in ids {
            let mut next = Some(id);
            while let Some(id) = next.take().filter(|id| !gone.contains(id)) {
                let parent = self.jobs[&id].parent.clone();
                gone.insert(id.clone());
                if let Some(parent) = parent
                    && let Some(job) = self.jobs.get_mut(&parent)
                    && job.pending.remove(&id)
                    && job.pending.is_empty()
                    && take(&mut self.waiting_children, &parent)
                {
                    next = Some(parent);
                }
            }
        }
        for id in &gone {
            self.delete_unfinished(id);
        }
        gone.len()
    }

    pub(super) fn clean(&mut self, state: State, until: i64) -> String {
        let (place, age): (_, fn(&Job) -> Option<i64>) = match state {
            State::Completed => (Place::Completed, |job| job.finished_on),
            State::Failed => (Place::Failed, |job| job.finished_on),
            State::Delayed => (Place::Delayed, |job| job.processed_on),
            State::Prioritized => (Place::Prioritized, |_| None),
            State::Waiting => (Place::Waiting, |job| job.finished_on.or(job.processed_on)),
            _ => (Place::Active, |job| job.finished_on.or(job.processed_on)),
        };
        let mut ids = self.ids_in(place);
        ids.retain(|id| {
            let job = &self.jobs[id];
            age(job).unwrap_or(job.timestamp) <= until && !(place == Place::Active && job.lock.is_some())
        });
        for id in &ids {
            self.leave(id);
        }
        self.sweep(ids.clone());
        ids.sort();
        ids.join(" ")
    }

    pub(super) fn change_priority(&mut self, id: &str, priority: u32, lifo: bool) -> String {
        let Some(job) = self.jobs.get_mut(id) else { return "Missing".into() };
        job.priority = priority;
        let waits = self.wait.iter().position(|other| other == id);
        if let Some(at) = waits {
            self.wait.remove(at);
        }
        if waits.is_some() || take(&mut self.prioritized, id) {
            if priority > 0 && lifo {
                self.prioritized.insert((i64::from(priority) * TURNS, id.to_owned()));
            } else {
                self.make_ready(id, lifo);
            }
        }
        "done".into()
    }
}
