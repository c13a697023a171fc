//! Who else works a queue, and whether all of them can pause and resume it without losing jobs. The engine tells of it
//! at start. Protocol: §1.2, §5.16.1, §6.3, §9.1.

use super::super::connection::Value;
use super::super::work::BullQueue;
use super::super::{Error, Queue, reply};
use crate::config::Placement;

/// What we write where no client has said its version, so that dashboards that read it work.
const VERSION: &str = "bullmq:6.7.0";
/// Our field of the meta hash; clients keep fields they do not know.
const PLACEMENT: &str = "oxherd.placement";

/// What a queue tells of those who use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbours {
    /// The client that last opened the queue, as `bullmq:6.7.0`; `None` when none has said so.
    pub version: Option<String>,
    /// The same of the official Rust client.
    pub library: Option<String>,
    /// Where jobs wait while the queue is paused: never [`Placement::Auto`].
    pub placement: Placement,
    pub paused: bool,
    /// Jobs in `wait`, and in the `paused` list that 5.x clients and this placement use.
    pub lists: (u64, u64),
    /// Names of the workers connected that Node shows, empty for one without; `None` when the server does not tell.
    pub workers: Option<Vec<String>>,
    /// Names of those that Node does not show: Python, Elixir and .NET, all of 6.x.
    pub hidden_workers: Vec<String>,
}

impl Neighbours {
    /// What can lose jobs as it is, and what to do; empty when all is well.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let old_client = self.version.as_deref().is_some_and(is_5x);
        let mut warnings = Vec::new();
        if self.placement == Placement::V6 && old_client {
            warnings.push(
                "a 5.x client opened this queue last, and placement is \"v6\": jobs that wait while it is paused are lost \
                 when a 5.x client resumes it; first move whatever pauses and resumes to 6.x, or set placement = \"v5\""
                    .to_owned(),
            );
        }
        if self.placement == Placement::V5 && !self.hidden_workers.is_empty() {
            warnings.push(format!(
                "workers that put jobs where 6.x does share a queue with 5.x clients ({}): what they put back while it is \
                 paused is lost when a 5.x client resumes it; resume it with oxherd or 6.x only",
                self.hidden_workers.join(", ")
            ));
        }
        let (wait, aside) = self.lists;
        if self.paused && wait > 0 && aside > 0 {
            warnings.push(format!(
                "the queue is paused with {wait} jobs in wait and {aside} in paused: a 5.x client that resumes it loses the \
                 first; resume it with oxherd or a 6.x client"
            ));
        }
        warnings
    }
}

fn is_5x(version: &str) -> bool {
    version.contains(":5.")
}

impl Queue {
    /// Where jobs wait while the queue is paused: as it is set, else as the version in the queue has it.
    pub async fn placement(&self) -> Result<Placement, Error> {
        self.neighbours().await.map(|neighbours| neighbours.placement)
    }

    /// Who else uses the queue. Reads it in three steps, between which it may change.
    pub async fn neighbours(&self) -> Result<Neighbours, Error> {
        let names = self.client_names().await?;
        self.neighbours_among(names).await
    }

    /// As [`Queue::neighbours`], with what [`Queue::client_names`] answered.
    pub(in crate::store) async fn neighbours_among(&self, names: Option<Vec<String>>) -> Result<Neighbours, Error> {
        let fields = ["version", "library", PLACEMENT, "paused"];
        let args = std::iter::once(self.keys.meta().into()).chain(fields.map(Value::from)).collect();
        let meta = reply::array("HMGET", self.store.command().call("HMGET", args).await?)?;
        let field = |at: usize| meta.get(at).and_then(Value::as_string);
        let version = field(0);
        let placement = match field(2).as_deref() {
            Some("v5") => Placement::V5,
            None if version.as_deref().is_some_and(is_5x) => Placement::V5,
            _ => Placement::V6,
        };
        let mut lists = [0; 2];
        for (length, key) in lists.iter_mut().zip(self.keys.waiting()) {
            *length = reply::count("LLEN", &self.store.command().call("LLEN", vec![key.into()]).await?)?;
        }
        let named = |client: &str| names.as_ref().map(|names| Self::named(names, client));
        let mut hidden_workers = named(&self.keys.plain_client_name()).unwrap_or_default();
        // they name all their connections
        hidden_workers.sort();
        hidden_workers.dedup();
        Ok(Neighbours {
            version,
            library: field(1),
            placement,
            paused: field(3).is_some(),
            lists: lists.into(),
            workers: named(&self.keys.client_name(None)),
            hidden_workers,
        })
    }
}

impl BullQueue {
    /// Stores where jobs wait while the queue is paused, so that every process of ours does alike, and our version where
    /// no client has stored one. Moves the jobs of a paused queue there where that makes it safe. Safe to repeat.
    pub(crate) async fn open_queue(&self) -> Result<(), Error> {
        let command = self.store.command();
        command.call("HSETNX", vec![self.slot_key.as_str().into(), "version".into(), VERSION.into()]).await?;
        let field = vec![self.slot_key.as_str().into(), PLACEMENT.into()];
        match self.settings.placement {
            Placement::Auto => command.call("HDEL", field).await?,
            chosen => command.call("HSET", [field, vec![chosen.as_str().into()]].concat()).await?,
        };
        self.store.queue(&self.name).set_aside().await
    }
}
