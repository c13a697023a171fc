//! `oxherd queue ls`: every queue there is, on one line each.

use futures_util::future::try_join_all;

use super::super::session::Session;
use super::super::{Error, Exit};
use crate::job::State;

pub fn list(session: &mut Session) -> Result<Exit, Error> {
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
