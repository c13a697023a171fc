//! Flows as producers write them in JSON, the shape of BullMQ's FlowProducer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Flow;
use crate::job::{JobOptions, NameError, NewJob, QueueName};

/// The text is no flow.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    #[error("not a flow: {0}")]
    Syntax(#[source] serde_json::Error),
    /// `place` is where in the tree, as in `children[1].children[0]`, or `root`.
    #[error("{place}: {problem}")]
    Queue { place: String, problem: NameError },
    #[error("{place}: expected a queueName, got none")]
    NoQueue { place: String },
    #[error("{place}: {problem}")]
    Options { place: String, problem: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a flow: an object of name, queueName, data, opts and children")]
struct Node {
    name: String,
    #[serde(alias = "queueName")]
    queue: Option<String>,
    data: Option<Box<RawValue>>,
    opts: Option<Box<RawValue>>,
    #[serde(default)]
    children: Vec<Node>,
}

impl Flow {
    /// Reads `{"name":…,"queueName":…,"data":…,"opts":…,"children":[…]}`, of which all but the name may be missing;
    /// `queue` is another word for `queueName`. A job that names no queue goes to `otherwise`, its own children too.
    /// Data is kept byte for byte and `{}` where there is none. Options are read as [`JobOptions::from_producer`] does.
    pub fn parse(text: &str, otherwise: Option<&QueueName>) -> Result<Self, FlowError> {
        flow(serde_json::from_str(text).map_err(FlowError::Syntax)?, otherwise, &mut Vec::new())
    }
}

/// `path` holds the place of each job above, and of this one, among its siblings.
fn flow(node: Node, otherwise: Option<&QueueName>, path: &mut Vec<usize>) -> Result<Flow, FlowError> {
    let Node { name, queue, data, opts, children } = node;
    let queue = match (queue, otherwise) {
        (Some(queue), _) => {
            QueueName::new(&queue).map_err(|problem| FlowError::Queue { place: place(path), problem })?
        }
        (None, Some(otherwise)) => otherwise.clone(),
        (None, None) => return Err(FlowError::NoQueue { place: place(path) }),
    };
    let opts = match opts {
        Some(opts) => JobOptions::from_producer(opts.get())
            .map_err(|problem| FlowError::Options { place: place(path), problem })?,
        None => JobOptions::default(),
    };
    let data = data.unwrap_or_else(|| RawValue::from_string("{}".into()).expect("braces are JSON"));
    let mut read = Vec::with_capacity(children.len());
    for (at, child) in children.into_iter().enumerate() {
        path.push(at);
        read.push(flow(child, otherwise, path)?);
        path.pop();
    }
    Ok(Flow { queue, job: NewJob { name, data, opts }, children: read })
}

fn place(path: &[usize]) -> String {
    if path.is_empty() {
        return "root".into();
    }
    path.iter().map(|at| format!("children[{at}]")).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_with_its_data_as_it_is() {
        let text = r#"{"name":"p","queueName":"a","data":{"n":1.10},
            "children":[{"name":"c","queue":"b","opts":{"attempts":2,"failParentOnFailure":true}},{"name":"d"}]}"#;
        let own = QueueName::new("own").unwrap();
        let flow = Flow::parse(text, Some(&own)).unwrap();
        assert_eq!((flow.queue.as_str(), flow.job.name.as_str(), flow.job.data.get()), ("a", "p", r#"{"n":1.10}"#));
        let [c, d] = flow.children.as_slice() else { panic!() };
        assert_eq!((c.queue.as_str(), c.job.opts.attempts, c.job.data.get()), ("b", Some(2), "{}"));
        assert_eq!(c.job.opts.on_failure, Some(crate::job::ChildFailure::FailParent));
        assert_eq!(d.queue, own);
    }

    #[test]
    fn mistakes_name_their_place() {
        let mistake = |text: &str| Flow::parse(text, None).unwrap_err().to_string();
        assert!(mistake("[]").starts_with("not a flow: "));
        assert!(mistake(r#"{"name":"a","queue":"q","prefix":"x"}"#).contains("unknown field `prefix`"));
        assert_eq!(mistake(r#"{"name":"a"}"#), "root: expected a queueName, got none");
        assert!(mistake(r#"{"name":"a","queue":"b:c"}"#).starts_with("root: queue name \"b:c\" holds a ':'"));
        let options = mistake(r#"{"name":"a","queue":"q","children":[{"name":"b","queue":"q","opts":[]}]}"#);
        assert_eq!(options, "children[0]: job options must be a JSON object, got an array");
    }
}
