//! `oxherd job retry` and `promote`: jobs that are to run again, or sooner.

use clap::Args;

use super::super::consent::{Consent, DryRun};
use super::super::list::change::{Change, change};
use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit};
use super::each::{Deed, No};
use super::selection::Targets;
use crate::job::{JobId, State};
use crate::store::{self, Code, Queue, Reset};

const RETRY: Deed = Deed { verb: "retry", done: "retried", at: "in", from: &[State::Failed, State::Completed] };
const PROMOTE: Deed = Deed { verb: "promote", done: "promoted", at: "in", from: &[State::Delayed] };

/// Run failed jobs again, or completed ones
///
/// Those named by id are run again in whichever of the two states they are; a filter without --state means failed ones.
#[derive(Args)]
pub struct Retry {
    #[command(flatten)]
    targets: Targets,
    /// Give them all their attempts once more
    #[arg(long)]
    reset_attempts: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Make delayed jobs ready to run now
#[derive(Args)]
pub struct Promote {
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Retry {
    pub fn execute(mut self, session: &mut Session) -> Result<Exit, Error> {
        self.targets.require()?;
        let state = *self.targets.filter.state.get_or_insert(State::Failed);
        if !RETRY.from.contains(&state) {
            return Err(Error::Usage(format!("{state} jobs cannot be retried: expected --state failed or completed")));
        }
        if let Some(queue) = session.plain_list(&self.targets.queue)? {
            let consent = Consent::not_needed(self.dry_run);
            return change(Change::Retry, &RETRY, &self.targets, consent, &queue, session);
        }
        let reset = Reset { attempts_made: self.reset_attempts, attempts_started: self.reset_attempts };
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let queue = store.queue(&self.targets.queue).announcing(&config.status);
            let by_id = !self.targets.ids.is_empty();
            let act = |id| retry(&queue, id, state, reset, by_id);
            RETRY.carry_out(&store, &self.targets, Consent::not_needed(self.dry_run), &mut out, act).await
        })?
    }
}

async fn retry(queue: &Queue, id: JobId, state: State, reset: Reset, any_end: bool) -> Result<(), No> {
    match queue.retry(&id, state, reset).await {
        Err(store::Error::Rejected { code: Code::NotInState, .. }) if any_end => {
            Ok(queue.retry(&id, State::Completed, reset).await?)
        }
        answer => Ok(answer?),
    }
}

impl Promote {
    pub fn execute(mut self, session: &mut Session) -> Result<Exit, Error> {
        self.targets.require()?;
        let why =
            "what is delayed comes back when its time has come; a shorter backoff holds for what fails from now on";
        session.is_no_list(&self.targets.queue, why)?;
        let state = *self.targets.filter.state.get_or_insert(State::Delayed);
        if state != State::Delayed {
            return Err(Error::Usage(format!("{state} jobs cannot be promoted: expected --state delayed")));
        }
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let queue = &store.queue(&self.targets.queue).announcing(&config.status);
            let act = |id| async move { Ok(queue.promote(&id).await?) };
            PROMOTE.carry_out(&store, &self.targets, Consent::not_needed(self.dry_run), &mut out, act).await
        })?
    }
}
