//! How many processes a pool needs now.

use std::time::Duration;

use tokio::time::Instant;

use super::member::{Member, Standing};
use super::pool::{Phase, Pool};
use crate::config::Workers;

/// How long jobs must have waited without a pause before another process is started for them.
const SHORT: Duration = Duration::from_millis(100);

/// What the keeper is to do.
pub(super) struct Plan {
    /// Places for which processes are to be started.
    pub(super) start: Vec<usize>,
    /// When to look again, unless something happens.
    pub(super) next: Option<Instant>,
    pub(super) is_closed: bool,
}

impl Pool {
    /// What is to be started now, and which processes are not needed any more.
    pub(super) fn plan(&self) -> Plan {
        let now = Instant::now();
        let mut state = self.state();
        let state = &mut *state;
        let mut plan = Plan { start: Vec::new(), next: None, is_closed: false };
        if state.phase != Phase::Open && state.is_empty() {
            state.phase = Phase::Closed;
            state.members.iter_mut().flatten().for_each(Member::leave);
            plan.is_closed = true;
            return plan;
        }
        let count = |standing| state.members.iter().flatten().filter(|member| member.standing == standing).count();
        let (starting, ready) = (count(Standing::Starting), count(Standing::Ready));
        let alive = starting + ready;
        let Workers { min, max } = self.config.workers;
        let min = if state.phase == Phase::Open { min as usize } else { 0 };
        let max = max as usize;
        let mut later = |at: Instant| plan.next = Some(plan.next.map_or(at, |next: Instant| next.min(at)));
        let mut wanted = min.saturating_sub(alive);
        if let Some(short) = state.short.filter(|_| alive < max) {
            // the first at once, more only for jobs that go on waiting
            if alive == 0 || now >= short + SHORT {
                let slots = state.slots.max(1) as usize;
                let short_of = state.waiting.len().div_ceil(slots) + state.suspects.due();
                wanted = wanted.max(short_of.saturating_sub(starting).min(max - alive));
            } else {
                later(short + SHORT);
            }
        }
        if state.starts.is_trying() {
            wanted = wanted.min(1usize.saturating_sub(starting));
        }
        if wanted > 0
            && let Some(at) = state.starts.not_before().filter(|at| *at > now)
        {
            later(at);
            wanted = 0;
        }
        if let Some(idle) = self.config.idle.filter(|_| ready > min) {
            let all = state.members.iter_mut().flatten();
            let mut ready_ones: Vec<_> = all.filter(|member| member.standing == Standing::Ready).collect();
            ready_ones.sort_by_key(|member| (!member.jobs.is_empty(), member.used));
            for member in ready_ones.into_iter().take(ready - min) {
                let last = if member.jobs.is_empty() { member.used } else { now };
                if last + idle <= now {
                    member.leave();
                } else {
                    later(last + idle);
                }
            }
        }
        for _ in 0..wanted {
            let member = Some(Member::new(&self.config, now));
            if let Some(free) = state.members.iter().position(Option::is_none) {
                state.members[free] = member;
                plan.start.push(free);
            } else {
                state.members.push(member);
                plan.start.push(state.members.len() - 1);
            }
        }
        plan
    }
}
