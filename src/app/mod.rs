//! What does an application keep in Redis beside its queues? Caches, log-ins, request limits, who is there.
//!
//! An [`App`] is a cheap handle on the connections of a [`Store`]. Programs make one of their own; handlers are given
//! that of the engine. Each operation is one command or one script, over a connection that no job waits for. Keys stand
//! below one prefix (`[app] prefix`), in layouts that the handlers which keep house in Redis know.

pub mod cache;
#[cfg(all(unix, feature = "command"))]
mod desk;
mod error;
mod presence;
mod rate_limit;
mod session;

use crate::config;
use crate::store::{self, AppStore, Store};

pub use cache::Cache;
#[cfg(all(unix, feature = "command"))]
pub(crate) use desk::Desk;
pub use error::Error;
pub use presence::{Changed, Member, Presence, Room};
pub use rate_limit::{Checked, Limit, LimiterFigures, RateLimiter};
pub use session::{LoginSessions, NewSession, Session, SessionFigures, SessionId};

/// What an [`App`] has been good for since the start of the process, for whoever shows figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub cache: cache::Figures,
    pub sessions: SessionFigures,
    pub limiter: LimiterFigures,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct App {
    cache: Cache,
    sessions: LoginSessions,
    limiter: RateLimiter,
    presence: Presence,
}

impl App {
    /// Opens nothing: the connection is made by the first operation. An error when the settings would mix up keys with
    /// those of queues.
    pub fn new(store: &Store, settings: config::App) -> Result<Self, Error> {
        check(&settings, store.prefix())?;
        let shelf = AppStore::new(store, &settings.prefix);
        Ok(Self {
            cache: Cache::new(shelf.clone(), settings.cache),
            sessions: LoginSessions::new(shelf.clone(), settings.sessions),
            limiter: RateLimiter::new(shelf.clone()),
            presence: Presence::new(shelf),
        })
    }

    /// One with other settings, whose figures go on. This one and its clones stay as they are.
    pub(crate) fn renew(&self, store: &Store, settings: config::App) -> Result<Self, Error> {
        check(&settings, store.prefix())?;
        let shelf = AppStore::new(store, &settings.prefix);
        Ok(Self {
            cache: self.cache.renew(shelf.clone(), settings.cache),
            sessions: self.sessions.renew(shelf.clone(), settings.sessions),
            limiter: self.limiter.renew(shelf.clone()),
            presence: Presence::new(shelf),
        })
    }

    /// Values that can be made again.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Who is logged in, and where.
    #[must_use]
    pub fn sessions(&self) -> &LoginSessions {
        &self.sessions
    }

    /// How often somebody may do something.
    #[must_use]
    pub fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    /// Who is there.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Figures of this handle and its clones.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures { cache: self.cache.figures(), sessions: self.sessions.figures(), limiter: self.limiter.figures() }
    }
}

/// Refuses settings that would mix up keys with those of queues.
fn check(settings: &config::App, queues: &str) -> Result<(), Error> {
    match settings.problems(queues).into_iter().next() {
        Some((key, invalid)) => Err(store::Error::Setup(format!("[app] {key}: {invalid}")).into()),
        None => Ok(()),
    }
}

/// The longest name of a user, a room and the like, in bytes.
const LONGEST: usize = 1024;

/// Whether somebody else's name for something can be used.
fn checked(what: &'static str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > LONGEST {
        let got = name.len();
        return Err(Error::Senseless(format!("the name of a {what} must have 1 to {LONGEST} bytes, got {got}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
