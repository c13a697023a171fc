//! Reads `[redis]`.

use std::path::Path;

use super::secret::secret;
use crate::config::error::{Place, Problem};
use crate::config::read::Item;
use crate::config::{AtStart, Redis};

/// `over` is the URL of `--redis`. It names another server, so user and password of the file
/// are not sent there.
pub fn redis(item: &Item, over: Option<&str>) -> Redis {
    item.expect_table();
    let url = item.child("url");
    let env = |name: &str| item.context().env.get(name).filter(|text| !text.is_empty());
    let mut redis = Redis::default();
    let mut from_outside = |text: &str, source: &str| match Redis::default().with_url(text, Path::new("")) {
        Ok(read) => redis = read,
        Err(invalid) => item.context().problems.borrow_mut().push(
            Problem::error(invalid.message)
                .with_help(invalid.help)
                .with_place(Place { source: source.to_owned(), position: None }),
        ),
    };
    let username = item.child("username").text();
    let password = secret(&item.child("password"));
    if let Some(text) = over {
        from_outside(text, "--redis");
    } else {
        if let Some(text) = secret(&url) {
            match Redis::default().with_url(text.reveal(), &url.directory()) {
                Ok(read) => redis = read,
                Err(invalid) => url.error(invalid.message, invalid.help),
            }
        } else if let (false, Some(text)) = (url.is_given(), env("REDIS_URL")) {
            from_outside(text, "environment variable REDIS_URL");
        }
        redis.username = username.or(redis.username);
        redis.password = password.or(redis.password);
    }
    if redis.password.is_none() && (over.is_some() || !url.is_given()) {
        redis.password = env("REDIS_PASSWORD").map(|text| crate::config::Secret::new(text.clone()));
    }
    redis.prefix = prefix(&item.child("prefix")).unwrap_or(redis.prefix);
    redis.at_start = item.child("at_start").word(&[("wait", AtStart::Wait), ("fail", AtStart::Fail)], redis.at_start);
    redis.announce_workers = item.child("announce_workers").flag(redis.announce_workers);
    redis
}

/// Legal are plain words and, for a cluster, one hash tag: `{bull}`.
fn prefix(item: &Item) -> Option<String> {
    let text = item.text()?;
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        item.error(format!("prefix must not hold spaces or control characters, got {text:?}"), "write \"bull\"");
    } else if text.ends_with(':') {
        item.error(format!("prefix must not end with ':', got {text:?}"), "the ':' behind it is added by itself");
    } else if text.contains(['{', '}']) {
        let tag = text.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let sound = tag.is_some_and(|(tag, rest)| !tag.is_empty() && !tag.contains('{') && !rest.contains(['{', '}']));
        if !sound {
            item.error(format!("prefix holds a broken hash tag, got {text:?}"), "write \"{bull}\"");
        }
    }
    Some(text)
}
