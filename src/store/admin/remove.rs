//! Removes single jobs, with or without their children, and unties children from parents. Protocol: §5.16.7, §5.12.3.

use super::super::family::pairs;
use super::super::script::{REMOVE, REMOVE_CHILD_DEPENDENCY};
use super::super::{Code, Error, Queue, Value, keys, reply};
use crate::job::JobId;

/// Jobs handled in one call, which takes about five milliseconds; a family of no more goes in one atomic step.
const BATCH: usize = 250;

/// Base, id and required parent of a job that is to go, and "1" where its children are read apart from it.
type Member = [String; 4];

/// What one call has done.
struct Step {
    code: i64,
    removed: u64,
    rest: Vec<Member>,
}

impl Queue {
    /// Removes a job, in whatever state, and with `children` all it ever had; also true when there was none. A parent
    /// that waited for nothing else goes on.
    ///
    /// False when the job or one that would go with it is locked, that is, runs: then nothing is removed. The current
    /// iteration of a scheduler is refused with [`Code::SchedulerIteration`].
    ///
    /// A family of more than 250 jobs, or one that waits in a very long list, goes in several calls, from the top down; a
    /// child that is taken between them stays.
    pub async fn remove(&self, id: &JobId, children: bool) -> Result<bool, Error> {
        let which = if children { "all" } else { "none" };
        let root: Member = [self.keys.base().to_owned(), id.as_str().to_owned(), String::new(), String::new()];
        let step = self.remove_step(which, "whole", std::slice::from_ref(&root)).await?;
        match step.code {
            0 => Ok(false),
            1 => Ok(true),
            2 if self.remove_all(which, "look", vec![root.clone()]).await?.is_none() => Ok(false),
            2 => Ok(self.remove_all(which, "part", vec![root]).await?.is_some_and(|removed| removed > 0)),
            -8 => Err(Error::Rejected { operation: "remove", id: id.clone(), code: Code::SchedulerIteration }),
            code => Err(Error::Reply { what: REMOVE.name, expected: "a code it documents", got: code.to_string() }),
        }
    }

    /// Removes the children a job still waits for, and theirs, but for those that run or have failed; returns how many
    /// went. The job goes on when that leaves it nothing to wait for.
    pub async fn remove_unprocessed_children(&self, id: &JobId) -> Result<u64, Error> {
        let children = self.members_below(&self.keys.job(id), "pending").await?;
        Ok(self.remove_all("pending", "part", children).await?.unwrap_or(0))
    }

    /// The children of the job under this key, read in small steps.
    async fn members_below(&self, parent: &str, which: &str) -> Result<Vec<Member>, Error> {
        let mut children = self.scan_all("SSCAN", &keys::children(parent, "dependencies")).await?;
        if which == "all" {
            for (command, kind) in [("HSCAN", "processed"), ("HSCAN", "failed"), ("ZSCAN", "unsuccessful")] {
                children.extend(pairs(self.scan_all(command, &keys::children(parent, kind)).await?).into_keys());
            }
        }
        let member = |child: &String| {
            let cut = child.rfind(':')? + 1;
            Some([child[..cut].to_owned(), child[cut..].to_owned(), parent.to_owned(), String::new()])
        };
        Ok(children.iter().filter_map(member).collect())
    }

    /// Unties a child from its parent, which goes on when that leaves it nothing to wait for; false when no parent
    /// waited for it. Refused when the child or the parent is not there.
    pub async fn remove_child_dependency(&self, id: &JobId) -> Result<bool, Error> {
        let args = vec![self.keys.base().into(), self.store.now().0.into()];
        let answer = self.store.command().script(&REMOVE_CHILD_DEPENDENCY, &self.keys.job(id), args).await?;
        Ok(reply::accepted("detach", id, &answer)? == 1)
    }

    /// Goes on until nothing is left; `None` when something is locked that must not be.
    async fn remove_all(
        &self,
        which: &'static str,
        how: &'static str,
        jobs: Vec<Member>,
    ) -> Result<Option<u64>, Error> {
        let mut removed = 0;
        let mut left = jobs;
        while !left.is_empty() {
            let batch = left.split_off(left.len().saturating_sub(BATCH));
            let step = self.remove_step(which, how, &batch).await?;
            if step.code == 0 {
                return Ok(None);
            }
            removed += step.removed;
            for member in step.rest {
                if member[3].is_empty() {
                    left.push(member);
                    continue;
                }
                // the job goes before its children, which must be known by then
                let children = self.members_below(&format!("{}{}", member[0], member[1]), which).await?;
                let step = self.remove_step(which, how, &[member]).await?;
                if step.code == 0 {
                    return Ok(None);
                }
                removed += step.removed;
                if how == "look" || step.removed > 0 {
                    left.extend(children);
                }
            }
        }
        Ok(Some(removed))
    }

    async fn remove_step(&self, which: &'static str, how: &'static str, jobs: &[Member]) -> Result<Step, Error> {
        let mut args: Vec<Value> = Vec::with_capacity(4 + 4 * jobs.len());
        args.extend([self.store.now().0.into(), which.into(), how.into(), i64::try_from(BATCH).unwrap_or(1).into()]);
        args.extend(jobs.iter().flatten().map(|part| part.as_str().into()));
        let answer = self.store.command().script(&REMOVE, &self.keys.meta(), args).await?;
        let mut parts = reply::array(REMOVE.name, answer)?.into_iter();
        let code = reply::integer(REMOVE.name, &parts.next().unwrap_or(Value::Null))?;
        let removed = reply::count(REMOVE.name, &parts.next().unwrap_or(Value::Null))?;
        let texts = parts.map(|part| reply::text(REMOVE.name, part)).collect::<Result<Vec<_>, _>>()?;
        let rest = texts.chunks_exact(4).map(|member| [0, 1, 2, 3].map(|at| member[at].clone())).collect();
        Ok(Step { code, removed, rest })
    }
}
