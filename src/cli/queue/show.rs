//! `oxherd queue show`: all there is to know about one queue.

use clap::Args;
use serde::Serialize;

use super::super::list::{self, refused};
use super::super::print;
use super::super::session::Session;
use super::super::time::{age, moment};
use super::super::{Error, Exit, value};
use super::known;
use crate::config;
use crate::job::{QueueName, State, millis};
use crate::store::{Metrics, Overview, Store, StoredGate, StoredRateLimit};

/// Show one queue
#[derive(Args)]
pub struct Show {
    /// Name of the queue
    #[arg(required_unless_present = "list", value_parser = value::queue)]
    queue: Option<QueueName>,
    /// Show the plain list of this key, which no configuration needs to know
    #[arg(long, value_name = "KEY", conflicts_with_all = ["queue", "priorities", "metrics"])]
    list: Option<String>,
    /// How many jobs wait with each priority, too
    #[arg(long)]
    priorities: bool,
    /// How many jobs have ended, in all and minute by minute, too; counted by workers with metrics switched on
    #[arg(long)]
    metrics: bool,
}

/// What is shown. Serialises to the JSON of `queue show --json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    #[serde(flatten)]
    overview: Overview,
    /// How long a used-up rate limit holds, in ms.
    rate_limited_ms: Option<i64>,
    /// Names of workers that are not in BullMQ's own list: Python, Elixir, .NET.
    other_workers: Vec<String>,
    /// The handlers that some process takes no jobs for.
    gates: Vec<StoredGate>,
    /// What can lose jobs as the queue is shared now, and what to do.
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priorities: Option<Vec<Priority>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<Ended>,
}

#[derive(Serialize)]
struct Priority {
    priority: u32,
    count: u64,
}

#[derive(Serialize)]
struct Ended {
    completed: Metrics,
    failed: Metrics,
}

impl Show {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        if let Some(queue) = self.plain_list(session)? {
            return list::look::queue_show(&queue, session);
        }
        let queue = self.queue.clone().ok_or_else(|| Error::Usage("expected the name of a queue, got none".into()))?;
        let view = session.with_store(|store, _| async move { self.read(&queue, &store).await })??;
        if session.out.is_json() {
            session.out.json(&view)?;
        } else {
            session.out.pairs(&view.pairs())?;
            view.warnings.iter().for_each(print::note);
        }
        Ok(Exit::Done)
    }

    /// The list that is meant, by its name or its key.
    fn plain_list(&self, session: &Session) -> Result<Option<config::Queue>, Error> {
        if let Some(key) = &self.list {
            let name =
                QueueName::new(key).or_else(|_| QueueName::new("list")).map_err(|e| Error::Usage(e.to_string()))?;
            return Ok(Some(config::Queue { list: Some(config::List::new(key)), ..config::Queue::new(name) }));
        }
        let list = self.queue.as_ref().map(|queue| session.plain_list(queue)).transpose()?.flatten();
        if let Some(list) = list.as_ref().filter(|_| self.priorities || self.metrics) {
            return Err(refused(
                &list.name,
                "it has no priorities and counts no ends; leave out --priorities and --metrics",
            ));
        }
        Ok(list)
    }

    async fn read(&self, name: &QueueName, store: &Store) -> Result<View, Error> {
        let overview = known(store, name).await?;
        let queue = store.queue(name);
        let rate_limited_ms = queue.rate_limit_ttl().await?.map(millis);
        let neighbours = queue.neighbours().await?;
        let warnings = neighbours.warnings();
        let other_workers = neighbours.hidden_workers;
        let gates = queue.gates().await?;
        let mut view =
            View { overview, rate_limited_ms, other_workers, gates, warnings, priorities: None, metrics: None };
        if self.priorities {
            let counts = queue.priorities().await?;
            view.priorities = Some(counts.into_iter().map(|(priority, count)| Priority { priority, count }).collect());
        }
        if self.metrics {
            let (completed, failed) = (queue.metrics(State::Completed).await?, queue.metrics(State::Failed).await?);
            view.metrics = Some(Ended { completed, failed });
        }
        Ok(view)
    }
}

impl View {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        /// Minutes shown to people.
        const MINUTES: usize = 15;
        let mut pairs = pairs(&self.overview);
        if !self.other_workers.is_empty() {
            pairs.push(("workers in other languages", workers(&self.other_workers)));
        }
        if let Some(ms) = self.rate_limited_ms {
            pairs.push(("rate limited for", age(ms)));
        }
        pairs.extend(self.gates.iter().map(|gate| ("handler", standing(gate))));
        for Priority { priority, count } in self.priorities.iter().flatten() {
            let priority = if *priority == 0 { "none".to_owned() } else { priority.to_string() };
            pairs.push(("priority", format!("{priority}: {count}")));
        }
        if let Some(Ended { completed, failed }) = &self.metrics {
            for (total, minutes, metrics) in [
                ("completed in all", "completed per minute", completed),
                ("failed in all", "failed per minute", failed),
            ] {
                pairs.push((total, metrics.count.to_string()));
                let newest: Vec<_> = metrics.data.iter().take(MINUTES).map(ToString::to_string).collect();
                if !newest.is_empty() {
                    pairs.push((minutes, format!("{} (the newest first)", newest.join(" "))));
                }
            }
        }
        pairs
    }
}

pub fn standing(gate: &StoredGate) -> String {
    let StoredGate { handler, instance, state, why, until } = gate;
    let until = until.and_then(|until| u64::try_from(until.0).ok()).map(|ms| format!(" until {}", moment(ms)));
    format!("{handler} is {state}{}: {why} ({instance})", until.unwrap_or_default())
}

fn pairs(overview: &Overview) -> Vec<(&'static str, String)> {
    let mut pairs =
        vec![("queue", overview.queue.to_string()), ("paused", if overview.paused { "yes" } else { "no" }.into())];
    pairs.extend(State::ALL.iter().map(|state| (state.as_str(), overview.counts.of(*state).to_string())));
    if let Some(ms) = overview.oldest_waiting_ms {
        pairs.push(("oldest waiting", age(ms)));
    }
    pairs.extend(limits(overview.concurrency, overview.rate_limit.as_ref()));
    if let Some(workers) = &overview.workers {
        pairs.push(("workers", self::workers(workers)));
    }
    if let Some(version) = &overview.version {
        pairs.push(("last opened by", version.clone()));
    }
    pairs.push(("placement", overview.placement.into()));
    pairs
}

/// What all workers together may do.
pub fn limits(concurrency: Option<u64>, rate: Option<&StoredRateLimit>) -> Vec<(&'static str, String)> {
    let mut pairs: Vec<_> = concurrency.map(|count| ("global concurrency", count.to_string())).into_iter().collect();
    if let Some(StoredRateLimit { max, duration }) = rate {
        let per = duration.map_or_else(|| "set by each worker".into(), |ms| age(i64::try_from(ms).unwrap_or(i64::MAX)));
        pairs.push(("rate limit", format!("{max} per {per}")));
    }
    pairs
}

/// How many, and those with names by name.
fn workers(names: &[String]) -> String {
    let named: Vec<_> = names.iter().filter(|name| !name.is_empty()).map(String::as_str).collect();
    let list = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    format!("{}{list}", names.len())
}
