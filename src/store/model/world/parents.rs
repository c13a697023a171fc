//! What becomes of parents when their children end or go. Protocol: §5.12.

use super::{World, has, take};
use crate::job::ChildFailure;

impl World {
    pub(super) fn release(&mut self, parent: &str) {
        if take(&mut self.waiting_children, parent) {
            match self.jobs[parent].delay {
                0 => self.make_ready(parent, true),
                delay => drop(self.delayed.insert(((self.now + delay) * 4096, parent.to_owned()))),
            }
        }
    }

    pub(super) fn release_if_free(&mut self, parent: &str) {
        if self.jobs.get(parent).is_some_and(|job| job.pending.is_empty()) {
            self.release(parent);
        }
    }

    pub(super) fn child_completed(&mut self, parent: &str, child: &str) {
        let Some(job) = self.jobs.get_mut(parent) else { return };
        if job.pending.remove(child) {
            job.processed.insert(child.to_owned());
            self.release_if_free(parent);
        }
    }

    pub(super) fn child_failed(&mut self, parent: &str, child: &str, on_failure: Option<ChildFailure>) {
        let (Some(on_failure), Some(job)) = (on_failure, self.jobs.get_mut(parent)) else { return };
        if !job.pending.remove(child) {
            return;
        }
        match on_failure {
            ChildFailure::FailParent => {
                job.unsuccessful.insert((self.now, child.to_owned()));
                let why = Some(format!("child {} failed", Self::key(child)));
                if has(&self.waiting_children, parent) {
                    job.decided = why;
                    self.release(parent);
                } else if take(&mut self.delayed, parent) {
                    (job.decided, job.delay) = (why, 0);
                    self.make_ready(parent, true);
                } else if !has(&self.failed, parent) {
                    job.decided = why;
                }
            }
            ChildFailure::ContinueParent => {
                job.ignored.insert(child.to_owned());
                self.release(parent);
            }
            ChildFailure::IgnoreDependency => {
                job.ignored.insert(child.to_owned());
                self.release_if_free(parent);
            }
            ChildFailure::RemoveDependency => self.release_if_free(parent),
        }
    }

    pub(super) fn drop_dependency(&mut self, parent: &str, child: &str) {
        if self.jobs.get_mut(parent).is_some_and(|job| job.pending.remove(child)) {
            self.release_if_free(parent);
        }
    }
}
