//! Whether a verb may go ahead: `--dry-run`, `--yes`, and the question where neither is given.

use clap::Args;

use super::{Error, print};

/// For verbs that change something which can be changed back.
#[derive(Args, Clone, Copy)]
pub struct DryRun {
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// For verbs that destroy something.
#[derive(Args, Clone, Copy)]
pub struct Consent {
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

impl Consent {
    /// For verbs that destroy nothing.
    pub fn not_needed(DryRun { dry_run }: DryRun) -> Self {
        Self { dry_run, yes: true }
    }

    /// Refuses early where the question that [`Consent::ask`] would ask reaches nobody.
    pub fn can_be_had(self) -> Result<(), Error> {
        if self.dry_run || self.yes || print::somebody_answers() {
            return Ok(());
        }
        Err(Error::Usage(
            "this destroys something and there is no terminal to ask on; say --yes, or --dry-run to see what it would do"
                .into(),
        ))
    }

    /// Asks on the terminal unless `--yes` was given; anything but yes is no. `what` as in "remove 12 jobs from email".
    pub async fn ask(self, what: String) -> Result<(), Error> {
        if self.yes {
            return Ok(());
        }
        // the connection is looked after while somebody thinks
        let answer =
            tokio::task::spawn_blocking(move || print::ask(&what)).await.expect("reading a line does not panic")?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Error::No("nothing was changed".into())),
        }
    }
}
