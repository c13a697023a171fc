//! `oxherd config`: what is in effect after all layers, and what may be written.

use clap::Subcommand;

use super::session::Session;
use super::{Error, Exit};
use crate::config;

#[derive(Subcommand)]
pub enum Verb {
    /// Print the effective configuration, secrets masked
    Show,
    /// Print a JSON Schema of the configuration, with which an editor completes and checks files
    Schema,
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Show => show(session),
            Self::Schema => schema(session),
        }
    }
}

fn show(session: &mut Session) -> Result<Exit, Error> {
    let (config, _) = config::load(&session.sources(false))?;
    if session.out.is_json() {
        session.out.json(&config::show_json(&config))?;
    } else {
        session.out.line(config::show(&config).trim_end())?;
    }
    Ok(Exit::Done)
}

/// The same with `--json`, on one line.
fn schema(session: &mut Session) -> Result<Exit, Error> {
    let schema = config::json_schema();
    if session.out.is_json() {
        session.out.json(&schema)?;
    } else {
        session.out.line(format_args!("{schema:#}"))?;
    }
    Ok(Exit::Done)
}
