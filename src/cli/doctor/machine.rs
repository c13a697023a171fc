//! This machine: what the daemon would find here, were it started as whoever asks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::kill;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Pid, access};

use crate::config::{Config, Handler, Problem};
use crate::store::checkup::codes::{
    CONFIG_MODE, CONFIG_WARNING, MACHINE_DISK, MACHINE_FILES, MACHINE_PROCESSES, MACHINE_PROGRAM, MACHINE_STATE,
};
use crate::store::checkup::{Finding, unless_found};

/// Files that a job may have open at once: pipes of a program, or a connection and what it looks up.
const PER_SLOT: u64 = 4;
/// Files the daemon itself has open: Redis, log, state, and what it listens on.
const OWN: u64 = 64;
/// Space that the state directory needs, in bytes: it holds a few hundred, so this is a full disk.
const SPACE: u64 = 16 * 1024 * 1024;

pub fn examine(config: &Config, files: &[PathBuf], problems: &[Problem]) -> Vec<Finding> {
    let warnings = problems.iter().map(|problem| CONFIG_WARNING.warning(&problem.message)).collect();
    let mut findings = unless_found(&CONFIG_WARNING, warnings, format_args!("{} files read", files.len()));
    findings.extend(modes(files));
    findings.push(open_files(config));
    findings.push(processes(config));
    findings.extend(state(config.daemon.state_dir.as_deref()));
    findings.extend(programs(config));
    findings
}

/// A configuration may hold passwords.
fn modes(files: &[PathBuf]) -> Vec<Finding> {
    let open = files.iter().filter_map(|file| {
        let mode = fs::metadata(file).ok()?.permissions().mode() & 0o777;
        let shown = file.display();
        if mode & 0o002 != 0 {
            return Some(CONFIG_MODE.error(format_args!("{shown} may be written by anybody (mode {mode:03o})")));
        }
        let is_secret = fs::read_to_string(file).is_ok_and(|text| holds_secret(&text));
        (is_secret && mode & 0o004 != 0).then(|| {
            CONFIG_MODE.warning(format_args!("{shown} holds a secret and may be read by anybody (mode {mode:03o})"))
        })
    });
    unless_found(&CONFIG_MODE, open.collect(), format_args!("{} files", files.len()))
}

/// Whether a file says a password, token or key itself, or a URL with one.
fn holds_secret(text: &str) -> bool {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).any(|line| {
        let (key, value) = line.split_once('=').unwrap_or_default();
        let key = key.trim().rsplit('.').next().unwrap_or_default();
        let names_one = ["password", "token", "secret", "secrets", "signing_secrets", "signing_secret"].contains(&key);
        let is_literal = value.trim_start().starts_with(['"', '\'', '[']) && !value.contains("${");
        let has_login = value.split_once("://").is_some_and(|(_, rest)| {
            rest.split(['/', '"']).next().and_then(|place| place.rsplit_once('@')).is_some_and(|(login, _)| {
                login.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !password.contains("${"))
            })
        });
        (names_one && is_literal) || has_login
    })
}

fn open_files(config: &Config) -> Finding {
    let slots: u64 = config.queues.values().map(|queue| u64::from(queue.concurrency)).sum();
    let viewers = config.admin.as_ref().map_or(0, |admin| u64::from(admin.events.max_viewers));
    let needed = OWN + slots * PER_SLOT + viewers;
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| format!("the limit cannot be read: {errno}"));
    MACHINE_FILES.judge(limit, |code, (soft, _)| {
        let seen = format!("{soft} open files allowed, up to {needed} needed for {slots} slots and {viewers} viewers");
        if soft < needed { code.warning(seen) } else { code.ok(seen) }
    })
}

