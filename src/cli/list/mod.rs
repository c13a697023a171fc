//! The verbs of `oxherd queue` and `oxherd job` on queues that are plain lists. Which queues are such stands in the
//! configuration alone; every verb asks it first, and either comes here or says why a list cannot be treated so.

pub mod add;
pub mod change;
mod elements;
pub mod empty;
pub mod look;

use std::future::Future;

use super::session::Session;
use super::{Error, Exit};
use crate::config::{self, Config};
use crate::job::QueueName;
use crate::store::{List, Store};

/// The list that a queue is, when it is one.
pub fn find(store: &Store, config: &Config, queue: &QueueName) -> Option<List> {
    config.queues.get(queue.as_str()).and_then(|queue| store.list(queue))
}

impl Session {
    /// The settings of a queue that is a plain list.
    pub fn plain_list(&self, queue: &QueueName) -> Result<Option<config::Queue>, Error> {
        let mut config = self.redis_config()?;
        Ok(config.queues.remove(queue.as_str()).filter(|queue| queue.list.is_some()))
    }

    /// Refuses a queue that is a plain list; `why` it cannot be done and what can be done instead.
    pub fn is_no_list(&self, queue: &QueueName, why: &str) -> Result<(), Error> {
        match self.plain_list(queue)? {
            Some(_) => Err(refused(queue, why)),
            None => Ok(()),
        }
    }

    /// [`Session::with_store`] for a verb on a list.
    fn with_list<Fut>(&mut self, queue: &config::Queue, verb: impl FnOnce(Store, List) -> Fut) -> Result<Exit, Error>
    where
        Fut: Future<Output = Result<Exit, Error>>,
    {
        let queue = queue.clone();
        self.with_store(|store, _| {
            let list = store.list(&queue).expect("only lists come here");
            verb(store, list)
        })?
    }
}

pub fn refused(queue: &QueueName, why: &str) -> Error {
    Error::Usage(format!("queue {queue} is a plain list: {why}"))
}
