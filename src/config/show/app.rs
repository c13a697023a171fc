//! `[app]`.

use toml::{Table, Value};

use super::{duration, named};
use crate::config::App;
use crate::config::units::show_size;

pub(super) fn app_table(app: &App) -> Table {
    let cache = &app.cache;
    let ttls: Table = cache.ttls.iter().map(|(entity, ttl)| (entity.clone(), duration(*ttl))).collect();
    let cache = named([
        ("ttl", duration(cache.ttl)),
        ("ttls", Value::Table(ttls)),
        ("absent_ttl", duration(cache.absent_ttl)),
        ("jitter", cache.jitter.into()),
        ("max_size", show_size(cache.max_size).into()),
        ("lock", duration(cache.lock)),
        ("wait", duration(cache.wait)),
    ]);
    named([("prefix", app.prefix.clone().into()), ("cache", cache.into())])
}
