//! `oxherd queue`: what is in the queues, and what is to become of them. A file for each verb, or for verbs that are one idea.

mod audit;
mod empty;
mod limit;
mod ls;
mod orphans;
mod pause;
mod show;

use clap::Subcommand;

pub use empty::{number, preview, tell};
pub use show::{limits, standing};

use super::session::Session;
use super::{Error, Exit};
use crate::job::{QueueName, State};
use crate::store::{Overview, Store};

#[derive(Subcommand)]
pub enum Verb {
    /// List every queue under the prefix with its counts
    Ls,
    Show(show::Show),
    /// Stop workers from taking jobs; those that run go on
    Pause(pause::Pause),
    /// Let workers take jobs again
    Resume(pause::Pause),
    Limit(limit::Limits),
    Drain(empty::Drain),
    Clean(empty::Clean),
    Obliterate(empty::Obliterate),
    Orphans(orphans::Orphans),
    Audit(audit::Audit),
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Ls => ls::list(session),
            Self::Show(show) => show.execute(session),
            Self::Pause(pause) => pause.execute(true, session),
            Self::Resume(pause) => pause.execute(false, session),
            Self::Limit(limit) => limit.execute(session),
            Self::Drain(drain) => drain.execute(session),
            Self::Clean(clean) => clean.execute(session),
            Self::Obliterate(obliterate) => obliterate.execute(session),
            Self::Orphans(orphans) => orphans.execute(session),
            Self::Audit(audit) => audit.execute(session),
        }
    }
}

/// The overview of a queue that exists. Any text names a queue in Redis, so a name that was
/// mistyped would otherwise look like an empty one.
pub async fn known(store: &Store, name: &QueueName) -> Result<Overview, Error> {
    let overview = store.queue(name).overview().await?;
    let has_jobs = State::ALL.iter().any(|state| overview.counts.of(*state) > 0);
    if has_jobs || overview.version.is_some() {
        return Ok(overview);
    }
    let names = store.queue_names().await?;
    if names.contains(name) {
        return Ok(overview);
    }
    Err(unknown(name, &names, store))
}

fn unknown(name: &QueueName, names: &[QueueName], store: &Store) -> Error {
    let mut known = names.iter().take(20).map(QueueName::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > 20 {
        known.push_str(", …");
    }
    let there_is = if known.is_empty() { "there is none".to_owned() } else { format!("there are {known}") };
    Error::No(format!("no queue {name} under prefix {:?} at {}; {there_is}", store.prefix(), store.address()))
}
