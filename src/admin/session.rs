//! One viewer's time here: what it is told, when it has to hear that we are there, and when its time is over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::archive::{Reading, Step};
use super::auth::{Grant, Rules};
use super::hub::Seat;
use super::viewer::Notice;
use crate::store::EntryId;

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

/// What is looked at before anything is sent.
enum Came {
    Rules,
    Step(Step),
    Notice(Notice),
}

pub struct Session {
    seat: Seat,
    grant: Grant,
    rules: watch::Receiver<Arc<Rules>>,
    stop: watch::Receiver<bool>,
    /// The entry of the stream up to which everything was sent; `None` where that is not known.
    position: Option<EntryId>,
    /// On the way from there to the present.
    reading: Option<Reading>,
    /// Read and not sent yet.
    found: VecDeque<Notice>,
}

impl Session {
    /// `resume` is the entry that was seen last.
    pub fn new(
        seat: Seat,
        grant: Grant,
        rules: watch::Receiver<Arc<Rules>>,
        stop: watch::Receiver<bool>,
        resume: Option<EntryId>,
    ) -> Self {
        Self { seat, grant, rules, stop, position: resume, reading: None, found: VecDeque::new() }
    }

    /// What comes next. Cancellation safe.
    pub async fn next(&mut self) -> Signal {
        let heartbeat = self.rules.borrow().heartbeat;
        let beat = tokio::time::sleep(heartbeat);
        tokio::pin!(beat);
        loop {
            if let Some(notice) = self.found.pop_front() {
                return Signal::Notice(notice);
            }
            let came = tokio::select! {
                biased;
                () = end_of(self.grant.until) => return Signal::Over(End::Expired),
                changed = self.rules.changed() => match changed {
                    Ok(()) => Came::Rules,
                    // they go away with the server
                    Err(_) => return Signal::Over(End::Stopping),
                },
                // before the stop: what the last jobs had to say is still told
                step = step(&self.seat, self.reading.as_mut()), if self.reading.is_some() => Came::Step(step),
                notice = self.seat.next(), if self.reading.is_none() => Came::Notice(notice),
                _ = self.stop.wait_for(|stop| *stop) => return Signal::Over(End::Stopping),
                () = &mut beat => return Signal::Heartbeat,
            };
            match came {
                Came::Rules if !self.rules.borrow_and_update().honour(&self.grant) => {
                    return Signal::Over(End::Revoked);
                }
                Came::Rules => {}
                Came::Step(step) => self.take(step),
                Came::Notice(notice) => self.hear(notice),
            }
        }
    }

    /// What came live.
    fn hear(&mut self, notice: Notice) {
        let known = self.position.filter(|_| self.seat.archive().is_some());
        match &notice {
            Notice::Status(update) => {
                let entry = update.message.entry;
                if entry.is_some() && entry <= self.position {
                    // read from the stream already
                    return;
                }
                self.position = entry;
            }
            // who comes back reads on where it was, or hears that it cannot
            Notice::Ready => {
                self.found.push_back(notice);
                self.reading = known.map(Reading::behind);
                if self.position.is_some() && known.is_none() {
                    self.position = None;
                    self.found.push_back(Notice::Gap);
                }
                return;
            }
            // the stream has it all
            Notice::Missed(_) if known.is_some() => {
                self.reading = known.map(Reading::behind);
                return;
            }
            Notice::Missed(_) | Notice::Gap => {}
        }
        self.found.push_back(notice);
    }

    /// What the stream had.
    fn take(&mut self, step: Step) {
        let reading = self.reading.as_ref().map(|reading| reading.last);
        self.position = reading.or(self.position);
        if step.is_end {
            self.reading = None;
        }
        self.found.extend(step.notices);
    }
}

/// The next page of the stream; a gap where it is kept no more.
async fn step(seat: &Seat, reading: Option<&mut Reading>) -> Step {
    match (seat.archive(), reading) {
        (Some(archive), Some(reading)) => archive.step(reading, seat.filter()).await,
        _ => Step { notices: vec![Notice::Gap], is_end: true },
    }
}

async fn end_of(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
