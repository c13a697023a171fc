//! Listening to pub/sub on a connection of its own, and hearing when nothing could be heard.

mod backlog;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fred::clients::SubscriberClient;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::config::Server;
use fred::types::{CustomCommand, Message as FredMessage, MessageKind};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::task::AbortOnDropHandle;

use super::connection::{self, Value};
use super::error::Error;
use super::{Store, reply};
use backlog::Backlog;

/// Messages kept for a slow reader, and the bytes of them; older ones are dropped and counted.
const CAPACITY: (usize, usize) = (1024, 8 * 1024 * 1024);
/// How long nothing may be said before the link has to show that it stands.
const SILENCE: Duration = Duration::from_secs(10);
/// How long it has for that.
const PROOF: Duration = Duration::from_secs(2);
/// Pause before a link that cannot be had is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Channels and patterns listened to until it is dropped; then its connection closes. It mends itself, without end.
pub struct Subscription {
    backlog: Arc<Backlog>,
    _keeper: AbortOnDropHandle<()>,
}

/// What a reader is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<M> {
    Message(M),
    /// So many messages have come faster than they were read, and were dropped.
    Missed(u64),
    /// Nothing could be heard for so long: what was said meanwhile is lost.
    Gap(Duration),
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub channel: String,
    /// Bytes that are not UTF-8 are replaced.
    pub payload: String,
}

impl Store {
    /// Listens to channels, and to channel patterns as PSUBSCRIBE has them. What comes to a channel is told once, also
    /// when a pattern covers it.
    pub async fn subscribe(&self, channels: &[String], patterns: &[String]) -> Result<Subscription, Error> {
        self.listen(channels, patterns, CAPACITY.0).await
    }

    /// As [`Store::subscribe`], keeping `capacity` messages for a slow reader.
    pub(super) async fn listen(
        &self,
        channels: &[String],
        patterns: &[String],
        capacity: usize,
    ) -> Result<Subscription, Error> {
        let listener = Listener {
            store: self.clone(),
            channels: channels.to_vec(),
            patterns: patterns.to_vec(),
            capacity,
            backlog: Arc::new(Backlog::new(capacity, CAPACITY.1)),
            silence: SILENCE,
        };
        listener.start().await
    }
}

impl Subscription {
    /// What comes next; `None` when there can be no more. Cancellation safe.
    pub async fn next(&mut self) -> Option<Heard<Message>> {
        self.backlog.next().await
    }

    /// The next message, for those to whom it does not matter what they have missed. Cancellation safe.
    pub async fn message(&mut self) -> Option<Message> {
        loop {
            if let Heard::Message(message) = self.next().await? {
                return Some(message);
            }
        }
    }
}
/// Fills the backlog, whatever becomes of the link.
struct Listener {
    store: Store,
    channels: Vec<String>,
    patterns: Vec<String>,
    /// Messages the client keeps until we hand them on; room for them is taken at once.
    capacity: usize,
    backlog: Arc<Backlog>,
    /// How long nothing may be said before the link has to show that it stands.
    silence: Duration,
}

/// A link on which everything is listened to.
struct Line {
    client: SubscriberClient,
    messages: broadcast::Receiver<FredMessage>,
    errors: broadcast::Receiver<(fred::error::Error, Option<Server>)>,
    connects: broadcast::Receiver<Server>,
    /// fred's; when it ends, so does the link.
    task: AbortOnDropHandle<Result<(), fred::error::Error>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.backlog.close();
    }
}

impl Listener {
    async fn start(self) -> Result<Subscription, Error> {
        let line = self.dial().await?;
        let backlog = Arc::clone(&self.backlog);
        Ok(Subscription { backlog, _keeper: AbortOnDropHandle::new(tokio::spawn(self.keep(line))) })
    }

    /// Connects and subscribes.
    async fn dial(&self) -> Result<Line, Error> {
        let refused = |error| connection::connect_error(self.store.address(), &error);
        let client = connection::subscriber(&self.store.inner.redis, self.capacity)?;
        let (messages, errors, mut connects) = (client.message_rx(), client.error_rx(), client.reconnect_rx());
        let task = AbortOnDropHandle::new(client.init().await.map_err(refused)?);
        // the first connect is answered here, where an error can be returned
        let _ = connects.recv().await;
        self.subscribe(&client).await.map_err(refused)?;
        Ok(Line { client, messages, errors, connects, task })
    }

    /// Subscribes, and returns once the server has done so. fred's own way to do it after a reconnect sends SUBSCRIBE
    /// without arguments where there are only patterns, and stops at the error.
    async fn subscribe(&self, client: &SubscriberClient) -> Result<(), fred::error::Error> {
        if !self.channels.is_empty() {
            client.subscribe(self.channels.clone()).await?;
        }
        if !self.patterns.is_empty() {
            client.psubscribe(self.patterns.clone()).await?;
        }
        // the two above return when they are sent
        ping(client).await
    }

    async fn keep(self, mut line: Line) {
        loop {
            let since = self.hear(&mut line).await;
            drop(line);
            line = loop {
                match self.dial().await {
                    Ok(line) => break line,
                    Err(error) => {
                        tracing::debug!(%error, "cannot subscribe again");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            };
            self.backlog.push(Heard::Gap(since.elapsed()));
        }
    }

    /// Hands on what is said until the link is of no use any more; answers since when nothing is heard.
    async fn hear(&self, line: &mut Line) -> Instant {
        let mut heard = Instant::now();
        let mut lost: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                Ok(_) = line.errors.recv() => drop(lost.get_or_insert_with(Instant::now)),
                message = line.messages.recv() => match message {
                    Ok(message) => {
                        heard = Instant::now();
                        self.hand_on(message);
                    }
                    Err(RecvError::Lagged(missed)) => self.backlog.push(Heard::Missed(missed)),
                    Err(RecvError::Closed) => return lost.unwrap_or(heard),
                },
                Ok(_) = line.connects.recv() => {
                    let since = lost.unwrap_or_else(Instant::now);
                    if let Err(error) = self.subscribe(&line.client).await {
                        tracing::debug!(%error, "cannot subscribe again");
                        return since;
                    }
                    self.backlog.push(Heard::Gap(since.elapsed()));
                    (heard, lost) = (Instant::now(), None);
                }
                _ = &mut line.task => return lost.unwrap_or(heard),
                () = tokio::time::sleep_until((heard + self.silence).into()), if lost.is_none() => {
                    // a link that has died without a word would be silent for ever
                    match tokio::time::timeout(PROOF, ping(&line.client)).await {
                        Ok(Ok(())) => heard = Instant::now(),
                        _ => return heard,
                    }
                }
            }
        }
    }

    fn hand_on(&self, message: FredMessage) {
        let channel = message.channel.to_string();
        // what a pattern covers comes once more for it
        if message.kind == MessageKind::PMessage && self.channels.contains(&channel) {
            return;
        }
        if let Ok(payload) = reply::text("a message", message.value) {
            self.backlog.push(Heard::Message(Message { channel, payload }));
        }
    }
}

async fn ping(client: &SubscriberClient) -> Result<(), fred::error::Error> {
    client.custom::<Value, Value>(CustomCommand::new_static("PING", None, false), Vec::new()).await.map(drop)
}

#[cfg(test)]
mod tests;
