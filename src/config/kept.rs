//! What only a start reads, and a running process keeps whatever the files say by now. The engine and the daemon keep it
//! through [`keep`], so that no part of a process goes by another address than the rest of it.

use super::{Admin, Callbacks, Config, Daemon, Log, Redis, Traces};

/// Puts back into `new` what only a start reads, as it is in `running`. Answers the keys that differed, as the files
/// spell them.
///
/// Every section is named here, and every key of those that are not taken over as a whole: a new one does not compile
/// until somebody has decided.
pub(crate) fn keep(running: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut kept = Kept(Vec::new());
    let Config {
        redis,
        callbacks,
        admin,
        traces,
        daemon,
        log,
        queues: _,
        handlers: _,
        schedules: _,
        status: _,
        app: _,
        shutdown: _,
        secrets: _,
    } = running;
    let Redis { endpoint, username, password, database, prefix, at_start, announce_workers } = redis;
    kept.keep("redis.url", endpoint, &mut new.redis.endpoint);
    kept.keep("redis.url", database, &mut new.redis.database);
    kept.keep("redis.username", username, &mut new.redis.username);
    kept.keep("redis.password", password, &mut new.redis.password);
    kept.keep("redis.prefix", prefix, &mut new.redis.prefix);
    kept.keep("redis.at_start", at_start, &mut new.redis.at_start);
    kept.keep("redis.announce_workers", announce_workers, &mut new.redis.announce_workers);
    match (callbacks, &mut new.callbacks) {
        (Some(Callbacks { listen, url }), Some(new)) => {
            kept.keep("callbacks.listen", listen, &mut new.listen);
            kept.keep("callbacks.url", url, &mut new.url);
        }
        // a server that is not there, or one that somebody may be about to call
        (running, new) => kept.keep("callbacks.listen", running, new),
    }
    match (admin, &mut new.admin) {
        (Some(Admin { listen, token: _, events: _ }), Some(new)) => {
            kept.keep("admin.listen", listen, &mut new.listen);
        }
        (running, new) => kept.keep("admin.listen", running, new),
    }
    match (traces, &mut new.traces) {
        (Some(Traces { endpoint, headers, ca, timeout, sample, parent_based, service, attributes }), Some(new)) => {
            kept.keep("traces.endpoint", endpoint, &mut new.endpoint);
            kept.keep("traces.headers", headers, &mut new.headers);
            kept.keep("traces.ca", ca, &mut new.ca);
            kept.keep("traces.timeout", timeout, &mut new.timeout);
            kept.keep("traces.sample", sample, &mut new.sample);
            kept.keep("traces.parent_based", parent_based, &mut new.parent_based);
            kept.keep("traces.service", service, &mut new.service);
            kept.keep("traces.attributes", attributes, &mut new.attributes);
        }
        (running, new) => kept.keep("traces.enabled", running, new),
    }
    let Daemon { name, state_dir, timezone: _ } = daemon;
    kept.keep("daemon.name", name, &mut new.daemon.name);
    kept.keep("daemon.state_dir", state_dir, &mut new.daemon.state_dir);
    let Log { level: _, format } = log;
    kept.keep("log.format", format, &mut new.log.format);
    kept.0
}

/// The keys that differed, each once.
struct Kept(Vec<&'static str>);

impl Kept {
    fn keep<T: Clone + PartialEq>(&mut self, key: &'static str, running: &T, new: &mut T) {
        if running != new {
            new.clone_from(running);
            if self.0.last() != Some(&key) {
                self.0.push(key);
            }
        }
    }
}

#[cfg(all(test, feature = "daemon"))]
mod tests;
