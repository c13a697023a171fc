//! `oxherd job`: add jobs, look at those that are there, and change what is to become of them. A file for each verb, or
//! for verbs that are one idea.

mod cancel;
mod each;
mod export;
mod import;
mod logs;
mod ls;
mod remove;
mod retry;
mod selection;
mod show;
mod tree;
mod update;

use clap::Subcommand;

use super::enqueue::Add;
use super::session::Session;
use super::{Error, Exit};

pub use each::{Deed, No, Preview, Tally, each, jobs, jobs_that_are};
pub use ls::{HEAD, Row, print as ls_page};
pub use remove::REMOVE;
pub use selection::{Chosen, Filter, Targets};
pub use show::print as existing_view;

#[derive(Subcommand)]
pub enum Verb {
    Add(Box<Add>),
    Ls(ls::List),
    Show(show::Show),
    Logs(logs::Logs),
    Retry(retry::Retry),
    Promote(retry::Promote),
    Cancel(cancel::Cancel),
    Update(update::Update),
    Remove(remove::Remove),
    Export(export::Export),
    Import(import::Import),
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Add(add) => add.execute(session),
            Self::Ls(list) => list.execute(session),
            Self::Show(show) => show.execute(session),
            Self::Logs(logs) => logs.execute(session),
            Self::Retry(retry) => retry.execute(session),
            Self::Promote(promote) => promote.execute(session),
            Self::Cancel(cancel) => cancel.execute(session),
            Self::Update(update) => update.execute(session),
            Self::Remove(remove) => remove.execute(session),
            Self::Export(export) => export.execute(session),
            Self::Import(import) => import.execute(session),
        }
    }
}
