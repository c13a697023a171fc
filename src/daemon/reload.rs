//! New configuration → what differs → the running engine. A bad file changes nothing.
//!
//! Files can be on a disk that does not answer, and the engine answers nothing before Redis was there once: signals and
//! jobs wait for neither. So a reload is a future beside the main loop, one at a time; an order that comes meanwhile is
//! carried out after it, since the files may have changed behind its back.

use std::fmt::Display;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::state::{Survives, write_whole};
use super::{Daemon, Logging, Masks};
use crate::config::{self, Config, Diff, LoadOptions, Problem, Severity};
use crate::engine::Handle;

/// In the state directory: what became of the last reload.
pub(super) const FILE: &str = "reload.json";

/// What became of an order to read the configuration again: for the log, for guests, and for `oxherd reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Who was told.
    pub pid: i32,
    /// Counts the reloads of this process, from 1.
    pub number: u64,
    pub outcome: Outcome,
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Being read, or waiting for Redis to be there for the first time.
    UnderWay,
    /// In force, but for what is named as waiting for a start.
    TakenOver(Diff),
    /// Nothing has changed, and why.
    Refused(Vec<Problem>),
}

impl Reload {
    pub(super) fn new(number: u64, outcome: Outcome) -> Self {
        Self { pid: nix::unistd::getpid().as_raw(), number, outcome }
    }

    /// Notes it in the state directory. A reader sees the whole of it, or what was there before.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        write_whole(&directory.join(FILE), self, Survives::Nothing)
    }

    /// What was noted last by the daemon that holds the state directory; `None` before its first reload.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        match fs::read(directory.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a reload has come to, before the daemon itself goes by it.
pub(super) struct Attempt {
    number: u64,
    result: Result<TakenOver, Vec<Problem>>,
}

struct TakenOver {
    /// Without what waits for a start.
    config: Config,
    changes: Diff,
    warnings: Vec<Problem>,
}

/// The reloads of one daemon, one after the other.
pub(super) struct Reloads {
    /// The state directory, where `oxherd reload` looks for what has become of one.
    told_in: Option<PathBuf>,
    number: u64,
    under_way: Option<Pin<Box<dyn Future<Output = Attempt> + Send>>>,
    again: bool,
}

impl Reloads {
    pub(super) fn new(told_in: Option<PathBuf>) -> Self {
        Self { told_in, number: 0, under_way: None, again: false }
    }

    /// How the one under way has ended; pending while there is none. Cancel safe.
    pub(super) async fn ended(&mut self) -> Attempt {
        match &mut self.under_way {
            Some(attempt) => {
                let attempt = attempt.await;
                self.under_way = None;
                attempt
            }
            None => std::future::pending().await,
        }
    }

    /// Whether one is under way: what is running may not be what the files say.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    fn tell(&self, reload: &Reload) {
        let Some(directory) = &self.told_in else { return };
        if let Err(error) = reload.write(directory) {
            tracing::warn!(directory = %directory.display(), %error, "cannot note what became of a reload; oxherd reload waits in vain");
        }
    }
}

impl Daemon {
    /// Begins to read the configuration again; what has begun already is let end first.
    pub(super) fn begin_reload(&self, handle: &Handle, reloads: &mut Reloads) {
        if reloads.is_under_way() {
            reloads.again = true;
            return;
        }
        reloads.again = false;
        reloads.number += 1;
        let number = reloads.number;
        self.guests.iter().for_each(|guest| guest.reloading());
        reloads.tell(&Reload::new(number, Outcome::UnderWay));
        let (sources, running, handle) = (self.sources.clone(), self.config.clone(), handle.clone());
        let masks = self.logging.masks();
        reloads.under_way =
            Some(Box::pin(async move { Attempt { number, result: take_over(sources, running, handle, masks).await } }));
    }

    /// Goes by what the engine has taken over, says what became of it, and begins the next one if one was ordered.
    pub(super) fn end_reload(&mut self, attempt: Attempt, handle: &Handle, reloads: &mut Reloads) -> Reload {
        let outcome = match attempt.result {
            Ok(TakenOver { config, changes, warnings }) => {
                warnings.iter().for_each(log_problem);
                if !self.is_level_fixed {
                    self.logging.reconfigure(&config.log);
                }
                self.guests.iter().for_each(|guest| guest.reconfigure(&config));
                self.config = config;
                log_changes(&changes);
                Outcome::TakenOver(changes)
            }
            Err(problems) => {
                problems.iter().for_each(log_problem);
                tracing::error!(problems = problems.len(), "configuration refused; nothing changed");
                Outcome::Refused(problems)
            }
        };
        let reload = Reload::new(attempt.number, outcome);
        self.guests.iter().for_each(|guest| guest.reloaded(&reload));
        reloads.tell(&reload);
        if reloads.again {
            self.begin_reload(handle, reloads);
        }
        reload
    }
}

/// Reads the files and has the engine take over what a running process can.
async fn take_over(
    sources: LoadOptions,
    running: Config,
    handle: Handle,
    masks: Masks,
) -> Result<TakenOver, Vec<Problem>> {
    let refused = |error: &dyn std::error::Error| vec![Problem::error(with_causes(error))];
    let loaded = tokio::task::spawn_blocking(move || config::load_settled(&sources)).await;
    let (mut config, warnings) = loaded.map_err(|error| refused(&error))?.map_err(|error| error.problems)?;
    // before anybody can say anything of what is new
    masks.add(&config.secrets);
    Logging::check(&config.log).map_err(|error| refused(&error))?;
    let changes = Diff::between(&running, &config);
    config::keep(&running, &mut config);
    handle.reconfigure(config.clone()).await.map_err(|error| refused(&error))?;
    Ok(TakenOver { config, changes, warnings })
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn log_changes(changes: &Diff) {
    tracing::info!(
        added = list(&changes.added),
        removed = list(&changes.removed),
        changed = list(&changes.changed),
        handlers = list(&changes.handlers),
        schedules = list(&changes.schedules.names()),
        sections = list(&changes.sections),
        "configuration reloaded"
    );
    if !changes.restart_needed.is_empty() {
        tracing::warn!(keys = list(&changes.restart_needed), "these changes take effect at the next start");
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
