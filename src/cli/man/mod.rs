//! `oxherd man`: the manual, made of what the verbs and the keys of the configuration say of themselves.

mod keys;

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;

use super::session::Session;
use super::{Cli, Error, Exit};

/// Print the manual page, or write all of them
///
/// man -l <(oxherd man) shows it. With --dir there is one page per verb, oxherd-run.1 and the like,
/// and oxherd.toml.5, which explains every key of the configuration.
#[derive(Args)]
pub struct Man {
    /// Write all pages into this directory, which is made when it is not there
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let mut cli = Cli::command();
        cli.build();
        let Some(directory) = self.dir else {
            session.out.line(page(cli)?.trim_end())?;
            return Ok(Exit::Done);
        };
        let mut pages = vec![("oxherd.toml.5".to_owned(), keys::page())];
        all(cli, &mut pages)?;
        let place = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
        fs::create_dir_all(&directory).map_err(place)?;
        for (name, text) in &pages {
            fs::write(directory.join(name), text).map_err(place)?;
        }
        Ok(Exit::Done)
    }
}

/// A page for the command, and one for each below it.
fn all(command: clap::Command, pages: &mut Vec<(String, String)>) -> Result<(), Error> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        all(below.clone(), pages)?;
    }
    let name = command.get_display_name().unwrap_or("oxherd").to_owned();
    pages.push((format!("{name}.1"), page(command)?));
    Ok(())
}

fn page(command: clap::Command) -> Result<String, Error> {
    let mut text = Vec::new();
    Page::new(command).source(format!("oxherd {}", env!("CARGO_PKG_VERSION"))).manual("oxherd").render(&mut text)?;
    Ok(String::from_utf8(text).expect("a manual page is text"))
}
