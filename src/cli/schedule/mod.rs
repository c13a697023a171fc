//! `oxherd schedule`: jobs that come again and again. A file for each verb, or for verbs that are one idea.

mod add;
mod diff;
mod find;
mod ls;
mod next;
mod pause;
mod remove;
mod shown;
mod trigger;

use clap::Subcommand;

use super::session::Session;
use super::{Error, Exit};

#[derive(Subcommand)]
pub enum Verb {
    Ls(ls::List),
    Next(next::Next),
    Trigger(trigger::Trigger),
    /// Have schedules add no jobs until they are resumed, also over restarts
    ///
    /// Their times go by, and the job that waits for the next one is taken away; one that is ready or running runs.
    Pause(pause::Pause),
    /// Have schedules add jobs again, from their next time on
    Resume(pause::Pause),
    Add(Box<add::Add>),
    Remove(remove::Remove),
    Diff(diff::Diff),
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Ls(list) => list.execute(session),
            Self::Next(next) => next.execute(session),
            Self::Trigger(trigger) => trigger.execute(session),
            Self::Pause(pause) => pause.execute(true, session),
            Self::Resume(pause) => pause.execute(false, session),
            Self::Add(add) => add.execute(session),
            Self::Remove(remove) => remove.execute(session),
            Self::Diff(diff) => diff.execute(session),
        }
    }
}
