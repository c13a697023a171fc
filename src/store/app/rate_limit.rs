//! What is left of limits on requests, in a string per limit.

use std::time::Duration;

use super::AppStore;
use crate::job::millis;
use crate::store::connection::Value;
use crate::store::error::Error;
use crate::store::reply;
use crate::store::script::{CHECK_BUCKET, CHECK_WINDOW};

/// How a limit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Window,
    /// A bucket of this size.
    Bucket(u32),
}

/// What a check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Take,
    /// What is refused counts too.
    Strict,
    Peek,
}

/// One check of a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    pub(crate) kept: Kept,
    pub(crate) max: u32,
    pub(crate) per: Duration,
    pub(crate) cost: u32,
    pub(crate) asks: Asks,
}

/// What a check answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) is_allowed: bool,
    pub(crate) left: u32,
    /// Until it would be allowed; `None` when never.
    pub(crate) wait: Option<Duration>,
    /// Until all is there again.
    pub(crate) reset: Duration,
}

impl AppStore {
    pub(crate) async fn check_limit(&self, action: &str, user: &str, check: Check) -> Result<Answer, Error> {
        let Check { kept, max, per, cost, asks } = check;
        let (now, per) = (self.now().0, millis(per));
        // few and short: such a call is to cost hardly more than one that does nothing
        let mut args: Vec<Value> = Vec::with_capacity(6);
        args.extend([now, per, max.into(), cost.into()].map(Value::from));
        let script = match kept {
            Kept::Window => &CHECK_WINDOW,
            Kept::Bucket(size) => {
                args.push(i64::from(size).into());
                &CHECK_BUCKET
            }
        };
        match asks {
            Asks::Take => {}
            Asks::Strict => args.push(Value::from_static_str("strict")),
            Asks::Peek => args.push(Value::from_static_str("peek")),
        }
        let key = self.limit_key(action, user, check);
        let answer = self.connection().await?.script(script, &key, args).await?;
        match kept {
            Kept::Window => window(now, per, answer),
            Kept::Bucket(size) => bucket(per, max.into(), (i64::from(cost) * per, i64::from(size) * per), answer),
        }
    }

    /// Gives all of a limit back.
    pub(crate) async fn reset_limit(&self, action: &str, user: &str, check: Check) -> Result<(), Error> {
        let key = self.limit_key(action, user, check);
        self.connection().await?.call("DEL", vec![key.into()]).await.map(drop)
    }

    fn limit_key(&self, action: &str, user: &str, check: Check) -> String {
        let kind = if check.kept == Kept::Window { 'w' } else { 'b' };
        self.keys.limit(action, user, kind, millis(check.per))
    }
}

/// What `check_window.lua` answers.
fn window(now: i64, per: i64, answer: Value) -> Result<Answer, Error> {
    let what = CHECK_WINDOW.name;
    if let Value::Integer(left) = answer {
        // the slice of now leaves last
        let leaves = ((now * 10).div_euclid(per) + 11) * per;
        let reset = span((leaves - now * 10 + 9).div_euclid(10)).unwrap_or_default();
        return Ok(Answer { is_allowed: true, left: number(left), wait: Some(Duration::ZERO), reset });
    }
    let parts = reply::array(what, answer)?;
    let [allowed, left, wait, reset] = parts.as_slice() else {
        return Err(reply::unexpected(what, "four numbers", &Value::Array(parts)));
    };
    Ok(Answer {
        is_allowed: reply::integer(what, allowed)? == 1,
        left: number(reply::integer(what, left)?),
        wait: span(reply::integer(what, wait)?),
        reset: span(reply::integer(what, reset)?).unwrap_or_default(),
    })
}

/// What `check_bucket.lua` answers, of a bucket that gets so many shares in a ms; what it costs and holds is in shares.
fn bucket(per: i64, shares: i64, (price, full): (i64, i64), answer: Value) -> Result<Answer, Error> {
    let what = CHECK_BUCKET.name;
    let (is_allowed, left) = match answer {
        Value::Array(parts) => match parts.as_slice() {
            [left] => (false, reply::integer(what, left)?),
            _ => return Err(reply::unexpected(what, "one number", &Value::Array(parts))),
        },
        left => (true, reply::integer(what, &left)?),
    };
    let until = |level: i64| span((level - left + shares - 1).div_euclid(shares).max(0));
    Ok(Answer {
        is_allowed,
        left: number((left / per).max(0)),
        wait: if price > full { None } else { until(price) },
        reset: until(full).unwrap_or_default(),
    })
}

fn number(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(if count < 0 { 0 } else { u32::MAX })
}

/// `None` for a negative one.
fn span(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}
