//! Who is there: members of rooms, each for as long as one of its connections says so.
//!
//! Nobody sweeps: who is gone is not counted, and leaves Redis with the next call that changes the room or lists it, at
//! the latest with the room, which ends with its last member. So nothing is told the moment somebody falls silent; what
//! is known at once, that a beat was the first or a leave the last, is answered to whoever caused it, who may publish it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Error, checked};
use crate::job::UnixMillis;
use crate::store::AppStore;
use crate::store::app::presence::Present;

/// The longest that is told of a member, in bytes.
const MOST_DATA: usize = 4 * 1024;
/// Members that can be listed in one call.
const MOST_LISTED: u32 = 2000;

/// A member of a room.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub name: String,
    /// When it is gone without another beat.
    pub until: UnixMillis,
    /// How many of its connections are there: tabs, devices.
    pub connections: u64,
    /// What its last beat that told something told.
    pub data: Option<Box<RawValue>>,
}

/// Who is in a room.
#[derive(Debug, Clone, Serialize)]
pub struct Room {
    /// How many, listed or not.
    pub count: u64,
    /// Those who were heard of last come first.
    pub members: Vec<Member>,
}

/// What a beat or a leave has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The member was not there before, or is there no more.
    pub changed: bool,
    /// How many of its connections are there now.
    pub connections: u64,
}

/// Cheap to clone. Every operation is one call to Redis and may be repeated after any error.
#[derive(Clone)]
pub struct Presence {
    store: Arc<AppStore>,
}

impl Presence {
    pub(super) fn new(store: AppStore) -> Self {
        Self { store: Arc::new(store) }
    }

    /// A connection of a member is in a room, and will be gone after `ttl` without another beat; beat two or three times
    /// within that. `connection` tells tabs and devices of a member apart, up to a hundred: above that the one that was
    /// heard of longest ago is forgotten. `data` is told of the member to whoever lists the room; `None` leaves what was
    /// told.
    pub async fn beat(
        &self,
        room: &str,
        member: &str,
        connection: &str,
        ttl: Duration,
        data: Option<&RawValue>,
    ) -> Result<Changed, Error> {
        for (what, name) in [("room", room), ("member", member), ("connection", connection)] {
            checked(what, name)?;
        }
        if ttl < Duration::from_millis(1) {
            return Err(Error::Senseless(
                "a beat that lasts no time at all is none; give it a ttl of 1s or more".into(),
            ));
        }
        if let Some(got) = data.map(|data| data.get().len()).filter(|length| *length > MOST_DATA) {
            let text = format!("what is told of a member may have {MOST_DATA} bytes as JSON, got {got}; shorten it");
            return Err(Error::Senseless(text));
        }
        let [is_new, connections, _] = self.store.beat_in_room(room, member, connection, ttl, data).await?;
        Ok(Changed { changed: is_new == 1, connections })
    }

    /// One of a member's connections has gone, which stays while it has another one.
    pub async fn leave(&self, room: &str, member: &str, connection: &str) -> Result<Changed, Error> {
        checked("connection", connection)?;
        self.left(room, member, Some(connection)).await
    }

    /// A member has gone with all its connections.
    pub async fn leave_all(&self, room: &str, member: &str) -> Result<Changed, Error> {
        self.left(room, member, None).await
    }

    async fn left(&self, room: &str, member: &str, connection: Option<&str>) -> Result<Changed, Error> {
        let [is_gone, connections, _] = self.store.leave_room(room, member, connection).await?;
        Ok(Changed { changed: is_gone == 1, connections })
    }

    /// Who is in a room, up to `most` of them and 2000 in any case.
    pub async fn list(&self, room: &str, most: u32) -> Result<Room, Error> {
        let (count, _, present) = self.store.present(room, most.min(MOST_LISTED)).await?;
        let members = present.into_iter().map(|Present { member, until, connections, data }| Member {
            name: member,
            until,
            connections,
            data,
        });
        Ok(Room { count, members: members.collect() })
    }

    /// How many members are in a room. One plain command.
    pub async fn count(&self, room: &str) -> Result<u64, Error> {
        Ok(self.store.count_present(room).await?)
    }

    /// Which of these are in a room, in their order. One plain command.
    pub async fn are_online(&self, room: &str, members: &[&str]) -> Result<Vec<bool>, Error> {
        Ok(self.store.are_present(room, members).await?)
    }
}

#[cfg(test)]
mod tests;
