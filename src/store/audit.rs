//! Who has done what to the queues by hand. Entries stand in a stream beside the queues, `P:oxherd.audit`, which keeps the
//! newest ten thousand or so; `oxherd queue audit` shows them.

use std::collections::HashMap;

use serde::Serialize;

use super::connection::Value;
use super::error::Error;
use super::{Store, keys, reply};
use crate::job::UnixMillis;

/// Entries kept at least.
const KEPT: i64 = 10_000;
/// Entries read at once.
const PAGE: usize = 500;

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deed {
    /// By the server's clock.
    pub at: UnixMillis,
    /// The verb, such as `drain`.
    pub verb: String,
    /// The queue; empty for what concerns no single one.
    pub queue: String,
    /// Jobs, or whatever the verb counts.
    pub count: u64,
    /// What was said with the verb.
    pub detail: String,
    /// `done`, or why it ended before its end.
    pub result: String,
    pub user: String,
    pub host: String,
    pub pid: u32,
}

impl Store {
    /// Leaves an entry; the moment is the server's.
    pub async fn leave_deed(&self, deed: &Deed) -> Result<(), Error> {
        let key = keys::audit(self.prefix());
        let mut args: Vec<Value> = vec![key.into(), "MAXLEN".into(), "~".into(), KEPT.into(), "*".into()];
        let (count, pid) = (deed.count.to_string(), deed.pid.to_string());
        for (field, value) in [
            ("verb", &deed.verb),
            ("queue", &deed.queue),
            ("count", &count),
            ("detail", &deed.detail),
            ("result", &deed.result),
            ("user", &deed.user),
            ("host", &deed.host),
            ("pid", &pid),
        ] {
            args.extend([field.into(), value.as_str().into()]);
        }
        self.command().call("XADD", args).await.map(drop)
    }

    /// The newest entries, at most so many, oldest first; of one queue where it is named.
    pub async fn deeds(&self, queue: Option<&str>, count: usize) -> Result<Vec<Deed>, Error> {
        let key = keys::audit(self.prefix());
        let mut deeds = Vec::new();
        let mut end = "+".to_owned();
        while deeds.len() < count {
            let page = i64::try_from(PAGE).unwrap_or(i64::MAX);
            let args = vec![key.as_str().into(), end.as_str().into(), "-".into(), "COUNT".into(), page.into()];
            let entries = reply::array("XREVRANGE", self.command().call("XREVRANGE", args).await?)?;
            let is_last = entries.len() < PAGE;
            for entry in entries {
                let mut parts = reply::array("XREVRANGE", entry)?.into_iter();
                let id = reply::text("XREVRANGE", parts.next().unwrap_or(Value::Null))?;
                let deed = read(&id, reply::texts("XREVRANGE", parts.next().unwrap_or(Value::Null))?);
                end = format!("({id}");
                if queue.is_none_or(|queue| deed.queue == queue) && deeds.len() < count {
                    deeds.push(deed);
                }
            }
            if is_last {
                break;
            }
        }
        deeds.reverse();
        Ok(deeds)
    }
}

fn read(id: &str, fields: Vec<String>) -> Deed {
    let mut fields = fields.into_iter();
    let mut all = HashMap::new();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        all.insert(field, value);
    }
    let mut take = |field: &str| all.remove(field).unwrap_or_default();
    Deed {
        at: UnixMillis(id.split('-').next().and_then(|at| at.parse().ok()).unwrap_or_default()),
        verb: take("verb"),
        queue: take("queue"),
        count: take("count").parse().unwrap_or_default(),
        detail: take("detail"),
        result: take("result"),
        user: take("user"),
        host: take("host"),
        pid: take("pid").parse().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Server;

    #[tokio::test]
    async fn entries_come_back_as_they_were_left_the_newest_of_them() {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        assert_eq!(store.deeds(None, 10).await.unwrap(), []);
        let deed = |n: u64| Deed {
            at: UnixMillis(0),
            verb: "drain".into(),
            queue: if n.is_multiple_of(2) { "even" } else { "odd" }.into(),
            count: n,
            detail: "with a\nline break".into(),
            result: "done".into(),
            user: "anna".into(),
            host: "here".into(),
            pid: 7,
        };
        for n in 0..600 {
            store.leave_deed(&deed(n)).await.unwrap();
        }
        let found = store.deeds(Some("odd"), 290).await.unwrap();
        assert_eq!((found.len(), found[0].count, found[289].count), (290, 21, 599));
        assert!(found[0].at.0 > 1_600_000_000_000);
        assert_eq!(Deed { at: UnixMillis(0), ..found[289].clone() }, deed(599));
        assert_eq!(store.deeds(None, 3).await.unwrap().len(), 3);
    }
}
