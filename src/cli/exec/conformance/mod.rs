//! `oxherd exec --conformance`: does a program speak the protocol of process pools (`docs/handlers/process.md`)?
//!
//! A scripted dialogue with the program, check by check. What a check breaks another need not suffer: where the program
//! has gone, the next check begins with a new process.

mod checks;
mod dialogue;
mod jobs;

use std::time::Duration;

use serde::Serialize;

use self::checks::CHECKS;
use self::dialogue::Dialogue;
use self::jobs::Jobs;
use super::super::print::Colour;
use super::super::session::{Session, runtime};
use super::super::{Error, Exit};
use super::Exec;
use super::file::JobFile;

/// How long anything may take where nobody says otherwise.
const WITHIN: Duration = Duration::from_secs(10);

/// What one check has found.
#[derive(Serialize)]
struct Row {
    check: &'static str,
    result: Verdict,
    seen: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Failed,
    Skipped,
}

/// How a check ends that does not pass.
enum Trouble {
    Failed(String),
    Skipped(String),
}

/// What was seen, or what is wrong.
type Seen = Result<String, Trouble>;

fn failed<T>(why: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Failed(why.into()))
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    command: &'a [String],
    transport: &'static str,
    checks: &'a [Row],
}

/// Checks the program and prints what was found.
pub fn check(exec: &Exec, job: Option<JobFile>, session: &mut Session) -> Result<Exit, Error> {
    let jobs = Jobs::new(job.unwrap_or_else(JobFile::sample))?;
    let within = exec.within.unwrap_or(WITHIN);
    let rows = runtime()?.block_on(run(&exec.command, exec.stdio, jobs, within));
    let ok = rows.iter().all(|row| row.result != Verdict::Failed);
    if session.out.is_json() {
        let transport = if exec.stdio { "stdio" } else { "fds" };
        session.out.json(&Report { ok, command: &exec.command, transport, checks: &rows })?;
    } else {
        print(&rows, session)?;
    }
    Ok(if ok { Exit::Done } else { Exit::No })
}

async fn run(command: &[String], is_stdio: bool, jobs: Jobs, within: Duration) -> Vec<Row> {
    let mut dialogue = Dialogue::new(command, is_stdio, jobs, within);
    let mut rows: Vec<Row> = Vec::new();
    for check in CHECKS {
        let row = |result, seen| Row { check: check.name, result, seen };
        // a program that cannot be started or does not do the first job has nothing to be asked
        if let Some(first) = rows.iter().take(2).find(|row| row.result != Verdict::Ok) {
            let why = format!("{} did not pass", first.check);
            rows.push(row(Verdict::Skipped, why));
            continue;
        }
        let seen = (check.run)(&mut dialogue).await;
        // what may not be said at all is the better reason
        let seen = dialogue.complaint().map_or(seen, failed);
        rows.push(match seen {
            Ok(seen) => row(Verdict::Ok, seen),
            Err(Trouble::Skipped(why)) => row(Verdict::Skipped, why),
            Err(Trouble::Failed(why)) => {
                dialogue.give_up().await;
                row(Verdict::Failed, why)
            }
        });
    }
    dialogue.give_up().await;
    rows
}

fn print(rows: &[Row], session: &mut Session) -> Result<(), Error> {
    let word = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    };
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| vec![row.check.to_owned(), word(row.result).to_owned(), row.seen.clone()]).collect();
    let out = &mut session.out;
    out.table(&["CHECK", "RESULT", "SEEN"], &cells)?;
    let count = |verdict| rows.iter().filter(|row| row.result == verdict).count();
    let (bad, skipped) = (count(Verdict::Failed), count(Verdict::Skipped));
    let (colour, text) = match bad {
        0 => (Colour::Green, format!("{} checks passed", count(Verdict::Ok))),
        _ => (Colour::Red, format!("{bad} of {} checks failed", rows.len() - skipped)),
    };
    let text = if skipped > 0 { format!("{text}, {skipped} skipped") } else { text };
    out.line(out.paint(colour, text))?;
    Ok(())
}
