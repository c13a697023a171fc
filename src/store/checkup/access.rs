//! Who else could get at the jobs: on the way, or at the server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::connection::Value;
use super::super::{Store, reply};
use super::codes::{REDIS_OPEN, REDIS_PLAIN};
use super::facts::{Facts, ask, words};
use super::finding::{Finding, Known};
use crate::config::{Endpoint, Redis};

/// How long names of hosts are looked up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What lies between here and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// It is on this host.
    Here,
    /// Addresses that are routed nowhere else: a private network, or that of containers.
    Private,
    Public,
}

pub async fn examine(store: &Store, facts: &Facts, redis: &Redis, way: &Known<Way>) -> Vec<Finding> {
    vec![REDIS_PLAIN.judge(way.clone(), |_, way| plain(redis, way)), open(store, facts, redis, way).await]
}

/// What lies between this host and the server.
pub async fn way(redis: &Redis) -> Known<Way> {
    let Endpoint::Tcp { host, port, .. } = &redis.endpoint else { return Ok(Way::Here) };
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.as_str(), *port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(format!("{host} is not found: {error}")),
        Err(_) => return Err(format!("looking up {host} takes too long")),
    };
    addresses.iter().map(|address| way_to(address.ip())).max().ok_or_else(|| format!("{host} has no address"))
}

fn way_to(address: IpAddr) -> Way {
    match address.to_canonical() {
        ip if ip.is_loopback() => Way::Here,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Way::Private,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Way::Private,
        _ => Way::Public,
    }
}

fn plain(redis: &Redis, way: Way) -> Finding {
    let is_encrypted = matches!(redis.endpoint, Endpoint::Tcp { tls: true, .. });
    let what = if redis.password.is_some() { "jobs and the password go" } else { "jobs go" };
    match way {
        Way::Here => REDIS_PLAIN.ok("the server is on this host"),
        _ if is_encrypted => REDIS_PLAIN.ok("TLS"),
        Way::Private => REDIS_PLAIN.note(format_args!("{what} over a private network without TLS")),
        Way::Public => REDIS_PLAIN.warning(format_args!("{what} over a public network without TLS")),
    }
}

async fn open(store: &Store, facts: &Facts, redis: &Redis, way: &Known<Way>) -> Finding {
    if matches!(redis.endpoint, Endpoint::Embedded(_)) {
        return REDIS_OPEN.ok("a private server, which only this user reaches");
    }
    // that we are in without a password says it all
    if redis.password.is_none() {
        match way {
            Ok(Way::Public) => return REDIS_OPEN.error("it lets in whoever reaches it, over a public network"),
            Ok(Way::Private) => return REDIS_OPEN.warning("it lets in whoever reaches it, over a private network"),
            _ => {}
        }
    }
    let state = || -> Known<_> {
        Ok((facts.parameter("requirepass")?, facts.parameter("bind")?, facts.parameter("protected-mode")?))
    };
    let (password, bind, protected) = match state() {
        Ok(state) => state,
        Err(why) => return REDIS_OPEN.unknown(why),
    };
    if !password.is_empty() {
        return REDIS_OPEN.ok("it asks for a password");
    }
    if protected == "yes" {
        return REDIS_OPEN.ok("without a password, in protected mode: only this host gets in");
    }
    let is_local = |bind: &str| ["127.", "::1", "-::1", "localhost"].iter().any(|local| bind.starts_with(local));
    if facts.parameter("port") == Ok("0") || !bind.is_empty() && bind.split_whitespace().all(is_local) {
        return REDIS_OPEN.ok("without a password, and it listens on this host alone");
    }
    // the default user may be switched off by a rule
    let default = ask(store, "ACL", &["GETUSER", "default"]).await.and_then(|user| {
        let flags = user.into_array().into_iter().nth(1).unwrap_or(Value::Null);
        words(reply::texts("ACL GETUSER", flags))
    });
    match default {
        Ok(flags) if !flags.iter().any(|flag| flag == "on") => REDIS_OPEN.ok("its default user is switched off"),
        Ok(flags) if !flags.iter().any(|flag| flag == "nopass") => REDIS_OPEN.ok("its default user has a password"),
        Ok(_) => REDIS_OPEN.warning(format_args!("no password, protected mode is off, and it listens on {bind:?}")),
        Err(why) => REDIS_OPEN.unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::store::checkup::Severity;

    #[test]
    fn networks_are_told_apart() {
        for (address, way) in [
            ("127.0.0.1", Way::Here),
            ("::1", Way::Here),
            ("::ffff:127.0.0.1", Way::Here),
            ("10.1.2.3", Way::Private),
            ("172.18.0.2", Way::Private),
            ("fd00::1", Way::Private),
            ("8.8.8.8", Way::Public),
            ("2001:4860::8888", Way::Public),
        ] {
            assert_eq!(way_to(address.parse().unwrap()), way, "{address}");
        }
    }

    #[test]
    fn what_goes_in_the_clear_is_told() {
        let tcp = |tls| Redis {
            endpoint: Endpoint::Tcp { host: "h".into(), port: 1, tls },
            password: Some(Secret::new("secret".into())),
            ..Redis::default()
        };
        assert_eq!(plain(&tcp(false), Way::Here).severity, Severity::Ok);
        assert_eq!(plain(&tcp(true), Way::Public).severity, Severity::Ok);
        assert_eq!(plain(&tcp(false), Way::Private).severity, Severity::Note);
        let found = plain(&tcp(false), Way::Public);
        assert_eq!((found.severity, found.seen.contains("password")), (Severity::Warning, true));
    }
}
