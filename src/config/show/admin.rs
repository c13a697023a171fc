//! `[admin]` as it is shown.

use toml::{Table, Value};

use super::{COVERED, duration, named, texts};
use crate::config::Admin;

pub(super) fn admin_table(admin: &Admin) -> Table {
    let events = &admin.events;
    let covered = || Value::from(COVERED);
    let mut table = named([
        ("listen", admin.listen.to_string().into()),
        (
            "events",
            named([
                ("secrets", Value::Array(events.secrets.iter().map(|_| covered()).collect())),
                ("allow_origins", texts(&events.allow_origins)),
                ("max_viewers", events.max_viewers.into()),
                ("heartbeat", duration(events.heartbeat)),
                ("buffer", events.buffer.into()),
            ])
            .into(),
        ),
    ]);
    if admin.token.is_some() {
        table.insert("token".into(), covered());
    }
    table
}
