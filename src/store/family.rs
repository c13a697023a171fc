//! Parents and children: what has become of a parent's children, and the tree below it. Protocol: §5.12.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::connection::Value;
use super::error::Error;
use super::record::JobRecord;
use super::script::FAMILY_MEMBER;
use super::{Queue, keys, reply};
use crate::job::{JobId, State};

/// Children read in one step.
const STEP: &str = "1000";
/// Children shown below one job.
const MAX_CHILDREN: usize = 100;
/// Jobs shown in one tree.
const MAX_TREE: usize = 1000;

/// What has become of a parent's children, each under its key `P:Q:id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Dependencies {
    /// Completed, with their return values, JSON text.
    pub processed: BTreeMap<String, String>,
    /// Failed and ignored, or gone on without, with their reasons.
    pub ignored: BTreeMap<String, String>,
    /// Failed, and the parent with them.
    pub failed: Vec<String>,
    /// Not ended yet.
    pub unprocessed: Vec<String>,
}

/// A job with its children below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobTree {
    /// Without its log.
    pub job: JobRecord,
    pub children: Vec<JobTree>,
    /// Children that are not in `children`: deeper or more than asked for, deleted, or not under a readable key.
    pub more: u64,
}

impl Queue {
    /// What has become of the children of a job; nothing where it has none. Reads as many as there are, in small steps:
    /// one that ends meanwhile is told once, as ended.
    pub async fn dependencies(&self, id: &JobId) -> Result<Dependencies, Error> {
        let Children { processed, ignored, failed, unprocessed } = self.children(id).await?;
        Ok(Dependencies { processed, ignored, failed: failed.into_keys().collect(), unprocessed })
    }

    /// As [`Queue::dependencies`], with the moments of those that failed.
    pub(super) async fn children(&self, id: &JobId) -> Result<Children, Error> {
        let mut unprocessed = self.scan_all("SSCAN", &self.keys.children(id, "dependencies")).await?;
        let failed = pairs(self.scan_all("ZSCAN", &self.keys.children(id, "unsuccessful")).await?);
        let ignored = pairs(self.scan_all("HSCAN", &self.keys.children(id, "failed")).await?);
        let processed = pairs(self.scan_all("HSCAN", &self.keys.children(id, "processed")).await?);
        unprocessed
            .retain(|key| !(processed.contains_key(key) || ignored.contains_key(key) || failed.contains_key(key)));
        unprocessed.sort_unstable();
        unprocessed.dedup();
        Ok(Children { processed, ignored, failed, unprocessed })
    }

    /// All a set, hash or sorted set holds. What is there all the time is met at least once.
    pub(super) async fn scan_all(&self, command: &'static str, key: &str) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let args = vec![key.into(), cursor.into(), "COUNT".into(), STEP.into()];
            let mut parts = reply::array(command, self.store.command().call(command, args).await?)?.into_iter();
            let mut part = || parts.next().unwrap_or(Value::Null);
            cursor = reply::text(command, part())?;
            found.extend(reply::texts(command, part())?);
            if cursor == "0" {
                return Ok(found);
            }
        }
    }

    /// The job with the jobs below it, over all queues, `depth` levels deep: 0 is the job alone. `None` where there is
    /// no such job. At most a hundred children of one job and a thousand jobs in all, near ones first.
    ///
    /// Each job is read in a step of its own, so a tree that changes meanwhile may show two moments.
    pub async fn tree(&self, id: &JobId, depth: usize) -> Result<Option<JobTree>, Error> {
        let Some(root) = self.member(id).await? else { return Ok(None) };
        // breadth first: where there are too many, those far below are left out
        let mut found = vec![root];
        let mut open: VecDeque<(usize, usize)> = VecDeque::from([(0, 0)]);
        while let Some((parent, level)) = open.pop_front() {
            if level == depth {
                continue;
            }
            for key in std::mem::take(&mut found[parent].keys) {
                if found.len() == MAX_TREE {
                    break;
                }
                let Some((queue, id)) = keys::split_job(self.store.prefix(), &key) else { continue };
                // an id may have been put below itself
                if found.iter().any(|member| member.job.id == id && member.job.queue == queue) {
                    continue;
                }
                if let Some(member) = self.store.queue(&queue).member(&id).await? {
                    let at = found.len();
                    found.push(Member { parent, ..member });
                    open.push_back((at, level + 1));
                }
            }
        }
        // children stand behind their parents, so from the end on every tree is whole when its parent takes it
        let mut below: Vec<Vec<JobTree>> = found.iter().map(|_| Vec::new()).collect();
        for at in (1..found.len()).rev() {
            let Some(member) = found.pop() else { break };
            let mut children = std::mem::take(&mut below[at]);
            children.reverse();
            let parent = member.parent;
            below[parent].push(member.tree(children));
        }
        let mut children = below.swap_remove(0);
        children.reverse();
        Ok(found.pop().map(|root| root.tree(children)))
    }

    async fn member(&self, id: &JobId) -> Result<Option<Member>, Error> {
        let wanted = i64::try_from(MAX_CHILDREN).unwrap_or(i64::MAX);
        let args = vec![self.keys.base().into(), id.as_str().into(), wanted.into()];
        let answer = self.store.command().script(&FAMILY_MEMBER, &self.keys.job(id), args).await?;
        if answer.is_null() {
            return Ok(None);
        }
        let mut parts = reply::array(FAMILY_MEMBER.name, answer)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let fields = reply::texts(FAMILY_MEMBER.name, part())?;
        let state = reply::text(FAMILY_MEMBER.name, part())?.parse().unwrap_or(State::Unknown);
        let mut keys = reply::texts(FAMILY_MEMBER.name, part())?;
        keys.sort_unstable();
        let total = u64::try_from(reply::integer(FAMILY_MEMBER.name, &part())?).unwrap_or(0);
        let job = JobRecord::new(self.name.clone(), id.clone(), state, fields, None);
        Ok(Some(Member { parent: 0, job, keys, total }))
    }
}

/// What a parent keeps of its children.
#[derive(Default)]
pub(super) struct Children {
    pub(super) processed: BTreeMap<String, String>,
    pub(super) ignored: BTreeMap<String, String>,
    /// Those that failed it, with the moment as Redis prints it.
    pub(super) failed: BTreeMap<String, String>,
    pub(super) unprocessed: Vec<String>,
}

/// A job on the way into a tree.
struct Member {
    /// Its parent's place among the members.
    parent: usize,
    job: JobRecord,
    /// Of its children, as many as are shown.
    keys: Vec<String>,
    /// All its children.
    total: u64,
}

impl Member {
    fn tree(self, children: Vec<JobTree>) -> JobTree {
        let more = self.total.saturating_sub(children.len() as u64);
        JobTree { job: self.job, children, more }
    }
}

/// A flat list of keys and values as a map.
pub(super) fn pairs(flat: Vec<String>) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    let mut flat = flat.into_iter();
    while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
        map.insert(key, value);
    }
    map
}

#[cfg(test)]
mod tests;
