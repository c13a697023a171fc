//! Log-in sessions: who is logged in, on which devices, and until when.
//!
//! What a browser is given is an id of 256 random bits. Redis knows no more of it than its SHA-256, so that whoever reads
//! Redis can log in as nobody; the bits are random, so nothing stronger is needed, and a session is found by what is
//! kept, so that no comparison takes a time that tells something. Two letters before the bits say in which of 4096
//! parts of a cluster the session is, all of a user in one; nothing else of the user shows in an id.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Error, checked};
use crate::config::app::{AtLimit, Sessions};
use crate::job::UnixMillis;
use crate::store::AppStore;
use crate::store::app::session::{Beginning, Kept, Place};

/// Letters of an id that say which part it is in.
const PART: usize = 2;
/// Random bytes of an id.
const RANDOM: usize = 32;
/// The same as text, and the length of what is kept of an id.
const TEXT: usize = 43;
/// The longest data of a session, in bytes.
const MOST_DATA: usize = 16 * 1024;

/// What a browser is given: whoever has it is logged in. Its text holds letters, digits, `-` and `_` alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(String);

impl SessionId {
    /// An id nobody can guess.
    fn new(user: &str) -> Result<Self, Error> {
        let mut random = [0; RANDOM];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| Error::Senseless("the system has no random numbers to give".to_owned()))?;
        Ok(Self(part_of(user) + &URL_SAFE_NO_PAD.encode(random)))
    }

    /// Reads what a browser has sent; `None` when it can be no id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == PART + TEXT && is_plain(text)).then(|| Self(text.to_owned()))
    }

    /// What a browser is to be given. Keep it out of logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of the id, and names the session where it may be seen, as [`Session::device`].
    #[must_use]
    pub fn device(&self) -> String {
        hashed(&self.0)
    }

    fn place(&self) -> Place {
        Place { part: self.0[..PART].to_owned(), digest: self.device() }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(***)")
    }
}

/// A session that has begun.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub id: SessionId,
    /// Sessions of the user that had to make room.
    pub made_room: u64,
}

/// A session as it was when it was looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub user: String,
    /// Names the session, and is no secret: nobody can log in with it.
    pub device: String,
    pub created_at: UnixMillis,
    /// When it was last touched.
    pub seen_at: UnixMillis,
    /// When it ends if it is not touched before.
    pub ends_at: UnixMillis,
    /// What the application keeps with it.
    pub data: Box<RawValue>,
}

/// What became of sessions, as far as this process knows, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionFigures {
    pub created: u64,
    /// Log-ins that got none, for too many.
    pub refused: u64,
    /// Ended on request, and those that made room for another.
    pub revoked: u64,
    /// Ended by time, as they were met in an index.
    pub expired: u64,
    /// Ids that were asked for and led nowhere.
    pub unknown: u64,
}

/// Cheap to clone. Every operation is one call to Redis unless it says otherwise; none is cancel safe: dropped, it may
/// or may not be done. All of them can be repeated after any error, but for [`LoginSessions::create`], which then may
/// leave a session behind that nobody knows and that ends by time.
#[derive(Clone)]
pub struct LoginSessions {
    inner: Arc<Inner>,
}

struct Inner {
    store: AppStore,
    policy: Sessions,
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    created: AtomicU64,
    refused: AtomicU64,
    revoked: AtomicU64,
    expired: AtomicU64,
    unknown: AtomicU64,
}

impl LoginSessions {
    pub(super) fn new(store: AppStore, policy: Sessions) -> Self {
        Self { inner: Arc::new(Inner { store, policy, counted: Arc::default() }) }
    }

    /// Others that count on.
    pub(super) fn renew(&self, store: AppStore, policy: Sessions) -> Self {
        Self { inner: Arc::new(Inner { store, policy, counted: Arc::clone(&self.inner.counted) }) }
    }

    /// How long sessions last, and how many a user may have, unless a call says otherwise.
    #[must_use]
    pub fn policy(&self) -> &Sessions {
        &self.inner.policy
    }

    /// Begins a session of a user, with what the application keeps with it: any JSON of up to 16 KiB, such as device,
    /// address and browser. `None` when the user has all that are allowed and none is to make room.
    pub async fn create(&self, user: &str, data: impl Serialize) -> Result<Option<NewSession>, Error> {
        self.create_as(user, data, &self.inner.policy).await
    }

    /// As [`LoginSessions::create`], under a policy of its own. A session keeps its times; the limit counts all of the
    /// user.
    pub async fn create_as(
        &self,
        user: &str,
        data: impl Serialize,
        policy: &Sessions,
    ) -> Result<Option<NewSession>, Error> {
        checked("user", user)?;
        let data = json(&data)?;
        if policy.ttl < Duration::from_millis(1) || policy.max_age.is_some_and(|age| age < Duration::from_millis(1)) {
            return Err(Error::Senseless(
                "a session that lasts no time at all is none; give it a ttl of 1s at least".into(),
            ));
        }
        let id = SessionId::new(user)?;
        let beginning = Beginning {
            place: &id.place(),
            user,
            ttl: policy.ttl,
            max_age: policy.max_age,
            data: &data,
            limit: policy.limit,
            makes_room: policy.at_limit == AtLimit::Oldest,
        };
        let (has_begun, made_room, lapsed) = self.inner.store.create_session(beginning).await?;
        let counted = &self.inner.counted;
        add(&counted.expired, lapsed);
        add(&counted.revoked, made_room);
        add(if has_begun { &counted.created } else { &counted.refused }, 1);
        Ok(has_begun.then_some(NewSession { id, made_room }))
    }

