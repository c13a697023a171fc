//! A program as the configuration describes it, checked once and prepared for each start. The command handler and the
//! pools of processes are its callers.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use tokio::process::Command;

use super::error::Refused;
use crate::config;

/// Names of our own environment that every program gets.
pub(super) const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

pub(super) struct Program {
    config: config::Program,
    /// What of the environment does not depend on the job.
    environment: Vec<(OsString, OsString)>,
}

impl Program {
    /// Checks the settings. Whether the program exists is found out when it is run.
    pub(super) fn new(config: config::Program) -> Result<Self, Refused> {
        if config.argv.first().is_none_or(String::is_empty) {
            return Err(Refused::NoProgram);
        }
        for argument in &config.argv {
            refuse_nul("argument", argument)?;
        }
        let mut environment = Vec::new();
        for name in INHERITED.into_iter().chain(config.env_allow.iter().map(String::as_str)) {
            check_name(name)?;
            environment.extend(std::env::var_os(name).map(|value| (name.into(), value)));
        }
        for (name, value) in &config.env {
            check_name(name)?;
            refuse_nul("environment value", value)?;
            environment.push((name.into(), value.into()));
        }
        Ok(Self { config, environment })
    }

    /// What is run.
    pub(super) fn path(&self) -> &str {
        &self.config.argv[0]
    }

    /// The arguments as the configuration has them.
    pub(super) fn arguments(&self) -> &[String] {
        &self.config.argv[1..]
    }

    pub(super) fn kill_after(&self) -> Duration {
        self.config.kill_after
    }

    /// The program with all it is given but its arguments and streams.
    pub(super) fn prepare(&self) -> Command {
        let mut command = Command::new(self.path());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.config.directory {
            command.current_dir(directory);
        }
        command
    }

    /// Why it could not be started, for people.
    pub(super) fn why_not_started(&self, error: &io::Error) -> String {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
        let gone = self.config.directory.as_ref().filter(|directory| !directory.is_dir());
        let program = self.path();
        match (errno, gone) {
            (Errno::E2BIG, _) => format!("cannot start {program}: {errno}"),
            (Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE, _) => {
                format!("cannot start {program} for now: {errno}")
            }
            (_, Some(directory)) => {
                format!("handler broken: cannot start {program} in directory {}: {errno}", directory.display())
            }
            _ => format!("handler broken: cannot start {program}: {errno}"),
        }
    }
}

fn check_name(name: &str) -> Result<(), Refused> {
    refuse_nul("environment name", name)?;
    if name.is_empty() || name.contains('=') { Err(Refused::EnvName(name.to_owned())) } else { Ok(()) }
}

pub(super) fn refuse_nul(what: &'static str, text: &str) -> Result<(), Refused> {
    if text.contains('\0') { Err(Refused::Nul { what, text: text.to_owned() }) } else { Ok(()) }
}
