//! Limits on how often somebody may do something, kept for all processes.
//!
//! Times are those of the server's clock as every process has it, which differ by a few milliseconds. A clock that is
//! ahead gives nothing back too early by more than that, and none is turned back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Error, checked};
use crate::job::millis;
use crate::store::AppStore;
use crate::store::app::rate_limit::{Answer, Asks, Check, Kept};

/// The shortest and the longest period of a limit.
const PERIODS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(366 * 24 * 3600);

/// What can be counted to the last one, in tokens times ms.
const FINEST: i64 = 1 << 53;

/// How often something is allowed.
///
/// Limits on the same action of the same user are apart when their kind or period differ: check both where two are to
/// hold. `max` may change from one check to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    max: u32,
    per: Duration,
    /// Tokens the bucket holds; `None`: a sliding window.
    size: Option<u32>,
    is_strict: bool,
}

impl Limit {
    /// Never more than `max` within any time of this length. What was taken is given back when it is `per` old, or up to
    /// a tenth of that later; a counter takes some hundred bytes, whatever `max` is.
    #[must_use]
    pub const fn window(max: u32, per: Duration) -> Self {
        Self { max, per, size: None, is_strict: false }
    }

    /// A bucket of `max` tokens that fills evenly, `max` in each `per`: bursts of `max`, and in the long run `max` per
    /// `per`. Within one `per` a full bucket gives nearly twice that.
    #[must_use]
    pub const fn bucket(max: u32, per: Duration) -> Self {
        Self { max, per, size: Some(max), is_strict: false }
    }

    /// Of a bucket: holds so many tokens, whatever comes in.
    #[must_use]
    pub const fn burst(mut self, size: u32) -> Self {
        if self.size.is_some() {
            self.size = Some(size);
        }
        self
    }

    /// What is refused counts too: who does not stop asking is not let in again. A window counts all of it, a bucket goes
    /// on to owe as much as it holds at most.
    #[must_use]
    pub const fn counting_refused(mut self) -> Self {
        self.is_strict = true;
        self
    }
}

/// What a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    pub allowed: bool,
    /// What is left now.
    pub remaining: u32,
    /// How long until the same would be allowed if nobody else asked, at least 1 ms; `None` when it is allowed, and when
    /// it never will be, as it costs more than there ever is.
    #[serde(rename = "retryAfterMs", serialize_with = "optional_ms")]
    pub retry_after: Option<Duration>,
    /// How long until all is there again.
    #[serde(rename = "resetMs", serialize_with = "ms")]
    pub reset: Duration,
}

/// What checks have found in this process since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimiterFigures {
    pub allowed: u64,
    pub refused: u64,
}

/// Cheap to clone. Every operation is one call to Redis; none is cancel safe: dropped, it may or may not count. Where
/// Redis is away they are errors, and whether to let somebody in then is the caller's choice.
#[derive(Clone)]
pub struct RateLimiter {
    inner: Arc<Inner>,
}

struct Inner {
    store: AppStore,
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    allowed: AtomicU64,
    refused: AtomicU64,
}

impl RateLimiter {
    pub(super) fn new(store: AppStore) -> Self {
        Self { inner: Arc::new(Inner { store, counted: Arc::default() }) }
    }

    /// Another that counts on.
    pub(super) fn renew(&self, store: AppStore) -> Self {
        Self { inner: Arc::new(Inner { store, counted: Arc::clone(&self.inner.counted) }) }
    }

    /// Whether a user may do something once more: at most `max` times in a sliding window ([`Limit::window`]). What is
    /// refused does not count.
    pub async fn check(&self, user: &str, action: &str, max: u32, per: Duration) -> Result<Checked, Error> {
        self.take(user, action, &Limit::window(max, per), 1).await
    }

    /// Whether a user may do something that counts for so many, and counts it if so.
    pub async fn take(&self, user: &str, action: &str, limit: &Limit, cost: u32) -> Result<Checked, Error> {
        let asks = if limit.is_strict { Asks::Strict } else { Asks::Take };
        let checked = self.ask(user, action, limit, cost, asks).await?;
        let count = if checked.allowed { &self.inner.counted.allowed } else { &self.inner.counted.refused };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(checked)
    }

    /// What [`RateLimiter::take`] would answer now; nothing counts.
    pub async fn peek(&self, user: &str, action: &str, limit: &Limit, cost: u32) -> Result<Checked, Error> {
        self.ask(user, action, limit, cost, Asks::Peek).await
    }

    /// Gives a user all of a limit back.
    pub async fn reset(&self, user: &str, action: &str, limit: &Limit) -> Result<(), Error> {
        let check = checked_limit(user, action, limit, 0, Asks::Peek)?;
        Ok(self.inner.store.reset_limit(action, user, check).await?)
    }

    async fn ask(&self, user: &str, action: &str, limit: &Limit, cost: u32, asks: Asks) -> Result<Checked, Error> {
        let check = checked_limit(user, action, limit, cost, asks)?;
        let Answer { is_allowed, left, wait, reset } = self.inner.store.check_limit(action, user, check).await?;
        let retry_after = wait.filter(|_| !is_allowed);
        Ok(Checked { allowed: is_allowed, remaining: left, retry_after, reset })
    }

    #[must_use]
    pub fn figures(&self) -> LimiterFigures {
        LimiterFigures {
            allowed: self.inner.counted.allowed.load(Ordering::Relaxed),
            refused: self.inner.counted.refused.load(Ordering::Relaxed),
        }
    }
}

fn checked_limit(user: &str, action: &str, limit: &Limit, cost: u32, asks: Asks) -> Result<Check, Error> {
    checked("user", user)?;
    checked("action", action)?;
    if !PERIODS.contains(&limit.per) {
        let got = limit.per;
        return Err(Error::Senseless(format!("a limit is per 10 ms to 366 days, got {got:?}; choose another period")));
    }
    let kept = match limit.size {
        None => Kept::Window,
        Some(size) if size > 0 && limit.max > 0 => {
            let most = FINEST / millis(limit.per);
            if i64::from(size.max(cost).max(limit.max)) > most {
                let per = limit.per;
                let text = format!("a bucket per {per:?} has and gives {most} tokens at most; choose a shorter period");
                return Err(Error::Senseless(text));
            }
            Kept::Bucket(size)
        }
        Some(_) => {
            let text = "a bucket that holds or gets nothing never fills; give it 1 at least, or use a window of 0";
            return Err(Error::Senseless(text.to_owned()));
        }
    };
    Ok(Check { kept, max: limit.max, per: limit.per, cost, asks })
}

fn ms<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(millis(*span))
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn optional_ms<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(millis).serialize(to)
}

#[cfg(test)]
mod tests;
