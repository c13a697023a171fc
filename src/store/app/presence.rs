//! Who is where, in a sorted set and a hash per room.

use std::time::Duration;

use serde_json::value::RawValue;

use super::AppStore;
use crate::job::{UnixMillis, millis};
use crate::store::connection::Value;
use crate::store::error::Error;
use crate::store::reply;
use crate::store::script::{PRESENCE_BEAT, PRESENCE_LEAVE, PRESENCE_LIST};

/// Members that leave a room in one call.
const SLICE: u32 = 500;
/// Connections of one member.
const CONNECTIONS: u32 = 100;

/// Somebody in a room.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    pub(crate) member: String,
    /// When it is gone without another beat.
    pub(crate) until: UnixMillis,
    pub(crate) connections: u64,
    pub(crate) data: Option<Box<RawValue>>,
}

impl AppStore {
    /// Whether the member was not there before, how many connections it has, and how many others were gone.
    pub(crate) async fn beat_in_room(
        &self,
        room: &str,
        member: &str,
        connection: &str,
        ttl: Duration,
        data: Option<&RawValue>,
    ) -> Result<[u64; 3], Error> {
        let args = vec![
            member.into(),
            connection.into(),
            self.now().0.into(),
            millis(ttl).into(),
            data.map_or("", RawValue::get).into(),
            CONNECTIONS.into(),
            SLICE.into(),
        ];
        let key = self.keys.presence(room);
        reply::counts(PRESENCE_BEAT.name, self.connection().await?.script(&PRESENCE_BEAT, &key, args).await?)
    }

    /// Whether the member is gone with it, how many connections stay, and how many others were gone.
    pub(crate) async fn leave_room(
        &self,
        room: &str,
        member: &str,
        connection: Option<&str>,
    ) -> Result<[u64; 3], Error> {
        let connection = connection.unwrap_or_default();
        let args = vec![member.into(), connection.into(), self.now().0.into(), SLICE.into()];
        let key = self.keys.presence(room);
        reply::counts(PRESENCE_LEAVE.name, self.connection().await?.script(&PRESENCE_LEAVE, &key, args).await?)
    }

    /// How many are in a room, how many were gone, and up to `most` of those that are there.
    pub(crate) async fn present(&self, room: &str, most: u32) -> Result<(u64, u64, Vec<Present>), Error> {
        let what = PRESENCE_LIST.name;
        let args = vec![self.now().0.into(), most.into(), SLICE.into()];
        let key = self.keys.presence(room);
        let parts = reply::array(what, self.connection().await?.script(&PRESENCE_LIST, &key, args).await?)?;
        let [all, gone, rest @ ..] = parts.as_slice() else {
            return Err(reply::unexpected(what, "two numbers and members", &Value::Array(parts)));
        };
        let found = rest.chunks_exact(4).map(|part| {
            let data = reply::text(what, part[3].clone())?;
            let data = (!data.is_empty()).then(|| RawValue::from_string(data)).transpose();
            Ok(Present {
                member: reply::text(what, part[0].clone())?,
                until: UnixMillis(reply::integer(what, &part[1])?),
                connections: reply::count(what, &part[2])?,
                data: data.map_err(|error| Error::Reply {
                    what,
                    expected: "JSON as what is told of a member",
                    got: error.to_string(),
                })?,
            })
        });
        Ok((reply::count(what, all)?, reply::count(what, gone)?, found.collect::<Result<_, Error>>()?))
    }

    pub(crate) async fn count_present(&self, room: &str) -> Result<u64, Error> {
        let args = vec![self.keys.presence(room).into(), format!("({}", self.now().0).into(), "+inf".into()];
        reply::count("ZCOUNT", &self.connection().await?.call("ZCOUNT", args).await?)
    }

    /// Which of these are in a room.
    pub(crate) async fn are_present(&self, room: &str, members: &[&str]) -> Result<Vec<bool>, Error> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let mut args: Vec<Value> = vec![self.keys.presence(room).into()];
        args.extend(members.iter().map(|member| Value::from(*member)));
        let now = self.now();
        let until = reply::array("ZMSCORE", self.connection().await?.call("ZMSCORE", args).await?)?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age are exact")]
        Ok(until.iter().map(|until| until.as_f64().is_some_and(|until| until > now.0 as f64)).collect())
    }
}
