//! `oxherd schedule`: jobs that come again and again. A file for each verb, or for verbs that are one idea.

mod next;

use clap::Subcommand;

use super::session::Session;
use super::{Error, Exit};

#[derive(Subcommand)]
pub enum Verb {
    Next(next::Next),
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Next(next) => next.execute(session),
        }
    }
}
