//! New configuration → what differs → the running engine. A bad file changes nothing.

use std::fmt::Display;

use super::Daemon;
use crate::config::{self, Diff, Problem, Severity};
use crate::engine::Handle;

impl Daemon {
    /// Reads the configuration again and applies what a running process can take over.
    pub(super) async fn reload(&mut self, handle: &Handle) {
        let sources = self.sources.clone();
        // files can be on a disk that does not answer; signals and jobs must not wait for it
        let loaded = tokio::task::spawn_blocking(move || config::load(&sources)).await;
        let (new, warnings) = match loaded {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => {
                for problem in &error.problems {
                    log_problem(problem);
                }
                tracing::error!(problems = error.problems.len(), "configuration refused; nothing changed");
                return;
            }
            Err(_) => {
                tracing::error!("reading the configuration failed; nothing changed");
                return;
            }
        };
        warnings.iter().for_each(log_problem);
        let mut changes = Diff::between(&self.config, &new);
        if !self.is_level_fixed
            && let Err(error) = self.logging.reconfigure(&new.log)
        {
            tracing::error!(error = &error as &dyn std::error::Error, "configuration refused; nothing changed");
            return;
        }
        // the level has just been taken over, only the format waits for a start
        let is_format_new = self.config.log.format != new.log.format;
        changes.restart_needed.retain(|section| section != "log" || is_format_new);
        handle.reconfigure(new.clone());
        self.guests.iter().for_each(|guest| guest.reconfigure(&new));
        tracing::info!(
            added = list(&changes.added),
            removed = list(&changes.removed),
            changed = list(&changes.changed),
            schedules = list(&changes.schedules.names()),
            "configuration reloaded"
        );
        if !changes.restart_needed.is_empty() {
            tracing::warn!(sections = list(&changes.restart_needed), "these changes take effect at the next start");
        }
        self.config = new;
    }
}

fn list<T: Display>(names: &[T]) -> String {
    names.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// One problem, one line.
pub fn log_problem(problem: &Problem) {
    let place = problem.place.as_ref().map(|place| match &place.position {
        Some(at) => format!("{}:{}:{}", place.source, at.line, at.column),
        None => place.source.clone(),
    });
    let (key, help) = (&problem.key, problem.help.as_deref().unwrap_or_default());
    match problem.severity {
        Severity::Error => tracing::error!(place, key, help, "{}", problem.message),
        Severity::Warning => tracing::warn!(place, key, help, "{}", problem.message),
    }
}
