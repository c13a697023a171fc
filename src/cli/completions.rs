//! `oxherd completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::session::Session;
use super::{Cli, Error, Exit};

/// Print what makes a shell complete the command line
///
/// For bash: oxherd completions bash > ~/.local/share/bash-completion/completions/oxherd; for zsh to a
/// file _oxherd in a directory of $fpath; for fish to ~/.config/fish/completions/oxherd.fish.
#[derive(Args)]
pub struct Completions {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "oxherd", &mut script);
        let script = String::from_utf8(script).expect("what completes is text");
        session.out.line(script.trim_end())?;
        Ok(Exit::Done)
    }
}
