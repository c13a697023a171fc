//! The handlers in use: told when the first queue needs them, put away when none does any more. `run` calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::event::Event;
use super::shared::Shared;
use super::status::{GateOf, ProcessesOf};
use crate::handler::{Handler, Notices};

pub(crate) struct Staff {
    handlers: BTreeMap<String, Arc<dyn Handler>>,
    notices: Notices,
    /// Handlers that are not used any more, on their way to their end.
    closing: JoinSet<()>,
}

impl Staff {
    /// Nobody yet. What they tell becomes events.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let (notices, mut told) = mpsc::unbounded_channel();
        let shared = Arc::clone(shared);
        // ends with the last handler
        tokio::spawn(async move {
            while let Some(notice) = told.recv().await {
                shared.tell(&Event::Notice(notice));
            }
        });
        Self { handlers: BTreeMap::new(), notices, closing: JoinSet::new() }
    }

    /// From now on these are used and no others.
    pub(crate) fn employ(&mut self, handlers: BTreeMap<String, Arc<dyn Handler>>) {
        while self.closing.try_join_next().is_some() {}
        let mut before = std::mem::replace(&mut self.handlers, handlers);
        for (name, handler) in &self.handlers {
            match before.remove(name) {
                Some(same) if Arc::ptr_eq(&same, handler) => {}
                Some(other) => {
                    let closing = handler.follow(other, &self.notices);
                    self.closing.spawn(closing);
                }
                None => handler.start(&self.notices),
            }
        }
        for gone in before.into_values() {
            self.closing.spawn(gone.close());
        }
    }

    /// The processes of those that have some.
    pub(crate) fn processes(&self) -> Vec<ProcessesOf> {
        let some = self
            .handlers
            .iter()
            .filter_map(|(handler, kept)| Some(ProcessesOf { handler: handler.clone(), processes: kept.processes()? }));
        some.collect()
    }

    /// How the gates of those stand that have one.
    pub(crate) fn gates(&self) -> Vec<GateOf> {
        let gates =
            self.handlers.iter().filter_map(|(handler, kept)| Some((handler, kept.gate()?.standing().as_str())));
        gates.map(|(handler, state)| GateOf { handler: handler.clone(), state }).collect()
    }

    /// Lets all of them go and waits until they are gone, but no longer than this.
    pub(crate) async fn dismiss(&mut self, patience: Duration) {
        self.employ(BTreeMap::new());
        let gone = async { while self.closing.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, gone).await.is_err() {
            tracing::warn!("handlers did not end in time; what they keep is ended");
        }
    }
}
