//! `session.*`

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Desk, Refused, duration};
use crate::app::session::Session;
use crate::config::app::{AtLimit, Sessions};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beginning {
    user: String,
    data: Option<Box<RawValue>>,
    /// What differs from `[app.sessions]`.
    #[serde(default)]
    policy: Policy,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Policy {
    #[serde(deserialize_with = "duration")]
    ttl: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    max_age: Option<Duration>,
    limit: Option<u32>,
    at_limit: Option<AtLimit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    id: String,
    data: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Device {
    user: String,
    device: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct All {
    user: String,
    but: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    user: String,
}

/// A session that has begun, or `null` in its place.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Begun {
    id: String,
    device: String,
    made_room: u64,
}

#[derive(Serialize)]
pub(super) struct Revoked {
    revoked: u64,
}

#[derive(Serialize)]
pub(super) struct Count {
    count: u64,
}

pub(super) async fn create(desk: &Desk, asked: Beginning) -> Result<Option<Begun>, Refused> {
    let sessions = desk.app.sessions();
    let Sessions { ttl, max_age, limit, at_limit } = *sessions.policy();
    let other = asked.policy;
    let ttl = other.ttl.unwrap_or(ttl);
    let policy = Sessions {
        ttl,
        max_age: other.max_age.or(max_age.map(|age| age.max(ttl))),
        limit: other.limit.or(limit),
        at_limit: other.at_limit.unwrap_or(at_limit),
    };
    let new = sessions.create_as(&asked.user, asked.data, &policy).await?;
    Ok(new.map(|new| Begun { id: new.id.as_str().to_owned(), device: new.id.device(), made_room: new.made_room }))
}

pub(super) async fn read(desk: &Desk, asked: One) -> Result<Option<Session>, Refused> {
    Ok(desk.app.sessions().read(&asked.id).await?)
}

pub(super) async fn touch(desk: &Desk, asked: One) -> Result<Option<Session>, Refused> {
    Ok(desk.app.sessions().touch(&asked.id).await?)
}

pub(super) async fn update(desk: &Desk, asked: Change) -> Result<Option<Session>, Refused> {
    Ok(desk.app.sessions().update(&asked.id, asked.data).await?)
}

pub(super) async fn revoke(desk: &Desk, asked: One) -> Result<Revoked, Refused> {
    Ok(Revoked { revoked: desk.app.sessions().revoke(&asked.id).await?.into() })
}

pub(super) async fn revoke_device(desk: &Desk, asked: Device) -> Result<Revoked, Refused> {
    Ok(Revoked { revoked: desk.app.sessions().revoke_device(&asked.user, &asked.device).await?.into() })
}

pub(super) async fn revoke_all(desk: &Desk, asked: All) -> Result<Revoked, Refused> {
    Ok(Revoked { revoked: desk.app.sessions().revoke_all(&asked.user, asked.but.as_deref()).await? })
}

pub(super) async fn list(desk: &Desk, asked: User) -> Result<Vec<Session>, Refused> {
    Ok(desk.app.sessions().list(&asked.user).await?)
}

pub(super) async fn count(desk: &Desk, asked: User) -> Result<Count, Refused> {
    Ok(Count { count: desk.app.sessions().count(&asked.user).await? })
}
