//! Reads `[queues.NAME]` and `[defaults]`: the same keys, over different defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::list::list;
use crate::config::read::{Item, Scalar};
use crate::config::units::show_duration;
use crate::config::{Placement, Queue, RateLimit, Unmatched};
use crate::job::{Backoff, BackoffKind, Keep, Policy};

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Redis takes no longer string, so neither does a job.
const LONGEST_PAYLOAD: usize = 512 * 1024 * 1024;
/// Two weeks of minutes, what BullMQ keeps at most.
const MOST_METRICS: i128 = 20_160;
const MOST: i128 = u32::MAX as i128;

const PLACEMENTS: [(&str, Placement); 3] = [("auto", Placement::Auto), ("v5", Placement::V5), ("v6", Placement::V6)];

/// One queue's settings, `base` where they are silent.
pub fn queue(item: &Item, base: Queue) -> Queue {
    item.expect_table();
    let list = list(item);
    Queue {
        concurrency: item.child("concurrency").whole(1..=10_000, base.concurrency),
        timeout: item.child("timeout").duration(MS..=30 * DAY, base.timeout),
        // renewed at a third: below a second the renewals would be most of the traffic
        lock: match &list {
            Some(list) => list.lease,
            None => item.child("lock").duration(Duration::from_secs(1)..=DAY, base.lock),
        },
        stalled_interval: item.child("stalled_interval").duration(500 * MS..=DAY, base.stalled_interval),
        max_stalled: item.child("max_stalled").whole(0..=MOST, base.max_stalled),
        global_concurrency: item.child("global_concurrency").optional_whole(1..=MOST, base.global_concurrency),
        rate_limit: rate_limit(&item.child("rate_limit"), base.rate_limit),
        expires_after: match &list {
            Some(_) => None,
            None => item.child("expires_after").optional_duration(MS..=YEAR, base.expires_after),
        },
        max_payload: item.child("max_payload").size(1..=LONGEST_PAYLOAD, base.max_payload),
        metrics: item.child("metrics").whole(0..=MOST_METRICS, base.metrics),
        handler: item.child("handler").text().or(base.handler),
        routes: routes(&item.child("routes")).unwrap_or(base.routes),
        unmatched: item
            .child("unmatched")
            .word(&[("release", Unmatched::Release), ("fail", Unmatched::Fail)], base.unmatched),
        placement: item.child("placement").word(&PLACEMENTS, base.placement),
        policy: policy(item, &base.policy),
        list,
        name: base.name,
    }
}

fn policy(item: &Item, base: &Policy) -> Policy {
    let backoff = item.child("backoff");
    let (kind, delay) = kind_and_delay(&backoff, &base.backoff);
    let max = backoff.child("max").optional_duration(MS..=YEAR, base.backoff_max);
    if let Some(max) = max.filter(|max| *max < delay) {
        let text = |what| format!("backoff delay {} is cut to {what}, {}", show_duration(delay), show_duration(max));
        let help = "raise max, or write max = false for no bound";
        // where neither is given, [defaults] has been told
        match ["max", "delay"].map(|key| backoff.child(key)) {
            [max, _] if max.is_given() => max.warn(text("max"), help),
            [_, delay] if delay.is_given() => delay.warn(text("the default max"), help),
            _ => {}
        }
    }
    Policy {
        attempts: item.child("attempts").whole(1..=MOST, base.attempts),
        backoff: Backoff { kind, delay, jitter: None },
        backoff_max: max,
        jitter: backoff.child("jitter").share(base.jitter),
        keep_completed: keep(&item.child("keep_completed"), base.keep_completed),
        keep_failed: keep(&item.child("keep_failed"), base.keep_failed),
        ..base.clone()
    }
}

/// What a job can say of its backoff too.
pub fn kind_and_delay(item: &Item, base: &Backoff) -> (BackoffKind, Duration) {
    item.expect_table();
    let kinds = [("fixed", &BackoffKind::Fixed), ("exponential", &BackoffKind::Exponential)];
    let kind = item.child("type").word(&kinds, &base.kind).clone();
    (kind, item.child("delay").duration(Duration::ZERO..=YEAR, base.delay))
}

/// `true` keeps all, `false` none, a number so many; a table says count, age and limit, and
/// what it does not name is unbounded.
pub fn keep(item: &Item, base: Keep) -> Keep {
    if item.is_table() {
        let counted = |name: &str, least: i128| item.child(name).optional_whole::<u64>(least..=MOST, None);
        let (count, limit) = (counted("count", 0), counted("limit", 1));
        let age = item.child("age").optional_duration(Duration::ZERO..=100 * YEAR, None);
        return Keep::Some { count, age, limit };
    }
    match item.scalar() {
        None => base,
        Some(Scalar::Flag(true)) => Keep::All,
        Some(Scalar::Flag(false)) => Keep::Nothing,
        Some(Scalar::Whole(_)) => match item.whole::<u64>(0..=MOST, 0) {
            0 => Keep::Nothing,
            count => Keep::Some { count: Some(count), age: None, limit: None },
        },
        Some(_) => {
            item.wrong("true, false, a number or a table", "write { count = 100, age = \"24h\" }").unwrap_or(base)
        }
    }
}

pub(super) fn rate_limit(item: &Item, base: Option<RateLimit>) -> Option<RateLimit> {
    if item.is_off() {
        return None;
    }
    if !item.is_given() {
        return base;
    }
    if !item.is_table() {
        return item.wrong("a table", "write { max = 100, per = \"60s\" }, or false for none");
    }
    let (max, per) = (item.child("max"), item.child("per"));
    for part in [&max, &per] {
        if !part.is_given() {
            let name = part.path().name();
            let needs = format!("{} needs {name}", item.path().name());
            item.missing(needs, "write { max = 100, per = \"60s\" }");
        }
    }
    Some(RateLimit { max: max.whole(1..=MOST, 1), per: per.duration(MS..=YEAR, Duration::from_secs(1)) })
}

fn routes(item: &Item) -> Option<BTreeMap<String, String>> {
    if !item.is_given() {
        return None;
    }
    let read = |(pattern, handler): (String, Item)| {
        if pattern.is_empty() {
            handler.error("a route needs the name of a job or a glob", "write \"digest-*\" = \"handler\"");
        } else if pattern.contains("**") {
            handler.warn(format!("\"**\" in route {pattern:?} means no more than \"*\""), "write one star");
        }
        Some((pattern, handler.text()?))
    };
    Some(item.entries().into_iter().filter_map(read).collect())
}
