//! What has to be stored of the queue.

use std::collections::BTreeSet;

use super::super::keyspace::{self, Entries};
use super::{Job, Scored, World};

impl World {
    /// Every key there has to be, after `base`.
    pub(in super::super) fn keys(&self) -> Entries {
        let mut keys = Entries::new();
        let mut put = |key: String, content: String| {
            // Redis has no empty collections
            if content.contains(' ') {
                keys.insert(key, content);
            }
        };
        let words = |kind: &str, words: Vec<String>| {
            if words.is_empty() { String::new() } else { format!("{kind} {}", words.join(" ")) }
        };
        let scored = |set: &Scored| words("zset", set.iter().map(|(score, id)| format!("{id}={score}")).collect());
        put("wait".into(), words("list", self.wait.iter().cloned().collect()));
        put("active".into(), words("list", self.active.iter().cloned().collect()));
        put("prioritized".into(), scored(&self.prioritized));
        put("delayed".into(), scored(&self.delayed));
        put("completed".into(), scored(&self.completed));
        put("failed".into(), scored(&self.failed));
        put("waiting-children".into(), scored(&self.waiting_children));
        put("stalled".into(), words("set", self.stalled.iter().cloned().collect()));
        if self.number > 0 {
            put("id".into(), format!("string {}", self.number));
        }
        if self.some_unwanted {
            put("oxherd.cancel".into(), "string 1".into());
        }
        for (name, window) in &self.windows {
            put(format!("de:{name}"), format!("string {}", window.owner));
            if window.next.is_some() {
                put(format!("dn:{name}"), "hash data jid name opts".into());
            }
        }
        for (id, job) in &self.jobs {
            put(id.clone(), job.text());
            if let Some(lock) = &job.lock {
                put(format!("{id}:lock"), format!("string {lock}"));
            }
            let keyed = |ids: &BTreeSet<String>| ids.iter().map(|id| Self::key(id)).collect();
            put(format!("{id}:dependencies"), words("set", keyed(&job.pending)));
            put(format!("{id}:processed"), words("hash", keyed(&job.processed)));
            put(format!("{id}:failed"), words("hash", keyed(&job.ignored)));
            let unsuccessful = job.unsuccessful.iter().map(|(at, id)| format!("{}={at}", Self::key(id))).collect();
            put(format!("{id}:unsuccessful"), words("zset", unsuccessful));
        }
        keys
    }
}

impl Job {
    fn text(&self) -> String {
        keyspace::job(|field| match field {
            "priority" => Some(self.priority.to_string()),
            "delay" => Some(self.delay.to_string()),
            "atm" => self.made.map(|n| n.to_string()),
            "ats" => self.started.map(|n| n.to_string()),
            "stc" => self.stalls.map(|n| n.to_string()),
            "defa" => self.decided.clone(),
            "parentKey" => self.parent.as_deref().map(World::key),
            "deid" => self.window.clone(),
            "oxherd.cancel" => self.unwanted.then(|| "asked on request".to_owned()),
            _ => self.finished_on.map(|at| at.to_string()),
        })
    }
}
