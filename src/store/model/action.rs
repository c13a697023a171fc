//! The operations of a sequence, and how each is performed in Redis.

use std::time::Duration;

use proptest::sample::Index;
use serde_json::value::RawValue;

use super::super::work::Token;
use super::super::{Cancellation, Change, Error, Finish, Queue, Recorded, Reset, Store, Take, WorkQueue};
use super::world::{Place, World};
use crate::config;
use crate::job::{ChildFailure, Deduplication, Flow, JobId, JobOptions, Keep, NewJob, ParentRef, State};

/// What a sequence may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Add,
    AddInWindow,
    AddFlow,
    /// A child for a job that runs.
    AddChild,
    Take,
    Complete,
    Fail,
    Retry,
    Delay,
    HandBack,
    WaitForChildren,
    /// The lock of an active job runs out.
    Lapse,
    /// A stalled check, the interval being over.
    Check,
    Advance,
    Promote,
    PromoteAll,
    RetryByHand,
    RetryAll,
    ChangeDelay,
    ChangePriority,
    Cancel,
    Concurrency,
    Pause,
    Resume,
    Remove,
    Drain,
    Clean,
}

/// An operation on what is there.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Add { opts: JobOptions },
    AddFlow { parent: JobOptions, children: Vec<(String, Option<ChildFailure>)> },
    Take { token: String, want: u32 },
    Complete { id: String, keep: Keep },
    Fail { id: String, keep: Keep },
    Retry { id: String },
    Delay { id: String, ms: u64, charged: bool },
    HandBack { id: String },
    WaitForChildren { id: String },
    Lapse { id: String },
    Check,
    Advance { ms: i64 },
    Promote { id: String },
    PromoteAll,
    RetryByHand { id: String, state: State, reset: bool },
    RetryAll { state: State },
    ChangeDelay { id: String, ms: u64 },
    ChangePriority { id: String, priority: u32, lifo: bool },
    Cancel { id: String },
    Concurrency { limit: Option<u32> },
    Pause,
    Resume,
    Remove { id: String, children: bool },
    Drain { delayed: bool },
    Clean { state: State, grace: i64 },
}

/// Ids a producer may choose, few enough to meet again.
const NAMES: [&str; 4] = ["ann", "ben", "cleo", "dan"];

