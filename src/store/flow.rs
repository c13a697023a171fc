//! Adds whole trees of jobs at once. Protocol: §5.4.2.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use super::add::{check, parent_field};
use super::error::Error;
use super::script::ADD_FLOWS;
use super::work::status_arguments;
use super::{Queue, Store, Value, reply};
use crate::config;
use crate::job::{Flow, JobId, JobOptions, ParentRef, QueueName, millis};

/// Most jobs in one call, which keeps Redis from others for about twenty milliseconds a thousand.
pub const MAX_FLOW: usize = 10_000;

/// A job of a tree that was added, and those below it in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddedFlow {
    pub id: JobId,
    pub queue: QueueName,
    pub children: Vec<AddedFlow>,
}

/// A job of the trees, which lie in one list: level by level, so that a parent comes before its children.
struct Node<'a> {
    flow: &'a Flow,
    id: JobId,
    /// Where the parent is in the list.
    parent: Option<usize>,
    /// Which of the flows, or of its parent's children, this is.
    place: usize,
}

impl Store {
    /// Adds trees of jobs, all of them or none: a parent and the children it waits for, over any number of queues. On
    /// a cluster all queues must share a slot. Jobs without an id get a uuid; of a root in a window of deduplication
    /// the id may be that of the job that is there instead.
    ///
    /// One call of Redis, whatever the size: for each thousand jobs it is busy for some twenty milliseconds. More than
    /// [`MAX_FLOW`] jobs are refused. An ambiguous error may have added all: repeat it only when the jobs carry ids of
    /// their own, then what is there is left as it is.
    ///
    /// A job that exists becomes the child of its new parent, unless it has another one that still exists: then the
    /// whole call is refused. A parent whose children are all completed does not wait. What cannot be added as it
    /// stands is an [`Error::Setup`] that names the place in the tree, as in `children[1].children[0]`.
    pub async fn add_flows(&self, flows: &[Flow], status: &config::Status) -> Result<Vec<AddedFlow>, Error> {
        let mut new_id = || JobId::stored(Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        self.add_flows_with(flows, status, &mut new_id).await
    }

    /// As [`Store::add_flows`], with ids from `new_id` for jobs that have none: a child has to know its parent's before
    /// anything is written.
    pub(crate) async fn add_flows_with(
        &self,
        flows: &[Flow],
        status: &config::Status,
        new_id: &mut (dyn FnMut() -> JobId + Send),
    ) -> Result<Vec<AddedFlow>, Error> {
        let size: usize = flows.iter().map(Flow::size).sum();
        if size > MAX_FLOW {
            return Err(Error::Setup(format!(
                "expected a flow of at most {MAX_FLOW} jobs, got {size}; let a running job add the rest as its children"
            )));
        }
        let Some(first) = flows.first() else { return Ok(Vec::new()) };
        let mut nodes = level_by_level(flows, new_id);
        check_tree(&nodes, flows.len())?;
        let args = self.flow_arguments(&nodes, status);
        let answer = self.command().script(&ADD_FLOWS, &self.keys(&first.queue).meta(), args).await?;
        let mut answer = reply::array(ADD_FLOWS.name, answer)?.into_iter();
        let code = answer.next().unwrap_or(Value::Null);
        if code.as_i64() != Some(0) {
            let number = answer.next().and_then(|number| usize::try_from(number.as_i64()?).ok());
            let refused = number.and_then(|number| nodes.get(number.checked_sub(1)?));
            let id = refused.map_or_else(|| JobId::stored("?"), |node| node.id.clone());
            reply::accepted("add", &id, &code)?;
            return Err(reply::unexpected(ADD_FLOWS.name, "0 or a code it documents", &code));
        }
        for (node, id) in nodes.iter_mut().filter(|node| node.flow.job.opts.deduplication.is_some()).zip(answer) {
            node.id = JobId::stored(&reply::text(ADD_FLOWS.name, id)?);
        }
        Ok(trees(&nodes))
    }

    fn flow_arguments(&self, nodes: &[Node<'_>], status: &config::Status) -> Vec<Value> {
        let now = self.now();
        let mut numbers: HashMap<&QueueName, i64> = HashMap::new();
        let mut queues: Vec<Value> = Vec::new();
        let mut jobs: Vec<Value> = Vec::with_capacity(12 * nodes.len());
        for node in nodes {
            let Flow { queue, job, children } = node.flow;
            let next = i64::try_from(numbers.len()).unwrap_or(i64::MAX).saturating_add(1);
            let number = *numbers.entry(queue).or_insert_with(|| {
                queues.push(self.keys(queue).base().into());
                queues.extend(status_arguments(status, queue, 1, false));
                next
            });
            let parent = match node.parent {
                None => job.opts.parent.clone(),
                Some(at) => {
                    let parent = &nodes[at];
                    let queue = self.keys(&parent.flow.queue).queue_key().to_owned();
                    Some(ParentRef { id: parent.id.to_string(), queue })
                }
            };
            let opts = JobOptions { parent: parent.clone(), ..job.opts.clone() };
            let place = match () {
                () if !children.is_empty() => "children",
                () if opts.lifo => "front",
                () => "back",
            };
            jobs.extend([
                number.into(),
                node.id.as_str().into(),
                job.name.as_str().into(),
                job.data.get().into(),
                opts.encode().into(),
                opts.timestamp.unwrap_or(now).0.into(),
                opts.delay.map_or(0, millis).into(),
                i64::from(opts.priority).into(),
                place.into(),
                parent.as_ref().map(ParentRef::key).unwrap_or_default().into(),
                parent.as_ref().map(|parent| parent_field(parent, &opts)).unwrap_or_default().into(),
                opts.deduplication.as_ref().map(|window| window.value().to_string()).unwrap_or_default().into(),
            ]);
        }
        let mut args: Vec<Value> = vec![now.0.into(), i64::try_from(numbers.len()).unwrap_or(i64::MAX).into()];
        args.append(&mut queues);
        args.append(&mut jobs);
        args
    }
}

impl Queue {
    /// Adds a tree of jobs, wholly or not at all, as [`Store::add_flows`], without status messages. The root's queue
    /// is the one its [`Flow`] names, which need not be this one.
    ///
    /// ```no_run
    /// # async fn example(store: oxherd::Store) -> Result<(), Box<dyn std::error::Error>> {
    /// use oxherd::{ChildFailure, Flow, JobOptions, NewJob, QueueName};
    /// use serde_json::value::RawValue;
    ///
    /// let job = |name: &str, opts| NewJob { name: name.into(), data: RawValue::NULL.to_owned(), opts };
    /// let page = |name: &str| Flow {
    ///     queue: QueueName::new("render").unwrap(),
    ///     // the book does without a page that cannot be rendered
    ///     job: job(name, JobOptions { on_failure: Some(ChildFailure::IgnoreDependency), ..JobOptions::default() }),
    ///     children: Vec::new(),
    /// };
    /// let book = Flow {
    ///     queue: QueueName::new("bind")?,
    ///     job: job("book", JobOptions::default()),
    ///     children: vec![page("page-1"), page("page-2")],
    /// };
    /// let added = store.queue(&book.queue).add_flow(&book).await?;
    /// println!("{} waits for {} pages", added.id, added.children.len());
    /// # Ok(()) }
    /// ```
    pub async fn add_flow(&self, flow: &Flow) -> Result<AddedFlow, Error> {
        let silent = config::Status { enabled: false, ..config::Status::default() };
        let mut added = self.store.add_flows(std::slice::from_ref(flow), &silent).await?;
        Ok(added.remove(0))
    }
}

fn level_by_level<'a>(flows: &'a [Flow], new_id: &mut dyn FnMut() -> JobId) -> Vec<Node<'a>> {
    let mut node = |parent, place, flow: &'a Flow| {
        let id = flow.job.opts.job_id.as_deref().map_or_else(&mut *new_id, JobId::stored);
        Node { flow, id, parent, place }
    };
    let mut nodes: Vec<Node<'_>> = flows.iter().enumerate().map(|(place, flow)| node(None, place, flow)).collect();
    let mut at = 0;
    while let Some(parent) = nodes.get(at) {
        let children = &parent.flow.children;
        nodes.extend(children.iter().enumerate().map(|(place, flow)| node(Some(at), place, flow)));
        at += 1;
    }
    nodes
}

