//! `presence.*`

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Desk, Refused, duration};
use crate::app::presence::{Changed, Room};

/// Members listed unless more are asked for.
const LISTED: u32 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beat {
    room: String,
    member: String,
    connection: String,
    #[serde(deserialize_with = "duration")]
    ttl: Option<Duration>,
    data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Leave {
    room: String,
    member: String,
    /// Without it all of the member's.
    connection: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    room: String,
    most: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sought {
    room: String,
    members: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Count {
    count: u64,
}

pub(super) async fn beat(desk: &Desk, asked: Beat) -> Result<Changed, Refused> {
    let Beat { room, member, connection, ttl, data } = asked;
    let ttl = ttl.ok_or_else(|| Refused::Unfit("ttl is null; say a duration, such as \"30s\"".to_owned()))?;
    Ok(desk.app.presence().beat(&room, &member, &connection, ttl, data.as_deref()).await?)
}

pub(super) async fn leave(desk: &Desk, asked: Leave) -> Result<Changed, Refused> {
    let presence = desk.app.presence();
    Ok(match &asked.connection {
        Some(connection) => presence.leave(&asked.room, &asked.member, connection).await?,
        None => presence.leave_all(&asked.room, &asked.member).await?,
    })
}

pub(super) async fn list(desk: &Desk, asked: Listed) -> Result<Room, Refused> {
    Ok(desk.app.presence().list(&asked.room, asked.most.unwrap_or(LISTED)).await?)
}

pub(super) async fn count(desk: &Desk, asked: Listed) -> Result<Count, Refused> {
    Ok(Count { count: desk.app.presence().count(&asked.room).await? })
}

/// Which of the members are there, in their order.
pub(super) async fn online(desk: &Desk, asked: Sought) -> Result<Vec<bool>, Refused> {
    let members: Vec<&str> = asked.members.iter().map(String::as_str).collect();
    Ok(desk.app.presence().are_online(&asked.room, &members).await?)
}