impl Action {
    /// Picks the job and the details; `None` where there is nothing to pick from.
    pub(super) fn choose(kind: Kind, (first, second, bits): (Index, Index, u16), world: &World) -> Option<Self> {
        let bit = |n: u32| bits >> n & 1 == 1;
        let number = |n: u32, values: u16| u64::from((bits >> n) % values);
        // mostly one it is meant for, now and then any other
        let pick = |place: Place| -> Option<String> {
            let ids = if bits % 16 == 7 { world.ids() } else { world.ids_in(place) };
            (!ids.is_empty()).then(|| first.get(&ids).clone())
        };
        let keep = || match number(4, 6) {
            0 => Keep::Nothing,
            1 => Keep::Some { count: Some(2), age: None, limit: None },
            _ => Keep::All,
        };
        let options = || JobOptions {
            delay: bit(0).then(|| Duration::from_millis(number(4, 3) * 100)).filter(|delay| !delay.is_zero()),
            priority: if bit(1) && bit(2) { u32::from(bits >> 6) % 3 } else { 0 },
            lifo: bit(3),
            ..JobOptions::default()
        };
        Some(match kind {
            Kind::Add => {
                let job_id = (bits % 5 == 0).then(|| (*first.get(&NAMES)).to_owned());
                Self::Add { opts: JobOptions { job_id, ..options() } }
            }
            Kind::AddInWindow => {
                let deduplication = Deduplication {
                    id: format!("w{}", number(9, 2)),
                    // an hour of the server's, which no sequence sees the end of
                    ttl: (bit(11) && bit(12)).then_some(3_600_000),
                    extend: bit(13),
                    replace: bit(8) && bit(14),
                    keep_last_if_active: bit(7) && bit(15),
                    reschedule: bit(5),
                };
                Self::Add { opts: JobOptions { deduplication: Some(deduplication), ..options() } }
            }
            Kind::AddFlow => {
                let flags = [
                    None,
                    Some(ChildFailure::FailParent),
                    Some(ChildFailure::ContinueParent),
                    Some(ChildFailure::IgnoreDependency),
                    Some(ChildFailure::RemoveDependency),
                ];
                let serial = world.serial();
                let mut children: Vec<_> = (0..=number(8, 3))
                    .map(|n| (format!("c{serial}-{n}"), flags[usize::from(bits >> n) % flags.len()]))
                    .collect();
                // one that is there already, perhaps with a parent of its own
                if bit(12)
                    && let Some(id) = world.any_child(second)
                {
                    children.push((id, None));
                }
                let parent = JobOptions { job_id: Some(format!("p{serial}")), ..options() };
                Self::AddFlow { parent, children }
            }
            Kind::AddChild => {
                let parent = pick(Place::Active)?;
                let queue = "bull:q".to_owned();
                Self::Add { opts: JobOptions { parent: Some(ParentRef { id: parent, queue }), ..options() } }
            }
            Kind::Take => Self::Take { token: format!("t:{}", world.serial()), want: u32::from(bits) % 3 + 1 },
            Kind::Complete => Self::Complete { id: pick(Place::Active)?, keep: keep() },
            Kind::Fail => Self::Fail { id: pick(Place::Active)?, keep: keep() },
            Kind::Retry => Self::Retry { id: pick(Place::Active)? },
            Kind::Delay => Self::Delay { id: pick(Place::Active)?, ms: number(5, 3) * 100, charged: bit(4) },
            Kind::HandBack => Self::HandBack { id: pick(Place::Active)? },
            Kind::WaitForChildren => Self::WaitForChildren { id: pick(Place::Active)? },
            Kind::Lapse => Self::Lapse { id: pick(Place::Active)? },
            Kind::Check => Self::Check,
            Kind::Advance => Self::Advance { ms: i64::from(bits) % 250 },
            Kind::Promote => Self::Promote { id: pick(Place::Delayed)? },
            Kind::PromoteAll => Self::PromoteAll,
            Kind::RetryByHand => {
                let state = if bit(5) { State::Failed } else { State::Completed };
                let place = if bit(5) { Place::Failed } else { Place::Completed };
                Self::RetryByHand { id: pick(place)?, state, reset: bit(6) }
            }
            Kind::RetryAll => Self::RetryAll { state: if bit(5) { State::Failed } else { State::Completed } },
            Kind::ChangeDelay => Self::ChangeDelay { id: pick(Place::Delayed)?, ms: number(5, 4) * 100 },
            Kind::ChangePriority => Self::ChangePriority {
                id: pick(if bit(5) { Place::Waiting } else { Place::Prioritized })?,
                priority: u32::from(bits >> 6) % 3,
                lifo: bit(9),
            },
            Kind::Cancel => {
                let ids = world.ids();
                Self::Cancel { id: (!ids.is_empty()).then(|| first.get(&ids).clone())? }
            }
            Kind::Concurrency => Self::Concurrency { limit: bit(5).then(|| u32::from(bits >> 6) % 3 + 1) },
            Kind::Pause => Self::Pause,
            Kind::Resume => Self::Resume,
            Kind::Remove => {
                let ids = world.ids();
                Self::Remove { id: (!ids.is_empty()).then(|| first.get(&ids).clone())?, children: bit(5) }
            }
            Kind::Drain => Self::Drain { delayed: bit(5) },
            Kind::Clean => {
                let states = [
                    State::Completed,
                    State::Failed,
                    State::Delayed,
                    State::Prioritized,
                    State::Waiting,
                    State::Active,
                ];
                Self::Clean { state: *second.get(&states), grace: i64::from(bits >> 4) % 3 * 100 }
            }
        })
    }
}

/// The operations of the store on the queue of the sequence.
pub(super) struct Performer {
    store: Store,
    settings: config::Queue,
    tokens: std::collections::HashMap<String, String>,
}

impl Performer {
    pub(super) fn new(store: Store, settings: config::Queue) -> Self {
        Self { store, settings, tokens: std::collections::HashMap::new() }
    }

    fn queue(&self) -> Queue {
        self.store.queue(&self.settings.name)
    }

    fn work(&self) -> WorkQueue {
        let silent = config::Status { enabled: false, ..config::Status::default() };
        WorkQueue::new(&self.store, &self.settings, &silent, None, false)
    }

