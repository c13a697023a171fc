//! Adding jobs: alone, in windows of deduplication, as trees. Protocol: §4 and §5.3.

use super::{Job, Window, World, has, take};
use crate::job::{ChildFailure, Deduplication, JobOptions, millis};

impl World {
    pub(super) fn add(&mut self, opts: &JobOptions) -> String {
        if opts.parent.as_ref().is_some_and(|parent| !self.jobs.contains_key(&parent.id)) {
            return "ParentMissing".into();
        }
        self.number += 1;
        let id = match &opts.job_id {
            Some(id) if self.jobs.contains_key(id) => return id.clone(),
            Some(id) => id.clone(),
            None => self.number.to_string(),
        };
        if let Some(window) = &opts.deduplication
            && let Some(owner) = self.deduplicate(window, &id, opts)
        {
            return owner;
        }
        self.store(&id, opts);
        if let Some(parent) = &opts.parent {
            self.job(&parent.id).pending.insert(id.clone());
            self.job(&id).parent = Some(parent.id.clone());
        }
        self.enqueue(&id, opts);
        id
    }

    pub(super) fn store(&mut self, id: &str, opts: &JobOptions) {
        let job = Job {
            priority: opts.priority,
            delay: opts.delay.map_or(0, millis),
            timestamp: self.now,
            lifo: opts.lifo,
            window: opts.deduplication.as_ref().map(|window| window.id.clone()),
            ..Job::default()
        };
        self.jobs.insert(id.to_owned(), job);
    }

    pub(super) fn enqueue(&mut self, id: &str, opts: &JobOptions) {
        match opts.delay {
            Some(delay) => self.add_delayed(id, self.now, millis(delay)),
            None => self.make_ready(id, opts.lifo),
        }
    }

    /// The job that is there instead, if the new one is not to be added.
    pub(super) fn deduplicate(&mut self, asked: &Deduplication, id: &str, opts: &JobOptions) -> Option<String> {
        let expires = asked.ttl.is_some() && !asked.keep_last_if_active;
        let Some(window) = self.windows.get(&asked.id).cloned() else {
            let window = Window { owner: id.to_owned(), expires, next: None };
            self.windows.insert(asked.id.clone(), window);
            return None;
        };
        let owner = window.owner.clone();
        if asked.replace && take(&mut self.delayed, &owner) {
            self.delete(&owner);
            // a new owner in the old time, which had none to begin with where the window never expired
            let expires = if expires && !asked.extend { window.expires } else { expires };
            self.windows.insert(asked.id.clone(), Window { owner: id.to_owned(), expires, next: None });
            return None;
        }
        if !self.jobs.contains_key(&owner) && !window.expires {
            self.windows.insert(asked.id.clone(), Window { owner: id.to_owned(), expires, next: None });
            return None;
        }
        let window = self.windows.get_mut(&asked.id).unwrap();
        if asked.keep_last_if_active && self.active.contains(&owner) {
            window.next = Some((id.to_owned(), opts.clone()));
            window.expires = false;
        } else if asked.replace {
            return Some(owner);
        } else if asked.extend && asked.ttl.is_some() {
            window.expires = expires;
        }
        if asked.reschedule && !asked.replace && take(&mut self.delayed, &owner) {
            let delay = opts.delay.map_or(0, millis);
            self.job(&owner).delay = delay;
            self.add_delayed(&owner, self.now, delay);
        }
        Some(owner)
    }

    pub(super) fn add_flow(&mut self, parent: &JobOptions, children: &[(String, Option<ChildFailure>)]) -> String {
        for (id, _) in children {
            let old = self.jobs.get(id).and_then(|job| job.parent.as_ref());
            if old.is_some_and(|old| self.jobs.contains_key(old)) {
                return "OtherParent".into();
            }
        }
        self.number += 1 + children.len() as u64;
        let id = parent.job_id.clone().unwrap();
        self.store(&id, parent);
        self.waiting_children.insert((self.now, id.clone()));
        for (child, on_failure) in children {
            if self.jobs.contains_key(child) {
                if has(&self.completed, child) {
                    self.job(&id).processed.insert(child.clone());
                } else {
                    self.job(&id).pending.insert(child.clone());
                }
            } else {
                self.store(child, &JobOptions::default());
                self.wait.push_front(child.clone());
                self.job(&id).pending.insert(child.clone());
            }
            let job = self.job(child);
            (job.parent, job.on_failure) = (Some(id.clone()), *on_failure);
        }
        self.release_if_free(&id);
        id
    }
}
