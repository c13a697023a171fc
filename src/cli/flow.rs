//! `oxherd job add --flow`: a tree of jobs from JSON, wholly or not at all.

use std::path::Path;

use super::bulk::without_place;
use super::input::{read_whole, shown};
use super::session::Session;
use super::{Error, Exit};
use crate::job::{Flow, FlowError, JobId, QueueName};
use crate::store;

/// Adds the tree in this file and prints the id of its root, or with `--json` the ids of all. Nodes that name no queue
/// go to `queue`; the root becomes a child of `parent`.
pub fn add(
    path: &Path,
    queue: Option<&QueueName>,
    parent: Option<(QueueName, JobId)>,
    session: &mut Session,
) -> Result<Exit, Error> {
    let source = shown(path);
    let text = read_whole(path)?;
    let mut flow = Flow::parse(text.trim_start_matches('\u{feff}'), queue).map_err(|error| refused(&source, &error))?;
    check_queues(&flow, session)?;
    let added = session.with_store(|store, config| async move {
        if let Some((queue, id)) = parent {
            flow.job.opts.parent = Some(store.queue(&queue).parent(&id));
        }
        store.add_flows(&[flow], &config.status).await
    })?;
    let added = added.map_err(|error| match error {
        store::Error::Setup(problem) => Error::Input(format!("{source}: {problem}")),
        error => error.into(),
    })?;
    for root in &added {
        if session.out.is_json() {
            session.out.json(root)?;
        } else {
            session.out.line(crate::daemon::escape::text(root.id.as_str()))?;
        }
    }
    Ok(Exit::Done)
}

/// No node goes to a plain list.
fn check_queues(flow: &Flow, session: &Session) -> Result<(), Error> {
    session.is_no_list(&flow.queue, "its elements have neither children nor parents")?;
    flow.children.iter().try_for_each(|child| check_queues(child, session))
}

fn refused(source: &str, error: &FlowError) -> Error {
    Error::Input(match error {
        FlowError::Syntax(error) => {
            format!("{source}:{}:{}: {}", error.line(), error.column(), without_place(error))
        }
        error => format!("{source}: {error}"),
    })
}
