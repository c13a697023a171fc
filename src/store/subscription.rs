//! Listening to pub/sub on a connection of its own.

use fred::clients::SubscriberClient;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::{CustomCommand, Message as FredMessage};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{self, Value};
use super::error::Error;
use super::{Store, reply};

/// Messages kept for a slow reader; older ones are dropped and counted.
const CAPACITY: usize = 1024;

/// Channels and patterns listened to until it is dropped. What is published while the link is down is not seen.
pub struct Subscription {
    messages: broadcast::Receiver<FredMessage>,
    missed: u64,
    _keeper: AbortOnDropHandle<()>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub channel: String,
    /// Bytes that are not UTF-8 are replaced.
    pub payload: String,
    /// Messages dropped before this one because nobody read them.
    pub missed: u64,
}

impl Store {
    /// Listens to channels, and to channel patterns as PSUBSCRIBE has them.
    pub async fn subscribe(&self, channels: &[String], patterns: &[String]) -> Result<Subscription, Error> {
        self.listen(channels, patterns, CAPACITY).await
    }

    /// As [`Store::subscribe`], keeping `capacity` messages for a slow reader; room for them is taken at once.
    pub(super) async fn listen(
        &self,
        channels: &[String],
        patterns: &[String],
        capacity: usize,
    ) -> Result<Subscription, Error> {
        let client = connection::subscriber(&self.inner.redis, capacity)?;
        let server = self.address();
        let refused = |error| connection::connect_error(server, &error);
        let messages = client.message_rx();
        let mut connects = client.reconnect_rx();
        let task = AbortOnDropHandle::new(client.init().await.map_err(refused)?);
        // the first connect is answered below, where an error can be returned
        let _ = connects.recv().await;
        let wanted = (channels.to_vec(), patterns.to_vec());
        listen(&client, &wanted).await.map_err(refused)?;
        let keeper = tokio::spawn(async move {
            let _task = task;
            while connects.recv().await.is_ok() {
                if let Err(error) = listen(&client, &wanted).await {
                    tracing::debug!(%error, "cannot subscribe again");
                }
            }
        });
        Ok(Subscription { messages, missed: 0, _keeper: AbortOnDropHandle::new(keeper) })
    }
}

/// Subscribes, and returns once the server has done so. fred's own way to do it after a reconnect sends SUBSCRIBE
/// without arguments where there are only patterns, and stops at the error.
async fn listen(client: &SubscriberClient, wanted: &(Vec<String>, Vec<String>)) -> Result<(), fred::error::Error> {
    if !wanted.0.is_empty() {
        client.subscribe(wanted.0.clone()).await?;
    }
    if !wanted.1.is_empty() {
        client.psubscribe(wanted.1.clone()).await?;
    }
    // the two above return when they are sent
    client.custom::<Value, Value>(CustomCommand::new_static("PING", None, false), Vec::new()).await.map(drop)
}

impl Subscription {
    /// The next message; `None` when there can be no more. Cancellation safe.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match self.messages.recv().await {
                Ok(message) => {
                    let Ok(payload) = reply::text("a message", message.value) else { continue };
                    let missed = std::mem::take(&mut self.missed);
                    return Some(Message { channel: message.channel.to_string(), payload, missed });
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => self.missed += missed,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Server, eventually};
    use super::*;

    async fn publish(server: &Server, channel: &str, text: &str) -> i64 {
        let args = vec![channel.into(), text.into()];
        server.connection().await.call("PUBLISH", args).await.unwrap().as_i64().unwrap()
    }

    #[tokio::test]
    async fn messages_arrive_and_again_after_a_cut() {
        let mut server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        let mut only_channels = store.subscribe(&["plain".into()], &[]).await.unwrap();
        let mut only_patterns = store.subscribe(&[], &["news.*".into()]).await.unwrap();
        let mut both = store.subscribe(&["plain".into()], &["news.*".into()]).await.unwrap();
        assert_eq!(publish(&server, "plain", "one").await, 2);
        let expected = Message { channel: "plain".into(), payload: "one".into(), missed: 0 };
        assert_eq!(only_channels.next().await, Some(expected.clone()));
        assert_eq!(both.next().await, Some(expected));

        server.stop();
        server.again().await;
        eventually("resubscribed", async || publish(&server, "plain", "two").await == 2).await;
        eventually("resubscribed to the pattern", async || publish(&server, "news.x", "three").await == 2).await;
        // one or more of "two", depending on who was back first
        while only_channels.next().await.unwrap().payload != "two" {}
        assert_eq!(only_patterns.next().await.unwrap().payload, "three");
        while both.next().await.unwrap().channel != "news.x" {}
    }

    #[tokio::test]
    async fn a_reader_that_sleeps_is_told_what_it_missed() {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        let mut subscription = store.subscribe(&["c".into()], &[]).await.unwrap();
        let sent = CAPACITY + 10;
        let connection = server.connection().await;
        for _ in 0..sent {
            connection.call("PUBLISH", vec!["c".into(), Value::from("x")]).await.unwrap();
        }
        connection.call("PUBLISH", vec!["c".into(), "last".into()]).await.unwrap();
        let mut seen = 0;
        loop {
            let message = subscription.next().await.unwrap();
            seen += message.missed + 1;
            if message.payload == "last" {
                break;
            }
        }
        assert_eq!(seen, sent as u64 + 1);
    }
}
