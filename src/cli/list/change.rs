//! `job retry` and `job remove` of elements of a plain list.

use super::super::consent::Consent;
use super::super::job::{Deed, No, Preview, Tally, Targets, each, jobs};
use super::super::print::{self, Out};
use super::super::session::Session;
use super::super::{Error, Exit};
use super::elements::{check_state, collect, is_all_of_state, named};
use crate::config;
use crate::job::State;
use crate::store::{ElementRecord, List, Store};

/// What is done to elements.
#[derive(Clone, Copy, PartialEq)]
pub enum Change {
    /// From the dead back into the list.
    Retry,
    Remove,
}

/// As [`Deed::carry_out`].
pub fn change(
    change: Change,
    deed: &Deed,
    targets: &Targets,
    consent: Consent,
    queue: &config::Queue,
    session: &mut Session,
) -> Result<Exit, Error> {
    check_state(&queue.name, targets.filter.state)?;
    let mut out = Out::new(session.global.json);
    session.with_list(queue, async |store: Store, list| {
        let states: &[State] = match change {
            Change::Retry => &[State::Failed],
            Change::Remove => &[State::Waiting, State::Delayed, State::Failed],
        };
        if is_all_of_state(targets) && !consent.dry_run {
            return change.of_all(deed, &store, &list, targets, consent, &mut out).await;
        }
        let by_id = !targets.ids.is_empty();
        let (elements, missing) = if by_id {
            named(&list, &targets.ids, states, store.now()).await?
        } else {
            (collect(&list, &targets.filter, targets.limit, store.now()).await?, Vec::new())
        };
        let among = if change == Change::Retry { "not among the failed" } else { "not there, or in hand" };
        if consent.dry_run {
            let mut show = Preview::default();
            show.page(&mut out, &elements.into_iter().map(|element| element.job).collect::<Vec<_>>(), &store)?;
            for id in &missing {
                print::note(format_args!("cannot {} job {id}: {among}", deed.verb));
            }
            return show.end(&mut out, deed, &targets.queue);
        }
        if !by_id && !elements.is_empty() {
            consent.ask(format!("{} {} {} {}", deed.verb, jobs(elements.len()), deed.at, targets.queue)).await?;
        }
        let mut tally = Tally::default();
        tally.refused.extend(missing.into_iter().map(|id| (id, among.to_owned())));
        let mut failure = None;
        let act = |element: ElementRecord| change.one(&list, element);
        each(elements, act, |element, answer| {
            match answer {
                Ok(()) => tally.done += 1,
                Err(No::Refused(reason)) => tally.refused.push((element.job.id, reason)),
                Err(No::Failed(error)) => failure = Some(error),
            }
            failure.is_none()
        })
        .await;
        tally.audit(deed, targets, &store, failure.as_ref()).await;
        tally.tell(deed, &targets.queue, &mut out)?;
        failure.map_or(Ok(tally.exit()), |error| Err(error.into()))
    })
}

impl Change {
    /// Everything in a state, at most as many as are asked for: not looked at one by one.
    async fn of_all(
        self,
        deed: &Deed,
        store: &Store,
        list: &List,
        targets: &Targets,
        consent: Consent,
        out: &mut Out,
    ) -> Result<Exit, Error> {
        let state = targets.filter.state.unwrap_or(State::Failed);
        let limit = targets.limit.map_or(u64::MAX, |limit| limit as u64);
        let count = list.counts().await?.of(state).min(limit);
        if count > 0 {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            consent.ask(format!("{} {} {} {}", deed.verb, jobs(count), deed.at, targets.queue)).await?;
        }
        let done = match self {
            // those that die meanwhile may do so because of what was put back
            Self::Retry => list.retry_oldest(count).await?,
            Self::Remove => list.clean(state, limit).await?,
        };
        let tally = Tally { done, ..Tally::default() };
        tally.audit(deed, targets, store, None).await;
        tally.tell(deed, &targets.queue, out)?;
        Ok(tally.exit())
    }

    async fn one(self, list: &List, element: ElementRecord) -> Result<(), No> {
        let is_done = match self {
            Self::Retry => list.retry([element.entry]).await? == 1,
            Self::Remove => list.remove(element.job.state, &element.entry).await?,
        };
        if is_done { Ok(()) } else { Err(No::missing()) }
    }
}
