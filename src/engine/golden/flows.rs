//! Steps that add flows.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::keyspace;
use super::play::Play;
use super::steps::Step;
use crate::config;
use crate::job::{Flow, JobId, JobOptions, QueueName};
use crate::store::Error;

impl Play<'_> {
    /// Performs the step if it is one of these. Jobs without an id get `<uuid:n>`, counted level by level, as
    /// the dumps show them.
    pub(super) async fn perform_flow(&mut self, step: &Step) -> Option<Result<String, Error>> {
        let words = &step.words;
        if words[0].text != "add-flow" {
            return None;
        }
        let mut flow = Flow::parse(&words[1].text, None).unwrap();
        if let Some(defaults) = words.get(2) {
            flow.fill(&read_defaults(defaults.json.as_ref().unwrap()));
        }
        let mut number = 0;
        let mut new_id = || {
            number += 1;
            JobId::stored(&keyspace::restored(&format!("<uuid:{number}>")))
        };
        let silent = config::Status { enabled: false, ..config::Status::default() };
        Some(match self.store.add_flows_with(&[flow], &silent, &mut new_id).await {
            Ok(added) => Ok(added[0].id.to_string()),
            Err(Error::Rejected { id, code, .. }) => Ok(format!("refused {code:?} {id}")),
            Err(Error::Setup(_)) => Ok("refused".into()),
            Err(error) => Err(error),
        })
    }
}

/// `{"QUEUE": OPTS, …}`
fn read_defaults(queues: &Json) -> BTreeMap<QueueName, JobOptions> {
    let read = |(queue, opts): (&String, &Json)| {
        (QueueName::new(queue).unwrap(), JobOptions::parse(&opts.to_string()).unwrap().0)
    };
    queues.as_object().unwrap().iter().map(read).collect()
}
