//! Makes a value once for all who want it, over all processes.
//!
//! Within a process one caller leads and the others follow. Leaders of several processes meet at a lock in Redis, with a
//! token and a time: who has it makes the value, the others look again and again until it is there, the lock is free,
//! or they have waited long enough to make it themselves. A value is stored only while the lock holds its token; whoever
//! deletes or stores the value meanwhile takes the lock away, and so does its time.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::flights::{Joined, Lead, followed};
use super::{Cache, Keep, Key};
use crate::app::Error;
use crate::store::Begun as Locked;

/// First and longest pause between two looks at what another process makes.
const PAUSE: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(100));

/// What a caller who wants a value has to do.
pub enum Begun {
    /// Nothing: these are its bytes.
    There(Bytes),
    /// Make it, and hand it to the ticket.
    Make(Ticket),
}

/// The task of making a value. Dropped, it is somebody else's.
pub struct Ticket {
    cache: Cache,
    name: String,
    /// `None`: it is made for the caller alone and not stored.
    token: Option<String>,
    ttl: Duration,
    absent_ttl: Duration,
    lead: Option<Lead>,
}

impl Cache {
    /// Asks for a value, or for the task of making it; waits while somebody else does, as long as `wait` says. What
    /// [`Cache::get_or_set`] does in one go, for those who make the value elsewhere. While Redis is away everybody makes
    /// its own.
    ///
    /// Cancel safe.
    pub async fn begin(&self, key: &Key, keep: &Keep) -> Result<Begun, Error> {
        match self.ask(key, keep).await {
            Err(error) if error.is_temporary() => {
                tracing::debug!(%key, %error, "the cache is away; the value is made without it");
                Ok(Begun::Make(self.ticket(key, String::new(), keep, None)))
            }
            asked => asked,
        }
    }

    async fn ask(&self, key: &Key, keep: &Keep) -> Result<Begun, Error> {
        let name = key.to_string();
        let counts = &self.inner.counts;
        if let Some(value) = self.inner.store.cached(&name).await? {
            counts.hits.one();
            return Ok(Begun::There(value));
        }
        counts.misses.one();
        let until = Instant::now() + self.inner.settings.wait;
        loop {
            let flight = match self.inner.flights.join(&name) {
                Joined::Lead(lead) => return self.lead(key, name, keep, lead, until).await,
                Joined::Follow(flight) => flight,
            };
            let Ok(ended) = timeout_at(until, followed(flight)).await else {
                return Ok(Begun::Make(self.ticket(key, name, keep, None)));
            };
            let shared = match ended {
                Some(value) => Some(value),
                None => self.inner.store.cached(&name).await?,
            };
            if let Some(value) = shared {
                counts.shared.one();
                return Ok(Begun::There(value));
            }
        }
    }

    /// Takes the lock, or waits for who has it.
    async fn lead(&self, key: &Key, name: String, keep: &Keep, lead: Lead, until: Instant) -> Result<Begun, Error> {
        let token = uuid::Uuid::new_v4().to_string();
        // made before it is sent: dropped on the way, the lock is given back
        let mut ticket = self.ticket(key, name, keep, Some(token.clone()));
        let longest = ticket.ttl.max(ticket.absent_ttl);
        let mut pause = PAUSE.0;
        let mut waited = false;
        loop {
            let lock = self.inner.settings.lock;
            match self.inner.store.begin_fill(&ticket.name, &token, lock, longest, &keep.tags).await? {
                Locked::There(value) => {
                    // those who follow look for themselves: they may know of a deletion that came after this answer
                    ticket.token = None;
                    if waited {
                        self.inner.counts.shared.one();
                    }
                    return Ok(Begun::There(value));
                }
                Locked::Ours => {
                    ticket.lead = Some(lead);
                    return Ok(Begun::Make(ticket));
                }
                Locked::Others => {
                    let now = Instant::now();
                    if now >= until {
                        ticket.token = None;
                        return Ok(Begun::Make(ticket));
                    }
                    waited = true;
                    sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0).min(until - now)).await;
                    pause = (pause * 3 / 2).min(PAUSE.1);
                }
            }
        }
    }

    fn ticket(&self, key: &Key, name: String, keep: &Keep, token: Option<String>) -> Ticket {
        let (ttl, absent_ttl) = (self.ttl(key, keep), self.absent_ttl(key, keep));
        Ticket { cache: self.clone(), name, token, ttl, absent_ttl, lead: None }
    }
}

impl Ticket {
    /// Stores the value for all; false when it was not: it was deleted or stored by somebody else meanwhile, took longer
    /// than the lock lasts, is too large, or was made for the caller alone. Whoever made it has it anyway.
    pub async fn fill(mut self, value: Bytes) -> Result<bool, Error> {
        let counts = &self.cache.inner.counts;
        let Some(token) = self.token.take() else {
            counts.alone.one();
            return Ok(false);
        };
        if let Some(lead) = &mut self.lead {
            lead.close();
        }
        let is_too_large = value.len() > self.cache.inner.settings.max_size;
        let store = &self.cache.inner.store;
        let is_ours = if is_too_large {
            store.leave(&self.name, &token).await?
        } else {
            let life = self.cache.life(if super::is_absent(&value) { self.absent_ttl } else { self.ttl });
            store.fill(&self.name, &token, value.clone(), life).await?
        };
        // whoever joined may have asked after a deletion that has taken the lock away
        if let Some(lead) = self.lead.take().filter(|_| is_ours) {
            lead.tell(value);
        }
        let is_stored = is_ours && !is_too_large;
        if is_stored {
            counts.filled.one();
        } else {
            counts.refused.one();
        }
        Ok(is_stored)
    }

    /// Gives the task back; resolves when others may have it.
    pub async fn leave(mut self) -> Result<(), Error> {
        if let Some(token) = self.token.take() {
            self.cache.inner.store.leave(&self.name, &token).await?;
        }
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let (Some(token), Ok(runtime)) = (self.token.take(), tokio::runtime::Handle::try_current()) {
            let (cache, name) = (self.cache.clone(), std::mem::take(&mut self.name));
            let lead = self.lead.take();
            runtime.spawn(async move {
                // otherwise the time of the lock does it
                let _ = cache.inner.store.leave(&name, &token).await;
                drop(lead);
            });
        }
    }
}
