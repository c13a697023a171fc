//! `queue drain`, `clean` and `obliterate` of a plain list.

use std::time::Duration;

use super::super::audit::Verb;
use super::super::consent::Consent;
use super::super::job::{Filter, Preview, REMOVE, jobs, jobs_that_are};
use super::super::print::Out;
use super::super::queue::{number, preview, tell};
use super::super::session::Session;
use super::super::{Error, Exit};
use super::elements::{STATES, check_state, collect};
use super::refused;
use crate::config;
use crate::config::units::show_duration;
use crate::job::State;
use crate::store::{self, List, Store};

/// Removes what waits, and what is delayed if that is meant too.
pub fn drain(delayed: bool, consent: Consent, queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
    let mut out = Out::new(session.global.json);
    session.with_list(queue, async move |store: Store, list| {
        let counts = list.counts().await?;
        let states: &[State] = if delayed { &[State::Waiting, State::Delayed] } else { &[State::Waiting] };
        if consent.dry_run {
            return preview("drain", list.name(), &counts, states, &mut out);
        }
        let count = states.iter().map(|state| counts.of(*state)).sum();
        consent.ask(format!("remove {} from {}", jobs(number(count)), list.name())).await?;
        let detail = if delayed { "--delayed" } else { "" };
        let removed = remove_all(&list, states).await;
        tell(Verb::new("drain", list.name()).of(&store, detail, removed).await?, list.name(), &mut out)
    })
}

/// Which elements are to go.
#[derive(Clone, Copy)]
pub struct Old {
    pub state: State,
    pub older: Duration,
    pub limit: Option<u64>,
}

/// Removes elements of one state: those next in turn, those due first, or those that have been dead for longest.
pub fn clean(old: Old, consent: Consent, queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
    check_state(&queue.name, Some(old.state))?;
    if !old.older.is_zero() && old.state == State::Waiting {
        return Err(refused(&queue.name, "nobody knows for how long an element has waited; clean it without --older"));
    }
    let mut out = Out::new(session.global.json);
    session.with_list(queue, async move |store: Store, list| {
        let older = (!old.older.is_zero()).then_some(old.older);
        let filter = Filter { state: Some(old.state), older, ..Filter::default() };
        let limit = old.limit.map(number);
        if consent.dry_run {
            let elements = collect(&list, &filter, limit, store.now()).await?;
            let mut show = Preview::default();
            show.page(&mut out, &elements.into_iter().map(|element| element.job).collect::<Vec<_>>(), &store)?;
            return show.end(&mut out, &REMOVE, list.name());
        }
        let verb = Verb::new("clean", list.name());
        let detail = format!("--state {} --older {}", old.state, show_duration(old.older));
        let what = |count| format!("remove {} from {}", jobs_that_are(old.state.as_str(), count), list.name());
        if older.is_none() {
            let limit = old.limit.unwrap_or(u64::MAX);
            let count = list.counts().await?.of(old.state).min(limit);
            consent.ask(what(number(count))).await?;
            let removed = verb.of(&store, detail, list.clean(old.state, limit).await).await?;
            return tell(removed, list.name(), &mut out);
        }
        let elements = collect(&list, &filter, limit, store.now()).await?;
        consent.ask(what(elements.len())).await?;
        let mut removed = 0;
        for element in elements {
            removed += u64::from(list.remove(old.state, &element.entry).await?);
        }
        verb.done(&store, removed, detail).await;
        tell(removed, list.name(), &mut out)
    })
}

/// Removes everything that is not in hand, and the list's settings.
pub fn obliterate(force: bool, consent: Consent, queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
    let mut out = Out::new(session.global.json);
    session.with_list(queue, async move |store: Store, list| {
        let counts = list.counts().await?;
        if counts.active > 0 && !force {
            return Err(Error::No(format!(
                "{} in hand in {}; pause the queue and wait for their end, or say --force, which leaves them to who has them",
                jobs(number(counts.active)),
                list.name()
            )));
        }
        if consent.dry_run {
            return preview("obliterate", list.name(), &counts, &STATES, &mut out);
        }
        let count = STATES.iter().map(|state| counts.of(*state)).sum();
        consent.ask(format!("obliterate {} with {}", list.name(), jobs(number(count)))).await?;
        list.pause().await?;
        let removed = remove_all(&list, &STATES).await?;
        list.forget().await?;
        Verb::new("obliterate", list.name()).done(&store, removed, if force { "--force" } else { "" }).await;
        tell(removed, list.name(), &mut out)
    })
}

async fn remove_all(list: &List, states: &[State]) -> Result<u64, store::Error> {
    let mut removed = 0;
    for state in states {
        removed += list.clean(*state, u64::MAX).await?;
    }
    Ok(removed)
}
