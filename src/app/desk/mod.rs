//! What processes ask for by name: operations of the room as JSON in and JSON out (`docs/app.md`). Pools of processes
//! hand it the frames of their jobs.

mod cache;
mod limit;
mod presence;
mod session;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::cache::Ticket;
use super::{App, Error};
use crate::config::AppPart;
use crate::config::units::parse_duration;

/// Values one job may be making at once.
const TICKETS: usize = 100;

/// Answers one job. Dropped, it gives back what the job had begun.
pub(crate) struct Desk {
    app: App,
    /// Which parts may be used.
    parts: Vec<AppPart>,
    /// Values the job is making, by number.
    tickets: Mutex<Vec<(u64, Ticket)>>,
    next: AtomicU64,
}

/// Why something asked for was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no operation {0:?}")]
    Unknown(String),
    #[error("{part} may not be used; write app = [{part:?}] in the handler's table")]
    Forbidden { part: &'static str },
    #[error("args of {op} not understood: {source}")]
    Args { op: String, source: serde_json::Error },
    #[error("{0}")]
    Unfit(String),
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Desk {
    pub(crate) fn new(app: App, parts: &[AppPart]) -> Self {
        Self { app, parts: parts.to_vec(), tickets: Mutex::default(), next: AtomicU64::new(1) }
    }

    /// Does one operation. Cancel safe as far as the operation is.
    pub(crate) async fn answer(&self, op: &str, args: Option<&RawValue>) -> Result<Box<RawValue>, Refused> {
        let part = op.split('.').next().unwrap_or_default();
        let Some((part, needed)) = AppPart::NAMES.iter().find(|(name, _)| *name == part) else {
            return Err(Refused::Unknown(op.to_owned()));
        };
        if !self.parts.contains(needed) {
            return Err(Refused::Forbidden { part });
        }
        let args = Args { op, text: args.map_or("{}", RawValue::get) };
        match op {
            "cache.get" => said(&cache::get(self, args.read()?).await?),
            "cache.getMany" => said(&cache::get_many(self, args.read()?).await?),
            "cache.set" => said(&cache::set(self, args.read()?).await?),
            "cache.delete" => said(&cache::delete(self, args.read()?).await?),
            "cache.deleteTag" => said(&cache::delete_tag(self, args.read()?).await?),
            "cache.begin" => said(&cache::begin(self, args.read()?).await?),
            "cache.fill" => said(&cache::fill(self, args.read()?).await?),
            "cache.leave" => said(&cache::leave(self, args.read()?).await?),
            "session.create" => said(&session::create(self, args.read()?).await?),
            "session.read" => said(&session::read(self, args.read()?).await?),
            "session.touch" => said(&session::touch(self, args.read()?).await?),
            "session.update" => said(&session::update(self, args.read()?).await?),
            "session.revoke" => said(&session::revoke(self, args.read()?).await?),
            "session.revokeDevice" => said(&session::revoke_device(self, args.read()?).await?),
            "session.revokeAll" => said(&session::revoke_all(self, args.read()?).await?),
            "session.list" => said(&session::list(self, args.read()?).await?),
            "session.count" => said(&session::count(self, args.read()?).await?),
            "limit.check" => said(&limit::check(self, args.read()?).await?),
            "limit.peek" => said(&limit::peek(self, args.read()?).await?),
            "limit.reset" => said(&limit::reset(self, args.read()?).await?),
            "presence.beat" => said(&presence::beat(self, args.read()?).await?),
            "presence.leave" => said(&presence::leave(self, args.read()?).await?),
            "presence.list" => said(&presence::list(self, args.read()?).await?),
            "presence.count" => said(&presence::count(self, args.read()?).await?),
            "presence.online" => said(&presence::online(self, args.read()?).await?),
            _ => Err(Refused::Unknown(op.to_owned())),
        }
    }

    /// Keeps a task for the job; answers the number by which the job knows it.
    fn keep(&self, ticket: Ticket) -> Result<u64, Refused> {
        let mut tickets = self.tickets();
        if tickets.len() >= TICKETS {
            return Err(Refused::Unfit(format!(
                "{TICKETS} values are begun and not filled; fill or leave some of them"
            )));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        tickets.push((number, ticket));
        Ok(number)
    }

    fn take(&self, number: u64) -> Result<Ticket, Refused> {
        let mut tickets = self.tickets();
        let at = tickets.iter().position(|(known, _)| *known == number);
        let at = at.ok_or_else(|| Refused::Unfit(format!("there is no ticket {number}, or it is used up")))?;
        Ok(tickets.swap_remove(at).1)
    }

    fn tickets(&self) -> MutexGuard<'_, Vec<(u64, Ticket)>> {
        self.tickets.lock().expect("no code panics while holding this lock")
    }
}

struct Args<'a> {
    op: &'a str,
    text: &'a str,
}

impl Args<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        serde_json::from_str(self.text).map_err(|source| Refused::Args { op: self.op.to_owned(), source })
    }
}

fn said(answer: &impl Serialize) -> Result<Box<RawValue>, Refused> {
    let unfit = |error: serde_json::Error| Refused::Unfit(error.to_string());
    let answer = to_raw_value(answer).map_err(unfit)?;
    // what a program keeps may be JSON over several lines
    if answer.get().contains(['\n', '\r']) {
        return RawValue::from_string(on_one_line(answer.get())).map_err(unfit);
    }
    Ok(answer)
}

/// JSON on one line: between tokens a line's end is as good as a space, and nowhere else does JSON have one.
fn on_one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// A duration as the configuration has it: `"30s"`.
fn duration<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(text)? else { return Ok(None) };
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}
