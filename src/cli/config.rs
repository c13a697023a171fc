//! `oxherd config`: what is in effect after all layers, and what may be written.

use clap::{Args, Subcommand};

use super::session::Session;
use super::{Error, Exit};
use crate::config;

#[derive(Subcommand)]
pub enum Verb {
    /// Print the effective configuration, secrets masked
    Show(Show),
    /// Print a JSON Schema of the configuration, with which an editor completes and checks files
    Schema,
}

#[derive(Args)]
pub struct Show {
    /// Say behind each value where it comes from: file, line and column, variable, flag or default
    #[arg(long)]
    origin: bool,
}

impl Verb {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match self {
            Self::Show(show) => show.execute(session),
            Self::Schema => schema(session),
        }
    }
}

impl Show {
    fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (config, origins) = config::load_with_origins(&session.sources(false))?;
        if session.out.is_json() {
            let origins = self.origin.then(|| config::show_origins_json(&config, &origins));
            session.out.json(&origins.unwrap_or_else(|| config::show_json(&config)))?;
        } else {
            let text = if self.origin { config::show_origins(&config, &origins) } else { config::show(&config) };
            session.out.line(text.trim_end())?;
        }
        Ok(Exit::Done)
    }
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
