//! Which elements of a list a verb is about.

use super::super::Error;
use super::super::job::{Filter, Targets};
use super::refused;
use crate::job::{JobId, QueueName, State, UnixMillis};
use crate::store::{ElementRecord, List, MAX_PAGE};

/// The states elements can be looked at in.
pub const STATES: [State; 3] = [State::Waiting, State::Delayed, State::Failed];

/// Refuses states in which there is nothing to look at.
pub fn check_state(queue: &QueueName, state: Option<State>) -> Result<(), Error> {
    match state {
        Some(State::Active) => {
            let why = "what is in hand is told by process, as oxherd queue show does; expected --state waiting, delayed or failed";
            Err(refused(queue, why))
        }
        Some(state) if !STATES.contains(&state) => Err(refused(
            queue,
            &format!("none of its elements is ever {state}; expected --state waiting, delayed or failed"),
        )),
        _ => Ok(()),
    }
}

/// Reads the elements that a filter lets through page by page. What leaves a state or comes into it meanwhile may be missed
/// or met twice.
pub struct Walk<'a> {
    list: &'a List,
    filter: &'a Filter,
    now: UnixMillis,
    /// States not begun yet, the next one last.
    states: Vec<State>,
    /// The state being read and the next place in it.
    at: Option<(State, usize)>,
}

impl<'a> Walk<'a> {
    pub fn new(list: &'a List, filter: &'a Filter, now: UnixMillis) -> Self {
        let mut states: Vec<State> =
            STATES.into_iter().filter(|state| filter.state.is_none_or(|s| s == *state)).collect();
        states.reverse();
        Self { list, filter, now, states, at: None }
    }

    /// The next elements, maybe none on this page; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<ElementRecord>>, Error> {
        let Some((state, offset)) = self.at.take().or_else(|| self.states.pop().map(|state| (state, 0))) else {
            return Ok(None);
        };
        let mut page = self.list.records(state, offset, MAX_PAGE).await?;
        self.at = (page.len() == MAX_PAGE).then_some((state, offset + MAX_PAGE));
        let selection = self.filter.selection(self.now);
        page.retain(|element| selection.covers(&element.job.fields));
        Ok(Some(page))
    }
}

/// All elements that a filter lets through, at most `limit`: those next in turn, of the dead the oldest.
pub async fn collect(
    list: &List,
    filter: &Filter,
    limit: Option<usize>,
    now: UnixMillis,
) -> Result<Vec<ElementRecord>, Error> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for state in STATES.into_iter().filter(|state| filter.state.is_none_or(|s| s == *state)) {
        let filter = Filter { state: Some(state), ..filter.clone() };
        let mut walk = Walk::new(list, &filter, now);
        let mut of_state = Vec::new();
        while let Some(page) = walk.next().await? {
            of_state.extend(page);
            // of the dead, which come the newest first, the last ones are wanted
            if state != State::Failed && found.len() + of_state.len() >= limit {
                break;
            }
        }
        if state == State::Failed {
            of_state.reverse();
        }
        found.extend(of_state);
    }
    found.truncate(limit);
    Ok(found)
}

/// The elements with these ids in any of these states, and the ids no element has. An id given twice means two elements.
pub async fn named(
    list: &List,
    ids: &[JobId],
    states: &[State],
    now: UnixMillis,
) -> Result<(Vec<ElementRecord>, Vec<JobId>), Error> {
    let mut missing = ids.to_vec();
    let mut found = Vec::new();
    for state in states {
        let filter = Filter { state: Some(*state), ..Filter::default() };
        let mut walk = Walk::new(list, &filter, now);
        while !missing.is_empty()
            && let Some(page) = walk.next().await?
        {
            for element in page {
                if let Some(at) = missing.iter().position(|id| *id == element.job.id) {
                    missing.remove(at);
                    found.push(element);
                }
            }
        }
    }
    Ok((found, missing))
}

/// Whether everything in a state is meant, not only what looks a certain way.
pub fn is_all_of_state(targets: &Targets) -> bool {
    targets.ids.is_empty() && targets.filter.state.is_some() && targets.filter.is_plain()
}
