//! What a reload starts, stops and changes: two configurations compared, nothing else.

use serde::{Deserialize, Serialize};

use super::{Config, keep};
use crate::job::QueueName;

/// The way from one configuration to another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// Queues to start.
    pub added: Vec<QueueName>,
    /// Queues to drain and stop.
    pub removed: Vec<QueueName>,
    /// Queues whose settings are others now, or whose handlers are.
    pub changed: Vec<QueueName>,
    /// Handlers that are new, gone or different, by name.
    pub handlers: Vec<String>,
    /// What becomes of schedules; those that are not enabled are there like any other.
    pub schedules: Schedules,
    /// Sections that differ and are taken over by a running process, by the name of their table.
    pub sections: Vec<String>,
    /// Keys that differ and are only read at start, by their whole name.
    pub restart_needed: Vec<String>,
}

/// Schedules that differ, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedules {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Of the same name and anything else another, the queue too.
    pub changed: Vec<String>,
}

impl Schedules {
    /// All of them.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        [&self.added, &self.removed, &self.changed].into_iter().flatten().map(String::as_str).collect()
    }
}

impl Diff {
    /// Compares. Every list is sorted.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        let differs = |name: &&String| old.handlers.get(*name) != new.handlers.get(*name);
        let mut handlers: Vec<String> =
            old.handlers.keys().chain(new.handlers.keys()).filter(differs).cloned().collect();
        handlers.sort();
        handlers.dedup();
        let mut diff = Self { handlers, ..Self::default() };
        for (name, queue) in &new.queues {
            match old.queues.get(name) {
                None => diff.added.push(queue.name.clone()),
                Some(before) => {
                    let mut uses = queue.handler.iter().chain(queue.routes.values());
                    if before != queue || uses.any(|handler| diff.handlers.contains(handler)) {
                        diff.changed.push(queue.name.clone());
                    }
                }
            }
        }
        let gone = old.queues.iter().filter(|(name, _)| !new.queues.contains_key(*name));
        diff.removed = gone.map(|(_, queue)| queue.name.clone()).collect();
        let gone = old.schedules.keys().filter(|name| !new.schedules.contains_key(*name));
        diff.schedules.removed = gone.cloned().collect();
        for (name, schedule) in &new.schedules {
            match old.schedules.get(name) {
                None => diff.schedules.added.push(name.clone()),
                Some(before) if before != schedule => diff.schedules.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        // what waits for a start is named as such, and not as taken over too
        let mut taken_over = new.clone();
        diff.restart_needed = keep(old, &mut taken_over).into_iter().map(str::to_owned).collect();
        let sections = [
            ("status", old.status != taken_over.status),
            ("app", old.app != taken_over.app),
            ("admin", old.admin != taken_over.admin),
            ("daemon", old.daemon != taken_over.daemon),
            ("shutdown", old.shutdown != taken_over.shutdown),
            ("log", old.log != taken_over.log),
        ];
        let differing = sections.into_iter().filter(|(_, differs)| *differs);
        diff.sections = differing.map(|(name, _)| name.to_owned()).collect();
        diff
    }

    /// Whether both configurations say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Handler, LogHandler, Queue};
    use std::time::Duration;

    fn config(queues: &[&str]) -> Config {
        let mut config = Config::default();
        for name in queues {
            let mut queue = Queue::new(QueueName::new(name).unwrap());
            queue.handler = Some(format!("{name}-handler"));
            config.handlers.insert(format!("{name}-handler"), Handler::Log(LogHandler::default()));
            config.queues.insert((*name).to_owned(), queue);
        }
        config
    }

    fn names(names: &[&str]) -> Vec<QueueName> {
        names.iter().map(|name| QueueName::new(name).unwrap()).collect()
    }

    #[test]
    fn the_same_needs_nothing() {
        assert!(Diff::between(&config(&["a", "b"]), &config(&["a", "b"])).is_empty());
    }

    #[test]
    fn queues_come_go_and_change() {
        let old = config(&["a", "b", "c"]);
        let mut new = config(&["b", "c", "d"]);
        new.queues.get_mut("b").unwrap().concurrency = 9;
        let diff = Diff::between(&old, &new);
        assert_eq!(diff.added, names(&["d"]));
        assert_eq!(diff.removed, names(&["a"]));
        assert_eq!(diff.changed, names(&["b"]));
        assert_eq!(diff.handlers, ["a-handler", "d-handler"]);
        assert_eq!(diff.restart_needed, [""; 0]);
    }

    #[test]
    fn a_changed_handler_changes_its_queues() {
        let old = config(&["a", "b"]);
        let mut new = config(&["a", "b"]);
        new.handlers.insert("a-handler".into(), Handler::Log(LogHandler { duration: Duration::from_secs(1) }));
        assert_eq!(Diff::between(&old, &new).changed, names(&["a"]));
    }

    #[test]
    fn schedules_come_go_and_change() {
        let schedule = |name: &str, queue: &str| crate::config::Schedule::sample(name, queue);
        let with = |schedules: &[(&str, &str)]| {
            let mut config = config(&["a"]);
            let named = schedules.iter().map(|(name, queue)| ((*name).to_owned(), schedule(name, queue)));
            config.schedules = named.collect();
            config
        };
        let diff =
            Diff::between(&with(&[("x", "a"), ("y", "a"), ("z", "a")]), &with(&[("w", "a"), ("y", "b"), ("z", "a")]));
        let named = |name: &str| vec![name.to_owned()];
        assert_eq!(diff.schedules, Schedules { added: named("w"), removed: named("x"), changed: named("y") });
        assert!(diff.changed.is_empty() && !diff.is_empty());
    }

    #[test]
    fn sections_are_told_apart_by_when_they_are_read() {
        let old = config(&["a"]);
        let mut new = old.clone();
        new.redis.prefix = "other".into();
        new.log.level = "debug".into();
        new.shutdown.drain = Duration::from_secs(1);
        let diff = Diff::between(&old, &new);
        assert_eq!(diff.restart_needed, ["redis.prefix"]);
        assert_eq!(diff.sections, ["shutdown", "log"]);
        assert!(diff.changed.is_empty() && !diff.is_empty());
    }
}
