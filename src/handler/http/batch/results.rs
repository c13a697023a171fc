//! What an endpoint answers to a batch: a result for each job, `{"results":[{"id":"…",…},…]}`.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{Heard, Stated};
use crate::job::QueueName;

/// What was said of the jobs of a batch.
pub(super) struct Results {
    /// By position in the batch; an error says what cannot be understood.
    pub(super) of: HashMap<usize, Result<Stated, String>>,
    /// Those of jobs that are not in it.
    pub(super) strangers: usize,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// The id in one JSON object, text or number; `None` where there is none.
pub(super) fn id(json: &[u8]) -> Option<String> {
    let text = serde_json::from_slice::<Entry>(json).ok()?.id?.get();
    if text.starts_with('"') {
        serde_json::from_str(text).ok()
    } else {
        Some(text.to_owned()).filter(|id| id != "null")
    }
}

impl Results {
    /// Reads an answer to a batch of these jobs; `None`: it is no list of results. A result names its job by the id, or
    /// by its place in the list.
    pub(super) fn read(body: &[u8], ids: &[&str], queue: &QueueName) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(body).ok()?;
        let mut results = Self { of: HashMap::new(), strangers: 0 };
        for (place, entry) in answer.results.iter().enumerate() {
            let entry = entry.get().as_bytes();
            let found = match id(entry) {
                Some(id) => ids.iter().position(|known| **known == *id),
                None => Some(place).filter(|place| *place < ids.len()),
            };
            let stated = match Heard::parse(entry, 0, queue) {
                Some(Heard::Outcome(stated)) => Ok(stated),
                Some(Heard::Nonsense(why) | Heard::Unfit(why)) => Err(why),
                _ => Err("it states no outcome and no result".to_owned()),
            };
            match found {
                Some(job) => drop(results.of.insert(job, stated)),
                None => results.strangers += 1,
            }
        }
        Some(results)
    }

    /// The reason of the retry of a job that was left out.
    pub(super) fn missing(&self) -> String {
        let others = match self.strangers {
            0 => String::new(),
            1 => ", but one for a job that is not in the batch".to_owned(),
            many => format!(", but {many} for jobs that are not in the batch"),
        };
        format!("the answer to the batch has no result for this job{others}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Answer;

    fn read(body: &str) -> Option<Results> {
        Results::read(body.as_bytes(), &["a", "7", "c"], &QueueName::new("q").unwrap())
    }

    #[test]
    fn results_are_found_by_id_or_by_place() {
        let read =
            read(r#"{"more":1,"results":[{"id":"c","result":1.10},{"outcome":"fail"},{"id":7,"outcome":"discard"}]}"#)
                .unwrap();
        let answer = |job: usize| read.of[&job].as_ref().map(|stated| stated.answer).unwrap();
        assert_eq!((answer(2), answer(1)), (Answer::Complete, Answer::Discard), "the last of one job counts");
        assert!(!read.of.contains_key(&0) && read.strangers == 0);
    }

    #[test]
    fn what_is_no_result_is_told_apart() {
        for body in ["", "1", "[]", "{}", r#"{"results":{}}"#, r#"{"results":"#] {
            assert!(read(body).is_none(), "{body}");
        }
        let results = read(
            r#"{"results":[{"id":"x","result":1},{"id":"a"},{"id":"7","outcome":"perhaps"},{"id":"c","progress":4},5]}"#,
        )
        .unwrap();
        let why = |job: usize| results.of[&job].as_ref().err().unwrap().clone();
        assert!(why(0).starts_with("line not understood"), "{}", why(0));
        assert!(why(1).starts_with("unknown outcome \"perhaps\""), "{}", why(1));
        assert_eq!(why(2), "it states no outcome and no result");
        assert_eq!(results.strangers, 2);
        assert!(results.missing().ends_with("but 2 for jobs that are not in the batch"));
    }
}
