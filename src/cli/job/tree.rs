//! `oxherd job show --tree`: a job with its children below it, over all queues.

use super::super::print::{Colour, Out};
use super::super::session::Session;
use super::super::{Error, Exit};
use super::show::missing;
use crate::daemon::escape;
use crate::job::{JobId, QueueName, State};
use crate::store::JobTree;

/// Levels shown below the job; more can only come from somebody playing.
const DEPTH: usize = 100;

pub fn show(queue: QueueName, id: JobId, session: &mut Session) -> Result<Exit, Error> {
    let tree = session.with_store(|store, _| async move {
        match store.queue(&queue).tree(&id, DEPTH).await? {
            Some(tree) => Ok(tree),
            None => Err(missing(&store, &queue, &id).await),
        }
    })??;
    if session.out.is_json() {
        session.out.json(&tree)?;
    } else {
        print(&tree, "", "", &mut session.out)?;
    }
    Ok(Exit::Done)
}

/// A line for the job after `first`, and its children after `rest`.
fn print(tree: &JobTree, first: &str, rest: &str, out: &mut Out) -> Result<(), Error> {
    let job = &tree.job;
    let colour = match job.state {
        State::Completed => Colour::Green,
        State::Failed => Colour::Red,
        State::Active => Colour::Yellow,
        _ => Colour::Bold,
    };
    let place = format!("{} {}", escape::text(job.queue.as_str()), escape::text(job.id.as_str()));
    let name = escape::text(job.name());
    let reason = match job.failed_reason() {
        Some(reason) if job.state == State::Failed => format!("  {}", escape::text(reason)),
        _ => String::new(),
    };
    out.line(format_args!("{first}{name}  {place}  {}{reason}", out.paint(colour, job.state)))?;
    let mut left = tree.children.len() + usize::from(tree.more > 0);
    let mut ends = || {
        left -= 1;
        if left > 0 { ("├─ ", "│  ") } else { ("└─ ", "   ") }
    };
    for child in &tree.children {
        let (first, below) = ends();
        print(child, &format!("{rest}{first}"), &format!("{rest}{below}"), out)?;
    }
    if tree.more > 0 {
        let (first, _) = ends();
        out.line(format_args!("{rest}{first}{} more, gone or not shown", tree.more))?;
    }
    Ok(())
}
