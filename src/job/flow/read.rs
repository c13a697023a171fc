//! Flows as producers write them in JSON, the shape of BullMQ's FlowProducer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Flow;
use crate::job::{JobOptions, NameError, NewJob, OptionsError, QueueName};

/// The text is no flow.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    #[error("not a flow: {0}; a flow is an object of name, queueName, data, opts and children")]
    Syntax(#[source] serde_json::Error),
    #[error("job {name:?} has a queue that cannot be: {problem}")]
    Queue { name: String, problem: NameError },
    #[error("job {0:?} names no queue; add queueName")]
    NoQueue(String),
    #[error("job {name:?}: {problem}")]
    Options { name: String, problem: OptionsError },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Data is kept byte for byte and `{}` where there is none.
    pub fn parse(text: &str, otherwise: Option<&QueueName>) -> Result<Self, FlowError> {
        flow(serde_json::from_str(text).map_err(FlowError::Syntax)?, otherwise)
    }
}

fn flow(node: Node, otherwise: Option<&QueueName>) -> Result<Flow, FlowError> {
    let Node { name, queue, data, opts, children } = node;
    let queue = match (queue, otherwise) {
        (Some(queue), _) => match QueueName::new(&queue) {
            Ok(queue) => queue,
            Err(problem) => return Err(FlowError::Queue { name, problem }),
        },
        (None, Some(otherwise)) => otherwise.clone(),
        (None, None) => return Err(FlowError::NoQueue(name)),
    };
    let opts = match opts.map_or_else(|| Ok(JobOptions::default()), |opts| JobOptions::parse(opts.get()).map(|o| o.0)) {
        Ok(opts) => opts,
        Err(problem) => return Err(FlowError::Options { name, problem }),
    };
    let data = data.unwrap_or_else(|| RawValue::from_string("{}".into()).expect("braces are JSON"));
    let children = children.into_iter().map(|child| flow(child, otherwise)).collect::<Result<_, _>>()?;
    Ok(Flow { queue, job: NewJob { name, data, opts }, children })
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
    fn mistakes_name_the_job() {
        let mistake = |text: &str| Flow::parse(text, None).unwrap_err().to_string();
        assert!(mistake("[]").starts_with("not a flow: "));
        assert!(mistake(r#"{"name":"a","queue":"q","prefix":"x"}"#).contains("unknown field `prefix`"));
        assert_eq!(mistake(r#"{"name":"a"}"#), "job \"a\" names no queue; add queueName");
        assert!(mistake(r#"{"name":"a","queue":"b:c"}"#).starts_with("job \"a\" has a queue that cannot be: "));
        let options = mistake(r#"{"name":"a","queue":"q","children":[{"name":"b","queue":"q","opts":[]}]}"#);
        assert_eq!(options, "job \"b\": job options must be a JSON object, got an array");
    }
}
