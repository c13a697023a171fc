//! `oxherd queue drain`, `clean` and `obliterate`: jobs that are to go, by the queue.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::super::audit::Verb;
use super::super::consent::Consent;
use super::super::job::{Chosen, Filter, Preview, REMOVE, jobs, jobs_that_are};
use super::super::list;
use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit, value};
use super::known;
use crate::config::units::show_duration;
use crate::job::{QueueName, State};
use crate::store::Counts;

/// Remove every job that waits for a worker
///
/// Active and finished jobs stay, and so do parents waiting for children, delayed jobs without --delayed, and the next
/// iterations of job schedulers.
#[derive(Args)]
pub struct Drain {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Delayed jobs too
    #[arg(long)]
    delayed: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Remove old jobs of one state, the oldest first
#[derive(Args)]
pub struct Clean {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Which jobs: waiting, active, delayed, prioritized, completed, failed; of active ones those nobody holds
    #[arg(long, value_parser = value::state)]
    state: State,
    /// Only jobs that ended, or else started, or else were added at least this long ago, as in 24h
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "0s")]
    older: Duration,
    /// At most this many jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    consent: Consent,
}

/// Remove a queue and everything in it: jobs in every state, schedulers, settings, events
///
/// The queue is paused first. Refused while jobs are active, unless --force.
#[derive(Args)]
pub struct Obliterate {
    /// Name of the queue
    #[arg(value_parser = value::queue)]
    queue: QueueName,
    /// Also with active jobs; their workers find out when they are done
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Drain {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        self.consent.can_be_had()?;
        if let Some(queue) = session.plain_list(&self.queue)? {
            return list::empty::drain(self.delayed, self.consent, &queue, session);
        }
        let mut out = Out::new(session.global.json);
        session.with_store(|store, _| async move {
            let counts = known(&store, &self.queue).await?.counts;
            let mut states = vec![State::Waiting, State::Prioritized];
            states.extend(self.delayed.then_some(State::Delayed));
            if self.consent.dry_run {
                return preview("drain", &self.queue, &counts, &states, &mut out);
            }
            let count = states.iter().map(|state| counts.of(*state)).sum();
            self.consent.ask(format!("remove {} from {}", jobs(number(count)), self.queue)).await?;
            let detail = if self.delayed { "--delayed" } else { "" };
            let removed = store.queue(&self.queue).drain(self.delayed).await;
            let removed = Verb::new("drain", &self.queue).of(&store, detail, removed).await?;
            tell(removed, &self.queue, &mut out)
        })?
    }
}

impl Clean {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        self.consent.can_be_had()?;
        if let Some(queue) = session.plain_list(&self.queue)? {
            let old = list::empty::Old { state: self.state, older: self.older, limit: self.limit };
            return list::empty::clean(old, self.consent, &queue, session);
        }
        if self.state == State::WaitingChildren {
            let what =
                "parents waiting for children are not cleaned: remove them with job remove --state waiting-children";
            return Err(Error::Usage(what.into()));
        }
        let filter = Filter { state: Some(self.state), older: Some(self.older), ..Filter::default() };
        let mut out = Out::new(session.global.json);
        session.with_store(|store, _| async move {
            known(&store, &self.queue).await?;
            let mut chosen = Chosen::new(&store, &self.queue, &filter, self.limit.map(number));
            if self.consent.dry_run {
                let mut show = Preview::default();
                show.all(chosen, &mut out, &store).await?;
                return show.end(&mut out, &REMOVE, &self.queue);
            }
            if !self.consent.yes {
                let mut found = 0;
                while let Some(jobs) = chosen.next().await? {
                    found += jobs.len();
                }
                let what = jobs_that_are(self.state.as_str(), found);
                self.consent.ask(format!("remove {what} from {}", self.queue)).await?;
            }
            let limit = self.limit.map_or(0, number);
            let removed = store.queue(&self.queue).clean(self.older, limit, self.state).await;
            let removed = removed.map(|removed| removed.len() as u64);
            let detail = format!("--state {} --older {}", self.state, show_duration(self.older));
            let removed = Verb::new("clean", &self.queue).of(&store, detail, removed).await?;
            tell(removed, &self.queue, &mut out)
        })?
    }
}

impl Obliterate {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        self.consent.can_be_had()?;
        if let Some(queue) = session.plain_list(&self.queue)? {
            return list::empty::obliterate(self.force, self.consent, &queue, session);
        }
        let mut out = Out::new(session.global.json);
        session.with_store(|store, _| async move {
            let counts = known(&store, &self.queue).await?.counts;
            if counts.active > 0 && !self.force {
                return Err(Error::No(format!(
                    "{} in {}; pause the queue and wait for their end, or say --force",
                    jobs_that_are("active", number(counts.active)),
                    self.queue
                )));
            }
            if self.consent.dry_run {
                return preview("obliterate", &self.queue, &counts, &State::ALL, &mut out);
            }
            let count = State::ALL.iter().map(|state| counts.of(*state)).sum();
            self.consent.ask(format!("obliterate {} with {}", self.queue, jobs(number(count)))).await?;
            let detail = if self.force { "--force" } else { "" };
            let removed = store.queue(&self.queue).obliterate(self.force).await;
            let removed = Verb::new("obliterate", &self.queue).of(&store, detail, removed).await?;
            tell(removed, &self.queue, &mut out)
        })?
    }
}

/// How many jobs of which state would go.
pub fn preview(verb: &str, queue: &QueueName, counts: &Counts, states: &[State], out: &mut Out) -> Result<Exit, Error> {
    let count = states.iter().map(|state| counts.of(*state)).sum::<u64>();
    if out.is_json() {
        let by_state: serde_json::Map<_, _> =
            states.iter().map(|state| (state.to_string(), counts.of(*state).into())).collect();
        out.json(&json!({"queue": queue, "dryRun": true, "verb": verb, "count": count, "counts": by_state}))?;
    } else {
        let rows: Vec<_> = states.iter().map(|state| vec![state.to_string(), counts.of(*state).to_string()]).collect();
        out.table(&["STATE", "JOBS"], &rows)?;
        out.line(format_args!("would remove {} from {queue}", jobs(number(count))))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

pub fn tell(removed: u64, queue: &QueueName, out: &mut Out) -> Result<Exit, Error> {
    if out.is_json() {
        out.json(&json!({"queue": queue, "done": removed, "refused": []}))?;
    } else {
        out.line(format_args!("removed {} from {queue}", jobs(number(removed))))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

pub fn number(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
