//! Jobs that belong together: a parent, the children it waits for, and what the parent does when one fails.

mod read;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{JobOptions, NewJob, QueueName};

pub use read::FlowError;

/// What a child that fails for good does to its parent. Without any, the parent waits until the child is retried or
/// removed. Protocol: §5.12.2; stored as one of `fpof`, `cpof`, `idof` and `rdof`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildFailure {
    /// The parent fails too, without running.
    FailParent,
    /// The parent goes on at once, whatever other children do.
    ContinueParent,
    /// The parent goes on without this child and can read why.
    IgnoreDependency,
    /// The parent goes on without this child and forgets it.
    RemoveDependency,
}

impl ChildFailure {
    pub const ALL: [Self; 4] = [Self::FailParent, Self::ContinueParent, Self::IgnoreDependency, Self::RemoveDependency];

    /// The member of stored options and of the stored `parent`.
    #[must_use]
    pub fn stored_name(self) -> &'static str {
        match self {
            Self::FailParent => "fpof",
            Self::ContinueParent => "cpof",
            Self::IgnoreDependency => "idof",
            Self::RemoveDependency => "rdof",
        }
    }

    /// The option as producers write it.
    #[must_use]
    pub fn option_name(self) -> &'static str {
        match self {
            Self::FailParent => "failParentOnFailure",
            Self::ContinueParent => "continueParentOnFailure",
            Self::IgnoreDependency => "ignoreDependencyOnFailure",
            Self::RemoveDependency => "removeDependencyOnFailure",
        }
    }
}

/// The parent of a job that is added. Protocol: `opts.parent`, §3.2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParentRef {
    pub id: String,
    /// Prefix and name of its queue, `P:Q`.
    pub queue: String,
}

impl ParentRef {
    /// The parent's key.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.queue, self.id)
    }
}

/// One thing at a time: jobs added while another with the same id is there are held back. Protocol: §4.3; stored as
/// `de`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the modes are BullMQ's, and can be combined")]
pub struct Deduplication {
    pub id: String,
    /// ms the window lasts whatever becomes of its job; `None` until the job ends.
    pub ttl: Option<u64>,
    /// Each further add begins the window anew.
    pub extend: bool,
    /// A further add takes the place of the window's job while that is delayed.
    pub replace: bool,
    /// The last job added while the window's job is active is added when that one ends.
    pub keep_last_if_active: bool,
    /// A further add moves the window's delayed job to its own delay from now.
    pub reschedule: bool,
}

impl Deduplication {
    pub(super) fn read(value: &Value) -> Option<Self> {
        let members = value.as_object()?;
        let id = match members.get("id")? {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => return None,
        };
        let flag = |name: &str| members.get(name).and_then(Value::as_bool).unwrap_or(false);
        let ttl = members.get("ttl").and_then(super::options::number).filter(|ms| *ms > 0.0);
        Some(Self {
            id,
            ttl: ttl.map(super::options::clamp_u64),
            extend: flag("extend"),
            replace: flag("replace"),
            keep_last_if_active: flag("keepLastIfActive"),
            reschedule: flag("reschedule"),
        })
    }

    /// As it is stored.
    pub(crate) fn value(&self) -> Value {
        let mut members = Map::new();
        members.insert("id".into(), self.id.as_str().into());
        if let Some(ttl) = self.ttl {
            members.insert("ttl".into(), ttl.into());
        }
        let flags = [
            ("extend", self.extend),
            ("replace", self.replace),
            ("keepLastIfActive", self.keep_last_if_active),
            ("reschedule", self.reschedule),
        ];
        for (name, _) in flags.into_iter().filter(|(_, set)| *set) {
            members.insert(name.into(), true.into());
        }
        members.into()
    }
}

/// A job and the children it waits for, in whatever queues.
#[derive(Debug, Clone)]
pub struct Flow {
    pub queue: QueueName,
    pub job: NewJob,
    pub children: Vec<Flow>,
}

impl Flow {
    /// Jobs in the tree.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + self.children.iter().map(Self::size).sum::<usize>()
    }

    /// Gives every job the options of its queue that it does not have itself.
    pub fn fill(&mut self, defaults: &BTreeMap<QueueName, JobOptions>) {
        if let Some(defaults) = defaults.get(&self.queue) {
            self.job.opts = std::mem::take(&mut self.job.opts).or(defaults);
        }
        for child in &mut self.children {
            child.fill(defaults);
        }
    }
}
