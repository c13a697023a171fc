//! `oxherd init`: a commented configuration to start from.

mod starter;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::starter::{Starter, Work};
use super::session::Session;
use super::{Error, Exit, print, value};
use crate::config::{self, LoadOptions, Redis};
use crate::daemon::escape;
use crate::job::QueueName;

/// Write a commented configuration to start from
///
/// It holds a table for each queue, one handler for all of them, and as comments what else can be
/// said, with its defaults. A file that is there is replaced only with --yes, or when a question on
/// the terminal is answered with yes.
#[derive(Args)]
pub struct Init {
    /// Where to; a directory gets an oxherd.toml
    #[arg(value_name = "FILE|DIR", default_value = "oxherd.toml")]
    path: PathBuf,
    /// A queue to work; repeatable
    #[arg(long, value_name = "NAME", value_parser = value::queue)]
    queue: Vec<QueueName>,
    /// Work every queue there is in Redis
    #[arg(long)]
    discover: bool,
    /// The handler: an endpoint, which gets each job as JSON
    #[arg(long, value_name = "URL", group = "work")]
    http: Option<String>,
    /// The handler: a program per job, its arguments behind it and separated by blanks
    #[arg(long, value_name = "PROGRAM", group = "work")]
    command: Option<String>,
    /// The handler: a pool of processes around a file for Node or PHP, MODULE:FUNCTION of Python, or a program
    #[arg(long, value_name = "FILE", group = "work")]
    process: Option<String>,
    /// Print it, and write nothing
    #[arg(long, conflicts_with = "yes")]
    stdout: bool,
    /// Replace a file that is there, without asking
    #[arg(long)]
    yes: bool,
}

impl Init {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let path = if self.path.is_dir() { self.path.join("oxherd.toml") } else { self.path.clone() };
        let is_there = !self.stdout && fs::symlink_metadata(&path).is_ok();
        let shown = escape::text(&path.display().to_string()).into_owned();
        if is_there && !self.yes && !print::somebody_answers() {
            let help = "say --yes to replace it, --stdout to look at what would be written, or name another file";
            return Err(Error::No(format!("{shown} is there already; {help}")));
        }
        let mut queues = self.queue.clone();
        let mut prefix = None;
        if self.discover {
            let (found, used) = discover(session)?;
            queues.extend(found);
            prefix = Some(used).filter(|prefix| *prefix != Redis::default().prefix);
        }
        queues.sort();
        queues.dedup();
        let redis = session.global.redis.clone();
        let starter = Starter { queues, redis, prefix, work: self.work() };
        let text = starter.text();
        refuse_mistakes(&text)?;
        if self.stdout {
            session.out.line(text.trim_end())?;
            return Ok(Exit::Done);
        }
        if is_there && !self.yes {
            let answer = print::ask(&format!("replace {}", path.display()))?;
            if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
                return Err(Error::No("nothing was changed".into()));
            }
        }
        let mode = if starter.holds_a_password() { 0o600 } else { 0o666 };
        write(&path, &text, mode, is_there)
            .map_err(|error| io::Error::new(error.kind(), format!("{shown}: {error}")))?;
        let queues: Vec<&str> = starter.names();
        if session.out.is_json() {
            session.out.json(&json!({ "file": path, "queues": queues, "replaced": is_there }))?;
        } else {
            let count = match queues.len() {
                1 => "1 queue".to_owned(),
                n => format!("{n} queues"),
            };
            // a path of its own has to be named again
            let option = if self.path == Path::new("oxherd.toml") { String::new() } else { format!(" -c {shown}") };
            session
                .out
                .line(format_args!("{shown}: {count}; edit it, then: oxherd check{option}, oxherd run{option}"))?;
        }
        Ok(Exit::Done)
    }

    fn work(&self) -> Work {
        if let Some(program) = &self.command {
            return Work::Command(program.split_whitespace().map(str::to_owned).collect());
        }
        match (&self.process, &self.http) {
            (Some(file), _) => Work::Process(file.clone()),
            (None, url) => Work::Http(url.clone()),
        }
    }
}

/// The queues there are under the prefix, and the prefix.
fn discover(session: &mut Session) -> Result<(Vec<QueueName>, String), Error> {
    let (queues, prefix) = session.with_store(|store, config| async move {
        let queues = store.queue_names().await?;
        Ok::<_, Error>((queues, config.redis.prefix))
    })??;
    if queues.is_empty() {
        let help = "say --set redis.prefix=… if BullMQ has another, or name queues with --queue";
        return Err(Error::No(format!("no queue is in Redis under the prefix {prefix:?}; {help}")));
    }
    Ok((queues, prefix))
}

/// Reads the text as `run` would: what was said on the command line may make no sense.
fn refuse_mistakes(text: &str) -> Result<(), Error> {
    let file = std::env::temp_dir().join(format!("oxherd-init-{}.toml", uuid::Uuid::new_v4()));
    create(&file, text, 0o600)?;
    let loaded = config::load(&LoadOptions { files: vec![file.clone()], ..LoadOptions::default() });
    fs::remove_file(&file)?;
    let Err(error) = loaded else { return Ok(()) };
    let problem = error.problems.into_iter().find(|problem| problem.severity == config::Severity::Error);
    let problem = problem.expect("an error names its problems");
    let help = problem.help.map_or_else(String::new, |help| format!("; {help}"));
    Err(Error::Usage(format!("{}{help}", problem.message)))
}

/// Puts the whole file there, or nothing.
fn write(path: &Path, text: &str, mode: u32, replace: bool) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    create(&beside, text, mode)?;
    let placed = if replace {
        fs::rename(&beside, path)
    } else {
        // unlike a rename it does not replace what has come in the meantime
        fs::hard_link(&beside, path)
    };
    if placed.is_err() || !replace {
        fs::remove_file(&beside)?;
    }
    placed
}

fn create(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