/// What BullMQ's producers refuse, and what it would lose. Protocol: §3.2.
fn check_tree(nodes: &[Node<'_>], roots: usize) -> Result<(), Error> {
    let mut places: HashMap<(&QueueName, &JobId), usize> = HashMap::with_capacity(nodes.len());
    for (at, node) in nodes.iter().enumerate() {
        let refused = |problem: String| Error::Setup(format!("{}: {problem}", path(nodes, at, roots)));
        let Flow { queue, job, children } = node.flow;
        let is_child = node.parent.is_some();
        check(job).map_err(refused)?;
        if job.opts.deduplication.is_some() && (is_child || !children.is_empty()) {
            let what = if is_child { "a parent" } else { "children" };
            return Err(refused(format!("deduplication cannot be used on a job with {what}")));
        }
        if is_child && job.opts.parent.is_some() {
            return Err(refused("its parent is the job above it in the tree; remove the option parent".into()));
        }
        if let Some(first) = places.insert((queue, &node.id), at) {
            let first = path(nodes, first, roots);
            return Err(refused(format!(
                "expected another id than that of {first} in the same queue, got {}",
                node.id
            )));
        }
    }
    Ok(())
}

/// Where a job is in the trees, as in `children[1].children[0]`.
fn path(nodes: &[Node<'_>], at: usize, roots: usize) -> String {
    let mut steps = Vec::new();
    let mut node = &nodes[at];
    while let Some(parent) = node.parent {
        steps.push(format!("children[{}]", node.place));
        node = &nodes[parent];
    }
    if roots > 1 {
        steps.push(format!("flows[{}]", node.place));
    }
    if steps.is_empty() {
        return "root".into();
    }
    steps.reverse();
    steps.join(".")
}

/// The list made trees again.
fn trees(nodes: &[Node<'_>]) -> Vec<AddedFlow> {
    let bare = |node: &Node<'_>| AddedFlow {
        id: node.id.clone(),
        queue: node.flow.queue.clone(),
        children: Vec::with_capacity(node.flow.children.len()),
    };
    let mut added: Vec<AddedFlow> = nodes.iter().map(bare).collect();
    // from the end, so that a child is whole before its parent takes it
    for (at, node) in nodes.iter().enumerate().rev() {
        if let Some(parent) = node.parent {
            // always the last one left
            let mut child = added.remove(at);
            child.children.reverse();
            added[parent].children.push(child);
        }
    }
    for root in &mut added {
        root.children.reverse();
    }
    added
}

#[cfg(test)]
mod tests;
