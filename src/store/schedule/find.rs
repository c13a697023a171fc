//! Finds job schedulers by name, or all of a queue in the order of their times while they move. The command line asks.

use super::StoredScheduler;
use crate::store::{Error, Queue};

impl Queue {
    /// The ids of the queue's job schedulers, the one due next first; each that is there from begin to end of the call,
    /// once. Small steps, however many there are.
    pub async fn scheduler_ids_by_time(&self) -> Result<Vec<String>, Error> {
        let times = self.scheduler_times().await?;
        let mut ids: Vec<(f64, String)> = times.into_iter().map(|(id, time)| (time, id)).collect();
        ids.sort_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| x.cmp(y)));
        Ok(ids.into_iter().map(|(_, id)| id).collect())
    }

    /// Those of these job schedulers that are there, in order. One call: at most [`crate::store::MAX_PAGE`] ids.
    pub async fn schedulers_of(&self, ids: &[String]) -> Result<Vec<StoredScheduler>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut args = vec!["0".into(), "1".into()];
        args.extend(ids.iter().map(|id| id.as_str().into()));
        let mut found = self.read_schedulers(args).await?;
        found.retain(|found| found.next.is_some() || found.definition.is_some());
        Ok(found)
    }

    /// As [`Queue::remove_scheduler`], but false also when it is not what was `found` any more: when somebody else has
    /// made it his own since, or given it another definition.
    pub async fn remove_found(&self, found: &StoredScheduler) -> Result<bool, Error> {
        match &found.own {
            Some(own) => self.remove_seen(&found.id, &own.mark.text()).await,
            None => self.remove_scheduler(&found.id).await,
        }
    }
}
