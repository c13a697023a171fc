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
        let asks = match check.asks {
            Asks::Take => "take",
            Asks::Strict => "strict",
            Asks::Peek => "peek",
        };
        let mut args: Vec<Value> = Vec::with_capacity(6);
        args.extend([self.now().0.into(), millis(check.per).into()]);
        args.extend([i64::from(check.max).into(), i64::from(check.cost).into(), Value::from_static_str(asks)]);
        let script = match check.kept {
            Kept::Window => &CHECK_WINDOW,
            Kept::Bucket(size) => {
                args.push(i64::from(size).into());
                &CHECK_BUCKET
            }
        };
        let parts = reply::array(
            script.name,
            self.connection().await?.script(script, &self.limit_key(action, user, check), args).await?,
        )?;
        let [allowed, left, wait, reset] = parts.as_slice() else {
            return Err(reply::unexpected(script.name, "four numbers", &Value::Array(parts)));
        };
        let number = |part| reply::integer(script.name, part);
        let span = |ms| u64::try_from(ms).ok().map(Duration::from_millis);
        Ok(Answer {
            is_allowed: number(allowed)? == 1,
            left: u32::try_from(number(left)?).unwrap_or(u32::MAX),
            wait: span(number(wait)?),
            reset: span(number(reset)?).unwrap_or_default(),
        })
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
