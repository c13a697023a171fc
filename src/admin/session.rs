//! One viewer's time here: what it is told, when it has to hear that we are there, and when its time is over.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::auth::{Grant, Rules};
use super::hub::Seat;
use super::viewer::Notice;

/// What is to be sent.
pub enum Signal {
    Notice(Notice),
    /// Nothing was sent for a while.
    Heartbeat,
    Over(End),
}

/// Why it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The token has come to its end.
    Expired,
    /// The configuration knows the token's secret no more.
    Revoked,
    /// The daemon stops.
    Stopping,
}

impl End {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Stopping => "stopping",
        }
    }
}

pub struct Session {
    pub seat: Seat,
    pub grant: Grant,
    pub rules: watch::Receiver<Arc<Rules>>,
    pub stop: watch::Receiver<bool>,
}

impl Session {
    /// What comes next. Cancellation safe.
    pub async fn next(&mut self) -> Signal {
        let heartbeat = self.rules.borrow().heartbeat;
        let beat = tokio::time::sleep(heartbeat);
        let until = self.grant.until;
        tokio::pin!(beat);
        loop {
            tokio::select! {
                biased;
                () = end_of(until) => return Signal::Over(End::Expired),
                changed = self.rules.changed() => {
                    // they go away with the server
                    if changed.is_err() {
                        return Signal::Over(End::Stopping);
                    }
                    if !self.rules.borrow_and_update().honour(&self.grant) {
                        return Signal::Over(End::Revoked);
                    }
                }
                // before the stop: what the last jobs had to say is still told
                notice = self.seat.next() => return Signal::Notice(notice),
                _ = self.stop.wait_for(|stop| *stop) => return Signal::Over(End::Stopping),
                () = &mut beat => return Signal::Heartbeat,
            }
        }
    }
}

async fn end_of(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