    /// Performs it; the answer in the model's words.
    pub(super) async fn perform(&mut self, action: &Action) -> String {
        let queue = self.queue();
        let moved = |count: Result<u64, Error>| count.unwrap().to_string();
        match action {
            Action::Add { opts } => match queue.add(&[job(opts.clone())]).await {
                Ok(ids) => ids[0].to_string(),
                Err(error) => refusal(&error),
            },
            Action::AddFlow { parent, children } => {
                let node = |opts, children| Flow { queue: self.settings.name.clone(), job: job(opts), children };
                let child = |(id, failure): &(String, Option<ChildFailure>)| {
                    let opts = JobOptions { job_id: Some(id.clone()), on_failure: *failure, ..JobOptions::default() };
                    node(opts, Vec::new())
                };
                let flow = node(parent.clone(), children.iter().map(child).collect());
                match queue.add_flow(&flow).await {
                    Ok(added) => added.id.to_string(),
                    Err(error) => refusal(&error),
                }
            }
            Action::Take { token, want } => {
                let take = Take { token: Token::from(token.as_str()), want: *want };
                let taken = self.work().move_to_active(&take).await.unwrap();
                assert!(taken.dropped.is_empty(), "a job without a hash: {:?}", taken.dropped);
                for job in &taken.jobs {
                    self.tokens.insert(job.id.to_string(), token.clone());
                }
                let marked = |id: &JobId| taken.cancelled.iter().any(|(other, _)| other == id);
                let shown = |id: &JobId| if marked(id) { format!("{id} unwanted") } else { id.to_string() };
                taken.jobs.iter().map(|job| shown(&job.id)).collect::<Vec<_>>().join(" ")
            }
            Action::Complete { id, keep } => {
                let value = RawValue::from_string("1".into()).unwrap();
                self.finish(id, Change::Complete { value, keep: *keep }).await
            }
            Action::Fail { id, keep } => {
                let (reason, stack) = ("no".to_owned(), r#"["no"]"#.to_owned());
                self.finish(id, Change::Fail { reason, stack, keep: *keep, attempts: 1, state: "failed" }).await
            }
            Action::Retry { id } => {
                let change = Change::Retry { reason: "no".into(), stack: r#"["no"]"#.into(), front: false };
                self.finish(id, change).await
            }
            Action::Delay { id, ms, charged } => {
                let charged = charged.then(|| ("no".to_owned(), r#"["no"]"#.to_owned()));
                self.finish(id, Change::Delay { wait: Duration::from_millis(*ms), charged }).await
            }
            Action::HandBack { id } => self.finish(id, Change::HandBack).await,
            Action::WaitForChildren { id } => self.finish(id, Change::WaitForChildren).await,
            Action::Lapse { id } => {
                let lock = format!("{}{id}:lock", self.store.keys(&self.settings.name).base());
                self.store.command().call("DEL", vec![lock.into()]).await.unwrap();
                String::new()
            }
            Action::Check => {
                let check = format!("{}stalled-check", self.store.keys(&self.settings.name).base());
                self.store.command().call("DEL", vec![check.into()]).await.unwrap();
                let work = self.work();
                let rescued = WorkQueue::move_stalled_jobs_to_wait(&[&work]).await.unwrap().remove(0).unwrap();
                rescued.recovered.iter().map(JobId::as_str).collect::<Vec<_>>().join(" ")
            }
            Action::Advance { .. } => String::new(),
            Action::Promote { id } => answer(queue.promote(&JobId::stored(id)).await),
            Action::PromoteAll => moved(queue.promote_jobs().await),
            Action::RetryByHand { id, state, reset } => {
                let reset = Reset { attempts_made: *reset, attempts_started: *reset };
                answer(queue.retry(&JobId::stored(id), *state, reset).await)
            }
            Action::RetryAll { state } => moved(queue.retry_jobs(*state, None).await),
            Action::ChangeDelay { id, ms } => {
                answer(queue.change_delay(&JobId::stored(id), Duration::from_millis(*ms)).await)
            }
            Action::ChangePriority { id, priority, lifo } => {
                answer(queue.change_priority(&JobId::stored(id), *priority, *lifo).await)
            }
            Action::Cancel { id } => match queue.cancel(&JobId::stored(id), None).await {
                Ok(Cancellation::Done) => "done".into(),
                Ok(Cancellation::Ended { .. }) => "ended".into(),
                Ok(Cancellation::Asked | Cancellation::Heard) => "asked".into(),
                Err(error) => refusal(&error),
            },
            Action::Concurrency { limit } => answer(queue.set_global_concurrency(*limit).await),
            Action::Pause => answer(queue.pause().await),
            Action::Resume => answer(queue.resume().await),
            Action::Remove { id, children } => match queue.remove(&JobId::stored(id), *children).await {
                Ok(removed) => removed.to_string(),
                Err(error) => refusal(&error),
            },
            Action::Drain { delayed } => moved(queue.drain(*delayed).await),
            Action::Clean { state, grace } => {
                let grace = Duration::from_millis(u64::try_from(*grace).unwrap());
                let mut ids: Vec<_> =
                    queue.clean(grace, 0, *state).await.unwrap().iter().map(ToString::to_string).collect();
                ids.sort();
                ids.join(" ")
            }
        }
    }

    async fn finish(&self, id: &str, change: Change) -> String {
        let token = self.tokens.get(id).map_or("none", String::as_str);
        let finish = Finish {
            id: JobId::stored(id),
            token: token.into(),
            progress: None,
            log: Vec::new(),
            doubtful: 0,
            keep_logs: None,
            change,
            element: None,
        };
        let (recorded, _) = self.work().finish_jobs(std::iter::once(&finish), None).await.unwrap();
        match &recorded[0] {
            Recorded::Done => "done".into(),
            Recorded::Refused { code, .. } => format!("{code:?}"),
        }
    }
}

fn job(opts: JobOptions) -> NewJob {
    NewJob { name: "work".into(), data: RawValue::NULL.to_owned(), opts }
}

fn answer(result: Result<(), Error>) -> String {
    result.map_or_else(|error| refusal(&error), |()| "done".into())
}

fn refusal(error: &Error) -> String {
    match error {
        Error::Rejected { code, .. } => format!("{code:?}"),
        error => panic!("{error}"),
    }
}
