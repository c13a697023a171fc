//! Limits that bind all workers of a queue: jobs active at once, jobs started per time. Protocol: §5.16.8.

use std::time::Duration;

use super::connection::Value;
use super::error::Error;
use super::script::{RATE_LIMIT_TTL, SET_LIMITS};
use super::{Queue, reply};
use crate::config;
use crate::job::millis;

/// What a manual limit stores as the number of jobs started: more than any maximum.
const USED_UP: i64 = 9_007_199_254_740_991;

impl Queue {
    /// Sets how many jobs may be active at once over all workers, or removes that limit. Workers go by it at their next
    /// take; none that is running is stopped. Safe to repeat.
    pub async fn set_global_concurrency(&self, limit: Option<u32>) -> Result<(), Error> {
        let value = limit.map(|limit| limit.to_string()).unwrap_or_default();
        self.set_limits(false, vec!["concurrency".into(), value.into()]).await
    }

    /// Sets how many jobs may be started per time over all workers, or removes that limit. A window that is running
    /// stays: [`Queue::remove_rate_limit_key`] ends it. Safe to repeat.
    pub async fn set_global_rate_limit(&self, limit: Option<config::RateLimit>) -> Result<(), Error> {
        let max = limit.map(|limit| limit.max.to_string()).unwrap_or_default();
        let duration = limit.map(|limit| millis(limit.per).to_string()).unwrap_or_default();
        self.set_limits(false, vec!["max".into(), max.into(), "duration".into(), duration.into()]).await
    }

    /// Lets no job be started for so long. Only workers with a rate limit of their own or under a global one heed it.
    pub async fn rate_limit(&self, time: Duration) -> Result<(), Error> {
        let args = vec![self.keys.limiter().into(), USED_UP.into(), "PX".into(), millis(time).max(1).into()];
        self.store.command().call("SET", args).await.map(drop)
    }

    /// How long no job may be started because a rate limit is used up; `None` when jobs may be.
    pub async fn rate_limit_ttl(&self) -> Result<Option<Duration>, Error> {
        let args = vec![self.keys.base().into()];
        let answer = self.store.command().script(&RATE_LIMIT_TTL, &self.keys.meta(), args).await?;
        let ttl = reply::integer(RATE_LIMIT_TTL.name, &answer)?;
        Ok(u64::try_from(ttl).ok().filter(|ms| *ms > 0).map(Duration::from_millis))
    }

    /// Ends the current rate window, also one set by [`Queue::rate_limit`]. Safe to repeat.
    pub async fn remove_rate_limit_key(&self) -> Result<(), Error> {
        self.set_limits(true, Vec::new()).await
    }

    async fn set_limits(&self, end_window: bool, fields: Vec<Value>) -> Result<(), Error> {
        let mut args = vec![self.keys.base().into(), if end_window { "1" } else { "0" }.into()];
        args.extend(fields);
        self.store.command().script(&SET_LIMITS, &self.keys.meta(), args).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
