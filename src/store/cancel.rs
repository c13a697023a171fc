//! Cancels jobs, also those that run: `cancel.lua` marks them, and their workers find the mark with the next renewal of
//! the lock, or sooner because they listen.
//!
//! The mark is a field of the job's hash, so it is gone when the job is. A worker of BullMQ does not know it; should the
//! job come back from there, the next worker of ours that takes it cancels it unrun.

use serde::{Deserialize, Serialize};

use super::connection::Value;
use super::error::Error;
use super::finish::keep_argument;
use super::script::CANCEL;
use super::subscription::Subscription;
use super::{Queue, Store, keys, reply};
use crate::job::{JobId, JobOptions, Keep, QueueName, State, UnixMillis};

/// What follows "cancelled: " where nothing else is said.
const REASON: &str = "on request";
/// Longest reason kept, in characters.
const REASON_LENGTH: usize = 1000;
/// Orders kept for a worker that is busy. What is missed is found with the next renewal.
const ORDERS: usize = 64;
/// Events read at once, and at most, to learn how a job ended that is gone.
const EVENTS: (usize, usize) = (1000, 10_000);

/// How far a job is on its way to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// It did not run, and has failed now.
    Done,
    /// It runs, and its worker has not heard of it yet. A worker of BullMQ never does.
    Asked,
    /// It runs, and its worker is stopping it.
    Heard,
    /// It had ended: with this state, and this reason where it has failed.
    Ended { state: State, reason: Option<String> },
}

impl Cancellation {
    /// Whether the job has ended because it was cancelled, now or before.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Done => true,
            Self::Ended { reason, .. } => reason.as_deref().is_some_and(|reason| reason.starts_with("cancelled: ")),
            Self::Asked | Self::Heard => false,
        }
    }

    /// Whether the job still runs.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Asked | Self::Heard)
    }
}

/// What workers are told on their channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Order {
    /// A job that runs is to be cancelled.
    Cancel { queue: QueueName, id: JobId },
}

/// Orders for the workers of a prefix, as they come.
pub(crate) struct Orders(Subscription);

impl Queue {
    /// Cancels a job. One that does not run fails at once, with the reason `cancelled: …`, "on request" where none is
    /// given. One that runs is told to stop by whichever process runs it; ask again to see how far that is.
    ///
    /// Rejected where the job is missing, or is the next iteration of a job scheduler. Safe to repeat.
    pub async fn cancel(&self, id: &JobId, reason: Option<&str>) -> Result<Cancellation, Error> {
        let reason: String = reason.unwrap_or(REASON).chars().take(REASON_LENGTH).collect();
        let opts = self.store.command().call("HGET", vec![self.keys.job(id).into(), "opts".into()]).await;
        let opts = match opts {
            Ok(opts) => opts.as_string().unwrap_or_default(),
            // the script says what is wrong with the key
            Err(Error::WrongType { .. }) => String::new(),
            Err(error) => return Err(error),
        };
        // where it says nothing, workers prune by their own settings
        let keep = JobOptions::parse(&opts).ok().and_then(|(opts, _)| opts.remove_on_fail).unwrap_or(Keep::All);
        let order = Order::Cancel { queue: self.name.clone(), id: id.clone() };
        let mut args: Vec<Value> = vec![
            self.keys.base().into(),
            id.as_str().into(),
            self.store.now().0.into(),
            reason.into(),
            keep_argument(keep),
        ];
        args.extend(self.status.clone());
        args.extend(
            [self.keys.orders(), serde_json::to_string(&order).expect("an order is always JSON")].map(Value::from),
        );
        let answer = self.store.command().script(&CANCEL, &self.keys.meta(), args).await?;
        let mut parts = reply::array(CANCEL.name, answer)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let code = reply::accepted("cancel", id, &part())?;
        let word = reply::text(CANCEL.name, part())?;
        Ok(match code {
            0 => Cancellation::Done,
            1 if word == "heard" => Cancellation::Heard,
            1 => Cancellation::Asked,
            _ => Cancellation::Ended {
                state: if word == "completed" { State::Completed } else { State::Failed },
                reason: part().as_string(),
            },
        })
    }

    /// How a job has ended since then that is gone already, by the event of its end; `None` where there is none.
    pub async fn end_since(&self, id: &JobId, since: UnixMillis) -> Result<Option<Cancellation>, Error> {
        let mut newest = "+".to_owned();
        for _ in 0..EVENTS.1 / EVENTS.0 {
            let oldest = since.0.to_string();
            let args = [self.keys.events().as_str(), &newest, &oldest, "COUNT", &EVENTS.0.to_string()].map(Value::from);
            let entries = reply::array("XREVRANGE", self.store.command().call("XREVRANGE", args.to_vec()).await?)?;
            let Some(last) = entries.len().checked_sub(1) else { return Ok(None) };
            for (at, entry) in entries.into_iter().enumerate() {
                let mut entry = reply::array("XREVRANGE", entry)?.into_iter();
                let mut part = || entry.next().unwrap_or(Value::Null);
                let (place, fields) = (reply::text("XREVRANGE", part())?, reply::texts("XREVRANGE", part())?);
                let field = |name: &str| fields.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
                let state = match field("event").as_deref() {
                    Some("completed") => State::Completed,
                    Some("failed") => State::Failed,
                    _ => State::Unknown,
                };
                if state != State::Unknown && field("jobId").as_deref() == Some(id.as_str()) {
                    return Ok(Some(Cancellation::Ended { state, reason: field("failedReason") }));
                }
                if at == last {
                    newest = format!("({place}");
                }
            }
        }
        Ok(None)
    }
}

impl Store {
    /// Listens to orders for workers, on a connection of its own.
    pub(crate) async fn orders(&self) -> Result<Orders, Error> {
        self.listen(&[keys::orders(self.prefix())], &[], ORDERS).await.map(Orders)
    }
}

impl Orders {
    /// The next order; `None` when there can be no more. What cannot be read is passed over. Cancellation safe.
    pub(crate) async fn next(&mut self) -> Option<Order> {
        loop {
            let message = self.0.message().await?;
            match serde_json::from_str(&message.payload) {
                Ok(order) => return Some(order),
                Err(error) => tracing::debug!(%error, "an order nobody understands"),
            }
        }
    }
}
