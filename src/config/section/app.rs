//! Reads `[app]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::App;
use crate::config::app::Cache;
use crate::config::read::Item;

const MS: Duration = Duration::from_millis(1);
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

fn ttls(item: &Item, default: Duration) -> BTreeMap<String, Duration> {
    item.entries().into_iter().map(|(entity, item)| (entity, item.duration(MS..=YEAR, default))).collect()
}
