//! `oxherd queue`: what is in the queues. A file for each verb, or for verbs that are one idea.

mod ls;
mod show;

use clap::Subcommand;

use super::session::Session;
use super::{Error, Exit, value};
use crate::job::{QueueName, State};
use crate::store::{Overview, Store};

#[derive(Subcommand)]
pub enum Verb {
    /// List every queue under the prefix with its counts
    Ls,
    /// Show one queue
    Show {
        /// Name of the queue
        #[arg(value_parser = value::queue)]
        queue: QueueName,
    },
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Ls => ls::list(session),
            Self::Show { queue } => show::show(&queue, session),
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
