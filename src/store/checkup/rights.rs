//! What the user may do, and what it would have to.

use super::super::Store;
use super::super::rights::{Bearer, Rights};
use super::codes::RIGHTS_MISSING;
use super::facts::in_time;
use super::finding::Finding;
use crate::config::Config;

/// Asks for what a daemon needs, or, where the configuration has no queues, who looks at some.
pub async fn examine(store: &Store, config: &Config) -> Finding {
    let (bearer, who) =
        if config.queues.is_empty() { (Bearer::Viewer, "who looks at queues") } else { (Bearer::Daemon, "a daemon") };
    let rights = Rights::of(config, bearer, &[]);
    RIGHTS_MISSING.judge(in_time("EVAL", store.missing_rights(&rights)).await, |code, missing| match missing {
        None => code.unknown("this server cannot tell; Redis 7 can"),
        Some(missing) if missing.is_empty() => code.ok(format_args!(
            "all that {who} needs: {} commands, {} patterns",
            rights.commands().len(),
            rights.keys().len()
        )),
        Some(missing) => code.error(missing),
    })
}