/// A program has a keeper beside it.
fn processes(config: &Config) -> Finding {
    let of_pools: u64 = config
        .handlers
        .values()
        .map(|handler| if let Handler::Process(pool) = handler { u64::from(pool.workers.max) } else { 0 })
        .sum();
    let starts = |queue: &crate::config::Queue| {
        let names = queue.handler.iter().chain(queue.routes.values());
        names.into_iter().any(|name| matches!(config.handlers.get(name), Some(Handler::Command(_))))
    };
    let of_jobs: u64 =
        config.queues.values().filter(|queue| starts(queue)).map(|queue| u64::from(queue.concurrency)).sum();
    let needed = 2 * (of_pools + of_jobs);
    let limit = getrlimit(Resource::RLIMIT_NPROC).map_err(|errno| format!("the limit cannot be read: {errno}"));
    MACHINE_PROCESSES.judge(limit, |code, (soft, _)| {
        let seen = if soft == u64::MAX { "no limit".to_owned() } else { format!("{soft} processes allowed") };
        let seen = format!("{seen}, up to {needed} started at once");
        if soft < needed { code.warning(seen) } else { code.ok(seen) }
    })
}

fn state(directory: Option<&Path>) -> Vec<Finding> {
    let Some(directory) = directory else {
        return vec![MACHINE_STATE.note("no state_dir: after a crash jobs wait until their locks lapse")];
    };
    let shown = directory.display();
    let lock = directory.join("lock");
    let holder = fs::read_to_string(&lock).ok().and_then(|pid| pid.trim().parse::<i32>().ok());
    let runs = |pid: &i32| kill(Pid::from_raw(*pid), None) != Err(Errno::ESRCH);
    // where it is not there the daemon makes it, if it may
    let place = directory.ancestors().find(|place| place.exists()).unwrap_or(directory);
    let finding = match fs::metadata(place) {
        Ok(meta) if !meta.is_dir() => MACHINE_STATE.error(format_args!("{} is no directory", place.display())),
        Ok(_) if access(place, AccessFlags::W_OK | AccessFlags::X_OK).is_err() => {
            MACHINE_STATE.error(format_args!("{} may not be written by this user", place.display()))
        }
        Ok(_) => match holder.filter(runs) {
            Some(pid) => MACHINE_STATE.ok(format_args!("{shown}, last held by the process {pid}, which is there")),
            None => MACHINE_STATE.ok(format_args!("{shown}, held by nobody")),
        },
        Err(error) => MACHINE_STATE.unknown(format_args!("{shown}: {error}")),
    };
    vec![finding, disk(place)]
}

fn disk(place: &Path) -> Finding {
    let free = statvfs(place).map_err(|errno| format!("{}: {errno}", place.display()));
    MACHINE_DISK.judge(free, |code, free| {
        let bytes = free.blocks_available() * free.fragment_size();
        let seen = format!("{} MiB free where {} is", bytes / (1024 * 1024), place.display());
        if bytes < SPACE { code.warning(seen) } else { code.ok(seen) }
    })
}

fn programs(config: &Config) -> Vec<Finding> {
    let missing = crate::config::missing_programs(config);
    let named = |problem: &Problem| problem.key.split('.').nth(1).unwrap_or_default().to_owned();
    let found = missing.iter().map(|problem| MACHINE_PROGRAM.error(&problem.message).of(named(problem))).collect();
    let programs =
        config.handlers.values().filter(|handler| matches!(handler, Handler::Command(_) | Handler::Process(_)));
    unless_found(&MACHINE_PROGRAM, found, format_args!("{} programs", programs.count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_key_or_in_a_url() {
        for secret in [
            "password = \"hunter2\"",
            "redis.password = 'x'",
            "url = \"redis://:hunter2@host:6379/0\"",
            "token=\"x\"",
            "signing_secrets = [\"whsec_x\"]",
        ] {
            assert!(holds_secret(secret), "{secret}");
        }
        for other in [
            "# password = \"hunter2\"",
            "password = { file = \"/run/secrets/redis\" }",
            "password = \"${REDIS_PASSWORD}\"",
            "url = \"redis://:${REDIS_PASSWORD}@host\"",
            "url = \"redis://host:6379/0\"",
            "url = \"http://host/a:b@c\"",
        ] {
            assert!(!holds_secret(other), "{other}");
        }
    }
}
