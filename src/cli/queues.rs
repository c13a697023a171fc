//! `oxherd queue`: what is in the queues.

use clap::Subcommand;
use futures_util::future::try_join_all;

use super::session::Session;
use super::{Error, Exit, value};
use crate::job::{QueueName, State};
use crate::store::{self, Overview, Store};

#[derive(Subcommand)]
pub enum Verb {
    /// List every queue under the prefix with its counts
    Ls,
    /// Show one queue
    Show {
        /// Name of the queue
        #[arg(value_parser = value::queue)]
        queue: QueueName,
    },
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Ls => list(session),
            Self::Show { queue } => show(&queue, session),
        }
    }
}

fn list(session: &mut Session) -> Result<Exit, Error> {
    let queues = session.with_store(|store, _| async move {
        let names = store.queue_names().await?;
        try_join_all(names.iter().map(|name| {
            let queue = store.queue(name);
            async move { queue.overview().await }
        }))
        .await
    })??;
    if session.out.is_json() {
        session.out.json(&queues)?;
        return Ok(Exit::Done);
    }
    let head: Vec<String> = ["QUEUE".to_owned(), "PAUSED".to_owned()]
        .into_iter()
        .chain(State::ALL.iter().map(|state| state.as_str().to_uppercase()))
        .collect();
    let rows: Vec<_> = queues
        .iter()
        .map(|queue| {
            let paused = if queue.paused { "yes" } else { "no" };
            [queue.queue.to_string(), paused.to_owned()]
                .into_iter()
                .chain(State::ALL.iter().map(|state| queue.counts.of(*state).to_string()))
                .collect()
        })
        .collect();
    session.out.table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows)?;
    Ok(Exit::Done)
}

fn show(name: &QueueName, session: &mut Session) -> Result<Exit, Error> {
    let queue = name.clone();
    let overview = session.with_store(|store, _| async move { known(&store, &queue).await })??;
    if session.out.is_json() {
        session.out.json(&overview)?;
    } else {
        session.out.pairs(&pairs(&overview))?;
    }
    Ok(Exit::Done)
}

/// The overview of a queue that exists. Any text names a queue in Redis, so a name that was
/// mistyped would otherwise look like an empty one.
pub async fn known(store: &Store, name: &QueueName) -> Result<Overview, Error> {
    let overview = store.queue(name).overview().await?;
    let has_jobs = State::ALL.iter().any(|state| overview.counts.of(*state) > 0);
    if has_jobs || overview.version.is_some() {
        return Ok(overview);
    }
    let names = store.queue_names().await?;
    if names.contains(name) {
        return Ok(overview);
    }
    Err(unknown(name, &names, store))
}

fn unknown(name: &QueueName, names: &[QueueName], store: &Store) -> Error {
    let mut known = names.iter().take(20).map(QueueName::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > 20 {
        known.push_str(", …");
    }
    let there_is = if known.is_empty() { "there is none".to_owned() } else { format!("there are {known}") };
    Error::No(format!("no queue {name} under prefix {:?} at {}; {there_is}", store.prefix(), store.address()))
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

/// `3m 12s`: whole seconds, or milliseconds below one.
pub fn age(ms: i64) -> String {
    let ms = u64::try_from(ms).unwrap_or(0);
    let rounded = if ms < 1000 { ms } else { ms / 1000 * 1000 };
    humantime::format_duration(std::time::Duration::from_millis(rounded)).to_string()
}
