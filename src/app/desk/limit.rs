//! `limit.*`

use std::time::Duration;

use serde::Deserialize;

use super::{Desk, Refused, duration};
use crate::app::rate_limit::{Checked, Limit};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    user: String,
    action: String,
    max: u32,
    #[serde(deserialize_with = "duration")]
    per: Option<Duration>,
    #[serde(default)]
    kind: Kind,
    /// Tokens a bucket holds.
    burst: Option<u32>,
    cost: Option<u32>,
    /// What is refused counts too.
    #[serde(default)]
    strict: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Window,
    Bucket,
}

impl Check {
    fn limit(&self) -> Result<Limit, Refused> {
        let per = self.per.ok_or_else(|| Refused::Unfit("per is null; say a duration, such as \"1m\"".to_owned()))?;
        let limit = match (&self.kind, self.burst) {
            (Kind::Window, None) => Limit::window(self.max, per),
            (Kind::Window, Some(_)) => {
                return Err(Refused::Unfit("only a bucket has a burst; write kind: \"bucket\"".to_owned()));
            }
            (Kind::Bucket, burst) => Limit::bucket(self.max, per).burst(burst.unwrap_or(self.max)),
        };
        Ok(if self.strict { limit.counting_refused() } else { limit })
    }
}

pub(super) async fn check(desk: &Desk, asked: Check) -> Result<Checked, Refused> {
    let limit = asked.limit()?;
    Ok(desk.app.limiter().take(&asked.user, &asked.action, &limit, asked.cost.unwrap_or(1)).await?)
}

pub(super) async fn peek(desk: &Desk, asked: Check) -> Result<Checked, Refused> {
    let limit = asked.limit()?;
    Ok(desk.app.limiter().peek(&asked.user, &asked.action, &limit, asked.cost.unwrap_or(1)).await?)
}

pub(super) async fn reset(desk: &Desk, asked: Check) -> Result<(), Refused> {
    let limit = asked.limit()?;
    Ok(desk.app.limiter().reset(&asked.user, &asked.action, &limit).await?)
}
