//! `oxherd queue show`: all there is to know about one queue.

use super::super::session::Session;
use super::super::time::age;
use super::super::{Error, Exit};
use super::known;
use crate::job::{QueueName, State};
use crate::store::{self, Overview};

pub fn show(name: &QueueName, session: &mut Session) -> Result<Exit, Error> {
    let queue = name.clone();
    let overview = session.with_store(|store, _| async move { known(&store, &queue).await })??;
    if session.out.is_json() {
        session.out.json(&overview)?;
    } else {
        session.out.pairs(&pairs(&overview))?;
    }
    Ok(Exit::Done)
}

fn pairs(overview: &Overview) -> Vec<(&'static str, String)> {
    let mut pairs =
        vec![("queue", overview.queue.to_string()), ("paused", if overview.paused { "yes" } else { "no" }.into())];
    pairs.extend(State::ALL.iter().map(|state| (state.as_str(), overview.counts.of(*state).to_string())));
    if let Some(ms) = overview.oldest_waiting_ms {
        pairs.push(("oldest waiting", age(ms)));
    }
    if let Some(concurrency) = overview.concurrency {
        pairs.push(("global concurrency", concurrency.to_string()));
    }
    if let Some(store::StoredRateLimit { max, duration }) = overview.rate_limit {
        let per = duration.map_or_else(|| "set by each worker".into(), |ms| age(i64::try_from(ms).unwrap_or(i64::MAX)));
        pairs.push(("rate limit", format!("{max} per {per}")));
    }
    if let Some(workers) = &overview.workers {
        let named: Vec<_> = workers.iter().filter(|name| !name.is_empty()).map(String::as_str).collect();
        let names = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
        pairs.push(("workers", format!("{}{names}", workers.len())));
    }
    if let Some(version) = &overview.version {
        pairs.push(("last opened by", version.clone()));
    }
    pairs
}
