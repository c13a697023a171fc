//! Is it alive, is it ready, what is amiss? Answered by the engine's own loop, so that an engine that hangs gives no answer;
//! the service manager's watchdog and the probes over HTTP ask.
//!
//! Alive means that work is being taken or that there is none: what decides is not that a loop turns, but what Redis says at
//! each stalled check ([`super::lookout`]). What another start of this process would not mend (Redis is away, full or
//! read-only, a gate is shut) keeps it from being ready at most.

use std::time::{Duration, Instant};

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::lookout::Sight;
use super::phase::Phase;
use crate::job::QueueName;

/// How long a job may wait that may be taken while nothing is taken. A take follows a job within milliseconds, a stalled
/// check sees within five seconds what was missed, a call without an answer is given up after ten: several times that.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// How an engine is.
#[derive(Debug, Clone)]
pub struct Health {
    pub phase: Phase,
    pub redis: RedisHealth,
    /// What is amiss, the gravest first. None is a word about anything that is well.
    pub findings: Vec<Finding>,
}

/// Whether Redis is there, as the connection that jobs are taken over sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum RedisHealth {
    Connected,
    /// `since` is how long ago; `None` when it has not been there since the start.
    Away {
        #[serde(rename = "seconds", serialize_with = "seconds")]
        since: Option<Duration>,
        why: String,
    },
}

/// One thing that is amiss.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// A word that stays, for programs.
    pub code: &'static str,
    pub weight: Weight,
    /// For people.
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
}

/// What a finding keeps the process from being.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Nothing; somebody should look.
    Note,
    /// Ready: it takes no jobs, or not all it should. A start would not change that.
    Unready,
    /// Alive: only another start is known to help.
    Dead,
}

impl Health {
    pub(crate) fn new(phase: Phase, redis: RedisHealth, mut findings: Vec<Finding>) -> Self {
        if let RedisHealth::Away { why, .. } = &redis {
            findings.push(Finding::new("redis_away", Weight::Unready, format!("redis is away: {why}")));
        }
        if let Some(code) = match phase {
            Phase::Running => None,
            Phase::Quiet => Some("quiet"),
            Phase::Draining => Some("draining"),
            Phase::HandingBack => Some("handing_back"),
            Phase::Closed => Some("stopped"),
        } {
            findings.push(Finding::new(code, Weight::Unready, format!("{}: no jobs are taken", phase.as_str())));
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
        Self { phase, redis, findings }
    }

    /// Before the queues are worked.
    pub(crate) fn starting(redis: RedisHealth) -> Self {
        let starting = Finding::new("starting", Weight::Unready, "starting: the queues are not worked yet".into());
        Self::new(Phase::Running, redis, vec![starting])
    }

    /// Once the engine has ended, and its process ends.
    #[must_use]
    pub fn stopped() -> Self {
        Self::new(Phase::Closed, RedisHealth::Connected, Vec::new())
    }

    /// Whether work is being taken, or there is none, or there is a reason beyond this process why not.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.gravest() < Some(Weight::Dead)
    }

    /// Whether jobs of every queue are taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.gravest() < Some(Weight::Unready)
    }

    fn gravest(&self) -> Option<Weight> {
        self.findings.iter().map(|finding| finding.weight).max()
    }

    /// Adds what somebody beside the engine knows.
    #[must_use]
    pub fn with(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
        self
    }
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut health = serializer.serialize_struct("Health", 5)?;
        health.serialize_field("live", &self.is_live())?;
        health.serialize_field("ready", &self.is_ready())?;
        health.serialize_field("phase", self.phase.as_str())?;
        health.serialize_field("redis", &self.redis)?;
        health.serialize_field("findings", &self.findings)?;
        health.end()
    }
}

#[expect(clippy::ref_option, reason = "serde hands it over so")]
fn seconds<S: Serializer>(since: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    since.map(|since| since.as_secs()).serialize(serializer)
}

impl Finding {
    #[must_use]
    pub fn new(code: &'static str, weight: Weight, text: String) -> Self {
        Self { code, weight, text, queue: None, handler: None }
    }

    #[must_use]
    pub(crate) fn of_queue(self, queue: &QueueName) -> Self {
        Self { queue: Some(queue.clone()), ..self }
    }

    #[must_use]
    pub(crate) fn of_handler(self, handler: &str) -> Self {
        Self { handler: Some(handler.to_owned()), ..self }
    }
}

