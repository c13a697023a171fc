//! Who in this process is making which value: of many who want one, one asks Redis for the lock, and the others wait for
//! that one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::watch;

#[derive(Default)]
pub(super) struct Flights {
    /// By the name of the value. What a flight came to is told before it ends; nothing is told of one that failed.
    under_way: Mutex<HashMap<String, watch::Receiver<Option<Bytes>>>>,
}

/// What a caller finds.
pub(super) enum Joined {
    /// It is the one that makes the value, until it drops this.
    Lead(Lead),
    /// Another does.
    Follow(watch::Receiver<Option<Bytes>>),
}

/// The right to make a value for this process.
pub(super) struct Lead {
    flights: Arc<Flights>,
    name: String,
    told: watch::Sender<Option<Bytes>>,
    is_open: bool,
}

impl Flights {
    pub(super) fn join(self: &Arc<Self>, name: &str) -> Joined {
        match self.under_way().entry(name.to_owned()) {
            Entry::Occupied(flight) => Joined::Follow(flight.get().clone()),
            Entry::Vacant(place) => {
                let (told, flight) = watch::channel(None);
                place.insert(flight);
                Joined::Lead(Lead { flights: Arc::clone(self), name: name.to_owned(), told, is_open: true })
            }
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Bytes>>>> {
        self.under_way.lock().expect("no code panics while holding this lock")
    }
}

impl Lead {
    /// Nobody joins any more. Before the value is stored: who asks later may know of a deletion that came after it.
    pub(super) fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.flights.under_way().remove(&self.name);
        }
    }

    /// Gives the value to those who have joined.
    pub(super) fn tell(&self, value: Bytes) {
        self.told.send_replace(Some(value));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.close();
    }
}

/// What a flight came to; `None`: nothing, and one may try again. Cancel safe.
pub(super) async fn followed(mut flight: watch::Receiver<Option<Bytes>>) -> Option<Bytes> {
    flight.wait_for(Option::is_some).await.ok()?.clone()
}
