//! Steps on a queue as a whole, and on jobs that are no worker's.

use std::time::Duration;

use super::keyspace;
use super::play::{Play, joined};
use super::steps::Step;
use crate::job::JobId;
use crate::store::Error;

impl Play<'_> {
    /// As [`Play::perform`]; `None` when the step is not one of these.
    pub(super) async fn perform_on_queue(&mut self, step: &Step) -> Option<Result<String, Error>> {
        let text = |at: usize| step.words.get(at).map_or("", |word| word.text.as_str());
        let id = |at: usize| JobId::stored(&keyspace::restored(text(at)));
        let number = |at: usize| text(at).parse::<u64>().unwrap_or_else(|error| panic!("line {}: {error}", step.line));
        let queue = self.queue();
        let said = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let answer = match text(0) {
            "pause" => queue.pause().await.map(|()| String::new()),
            "resume" => queue.resume().await.map(|()| String::new()),
            "drain" => queue.drain(text(1) == "delayed").await.map(|gone| gone.to_string()),
            "clean" => {
                let state = text(3).parse().unwrap_or_else(|error| panic!("line {}: {error}", step.line));
                let limit = number(2).try_into().unwrap();
                let gone = queue.clean(Duration::from_millis(number(1)), limit, state).await;
                gone.map(|gone| joined(gone.iter().map(JobId::as_str)))
            }
            "obliterate" => queue.obliterate(text(1) == "force").await.map(|gone| gone.to_string()),
            "remove" => queue.remove(&id(1), text(2) == "children").await.map(said),
            "remove-unprocessed" => queue.remove_unprocessed_children(&id(1)).await.map(|gone| gone.to_string()),
            "detach" => queue.remove_child_dependency(&id(1)).await.map(said),
            "deduplication-owner" => {
                let owner = queue.deduplication_owner(text(1)).await;
                owner.map(|owner| owner.map_or("nobody".into(), |id| id.as_str().to_owned()))
            }
            "remove-deduplication" => queue.remove_deduplication_key(text(1)).await.map(said),
            "trim" => queue.trim_events(number(1)).await.map(|gone| gone.to_string()),
            _ => return None,
        };
        Some(match answer {
            Err(Error::Rejected { code, .. }) => Ok(format!("refused {code:?}")),
            Err(Error::JobsActive { active, .. }) => Ok(format!("refused, {active} active")),
            answer => answer,
        })
    }
}
