//! Reads `[app]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::App;
use crate::config::app::{AtLimit, Cache, Sessions};
use crate::config::read::Item;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
/// The largest value Redis takes, in bytes.
const LARGEST: usize = 512 * 1024 * 1024;

/// `queues` is the prefix of the queues.
pub fn app(item: &Item, queues: &str) -> App {
    item.expect_table();
    let base = App::default();
    let app = App {
        prefix: item.child("prefix").text().unwrap_or(base.prefix),
        cache: cache(&item.child("cache"), &base.cache),
        sessions: sessions(&item.child("sessions"), &base.sessions),
    };
    for (key, invalid) in app.problems(queues) {
        item.child(key).error(invalid.message, invalid.help);
    }
    app
}

fn cache(item: &Item, base: &Cache) -> Cache {
    item.expect_table();
    let given = |name| item.child(name);
    Cache {
        ttl: given("ttl").duration(MS..=YEAR, base.ttl),
        ttls: ttls(&given("ttls"), base.ttl),
        absent_ttl: given("absent_ttl").duration(MS..=YEAR, base.absent_ttl),
        jitter: given("jitter").share(base.jitter),
        max_size: given("max_size").size(1..=LARGEST, base.max_size),
        lock: given("lock").duration(MS * 10..=YEAR, base.lock),
        wait: given("wait").duration(Duration::ZERO..=YEAR, base.wait),
    }
}

fn sessions(item: &Item, base: &Sessions) -> Sessions {
    item.expect_table();
    let given = |name| item.child(name);
    let ttl = given("ttl").duration(SECOND..=YEAR, base.ttl);
    let max_age = given("max_age");
    Sessions {
        ttl,
        // what lasts that long unused lasts as long in use
        max_age: if max_age.is_given() {
            max_age.optional_duration(ttl..=YEAR * 10, base.max_age)
        } else {
            base.max_age.map(|age| age.max(ttl))
        },
        limit: given("limit").optional_whole(1..=500, base.limit),
        at_limit: given("at_limit").word(&AtLimit::NAMES, base.at_limit),
    }
}

fn ttls(item: &Item, default: Duration) -> BTreeMap<String, Duration> {
    item.entries().into_iter().map(|(entity, item)| (entity, item.duration(MS..=YEAR, default))).collect()
}
