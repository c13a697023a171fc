//! Connections to the mail server, kept between mails. As many as the configuration allows, closed when nobody has used
//! them for a while: before the server would, where the configuration says so.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::connection::{Answer, Connection, Server, Trouble};
use super::letter::Letter;

pub(super) struct Pool {
    pub(super) server: Server,
    idle: Duration,
    slots: Semaphore,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The last one used at the end.
    connections: Vec<(Connection, Instant)>,
    /// Somebody looks after them.
    is_swept: bool,
}

impl Pool {
    pub(super) fn new(server: Server, connections: usize, idle: Duration) -> Arc<Self> {
        Arc::new(Self { server, idle, slots: Semaphore::new(connections), kept: Mutex::default() })
    }

    /// Hands a letter in, over a kept connection if there is one. One that the server has closed meanwhile is noticed at
    /// the first word, and costs nothing but another connection.
    ///
    /// Cancellation as in [`Connection::deliver`].
    pub(super) async fn deliver(
        self: &Arc<Self>,
        letter: &Letter,
        sent: &AtomicBool,
        end: Instant,
    ) -> Result<Vec<Answer>, Trouble> {
        let _slot = self.slots.acquire().await.expect("never closed");
        loop {
            let mut connection = match self.take() {
                Some(connection) => connection,
                None => self.server.connect().await?,
            };
            match connection.deliver(letter, sent, end).await {
                Err(Trouble::Stale) => {}
                other => {
                    if connection.is_usable && !self.idle.is_zero() {
                        self.keep(connection);
                    }
                    return other;
                }
            }
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut kept = self.kept();
        // the others are older still; the sweeper takes leave of them
        kept.connections.pop_if(|(_, since)| since.elapsed() < self.idle).map(|(connection, _)| connection)
    }

    fn keep(self: &Arc<Self>, connection: Connection) {
        let mut kept = self.kept();
        kept.connections.push((connection, Instant::now()));
        if !std::mem::replace(&mut kept.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.idle));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no code panics while holding this lock")
    }
}

/// Closes connections that have been unused for too long, until there are none.
async fn sweep(pool: Weak<Pool>, idle: Duration) {
    let mut next = Instant::now() + idle;
    loop {
        tokio::time::sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        let old: Vec<Connection> = {
            let mut kept = pool.kept();
            let fresh = kept.connections.iter().position(|(_, since)| since.elapsed() < idle);
            let fresh = fresh.unwrap_or(kept.connections.len());
            let old = kept.connections.drain(..fresh).map(|(connection, _)| connection).collect();
            match kept.connections.first() {
                Some((_, since)) => next = *since + idle,
                None => kept.is_swept = false,
            }
            old
        };
        let is_done = !pool.kept().is_swept;
        drop(pool);
        for connection in old {
            connection.quit().await;
        }
        if is_done {
            return;
        }
    }
}
