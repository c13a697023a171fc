//! Waits for an element of a list. Producers that `LPUSH` ring no marker, so the wait is for the list itself.

use std::time::Duration;

use tokio::sync::watch;

use crate::config::{self, Side};
use crate::store::connection::{Connection, Value};
use crate::store::keys::ListKeys;
use crate::store::{Error, Store};

/// One pool's wait for one list, on a connection of its own that is opened at first use.
pub(crate) struct Bell {
    store: Store,
    list: String,
    /// Where it is rung when something could not be taken and now can: for everybody, and for this process.
    markers: [String; 2],
    side: Side,
    block: Duration,
    blocked: watch::Receiver<bool>,
    connection: Option<Connection>,
}

impl Bell {
    pub(super) fn new(store: &Store, keys: &ListKeys, list: &config::List, blocked: watch::Receiver<bool>) -> Self {
        Self {
            store: store.clone(),
            list: keys.list().to_owned(),
            markers: [keys.marker_of(&store.incarnation()), keys.marker()],
            side: list.take,
            block: list.block,
            blocked,
            connection: None,
        }
    }

    /// Waits until something may be there to be taken, at most as long as the setting `block` says; whether it may.
    ///
    /// The wait is a `BLMOVE` of the list onto itself, from and to the same end: it ends when there is an element, and leaves it
    /// where it is. So nothing is ever on its way to us, and dropping the future loses nothing. Where the last take found
    /// something it must not take, it is waited for the word that it may.
    pub(crate) async fn wait(&mut self) -> Result<bool, Error> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => self.connection.insert(self.store.blocking_apart().await?).clone(),
        };
        if *self.blocked.borrow_and_update() {
            return Box::pin(self.wait_for_word(&connection)).await;
        }
        let end = if self.side == Side::Left { "LEFT" } else { "RIGHT" };
        let list = Value::from(self.list.as_str());
        let timeout = format!("{:.3}", self.block.as_secs_f64()).into();
        let args = vec![list.clone(), list, end.into(), end.into(), timeout];
        Ok(!connection.call_blocking("BLMOVE", args, self.block).await?.is_null())
    }

    async fn wait_for_word(&mut self, connection: &Connection) -> Result<bool, Error> {
        let mut wait = std::pin::pin!(connection.wait(&self.markers, self.block));
        let freed = async {
            let _ = self.blocked.wait_for(|blocked| !blocked).await;
        };
        tokio::select! {
            answer = &mut wait => return answer.map(|_| true),
            () = freed => {}
        }
        // a take has found its way meanwhile: from now on it is the list that is waited for
        let (answer, ()) = tokio::join!(wait, connection.interrupt(self.store.command()));
        answer.map(|rung| rung.is_some())
    }
}
