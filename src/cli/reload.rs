//! `oxherd reload`: has the daemon of this configuration read it again, and says what became of that.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::print::{self, Colour};
use super::session::Session;
use super::{Error, Exit, value};
use crate::config::{self, Diff, Problem};
use crate::daemon::{NoAnswer, Outcome, Reload as Answer, answer, escape, holder, order};

/// Have the running daemon take over the configuration, and say what it took over.
///
/// The files are read and judged here first: with a mistake in them the daemon is not disturbed (exit 78). It is found by
/// daemon.state_dir, which it holds. Exit 0 when it has taken them over, 1 when it refuses, 69 when there is none or it
/// does not answer, 77 when it is somebody else's. Where its environment holds what this one lacks, send it HUP instead.
#[derive(Args)]
pub struct Reload {
    /// The process to tell, where the configuration names no daemon.state_dir
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(2..))]
    pid: Option<i32>,
    /// How long to wait for its answer
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "30s")]
    timeout: Duration,
}

impl Reload {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (config, warnings) = match config::load_settled(&session.sources(false)) {
            Ok(loaded) => loaded,
            Err(error) if session.out.is_json() => {
                session.out.json(&json!({ "ok": false, "pid": Value::Null, "problems": error.problems }))?;
                return Ok(Exit::Refused);
            }
            Err(error) => return Err(error.into()),
        };
        let state_dir = config.daemon.state_dir.as_deref();
        let held_by = state_dir.map(held_by).transpose()?.flatten();
        let (pid, told_in) = match (self.pid, state_dir) {
            (Some(pid), _) => (pid, state_dir.filter(|_| held_by == Some(pid))),
            (None, Some(path)) => {
                let Some(pid) = held_by else {
                    let path = path.display();
                    return Err(Error::Absent(format!(
                        "no daemon runs with state directory {path}; start one with oxherd run"
                    )));
                };
                (pid, Some(path))
            }
            (None, None) => {
                return Err(Error::Usage(
                    "the configuration names no daemon.state_dir to find the daemon by; give --pid PID, or set it and restart"
                        .to_owned(),
                ));
            }
        };
        let before = told_in.map(Answer::read).transpose().map_err(NoAnswer::Unreadable)?.flatten();
        order(pid)?;
        let Some(state_dir) = told_in else {
            if session.out.is_json() {
                session.out.json(&json!({ "ok": true, "pid": pid, "changes": Value::Null }))?;
            } else {
                session.out.line(format_args!("told process {pid}; its log says what becomes of it"))?;
            }
            return Ok(Exit::Done);
        };
        let reload = answer(state_dir, pid, before.as_ref(), self.timeout)?;
        if !session.out.is_json() {
            let colour = print::stderr_has_colour();
            for warning in &warnings {
                print::aside(format_args!("{}\n", warning.render(colour)));
            }
        }
        match reload.outcome {
            Outcome::TakenOver(changes) => taken_over(session, pid, &changes),
            Outcome::Refused(problems) => refused(session, pid, &problems),
            Outcome::UnderWay => Err(NoAnswer::Late(pid).into()),
        }
    }
}

fn held_by(path: &Path) -> Result<Option<i32>, Error> {
    holder(path).map_err(|source| crate::daemon::Error::State { path: path.to_owned(), source }.into())
}

fn taken_over(session: &mut Session, pid: i32, changes: &Diff) -> Result<Exit, Error> {
    if session.out.is_json() {
        session.out.json(&json!({ "ok": true, "pid": pid, "changes": changes }))?;
        return Ok(Exit::Done);
    }
    let done = session.out.paint(Colour::Green, "reloaded");
    if changes.is_empty() {
        session.out.line(format_args!("{done}: process {pid} goes by these files already"))?;
        return Ok(Exit::Done);
    }
    session.out.line(format_args!("{done}: process {pid} has taken over"))?;
    let names = |names: &[String]| names.join(", ");
    let queues =
        |queues: &[crate::job::QueueName]| queues.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let pairs = [
        ("  queues added", queues(&changes.added)),
        ("  queues removed", queues(&changes.removed)),
        ("  queues changed", queues(&changes.changed)),
        ("  handlers", names(&changes.handlers)),
        ("  schedules added", names(&changes.schedules.added)),
        ("  schedules removed", names(&changes.schedules.removed)),
        ("  schedules changed", names(&changes.schedules.changed)),
        ("  sections", names(&changes.sections)),
        ("  at the next start", names(&changes.restart_needed)),
    ];
    let some: Vec<_> = pairs.into_iter().filter(|(_, names)| !names.is_empty()).collect();
    session.out.pairs(&some)?;
    Ok(Exit::Done)
}

fn refused(session: &mut Session, pid: i32, problems: &[Problem]) -> Result<Exit, Error> {
    if session.out.is_json() {
        session.out.json(&json!({ "ok": false, "pid": pid, "problems": problems }))?;
        return Ok(Exit::No);
    }
    let why: Vec<String> = problems.iter().map(|problem| escape::block(&problem.render(false))).collect();
    Err(Error::No(format!(
        "process {pid} refuses the configuration and goes on with the one before:\n\n{}",
        why.join("\n\n")
    )))
}
