//! How many mails go to one recipient domain, so that none of them turns us away for going too fast. Counted in this
//! process: a mail counts once for each domain among its recipients.
//!
//! A mail that has to wait is given its moment at once. One deferred until then finds the moment kept for it, so it is
//! deferred once, and those behind it do not overtake it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::RateLimit;

/// A moment kept for a job that does not come back is given up after this.
const KEPT: Duration = Duration::from_secs(60);

pub(super) struct Rates {
    general: Option<RateLimit>,
    by_domain: BTreeMap<String, RateLimit>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last moments given to each domain, oldest first, as many as its limit counts.
    given: HashMap<String, VecDeque<Instant>>,
    /// The moments kept for jobs that were deferred.
    kept: HashMap<String, Instant>,
}

impl Rates {
    pub(super) fn new(general: Option<RateLimit>, by_domain: BTreeMap<String, RateLimit>) -> Self {
        Self { general, by_domain, state: Mutex::default() }
    }

    /// When this job's mail to these domains may go. The same job asking again is told the same.
    pub(super) fn moment<'a>(&self, job: &str, domains: impl Iterator<Item = &'a str>, now: Instant) -> Instant {
        let domains: BTreeSet<String> = domains.map(str::to_ascii_lowercase).collect();
        let limited: Vec<(String, RateLimit)> = domains
            .into_iter()
            .filter_map(|domain| {
                let limit = self.by_domain.get(&domain).copied().or(self.general)?;
                Some((domain, limit))
            })
            .collect();
        if limited.is_empty() {
            return now;
        }
        let mut state = self.state.lock().expect("no code panics while holding this lock");
        state.kept.retain(|_, moment| *moment + KEPT > now);
        if let Some(moment) = state.kept.remove(job) {
            return moment.max(now);
        }
        // domains nobody has written to lately need no memory
        let longest = |domain: &String| self.by_domain.get(domain).or(self.general.as_ref()).map(|limit| limit.per);
        state
            .given
            .retain(|domain, given| given.back().zip(longest(domain)).is_some_and(|(last, per)| *last + per > now));
        let mut moment = now;
        for (domain, limit) in &limited {
            if let Some(given) = state.given.get(domain)
                && let Some(at) = given.len().checked_sub(limit.max as usize)
            {
                moment = moment.max(given[at] + limit.per);
            }
        }
        for (domain, limit) in limited {
            let given = state.given.entry(domain).or_default();
            given.push_back(moment.max(given.back().copied().unwrap_or(moment)));
            while given.len() > limit.max as usize {
                given.pop_front();
            }
        }
        moment
    }

    /// The job is deferred until its moment, which stays its own.
    pub(super) fn keep(&self, job: String, moment: Instant) {
        self.state.lock().expect("no code panics while holding this lock").kept.insert(job, moment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rates() -> Rates {
        let slow = RateLimit { max: 1, per: 10 * SECOND };
        Rates::new(Some(RateLimit { max: 2, per: SECOND }), [("slow.example".to_owned(), slow)].into())
    }

    fn wait(rates: &Rates, job: &str, domains: &[&str], now: Instant) -> u128 {
        (rates.moment(job, domains.iter().copied(), now) - now).as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn no_domain_gets_more_than_its_share() {
        let (rates, now) = (rates(), Instant::now());
        let waits: Vec<u128> = (0..5).map(|_| wait(&rates, "j", &["A.example"], now)).collect();
        assert_eq!(waits, [0, 0, 1000, 1000, 2000]);
        assert_eq!(wait(&rates, "j", &["b.example"], now), 0, "each domain on its own");
        assert_eq!(wait(&rates, "j", &["slow.example"], now), 0);
        assert_eq!(wait(&rates, "j", &["slow.example", "c.example"], now), 10_000, "the slowest decides");
        assert_eq!(wait(&rates, "j", &["a.example"], now + 9 * SECOND), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deferred_mail_keeps_its_moment() {
        let (rates, now) = (rates(), Instant::now());
        rates.moment("1", ["slow.example"].into_iter(), now);
        let moment = rates.moment("2", ["slow.example"].into_iter(), now);
        rates.keep("2".into(), moment);
        assert_eq!(wait(&rates, "3", &["slow.example"], now), 20_000);
        assert_eq!(wait(&rates, "2", &["slow.example"], now + 10 * SECOND), 0);
        rates.keep("4".into(), now);
        assert_eq!(wait(&rates, "5", &["other.example"], now + 100 * SECOND), 0);
        assert!(rates.state.lock().unwrap().kept.is_empty(), "given up");
    }
}
