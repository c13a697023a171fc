//! What only a start reads, and a running process keeps whatever the files say by now. The engine and the daemon keep it
//! through [`keep`], so that no part of a process goes by another address than the rest of it.

use super::{Admin, Callbacks, Config, Daemon, Log, Redis};

/// Puts back into `new` what only a start reads, as it is in `running`. Answers the keys that differed, as the files
/// spell them.
///
/// Every key of these sections is named here, taken over or not: a new one does not compile until somebody has decided.
pub(crate) fn keep(running: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut kept = Kept(Vec::new());
    let Redis { endpoint, username, password, database, prefix, at_start, announce_workers } = &running.redis;
    kept.keep("redis.url", endpoint, &mut new.redis.endpoint);
    kept.keep("redis.url", database, &mut new.redis.database);
    kept.keep("redis.username", username, &mut new.redis.username);
    kept.keep("redis.password", password, &mut new.redis.password);
    kept.keep("redis.prefix", prefix, &mut new.redis.prefix);
    kept.keep("redis.at_start", at_start, &mut new.redis.at_start);
    kept.keep("redis.announce_workers", announce_workers, &mut new.redis.announce_workers);
    match (&running.callbacks, &mut new.callbacks) {
        (Some(Callbacks { listen, url }), Some(new)) => {
            kept.keep("callbacks.listen", listen, &mut new.listen);
            kept.keep("callbacks.url", url, &mut new.url);
        }
        // a server that is not there, or one that somebody may be about to call
        (running, new) => kept.keep("callbacks.listen", running, new),
    }
    match (&running.admin, &mut new.admin) {
        (Some(Admin { listen, token: _, events: _ }), Some(new)) => {
            kept.keep("admin.listen", listen, &mut new.listen);
        }
        (running, new) => kept.keep("admin.listen", running, new),
    }
    kept.keep("traces", &running.traces, &mut new.traces);
    let Daemon { name, state_dir, timezone: _ } = &running.daemon;
    kept.keep("daemon.name", name, &mut new.daemon.name);
    kept.keep("daemon.state_dir", state_dir, &mut new.daemon.state_dir);
    let Log { level: _, format } = &running.log;
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
