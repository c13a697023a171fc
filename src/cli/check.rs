//! `oxherd check`: the configuration read and validated as `run` would, without network.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::print::Colour;
use super::session::Session;
use super::{Error, Exit};
use crate::config;
use crate::config::{Problem, Severity};
use crate::daemon::escape;

/// Read and validate the configuration, without network
///
/// Every problem is printed with file, line and column. Exit 0 when there is no error, else 78.
#[derive(Args)]
pub struct Check {}

impl Check {
    #[expect(clippy::unused_self, reason = "every verb is executed the same way")]
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let sources = session.sources(false);
        let (config, problems) = match config::load(&sources) {
            Ok((config, mut warnings)) => {
                warnings.extend(config::missing_programs(&config));
                (Some(config), warnings)
            }
            Err(error) => (None, error.problems),
        };
        let of = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
        let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
        if session.out.is_json() {
            session.out.json(&json!({
                "ok": config.is_some(),
                "errors": errors,
                "warnings": warnings,
                "queues": config.as_ref().map(|config| config.queues.len()),
                "handlers": config.as_ref().map(|config| config.handlers.len()),
                "schedules": config.as_ref().map(|config| config.schedules.len()),
                "keptAlone": config.as_ref().map(kept_alone),
                "problems": problems,
            }))?;
        } else {
            let files: Vec<_> = config::files(&sources).iter().map(|file| file.display().to_string()).collect();
            print(session, &files.join(", "), config.as_ref(), &problems, errors, warnings)?;
        }
        Ok(if config.is_some() { Exit::Done } else { Exit::Refused })
    }
}

fn print(
    session: &mut Session,
    files: &str,
    config: Option<&config::Config>,
    problems: &[Problem],
    errors: usize,
    warnings: usize,
) -> Result<(), Error> {
    let out = &mut session.out;
    for problem in problems {
        out.line(problem.render(out.has_colour()))?;
        out.line("")?;
    }
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let Some(config) = config else {
        let found = match warnings {
            0 => count(errors, "error"),
            _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        };
        out.line(out.paint(Colour::Red, found))?;
        return Ok(());
    };
    let mut summary = format!(
        "{files}: {}, {}, {}",
        out.paint(Colour::Green, "ok"),
        count(config.queues.len(), "queue"),
        count(config.handlers.len(), "handler")
    );
    if !config.schedules.is_empty() {
        summary = format!("{summary}, {}", count(config.schedules.len(), "schedule"));
    }
    if warnings > 0 {
        summary = format!("{summary}, {}", out.paint(Colour::Yellow, count(warnings, "warning")));
    }
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, settings) in kept_alone(config) {
        reasons.entry(settings.join(", ")).or_default().push(name);
    }
    for (settings, names) in reasons {
        let shown = names.iter().take(SHOWN).map(|name| escape::text(name)).collect::<Vec<_>>().join(", ");
        let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
        let line = format!("kept by oxherd alone, as BullMQ has no place for {settings}: {shown}{more}");
        out.line(out.paint(Colour::Dim, line))?;
    }
    out.line(summary)?;
    Ok(())
}

/// Schedules named on one line.
const SHOWN: usize = 10;

/// The schedules that no BullMQ job scheduler can carry, and the settings that keep it from that.
fn kept_alone(config: &config::Config) -> BTreeMap<&str, Vec<&'static str>> {
    let settings = |(name, schedule): (_, &config::Schedule)| Some((name, schedule.fits_bullmq().err()?));
    config.schedules.iter().map(|(name, schedule)| (name.as_str(), schedule)).filter_map(settings).collect()
}