    /// The session with this id, if it has not ended; looking does not make it last longer. One plain command.
    pub async fn read(&self, id: &str) -> Result<Option<Session>, Error> {
        let Some(id) = self.known(id) else { return Ok(None) };
        let place = id.place();
        let kept = self.inner.store.session(&place).await?;
        Ok(self.found(kept, place))
    }

    /// As [`LoginSessions::read`] for a session that is used: it ends its whole `ttl` from now, but not later than its
    /// `max_age` after its beginning.
    pub async fn touch(&self, id: &str) -> Result<Option<Session>, Error> {
        self.change(id, true, None).await
    }

    /// Replaces what the application keeps with the session, which ends when it would have ended.
    pub async fn update(&self, id: &str, data: impl Serialize) -> Result<Option<Session>, Error> {
        let data = json(&data)?;
        self.change(id, false, Some(&data)).await
    }

    async fn change(&self, id: &str, is_used: bool, data: Option<&RawValue>) -> Result<Option<Session>, Error> {
        let Some(id) = self.known(id) else { return Ok(None) };
        let place = id.place();
        let touched = self.inner.store.touch_session(&place, is_used, data).await?;
        let kept = touched.map(|(kept, lapsed)| {
            add(&self.inner.counted.expired, lapsed);
            kept
        });
        Ok(self.found(kept, place))
    }

    /// Ends a session; whether there was one.
    pub async fn revoke(&self, id: &str) -> Result<bool, Error> {
        match SessionId::parse(id) {
            Some(id) => self.revoke_at(&id.place(), None).await,
            None => Ok(false),
        }
    }

    /// Ends the session of this user that [`Session::device`] names; whether there was one.
    pub async fn revoke_device(&self, user: &str, device: &str) -> Result<bool, Error> {
        if device.len() != TEXT || !is_plain(device) {
            return Ok(false);
        }
        self.revoke_at(&Place { part: part_of(user), digest: device.to_owned() }, Some(user)).await
    }

    async fn revoke_at(&self, place: &Place, of: Option<&str>) -> Result<bool, Error> {
        let (ended, lapsed) = self.inner.store.revoke_session(place, of).await?;
        add(&self.inner.counted.expired, lapsed);
        add(&self.inner.counted.revoked, u64::from(ended));
        Ok(ended)
    }

    /// Ends all sessions of a user, but for the current one if its id is given; how many. One call for each 500. One that
    /// begins meanwhile may be among them.
    pub async fn revoke_all(&self, user: &str, but: Option<&str>) -> Result<u64, Error> {
        let but = but.and_then(SessionId::parse).map(|id| id.place());
        let (ended, lapsed) = self.inner.store.revoke_sessions(&part_of(user), user, but.as_ref()).await?;
        add(&self.inner.counted.expired, lapsed);
        add(&self.inner.counted.revoked, ended);
        Ok(ended)
    }

    /// Where a user is logged in, up to 500 sessions, the one that would end last first.
    pub async fn list(&self, user: &str) -> Result<Vec<Session>, Error> {
        let (sessions, lapsed) = self.inner.store.sessions(&part_of(user), user).await?;
        add(&self.inner.counted.expired, lapsed);
        Ok(sessions.into_iter().map(|(place, kept)| session(kept, place)).collect())
    }

    /// How many sessions a user has. One plain command; a session whose key was deleted by hand counts until something
    /// else looks at the index.
    pub async fn count(&self, user: &str) -> Result<u64, Error> {
        Ok(self.inner.store.count_sessions(&part_of(user), user).await?)
    }

    #[must_use]
    pub fn figures(&self) -> SessionFigures {
        let counted = &self.inner.counted;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SessionFigures {
            created: read(&counted.created),
            refused: read(&counted.refused),
            revoked: read(&counted.revoked),
            expired: read(&counted.expired),
            unknown: read(&counted.unknown),
        }
    }

    /// What can be an id; anything else needs no question to Redis.
    fn known(&self, id: &str) -> Option<SessionId> {
        let id = SessionId::parse(id);
        add(&self.inner.counted.unknown, u64::from(id.is_none()));
        id
    }

    fn found(&self, kept: Option<Kept>, place: Place) -> Option<Session> {
        add(&self.inner.counted.unknown, u64::from(kept.is_none()));
        kept.map(|kept| session(kept, place))
    }
}

fn session(kept: Kept, place: Place) -> Session {
    let ends = kept.seen.after(kept.ttl);
    Session {
        user: kept.user,
        device: place.digest,
        created_at: kept.created,
        seen_at: kept.seen,
        ends_at: kept.until.map_or(ends, |until| until.min(ends)),
        data: kept.data,
    }
}

/// In which part of a cluster a user's sessions are.
pub(super) fn part_of(user: &str) -> String {
    let mut part = hashed(user);
    part.truncate(PART);
    part
}

fn hashed(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn json(data: &impl Serialize) -> Result<Box<RawValue>, Error> {
    let data =
        to_raw_value(data).map_err(|error| Error::Senseless(format!("a session's data must be JSON: {error}")))?;
    if data.get().len() > MOST_DATA {
        let got = data.get().len();
        let text = format!("a session's data may have {MOST_DATA} bytes as JSON, got {got}; keep the rest elsewhere");
        return Err(Error::Senseless(text));
    }
    Ok(data)
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
