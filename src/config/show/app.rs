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
    let sessions = named([
        ("ttl", duration(app.sessions.ttl)),
        ("max_age", app.sessions.max_age.map_or(false.into(), duration)),
        ("limit", app.sessions.limit.map_or(false.into(), |limit| i64::from(limit).into())),
        ("at_limit", app.sessions.at_limit.as_str().into()),
    ]);
    named([("prefix", app.prefix.clone().into()), ("cache", cache.into()), ("sessions", sessions.into())])
}