/// What the notes on the queues come to. `up_since`: since when Redis is there without a break; `None` while it is away.
pub(crate) fn judge(
    queues: &[(QueueName, Sight)],
    now: Instant,
    up_since: Option<Instant>,
    interval: Duration,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let closed = queues.iter().filter(|(_, sight)| !sight.opened).count();
    if closed > 0 {
        let text = format!("starting: {closed} of {} queues are not worked yet", queues.len());
        findings.push(Finding::new("starting", Weight::Unready, text));
    }
    for (queue, sight) in queues {
        // a pool that asks and is refused does what it can: it asks again within seconds
        let asks = sight.refused.is_some_and(|at| now.saturating_duration_since(at) < BOUND);
        if let Some(over) = sight.passed_over.filter(|over| *over >= BOUND && !asks) {
            let text =
                format!("not taking: jobs have waited {} s that may be taken, and slots are free", over.as_secs());
            findings.push(Finding::new("not_taking", Weight::Dead, text).of_queue(queue));
        }
        let Some(refusal) = &sight.refusal else { continue };
        if !refusal.is_of_redis() {
            findings.push(Finding::new(refusal.code, Weight::Unready, refusal.text.clone()).of_queue(queue));
        } else if !findings.iter().any(|finding| finding.code == refusal.code) {
            // it says the same to every queue
            findings.push(Finding::new(refusal.code, Weight::Unready, refusal.text.clone()));
        }
    }
    // without checks there is no proof
    let checked = queues.iter().filter_map(|(_, sight)| sight.checked).max();
    if let (Some(checked), Some(up_since)) = (checked, up_since)
        && now.duration_since(checked.max(up_since)) > BOUND + interval
    {
        let text = format!("not looking: the last stalled check was {} s ago", now.duration_since(checked).as_secs());
        findings.push(Finding::new("not_looking", Weight::Dead, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::lookout::Refusal;

    const SECOND: Duration = Duration::from_secs(1);

    fn sight(checked: Instant) -> Sight {
        Sight { opened: true, checked: Some(checked), passed_over: None, refusal: None, refused: None }
    }

    fn of(phase: Phase, sights: Vec<Sight>, now: Instant, up_since: Option<Instant>) -> Health {
        let name = |n: usize| QueueName::new(&format!("q{n}")).unwrap();
        let queues: Vec<_> = sights.into_iter().enumerate().map(|(n, sight)| (name(n), sight)).collect();
        let redis = match up_since {
            Some(_) => RedisHealth::Connected,
            None => RedisHealth::Away { since: Some(SECOND), why: "connection refused".into() },
        };
        Health::new(phase, redis, judge(&queues, now, up_since, 5 * SECOND))
    }

    fn codes(health: &Health) -> Vec<&'static str> {
        health.findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn only_jobs_that_are_passed_over_make_it_dead() {
        let now = Instant::now();
        let well = of(Phase::Running, vec![sight(now)], now, Some(now));
        assert!(well.is_live() && well.is_ready() && well.findings.is_empty());
        let over = |seconds| Sight { passed_over: Some(SECOND * seconds), ..sight(now) };
        assert!(of(Phase::Running, vec![over(29)], now, Some(now)).is_live());
        let wedged = of(Phase::Running, vec![sight(now), over(31)], now, Some(now));
        assert!(!wedged.is_live() && !wedged.is_ready());
        assert_eq!(wedged.findings[0].queue.as_ref().unwrap().as_str(), "q1");
        assert_eq!(codes(&wedged), ["not_taking"]);
        // Redis refuses what is asked of it; but whoever has been refused long ago asks no more
        let later = now + BOUND * 2;
        let refused = |at| Sight { refused: Some(at), checked: Some(later), ..over(31) };
        assert!(of(Phase::Running, vec![refused(later)], later, Some(now)).is_live());
        assert!(!of(Phase::Running, vec![refused(now)], later, Some(now)).is_live());
    }

    #[test]
    fn f46_what_redis_says_keeps_it_from_being_ready_and_is_said_once() {
        let now = Instant::now();
        let refused = |code| Sight { refusal: Some(Refusal { code, text: "no".into() }), ..sight(now) };
        let sights = vec![refused("redis_clusterdown"), refused("redis_clusterdown"), refused("queue_refused")];
        let health = of(Phase::Running, sights, now, Some(now));
        assert!(health.is_live() && !health.is_ready());
        assert_eq!(codes(&health), ["redis_clusterdown", "queue_refused"]);
        let away = of(Phase::Running, vec![sight(now)], now, None);
        assert!(away.is_live() && !away.is_ready());
        assert_eq!(codes(&away), ["redis_away"]);
    }

    #[test]
    fn without_checks_there_is_no_proof_unless_redis_was_away() {
        let start = Instant::now();
        let now = start + SECOND * 100;
        let (long_ago, just_now) = (start, now.checked_sub(SECOND).unwrap());
        assert_eq!(codes(&of(Phase::Running, vec![sight(long_ago)], now, Some(long_ago))), ["not_looking"]);
        assert!(of(Phase::Running, vec![sight(long_ago)], now, Some(just_now)).is_ready());
        assert!(of(Phase::Running, vec![sight(long_ago)], now, None).is_live());
        assert!(of(Phase::Running, vec![sight(long_ago), sight(just_now)], now, Some(long_ago)).is_ready());
    }

    #[test]
    fn f09_on_the_way_to_the_end_it_is_live_and_not_ready() {
        let now = Instant::now();
        for (phase, code) in [
            (Phase::Quiet, "quiet"),
            (Phase::Draining, "draining"),
            (Phase::HandingBack, "handing_back"),
            (Phase::Closed, "stopped"),
        ] {
            let health = of(phase, vec![sight(now)], now, Some(now));
            assert!(health.is_live() && !health.is_ready());
            assert_eq!(codes(&health), [code]);
        }
        let starting = Health::starting(RedisHealth::Away { since: None, why: "not there yet".into() });
        assert!(starting.is_live() && !starting.is_ready());
        let text = serde_json::to_value(&starting).unwrap();
        assert_eq!(text["redis"], serde_json::json!({ "state": "away", "seconds": null, "why": "not there yet" }));
        assert_eq!(text["findings"][0]["code"], "starting");
    }
}
