//! `queue show`, `job ls` and `job show` of a plain list.

use serde::Serialize;

use super::super::job::{Filter, HEAD, Row, existing_view, ls_page};
use super::super::print::{JsonList, Out, Table};
use super::super::queue::{limits, standing};
use super::super::session::Session;
use super::super::time::{age, moment};
use super::super::{Error, Exit};
use super::elements::{STATES, Walk, check_state, named};
use crate::config;
use crate::job::{JobId, State, UnixMillis, millis};
use crate::store::{Dead, Holder, List, ListOverview, Store, StoredGate};

/// What is shown of a list. Serialises to the JSON of `queue show --json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    #[serde(flatten)]
    overview: ListOverview,
    /// What elements are.
    payload: &'static str,
    /// The handlers that some process takes no elements for.
    gates: Vec<StoredGate>,
    /// The element that has been dead for longest.
    oldest_dead: Option<OldestDead>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldestDead {
    id: String,
    attempts_made: u32,
    failed_reason: String,
    finished_on: Option<UnixMillis>,
}

pub fn queue_show(queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
    let mut out = Out::new(session.global.json);
    let payload = queue.list.as_ref().map_or("", |list| list.payload.as_str());
    session.with_list(queue, async move |store, list| {
        let view = View::read(&list, payload).await?;
        if out.is_json() {
            out.json(&view)?;
        } else {
            out.pairs(&view.pairs(store.now()))?;
        }
        out.flush()?;
        Ok(Exit::Done)
    })
}

impl View {
    async fn read(list: &List, payload: &'static str) -> Result<Self, Error> {
        let overview = list.overview().await?;
        let oldest = usize::try_from(overview.counts.failed).unwrap_or(usize::MAX).checked_sub(1);
        let oldest_dead = match oldest {
            Some(at) => list.dead(at, 1).await?.pop().map(OldestDead::from),
            None => None,
        };
        Ok(Self { overview, payload, gates: list.gates().await?, oldest_dead, warnings: Vec::new() })
    }

    fn pairs(&self, now: UnixMillis) -> Vec<(&'static str, String)> {
        let overview = &self.overview;
        let mut pairs = vec![
            ("queue", overview.queue.to_string()),
            ("list", overview.list.clone()),
            ("mode", overview.mode.to_owned()),
            ("payload", self.payload.to_owned()),
            ("paused", if overview.paused { "yes" } else { "no" }.into()),
        ];
        let count = |state: State| (state.as_str(), overview.counts.of(state).to_string());
        pairs.extend([State::Waiting, State::Active, State::Delayed, State::Failed].map(count));
        if let Some(dead) = &self.oldest_dead {
            let since = dead.finished_on.map(|at| format!(", for {}", age(millis(now.since(at))))).unwrap_or_default();
            pairs.push(("oldest failed", format!("{}{since}: {}", dead.id, dead.failed_reason)));
        }
        pairs.extend(limits(overview.concurrency, overview.rate_limit.as_ref()));
        pairs.extend(overview.holders.iter().map(|holder| ("process", in_hand(holder))));
        pairs.extend(self.gates.iter().map(|gate| ("handler", standing(gate))));
        pairs
    }
}

impl From<Dead> for OldestDead {
    fn from(dead: Dead) -> Self {
        Self { id: dead.id, attempts_made: dead.attempts_made, failed_reason: dead.reason, finished_on: dead.at }
    }
}

fn in_hand(holder: &Holder) -> String {
    let until = holder.lease_until.and_then(|until| u64::try_from(until.0).ok());
    let until = until.map(|ms| format!(", leased until {}", moment(ms))).unwrap_or_default();
    let gone = if holder.present { "" } else { " (gone)" };
    format!("{}{gone}: {} in hand{until}", holder.instance, holder.in_hand)
}

/// Options of `job ls`.
pub struct Page {
    pub filter: Filter,
    pub limit: usize,
    pub offset: usize,
}

pub fn job_ls(page: Page, queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
    check_state(&queue.name, page.filter.state)?;
    let mut out = Out::new(session.global.json);
    session.with_list(queue, async move |store: Store, list| {
        let (mut skip, mut left) = (page.offset, page.limit);
        let mut walk = Walk::new(&list, &page.filter, store.now());
        let (mut rows, mut table) = (JsonList::default(), Table::new(&HEAD));
        while left > 0
            && let Some(elements) = walk.next().await?
        {
            let passed = skip.min(elements.len());
            skip -= passed;
            let jobs: Vec<_> = elements.into_iter().skip(passed).take(left).map(|element| element.job).collect();
            left -= jobs.len();
            if out.is_json() {
                jobs.iter().try_for_each(|job| rows.item(&mut out, job))?;
            } else {
                ls_page(&mut out, &mut table, jobs.iter().map(Row::from), store.now())?;
            }
        }
        if out.is_json() {
            rows.end(&mut out)?;
        } else {
            // an empty list has a head
            table.page(&mut out, &[])?;
        }
        out.flush()?;
        Ok(Exit::Done)
    })
}

pub fn job_show(id: JobId, queue: &config::Queue, session: &mut Session) -> Result<Exit, Error> {
    let mut out = Out::new(session.global.json);
    session.with_list(queue, async move |store: Store, list| {
        let (found, _) = named(&list, std::slice::from_ref(&id), &STATES, store.now()).await?;
        let Some(element) = found.first() else {
            return Err(Error::No(format!(
                "no element {:?} waits, is delayed or has failed in list queue {}; it may be in hand (oxherd queue show), or done",
                id.as_str(),
                list.name()
            )));
        };
        existing_view(&mut out, &element.job)?;
        out.flush()?;
        Ok(Exit::Done)
    })
}
