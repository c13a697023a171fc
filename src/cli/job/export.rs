//! `oxherd job export`: whole jobs as JSON lines.

use std::io::{self, IsTerminal as _};

use clap::Args;
use indicatif::ProgressBar;

use super::super::print::Out;
use super::super::queue::known;
use super::super::session::Session;
use super::super::{Error, Exit, progress};
use super::each::{Deed, Tally};
use super::selection::Targets;
use crate::job::State;
use crate::store::{Code, Queue, Selection};

const EXPORT: Deed = Deed { verb: "export", done: "exported", at: "from", from: &State::ALL };
/// Jobs held at once.
const PAGE: usize = 100;

/// Print whole jobs, one a line, for job import
///
/// Everything there is of them: state, fields, log, children. Without ids or options every job of the queue; pause it
/// for a picture of one moment. Changes nothing.
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    targets: Targets,
}

impl Export {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let why = "its elements are whole as they stand; LRANGE or oxherd job ls --json shows them";
        session.is_no_list(&self.targets.queue, why)?;
        let mut out = Out::new(true);
        session.with_store(|store, _| async move {
            let counts = known(&store, &self.targets.queue).await?.counts;
            let queue = store.queue(&self.targets.queue);
            let selection = self.targets.filter.selection(store.now());
            let total = match self.targets.ids.len() {
                0 => selection.states.iter().map(|state| counts.of(*state)).sum(),
                ids => ids as u64,
            };
            let bar = progress::jobs(total, io::stdout().is_terminal());
            let mut tally = Tally::default();
            for id in &self.targets.ids {
                bar.inc(1);
                match queue.export_job(id).await? {
                    Some(job) => out.json(&job)?,
                    None => tally.refused.push((id.clone(), Code::Missing.to_string())),
                }
            }
            if self.targets.ids.is_empty() {
                let mut left = self.targets.limit.unwrap_or(usize::MAX);
                for state in &selection.states {
                    left = export_state(*state, &queue, &selection, left, &mut out, &bar).await?;
                }
            }
            bar.finish_and_clear();
            out.flush()?;
            tally.explain(&EXPORT);
            Ok(tally.exit())
        })?
    }
}

/// Prints the jobs of a state, at most `left`; answers how many of that are left then.
async fn export_state(
    state: State,
    queue: &Queue,
    selection: &Selection,
    mut left: usize,
    out: &mut Out,
    bar: &ProgressBar,
) -> Result<usize, Error> {
    let mut after = None;
    while left > 0 {
        let (jobs, next) = queue.export(state, after, PAGE).await?;
        bar.inc(jobs.len() as u64);
        for job in jobs.iter().filter(|job| selection.covers(&job.fields)).take(left) {
            out.json(job)?;
            left -= 1;
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    Ok(left)
}
