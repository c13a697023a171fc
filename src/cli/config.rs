//! `oxherd config`: what is in effect after all layers.

use clap::Subcommand;

use super::session::Session;
use super::{Error, Exit};
use crate::config;

#[derive(Subcommand)]
pub enum Verb {
    /// Print the effective configuration, secrets masked
    Show,
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let Self::Show = self;
        let (config, _) = config::load(&session.sources(false))?;
        if session.out.is_json() {
            session.out.json(&config::show_json(&config))?;
        } else {
            session.out.line(config::show(&config).trim_end())?;
        }
        Ok(Exit::Done)
    }
}
