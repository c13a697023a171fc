//! A look at Redis, at what is in it and at who uses it, for `oxherd doctor`. Nothing is changed.
//!
//! Each check is a small function that answers findings, each with a code of [`codes`]. What a server does not let us see
//! is told as unknown, with the reason. Every question has a time limit, and nothing is read whose size is not bounded.

mod access;
pub mod codes;
mod connections;
mod contents;
mod facts;
mod finding;
mod host;
mod lists;
mod queues;
mod rights;
mod schedules;
mod server;
mod speed;

use std::time::Duration;

use super::{Error, Store};
use crate::config::{self, Config};
use crate::job::QueueName;
use facts::Facts;

pub use finding::{Code, Finding, Known, Severity, unless_found};

/// Queues looked at where no configuration names any.
const QUEUES: usize = 50;

/// Looks at everything. Without queues in the configuration those under the prefix are looked at.
pub async fn examine(store: &Store, config: &Config) -> Vec<Finding> {
    // aside: so much is looked at together
    Box::pin(examine_all(store, config)).await
}

async fn examine_all(store: &Store, config: &Config) -> Vec<Finding> {
    let facts = Facts::read(store).await;
    let way = access::way(&config.redis).await;
    let mut findings = server::examine(&facts, &config.redis);
    findings.push(host::examine(&facts, &way));
    findings.extend(access::examine(store, &facts, &config.redis, &way).await);
    findings.extend(connections::examine(&facts, config));
    let queues = queues_of(store, config).await;
    findings.extend(speed::examine(store, queues.first().map(|queue| &queue.name)).await);
    findings.push(rights::examine(store, config).await);
    findings.extend(queues::examine(store, &queues).await);
    let lists: Vec<&config::Queue> = config.queues.values().filter(|queue| queue.list.is_some()).collect();
    findings.extend(lists::examine(store, &lists).await);
    findings.extend(schedules::examine(store, config, &queues).await);
    findings
}

/// Why there is no connection.
#[must_use]
pub fn no_connection(error: &Error) -> Finding {
    match error {
        Error::Denied { message, .. } => codes::REDIS_LOGIN.error(message),
        Error::Refused { message, .. } if message.starts_with("LOADING") => codes::REDIS_LOADING.error(message),
        error => codes::REDIS_REACH.error(error),
    }
}

/// Nothing came within the time.
#[must_use]
pub fn no_answer(address: &str, patience: Duration) -> Finding {
    codes::REDIS_REACH.error(format_args!("nothing from {address} within {} s", patience.as_secs()))
}

async fn queues_of(store: &Store, config: &Config) -> Vec<config::Queue> {
    let named = config.queues.values().filter(|queue| queue.list.is_none());
    if !config.queues.is_empty() {
        return named.cloned().collect();
    }
    let found: Vec<QueueName> = store.some_queue_names(QUEUES).await.unwrap_or_default();
    found.into_iter().map(config::Queue::new).collect()
}

#[cfg(test)]
mod tests;
