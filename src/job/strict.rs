//! What a producer asks for, refused where BullMQ's own producers refuse it and before anything is sent. Workers read
//! what is stored tolerantly instead, see [`JobOptions::parse`]. Protocol: §3.2.

use serde_json::{Map, Value};

use super::options::MAX_PRIORITY;
use super::{ChildFailure, JobId, JobOptions, NewJob, ParentRef};

impl JobOptions {
    /// Reads options as producers write them. What a worker would mend in silence, a producer should hear of.
    pub fn from_producer(text: &str) -> Result<Self, String> {
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            // it is refused there with its reason
            return Self::parse(text).map(|(options, _)| options).map_err(|error| error.to_string());
        };
        check_number(&members, "opts", "priority", 0, u64::from(MAX_PRIORITY))?;
        check_number(&members, "opts", "attempts", 0, u64::from(u32::MAX))?;
        check_number(&members, "opts", "delay", 0, 1 << 53)?;
        if let Some(jitter) = members.get("backoff").and_then(|backoff| backoff.get("jitter"))
            && !jitter.is_null()
            && !jitter.as_f64().is_some_and(|jitter| (0.0..=1.0).contains(&jitter))
        {
            return Err(format!("expected opts.backoff.jitter to be a number from 0 to 1, got {jitter}"));
        }
        for window in ["deduplication", "de"] {
            if let Some(Value::Object(window)) = members.get(window) {
                check_number(window, "opts.deduplication", "ttl", 0, 1 << 53)?;
            }
        }
        let is_set = |name: &str| members.get(name) == Some(&Value::Bool(true));
        let set: Vec<_> = ChildFailure::ALL
            .iter()
            .filter(|failure| is_set(failure.stored_name()) || is_set(failure.option_name()))
            .map(|failure| failure.option_name())
            .collect();
        if set.len() > 1 {
            return Err(format!("expected at most one of {}; a job has one answer to its failure", set.join(", ")));
        }
        let (options, warnings) = Self::from_members(members).map_err(|error| error.to_string())?;
        match warnings.first() {
            Some(warning) => Err(warning.replace("; using the default", "")),
            None => Ok(options),
        }
    }
}

fn check_number(members: &Map<String, Value>, of: &str, name: &str, low: u64, high: u64) -> Result<(), String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_u64().is_some_and(|n| (low..=high).contains(&n)) => Ok(()),
        Some(value) => Err(format!("expected {of}.{name} to be a whole number from {low} to {high}, got {value}")),
    }
}

impl NewJob {
    /// Why this job cannot be added, if it cannot.
    pub fn check(&self) -> Result<(), String> {
        let opts = &self.opts;
        if let Some(id) = &opts.job_id {
            JobId::custom(id).map_err(|error| error.to_string())?;
        }
        if opts.priority > MAX_PRIORITY {
            return Err(format!("expected a priority from 0 to {MAX_PRIORITY}, got {}", opts.priority));
        }
        if let Some(jitter) = opts.backoff.as_ref().and_then(|backoff| backoff.jitter)
            && !(0.0..=1.0).contains(&jitter)
        {
            return Err(format!("expected a jitter from 0 to 1, got {jitter}"));
        }
        if let Some(parent) = &opts.parent {
            if parent.id.is_empty() || parent.id.contains(':') || !parent.queue.contains(':') {
                let ParentRef { id, queue } = parent;
                return Err(format!(
                    "expected a parent of an id without ':' and a queue as \"PREFIX:NAME\", got id {id:?} and queue {queue:?}"
                ));
            }
            if opts.deduplication.is_some() {
                return Err("deduplication cannot be used on a job with a parent".into());
            }
        }
        if opts.deduplication.as_ref().is_some_and(|deduplication| deduplication.id.is_empty()) {
            return Err("deduplication needs an id".into());
        }
        if opts.extra.is_empty() {
            return Ok(());
        }
        if let Some(limit) = opts.extra.get("sizeLimit").and_then(serde_json::Value::as_u64)
            && self.data.get().len() as u64 > limit
        {
            let length = self.data.get().len();
            return Err(format!("data is {length} bytes long, longer than its sizeLimit of {limit}"));
        }
        for (name, instead) in [("debounce", "use deduplication"), ("repeat", "use a job scheduler")] {
            if opts.extra.contains_key(name) {
                return Err(format!("the option {name} is no longer part of BullMQ; {instead} instead"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_mended_or_ignored_is_refused() {
        let cases = [
            ("{", "not JSON"),
            ("[]", "must be a JSON object, got an array"),
            (r#"{"priority":1.5}"#, "opts.priority to be a whole number from 0 to 2097151, got 1.5"),
            (r#"{"attempts":"three"}"#, "opts.attempts to be a whole number"),
            (
                r#"{"backoff":{"type":"fixed","delay":1,"jitter":2}}"#,
                "opts.backoff.jitter to be a number from 0 to 1, got 2",
            ),
            (r#"{"lifo":"yes"}"#, "lifo must be true or false, got text"),
            (r#"{"deduplication":{"ttl":5}}"#, "deduplication must be an object with an id"),
            (r#"{"de":{"id":"d","ttl":"soon"}}"#, "opts.deduplication.ttl to be a whole number"),
            (r#"{"parent":{"id":"p"}}"#, "parent must be an object with id and queue"),
            (
                r#"{"failParentOnFailure":true,"idof":true,"rdof":false}"#,
                "at most one of failParentOnFailure, ignoreDependencyOnFailure;",
            ),
        ];
        for (text, expected) in cases {
            let error = JobOptions::from_producer(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error:?} lacks {expected:?}");
        }
        let options = JobOptions::from_producer(r#"{"attempts":2,"mine":1,"delay":null}"#).unwrap();
        assert_eq!((options.attempts, options.extra.len()), (Some(2), 1));
    }
}
