//! Log-in sessions and the indexes of their users, as the scripts have them.

use std::time::Duration;

use serde_json::value::RawValue;

use super::AppStore;
use crate::job::{UnixMillis, millis};
use crate::store::connection::Value;
use crate::store::error::Error;
use crate::store::reply;
use crate::store::script::{SESSION_CREATE, SESSION_LIST, SESSION_REVOKE, SESSION_REVOKE_ALL, SESSION_TOUCH};

/// Sessions looked at in one call, and members that leave an index.
const SLICE: u32 = 500;

/// A session's place: its key, and the member of its user's index, is made of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the parts of a cluster it is in: the same for all sessions of a user.
    pub(crate) part: String,
    /// What is kept of the id.
    pub(crate) digest: String,
}

/// A session that is to begin.
pub(crate) struct Beginning<'a> {
    pub(crate) place: &'a Place,
    pub(crate) user: &'a str,
    pub(crate) ttl: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) data: &'a RawValue,
    /// `None`: any number.
    pub(crate) limit: Option<u32>,
    /// Whether those that would end first make room.
    pub(crate) makes_room: bool,
}

/// A session as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) user: String,
    pub(crate) created: UnixMillis,
    pub(crate) seen: UnixMillis,
    pub(crate) ttl: Duration,
    /// When it ends in any case.
    pub(crate) until: Option<UnixMillis>,
    pub(crate) data: Box<RawValue>,
}

/// What a call found out on its way: sessions that had ended and have left the index.
pub(crate) type Lapsed = u64;

impl AppStore {
    fn member(place: &Place) -> String {
        format!("{{{}}}:{}", place.part, place.digest)
    }

    /// Whether it has begun, how many made room for it, and what had ended.
    pub(crate) async fn create_session(&self, new: Beginning<'_>) -> Result<(bool, u64, Lapsed), Error> {
        let now = self.now();
        let index = self.keys.sessions(&new.place.part, new.user);
        let args = vec![
            self.keys.session_base().into(),
            Self::member(new.place).into(),
            new.user.into(),
            now.0.into(),
            millis(new.ttl).into(),
            new.max_age.map_or(0, |age| now.after(age).0).into(),
            new.data.get().into(),
            i64::from(new.limit.unwrap_or(0)).into(),
            if new.makes_room { "oldest" } else { "refuse" }.into(),
            SLICE.into(),
        ];
        let answer = self.connection().await?.script(&SESSION_CREATE, &index, args).await?;
        let [begun, left, lapsed] = reply::counts(SESSION_CREATE.name, answer)?;
        Ok((begun == 1, left, lapsed))
    }

    pub(crate) async fn session(&self, place: &Place) -> Result<Option<Kept>, Error> {
        let key = self.keys.session(&Self::member(place));
        let mut args = vec![key.into()];
        args.extend(["user", "created", "seen", "idle", "until", "data"].map(Value::from));
        let fields = reply::array("HMGET", self.connection().await?.call("HMGET", args).await?)?;
        let mut fields = fields.into_iter();
        match fields.next() {
            None | Some(Value::Null) => Ok(None),
            Some(user) => kept("HMGET", reply::text("HMGET", user)?, fields).map(Some),
        }
    }

    /// Notes that it is used, or replaces its data, or both; what it is then.
    pub(crate) async fn touch_session(
        &self,
        place: &Place,
        is_used: bool,
        data: Option<&RawValue>,
    ) -> Result<Option<(Kept, Lapsed)>, Error> {
        let member = Self::member(place);
        let key = self.keys.session(&member);
        let args = vec![
            member.into(),
            self.now().0.into(),
            i64::from(is_used).into(),
            data.map_or("", RawValue::get).into(),
            SLICE.into(),
        ];
        let what = SESSION_TOUCH.name;
        let fields = reply::array(what, self.connection().await?.script(&SESSION_TOUCH, &key, args).await?)?;
        let lapsed = fields.last().map_or(Ok(0), |lapsed| reply::count(what, lapsed))?;
        let mut fields = fields.into_iter();
        let Some(user) = fields.next() else { return Ok(None) };
        Ok(Some((kept(what, reply::text(what, user)?, fields)?, lapsed)))
    }

