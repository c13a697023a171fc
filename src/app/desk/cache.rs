//! `cache.*`

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Desk, Refused, duration, on_one_line};
use crate::app::cache::{Begun, Keep, Key, Lookup};

/// A key in its parts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Name {
    entity: String,
    operation: String,
    #[serde(default)]
    ids: BTreeMap<String, Id>,
    variant: Option<String>,
}

/// What an identifier may be.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
    Flag(bool),
}

impl Name {
    fn key(self) -> Key {
        let key = self.ids.into_iter().fold(Key::new(self.entity, self.operation), |key, (name, id)| match id {
            Id::Text(text) => key.with(name, text),
            Id::Number(number) => key.with(name, number),
            Id::Flag(flag) => key.with(name, flag),
        });
        match self.variant {
            Some(variant) => key.variant(variant),
            None => key,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct One {
    key: Name,
}

#[derive(Deserialize)]
pub(super) struct Many {
    keys: Vec<Name>,
}

#[derive(Deserialize)]
pub(super) struct Tag {
    tag: String,
}

#[derive(Deserialize)]
pub(super) struct Put {
    key: Name,
    value: Box<RawValue>,
    #[serde(default, deserialize_with = "duration")]
    ttl: Option<Duration>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    key: Name,
    #[serde(default, deserialize_with = "duration")]
    ttl: Option<Duration>,
    #[serde(default)]
    tags: Vec<String>,
}

fn kept(ttl: Option<Duration>, tags: Vec<String>) -> Keep {
    let keep = tags.into_iter().fold(Keep::default(), Keep::tag);
    match ttl {
        Some(ttl) => keep.ttl(ttl),
        None => keep,
    }
}

#[derive(Deserialize)]
pub(super) struct Filled {
    ticket: u64,
    value: Box<RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Left {
    ticket: u64,
}

/// What is found under a key.
#[derive(Serialize)]
pub(super) struct Answer {
    found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    /// The value is to be made, and filled in under this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<u64>,
}

impl Answer {
    fn value(value: &Bytes) -> Result<Self, Refused> {
        let unfit = |why: String| Refused::Unfit(format!("the value is not JSON ({why}); read it in another way"));
        let text = std::str::from_utf8(value).map_err(|error| unfit(error.to_string()))?;
        let value = RawValue::from_string(on_one_line(text)).map_err(|error| unfit(error.to_string()))?;
        Ok(Self { found: true, value: Some(value), ticket: None })
    }

    fn lookup(found: Lookup<Bytes>) -> Result<Self, Refused> {
        Ok(match found {
            Lookup::Hit(value) => Self::value(&value)?,
            Lookup::Absent => Self { found: true, value: Some(RawValue::NULL.to_owned()), ticket: None },
            Lookup::Miss => Self { found: false, value: None, ticket: None },
        })
    }
}

#[derive(Serialize)]
pub(super) struct Deleted {
    deleted: u64,
}

#[derive(Serialize)]
pub(super) struct Stored {
    stored: bool,
}

pub(super) async fn get(desk: &Desk, asked: One) -> Result<Answer, Refused> {
    Answer::lookup(desk.app.cache().get_bytes(&asked.key.key()).await?)
}

pub(super) async fn get_many(desk: &Desk, asked: Many) -> Result<Vec<Answer>, Refused> {
    let found = desk.app.cache().get_many_bytes(&keys(asked)).await?;
    found.into_iter().map(Answer::lookup).collect()
}

pub(super) async fn set(desk: &Desk, asked: Put) -> Result<Stored, Refused> {
    let keep = kept(asked.ttl, asked.tags);
    desk.app.cache().set_bytes(&asked.key.key(), bytes(&asked.value), &keep).await?;
    Ok(Stored { stored: true })
}

pub(super) async fn delete(desk: &Desk, asked: Many) -> Result<Deleted, Refused> {
    Ok(Deleted { deleted: desk.app.cache().delete(&keys(asked)).await? })
}

pub(super) async fn delete_tag(desk: &Desk, asked: Tag) -> Result<Deleted, Refused> {
    Ok(Deleted { deleted: desk.app.cache().delete_tag(&asked.tag).await? })
}

pub(super) async fn begin(desk: &Desk, asked: Wanted) -> Result<Answer, Refused> {
    match desk.app.cache().begin(&asked.key.key(), &kept(asked.ttl, asked.tags)).await? {
        Begun::There(value) => Answer::value(&value),
        Begun::Make(ticket) => Ok(Answer { found: false, value: None, ticket: Some(desk.keep(ticket)?) }),
    }
}

pub(super) async fn fill(desk: &Desk, asked: Filled) -> Result<Stored, Refused> {
    Ok(Stored { stored: desk.take(asked.ticket)?.fill(bytes(&asked.value)).await? })
}

pub(super) async fn leave(desk: &Desk, asked: Left) -> Result<(), Refused> {
    Ok(desk.take(asked.ticket)?.leave().await?)
}

fn keys(asked: Many) -> Vec<Key> {
    asked.keys.into_iter().map(Name::key).collect()
}

fn bytes(value: &RawValue) -> Bytes {
    Bytes::copy_from_slice(value.get().as_bytes())
}
