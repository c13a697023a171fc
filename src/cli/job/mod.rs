//! `oxherd job`: add jobs, and look at those that are there. A file for each verb.

mod ls;
mod show;

use clap::Subcommand;

use super::enqueue::Add;
use super::session::Session;
use super::{Error, Exit, value};
use crate::job::{JobId, QueueName};

#[derive(Subcommand)]
pub enum Verb {
    Add(Add),
    Ls(ls::List),
    /// Show everything about one job
    Show {
        /// Name of the queue
        #[arg(value_parser = value::queue)]
        queue: QueueName,
        /// Id of the job
        #[arg(value_parser = value::id)]
        id: JobId,
    },
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Add(add) => add.execute(session),
            Self::Ls(list) => list.execute(session),
            Self::Show { queue, id } => show::show(&queue, &id, session),
        }
    }
}