    /// Ends a session; whether there was one. One of another user than `of` is left alone.
    pub(crate) async fn revoke_session(&self, place: &Place, of: Option<&str>) -> Result<(bool, Lapsed), Error> {
        let member = Self::member(place);
        let key = self.keys.session(&member);
        let index = of.map_or_else(String::new, |user| self.keys.sessions(&place.part, user));
        let args = vec![member.into(), index.into(), self.now().0.into(), SLICE.into()];
        let answer = self.connection().await?.script(&SESSION_REVOKE, &key, args).await?;
        let [ended, lapsed] = reply::counts(SESSION_REVOKE.name, answer)?;
        Ok((ended == 1, lapsed))
    }

    /// Ends all sessions of a user but one, in as many calls as it takes; how many. Those that begin meanwhile may be
    /// among them.
    pub(crate) async fn revoke_sessions(
        &self,
        part: &str,
        user: &str,
        but: Option<&Place>,
    ) -> Result<(u64, Lapsed), Error> {
        let index = self.keys.sessions(part, user);
        let but = but.map_or_else(String::new, Self::member);
        let (mut all, mut all_lapsed) = (0, 0);
        loop {
            let args = vec![self.keys.session_base().into(), but.as_str().into(), SLICE.into()];
            let answer = self.connection().await?.script(&SESSION_REVOKE_ALL, &index, args).await?;
            let [ended, lapsed, more] = reply::counts(SESSION_REVOKE_ALL.name, answer)?;
            (all, all_lapsed) = (all + ended, all_lapsed + lapsed);
            if more == 0 {
                return Ok((all, all_lapsed));
            }
        }
    }

    /// The sessions of a user, up to 500, each with what is kept of its id; the one that would end last comes first.
    pub(crate) async fn sessions(&self, part: &str, user: &str) -> Result<(Vec<(Place, Kept)>, Lapsed), Error> {
        let what = SESSION_LIST.name;
        let index = self.keys.sessions(part, user);
        let args = vec![self.keys.session_base().into(), self.now().0.into(), SLICE.into()];
        let answer = self.connection().await?.script(&SESSION_LIST, &index, args).await?;
        let mut fields = reply::array(what, answer)?.into_iter();
        let lapsed = reply::count(what, &fields.next().unwrap_or(Value::Null))?;
        let mut found = Vec::new();
        while let Some(member) = fields.next() {
            let member = reply::text(what, member)?;
            let digest = member.rsplit_once(':').map_or(member.as_str(), |(_, digest)| digest).to_owned();
            let place = Place { part: part.to_owned(), digest };
            found.push((place, kept(what, user.to_owned(), fields.by_ref().take(5))?));
        }
        Ok((found, lapsed))
    }

    /// How many sessions a user has.
    pub(crate) async fn count_sessions(&self, part: &str, user: &str) -> Result<u64, Error> {
        let index = self.keys.sessions(part, user);
        let args = vec![index.into(), format!("({}", self.now().0).into(), "+inf".into()];
        reply::count("ZCOUNT", &self.connection().await?.call("ZCOUNT", args).await?)
    }
}

/// The fields behind the user: created, seen, idle, until, data.
fn kept(what: &'static str, user: String, mut fields: impl Iterator<Item = Value>) -> Result<Kept, Error> {
    let mut number = || reply::integer(what, &fields.next().unwrap_or(Value::Null));
    let (created, seen, idle, until) = (number()?, number()?, number()?, number()?);
    let data = reply::text(what, fields.next().unwrap_or(Value::Null))?;
    let data = RawValue::from_string(data).map_err(|error| Error::Reply {
        what,
        expected: "JSON as a session's data",
        got: error.to_string(),
    })?;
    Ok(Kept {
        user,
        created: UnixMillis(created),
        seen: UnixMillis(seen),
        ttl: Duration::from_millis(u64::try_from(idle).unwrap_or(0)),
        until: (until > 0).then_some(UnixMillis(until)),
        data,
    })
}
