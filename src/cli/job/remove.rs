//! `oxherd job remove`: jobs that are to be forgotten.

use clap::Args;

use super::super::consent::Consent;
use super::super::list::change::{Change, change};
use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit};
use super::each::{Deed, No};
use super::selection::Targets;
use crate::job::{JobId, State};
use crate::store::Queue;

pub const REMOVE: Deed = Deed { verb: "remove", done: "removed", at: "from", from: &State::ALL };

/// Remove jobs and, with them, their children
///
/// What a worker holds stays, and so does whatever has such a job among its children. A parent does not wait for a
/// removed child any longer.
#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    targets: Targets,
    /// Leave the children of the jobs where they are
    #[arg(long)]
    keep_children: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Remove {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        self.targets.require()?;
        let by_id = !self.targets.ids.is_empty();
        if !by_id {
            self.consent.can_be_had()?;
        }
        if let Some(queue) = session.plain_list(&self.targets.queue)? {
            return change(Change::Remove, &REMOVE, &self.targets, self.consent, &queue, session);
        }
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let queue = store.queue(&self.targets.queue).announcing(&config.status);
            let act = |id| remove(&queue, id, !self.keep_children, by_id);
            REMOVE.carry_out(&store, &self.targets, self.consent, &mut out, act).await
        })?
    }
}

/// To the store a job that is not there is removed; to somebody who typed its id it is a mistake.
async fn remove(queue: &Queue, id: JobId, children: bool, must_exist: bool) -> Result<(), No> {
    if must_exist && queue.job(&id).await?.is_none() {
        return Err(No::missing());
    }
    if queue.remove(&id, children).await? {
        return Ok(());
    }
    let whose = if children { "a worker holds it or one of its children" } else { "a worker holds it" };
    Err(No::Refused(whose.into()))
}
