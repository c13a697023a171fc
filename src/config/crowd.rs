//! Which minute do many schedules share? Jobs that all come at midnight wait for each other. Called by `validate`.

use std::collections::HashMap;
use std::fmt;

use super::Config;
use crate::job::UnixMillis;
use crate::job::schedule::local;
use crate::job::{self};

/// So many in one minute are pointed out.
const MANY: usize = 10;
/// So many times are looked at, of all schedules together: it must not hold up a start.
const TIMES: usize = 100_000;
/// A Monday in winter, in UTC; which week is looked at says nothing to anybody.
const MONDAY: UnixMillis = UnixMillis(1_704_067_200_000);
const MINUTE: i64 = 60_000;

/// Schedules that share a minute.
#[derive(Debug)]
pub struct Crowd<'a> {
    pub names: Vec<&'a str>,
    /// On the clock of the first of them.
    minute: String,
    zone: &'a str,
}

impl fmt::Display for Crowd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        let names = self.names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let more = if self.names.len() > SHOWN { ", …" } else { "" };
        let (count, minute, zone) = (self.names.len(), &self.minute, self.zone);
        write!(f, "{count} schedules come in the same minute, {minute} in {zone}: {names}{more}")
    }
}

/// The minute that most schedules share, if they are many. Those with jitter share none, and intervals begin anywhere.
pub fn find(config: &Config) -> Option<Crowd<'_>> {
    let patterns: Vec<(&str, &str, job::Schedule)> = config
        .schedules
        .values()
        .filter(|schedule| schedule.enabled && schedule.jitter.is_zero())
        .filter_map(|schedule| {
            let zone = schedule.spec.timezone.as_deref()?;
            let pattern = job::Schedule::parse(schedule.spec.pattern.as_deref()?, Some(zone)).ok()?;
            Some((schedule.name.as_str(), zone, pattern))
        })
        .collect();
    if patterns.len() < MANY {
        return None;
    }
    let each = (TIMES / patterns.len()).clamp(10, 1000);
    let minutes = |pattern: &job::Schedule| {
        let mut minutes = Vec::new();
        let mut at = UnixMillis(MONDAY.0 - 1);
        while let Some(next) = pattern.next_after(at).filter(|_| minutes.len() < each) {
            minutes.push(next.0.div_euclid(MINUTE));
            // one in a minute is enough
            at = UnixMillis((next.0.div_euclid(MINUTE) + 1) * MINUTE - 1);
        }
        minutes
    };
    let mut shared: HashMap<i64, Vec<usize>> = HashMap::new();
    for (n, (_, _, pattern)) in patterns.iter().enumerate() {
        for minute in minutes(pattern) {
            shared.entry(minute).or_default().push(n);
        }
    }
    let (minute, crowd) = shared.into_iter().max_by_key(|(minute, crowd)| (crowd.len(), -minute))?;
    let (_, zone, _) = patterns[crowd[0]];
    (crowd.len() >= MANY).then(|| Crowd {
        names: crowd.iter().map(|n| patterns[*n].0).collect(),
        minute: local(UnixMillis(minute * MINUTE), zone).format("%H:%M").to_string(),
        zone,
    })
}
