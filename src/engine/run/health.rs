//! What the engine's loop knows of how it is.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use super::{Run, SKEW};
use crate::engine::health::{self, Finding, Health, RedisHealth, Weight};
use crate::engine::phase::Phase;
use crate::engine::rescuer::LONGEST;
use crate::engine::status::ShutGate;
use crate::store::{Link, ServerInfo};

impl Run {
    pub(super) fn health(&self) -> Health {
        let now = Instant::now();
        let redis = match &*self.store.link().borrow() {
            Link::Up { .. } => RedisHealth::Connected,
            Link::Lost { since, reason } => {
                RedisHealth::Away { since: Some(now.duration_since(*since)), why: reason.to_string() }
            }
        };
        let up_since = (redis == RedisHealth::Connected).then(|| self.server.up_since());
        let sights: Vec<_> =
            self.works.iter().map(|(name, works)| (name.clone(), works.kept.lookout.sight())).collect();
        let mut findings = match self.phase {
            Phase::Running => health::judge(&sights, now, up_since, LONGEST),
            // nothing is to be taken
            _ => Vec::new(),
        };
        for (name, works) in &self.works {
            let mut stuck = 0;
            works.slots.each(|_, occupant| stuck += u32::from(occupant.is_stuck(now)));
            if stuck > 0 {
                let text = format!(
                    "stuck: {stuck} of {} slots are lost to handlers that do not return",
                    works.settings.concurrency
                );
                findings.push(Finding::new("stuck", Weight::Note, text).of_queue(name));
            }
            for shut in works.gates.iter().filter_map(|(handler, gate)| ShutGate::of(handler, gate)) {
                let is_known = |finding: &Finding| finding.handler.as_deref() == Some(&shut.handler);
                if !findings.iter().any(is_known) {
                    let text = format!("{}: no jobs are taken for the handler: {}", shut.state, shut.why);
                    findings.push(Finding::new("gate_shut", Weight::Note, text).of_handler(&shut.handler));
                }
            }
        }
        if let Some(policy) = self.server.evicts_by() {
            let text = format!("redis may delete jobs: maxmemory-policy is {policy}; set it to noeviction");
            findings.push(Finding::new("eviction_policy", Weight::Note, text));
        }
        let skew = self.store.skew();
        if skew.unsigned_abs() > SKEW.1 {
            let text = format!(
                "this host's clock differs from the redis server's by {skew} ms; due times follow the server's"
            );
            findings.push(Finding::new("clock_skew", Weight::Note, text));
        }
        Health::new(self.phase, redis, findings)
    }
}

/// What is known of the server, as it was seen last.
pub(super) struct Server(Mutex<(Instant, Option<String>)>);

impl Default for Server {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), None)))
    }
}

impl Server {
    fn state(&self) -> MutexGuard<'_, (Instant, Option<String>)> {
        self.0.lock().expect("no code panics while holding this lock")
    }

    pub(super) fn is_back(&self) {
        self.state().0 = Instant::now();
    }

    /// Keeps the policy by which it may delete jobs.
    pub(super) fn note(&self, info: &ServerInfo) {
        self.state().1 = info.eviction.clone().filter(|_| !info.keeps_everything());
    }

    fn up_since(&self) -> Instant {
        self.state().0
    }

    fn evicts_by(&self) -> Option<String> {
        self.state().1.clone()
    }
}
