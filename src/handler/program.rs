//! A program as the configuration describes it, checked once and prepared for each start. The command handler and the
//! pools of processes are its callers.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::account;
use super::child::{Child, Input, Streams};
use super::error::Refused;
use super::keeper::{Account, Keepers, Launch, Limits, NONE, NotStarted, Step};
use crate::config;

/// Names of our own environment that every program gets.
pub(super) const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

pub(super) struct Program {
    config: config::Program,
    /// What of the environment does not depend on the job.
    environment: Vec<(OsString, OsString)>,
    account: Option<Account>,
    keepers: Keepers,
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
        let found = account::find(config.user.as_deref(), config.group.as_deref())?;
        let mut environment = Vec::new();
        for name in INHERITED.into_iter().chain(config.env_allow.iter().map(String::as_str)) {
            check_name(name)?;
            environment.extend(std::env::var_os(name).map(|value| (name.into(), value)));
        }
        if let Some(home) = found.as_ref().and_then(|found| found.home.as_ref()) {
            environment.push(("HOME".into(), home.into()));
        }
        for (name, value) in &config.env {
            check_name(name)?;
            refuse_nul("environment value", value)?;
            environment.push((name.into(), value.into()));
        }
        let account = found.map(|found| found.account);
        Ok(Self { config, environment, account, keepers: Keepers::default() })
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

    /// The program with all it is given but its arguments.
    pub(super) fn prepare(&self) -> Launch {
        let mut launch = Launch::new(self.path());
        launch.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.config.directory {
            launch.directory(directory);
        }
        launch.limits(limits(&self.config.limits));
        if let Some(account) = &self.account {
            launch.account(account.clone());
        }
        launch
    }

    /// Whom it runs as, if not as we do.
    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Where it runs, if the configuration says so.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.config.directory.as_deref()
    }

    /// What each of its processes may take.
    pub(super) fn limits(&self) -> &config::Limits {
        &self.config.limits
    }

    /// Runs what was prepared; the channels become its descriptors 3 and up. Cancel safe.
    pub(super) async fn start(
        &self,
        launch: &Launch,
        input: Input<'_>,
        channels: Vec<OwnedFd>,
    ) -> Result<(Child, Streams), NotStarted> {
        Child::spawn(&self.keepers, launch, input, channels).await
    }

    /// Why it could not be started, for people.
    pub(super) fn why_not_started(&self, NotStarted { step, error }: &NotStarted) -> String {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
        let program = self.path();
        match (step, errno) {
            (_, Errno::E2BIG) => format!("cannot start {program}: {errno}"),
            (_, Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE) => {
                format!("cannot start {program} for now: {errno}")
            }
            (Step::Keeper, _) => format!("the keeper of {program} was killed"),
            (Step::Account, _) => format!("handler broken: cannot start {program} as its user: {errno}"),
            (Step::Limits, _) => format!("handler broken: cannot start {program} within its limits: {errno}"),
            (Step::Directory, _) => {
                let directory = self.config.directory.as_deref().unwrap_or(Path::new("")).display();
                format!("handler broken: cannot start {program} in directory {directory}: {errno}")
            }
            _ => format!("handler broken: cannot start {program}: {errno}"),
        }
    }
}

fn limits(config: &config::Limits) -> Limits {
    let bytes = |size: Option<usize>| size.map_or(NONE, |size| size as u64);
    Limits {
        memory: bytes(config.memory),
        cpu: config.cpu.map_or(NONE, |cpu| cpu.as_secs()),
        files: config.files.unwrap_or(NONE),
        processes: config.processes.unwrap_or(NONE),
        file_size: bytes(config.file_size),
    }
}

fn check_name(name: &str) -> Result<(), Refused> {
    refuse_nul("environment name", name)?;
    if name.is_empty() || name.contains('=') { Err(Refused::EnvName(name.to_owned())) } else { Ok(()) }
}

pub(super) fn refuse_nul(what: &'static str, text: &str) -> Result<(), Refused> {
    if text.contains('\0') { Err(Refused::Nul { what, text: text.to_owned() }) } else { Ok(()) }
}
