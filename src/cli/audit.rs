//! Whoever destroys or changes something by hand leaves a line: in Redis beside the queues, for all who work on them, and in
//! the log of this machine. The verbs call it when they have done their work.

use std::os::unix::net::UnixDatagram;

use super::print;
use crate::daemon::escape;
use crate::job::{QueueName, UnixMillis};
use crate::store::{self, Deed, Store};

/// What is to be said of a verb.
#[derive(Clone, Copy)]
pub struct Verb<'a> {
    pub name: &'static str,
    pub queue: &'a QueueName,
}

impl<'a> Verb<'a> {
    pub fn new(name: &'static str, queue: &'a QueueName) -> Self {
        Self { name, queue }
    }

    /// Of a verb that has come to its end.
    pub async fn done(self, store: &Store, count: u64, detail: impl Into<String>) {
        self.leave(store, count, detail.into(), "done".into()).await;
    }

    /// Of a call that may have failed half-way: hands its answer on.
    pub async fn of(
        self,
        store: &Store,
        detail: impl Into<String>,
        answer: Result<u64, store::Error>,
    ) -> Result<u64, store::Error> {
        match &answer {
            Ok(count) => self.done(store, *count, detail).await,
            Err(error) => self.leave(store, 0, detail.into(), error.to_string()).await,
        }
        answer
    }

    pub async fn leave(self, store: &Store, count: u64, detail: String, result: String) {
        let deed = Deed {
            at: UnixMillis(0),
            verb: self.name.into(),
            queue: self.queue.to_string(),
            count,
            detail,
            result,
            user: user(),
            host: host(),
            pid: std::process::id(),
        };
        to_syslog(&deed);
        // what was done is done
        if let Err(error) = store.leave_deed(&deed).await {
            print::note(format_args!("nothing of this is in the audit of {}: {error}", store.prefix()));
        }
    }
}

/// Who is behind this process.
fn user() -> String {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    match std::env::var("SUDO_USER") {
        Ok(by) if by != name && !by.is_empty() => format!("{name} (sudo by {by})"),
        _ => name,
    }
}

fn host() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// One line where the machine keeps what concerns its security; nowhere on a machine without such a place.
fn to_syslog(deed: &Deed) {
    /// Facility authpriv, severity notice.
    const PRIORITY: u8 = 10 * 8 + 5;
    let Deed { verb, queue, count, detail, result, user, pid, .. } = deed;
    let line = format!("audit: {user} {verb} queue={queue} count={count} detail={detail:?} result={result:?}");
    let line = format!("<{PRIORITY}>oxherd[{pid}]: {}", escape::text(&line));
    if let Ok(socket) = UnixDatagram::unbound() {
        // a full one must not hold us up
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to(line.as_bytes(), "/dev/log");
    }
}
