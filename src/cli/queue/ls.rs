//! `oxherd queue ls`: every queue there is, on one line each.

use futures_util::future::try_join_all;
use serde::Serialize;

use super::super::session::Session;
use super::super::{Error, Exit};
use crate::config::Config;
use crate::job::{QueueName, State};
use crate::store::{Counts, ListOverview, Overview, Store};

/// A queue of BullMQ's, or a plain list of the configuration.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Queue(Overview),
    List(ListOverview),
}

impl Line {
    fn name(&self) -> &QueueName {
        match self {
            Self::Queue(queue) => &queue.queue,
            Self::List(list) => &list.queue,
        }
    }

    fn counts(&self) -> &Counts {
        match self {
            Self::Queue(queue) => &queue.counts,
            Self::List(list) => &list.counts,
        }
    }

    fn is_paused(&self) -> bool {
        match self {
            Self::Queue(queue) => queue.paused,
            Self::List(list) => list.paused,
        }
    }

    /// Its key, when it is a list.
    fn list(&self) -> Option<&str> {
        match self {
            Self::Queue(_) => None,
            Self::List(list) => Some(&list.list),
        }
    }

    fn cells(&self) -> Vec<String> {
        let paused = if self.is_paused() { "yes" } else { "no" };
        let counts = State::ALL.iter().map(|state| self.counts().of(*state).to_string());
        [self.name().to_string(), paused.to_owned()].into_iter().chain(counts).collect()
    }
}

pub fn list(session: &mut Session) -> Result<Exit, Error> {
    let queues = session.with_store(|store, config| async move { read(&store, &config).await })??;
    if session.out.is_json() {
        session.out.json(&queues)?;
        return Ok(Exit::Done);
    }
    let mut head: Vec<String> = ["QUEUE".to_owned(), "PAUSED".to_owned()]
        .into_iter()
        .chain(State::ALL.iter().map(|state| state.as_str().to_uppercase()))
        .collect();
    let mut rows: Vec<Vec<String>> = queues.iter().map(Line::cells).collect();
    if queues.iter().any(|queue| queue.list().is_some()) {
        head.push("LIST".to_owned());
        for (row, queue) in rows.iter_mut().zip(&queues) {
            row.push(queue.list().unwrap_or_default().to_owned());
        }
    }
    session.out.table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows)?;
    Ok(Exit::Done)
}

/// By name.
async fn read(store: &Store, config: &Config) -> Result<Vec<Line>, Error> {
    let lists: Vec<_> = config.queues.values().filter_map(|queue| store.list(queue)).collect();
    let names = store.queue_names().await?;
    let queues = try_join_all(names.iter().map(|name| {
        let queue = store.queue(name);
        async move { queue.overview().await }
    }));
    let mut lines: Vec<Line> = queues.await?.into_iter().map(Line::Queue).collect();
    let lists = try_join_all(lists.iter().map(async |list| list.overview().await));
    lines.extend(lists.await?.into_iter().map(Line::List));
    lines.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(lines)
}
