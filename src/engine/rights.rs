//! Which rights in Redis are missing, told at start. `run.rs` calls it.

use crate::config::Config;
use crate::store::Store;
use crate::store::rights::{Bearer, Rights};

/// Names what the user of this configuration may not do. Nothing is refused for it: what is missing may be of no use today.
pub(super) async fn tell_missing(store: &Store, config: &Config) {
    match store.missing_rights(&Rights::of(config, Bearer::Daemon, &[])).await {
        Ok(Some(missing)) if !missing.is_empty() => tracing::error!(
            redis = store.address(),
            %missing,
            "redis does not give this user all rights it needs; `oxherd acl` prints a rule that does"
        ),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "cannot ask which rights there are"),
    }
}
