//! Finds schedules by the names that were typed, in whichever queue they are.

use clap::Args;
use futures_util::future::try_join_all;

use super::super::queue::known;
use super::super::{Error, value};
use crate::config::Config;
use crate::job::QueueName;
use crate::store::{self, OwnSchedule, Store, StoredScheduler};

/// Names told where one was not found.
const TOLD: usize = 20;

/// Which schedules a verb is about.
#[derive(Args)]
pub struct Targets {
    /// Names of the schedules
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// The queue they feed; needed where several queues have a schedule of that name
    #[arg(long, value_parser = value::queue)]
    pub queue: Option<QueueName>,
}

/// A job scheduler in its queue.
pub struct Found {
    pub queue: QueueName,
    pub stored: StoredScheduler,
}

impl Found {
    /// What there is to a schedule of ours. Any other one is listed and never touched.
    pub fn own(&self) -> Result<&OwnSchedule, Error> {
        let Self { queue, stored } = self;
        stored.own.as_ref().ok_or_else(|| {
            Error::No(format!(
                "schedule {} in {queue} is foreign: a BullMQ client made it, and oxherd only lists it; use that \
                 client, or take it away with schedule remove --force",
                stored.id
            ))
        })
    }
}

impl Targets {
    /// Each of them, in the order of the names; an error where one is not there, or is in several queues.
    pub async fn find(&self, store: &Store, config: &Config) -> Result<Vec<Found>, Error> {
        let queues = queues(store, self.queue.as_ref()).await?;
        let mut names: Vec<&String> = Vec::new();
        self.names.iter().for_each(|name| {
            if !names.contains(&name) {
                names.push(name);
            }
        });
        let ids: Vec<String> = names.iter().copied().cloned().collect();
        let look = |name: &QueueName| {
            let (queue, ids) = (store.queue(name), &ids);
            async move { queue.schedulers_of(ids).await }
        };
        let mut found = Vec::new();
        for (queue, schedulers) in queues.iter().zip(try_join_all(queues.iter().map(look)).await?) {
            found.extend(schedulers.into_iter().map(|stored| Found { queue: queue.clone(), stored }));
        }
        let mut targets = Vec::new();
        for name in names {
            let (mut these, others) = found.into_iter().partition::<Vec<_>, _>(|found| found.stored.id == *name);
            found = others;
            match these.len() {
                0 => return Err(self.unknown(name, &queues, store, config).await?),
                1 => targets.append(&mut these),
                _ => {
                    let queues: Vec<_> = these.iter().map(|found| found.queue.as_str()).collect();
                    let queues = queues.join(", ");
                    return Err(Error::Usage(format!("several queues have a schedule {name}: {queues}; say --queue")));
                }
            }
        }
        Ok(targets)
    }

    async fn unknown(
        &self,
        name: &str,
        queues: &[QueueName],
        store: &Store,
        config: &Config,
    ) -> Result<Error, store::Error> {
        let place = match &self.queue {
            Some(queue) => format!("in {queue}"),
            None => format!("under prefix {:?} at {}", store.prefix(), store.address()),
        };
        if let Some(schedule) = config.schedules.get(name) {
            let why = if schedule.enabled { "no daemon has put it in force yet" } else { "it is not enabled" };
            return Ok(Error::No(format!("no schedule {name} {place}; it stands in the configuration, but {why}")));
        }
        let mut names = Vec::new();
        for queue in queues {
            names.extend(store.queue(queue).scheduler_ids_by_time().await?);
            if names.len() > TOLD {
                break;
            }
        }
        let more = if names.len() > TOLD { ", …" } else { "" };
        names.truncate(TOLD);
        let there_is =
            if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", names.join(", ")) };
        Ok(Error::No(format!("no schedule {name} {place}; {there_is}{more}")))
    }
}

/// The queue that was named, or all under the prefix.
pub async fn queues(store: &Store, named: Option<&QueueName>) -> Result<Vec<QueueName>, Error> {
    match named {
        Some(queue) => {
            known(store, queue).await?;
            Ok(vec![queue.clone()])
        }
        None => Ok(store.queue_names().await?),
    }
}
