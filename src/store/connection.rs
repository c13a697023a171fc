//! One connection to Redis that mends itself. The only file that knows how fred is held.
//!
//! What is measured or read in fred 10.1.0 and kept here as a rule:
//! - a command is never sent twice (`max_command_attempts = 1`): whoever asks decides about repeats;
//! - a command is handed over only while the link stands, so that one that was certainly not sent can be told from one
//!   that may have run;
//! - fred's own list of errors to reconnect on stays empty: it would answer every command in flight with the one
//!   error that was meant for the first, hiding those that ran. [`Connection`] reconnects on READONLY itself;
//! - blocking calls have a connection of their own, without fred's time limit but with ours;
//! - when fred's routing task ends, the client is rebuilt; `state()` would go on saying it is connected.

mod dial;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface};
pub(crate) use fred::types::Value;
use fred::types::config::{Config, Server};
use fred::types::{ConnectHandle, CustomCommand};
use futures_util::future::FutureExt as _;
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

use super::error::{Error, ServerError, sort};
use super::meter::Meter;
use super::refusal::Refusals;
use crate::config;

pub(super) use dial::subscriber;
use dial::{build, fred_config, server_name};

/// How long a command may take, sending and answering.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a link that is suspected to be dead has to show that it is not.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a blocking call may outlive the time it asked for.
const BLOCKING_MARGIN: Duration = Duration::from_secs(1);
/// First and longest pause between two tries to connect, and what is added at random.
const PAUSE: (u32, u32, u32) = (50, 500, 50);

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Scripts and short commands.
    Command,
    /// Calls that wait in the server.
    Blocking,
    /// As Command; apart, so that nothing can delay it.
    Renewal,
    /// Carries nothing but its name.
    Named(String),
}

impl Role {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Blocking => "blocking",
            Self::Renewal => "renewal",
            Self::Named(_) => "named",
        }
    }
}

/// How the link is. Readers see the latest only: `Lost` then `Up` may be skipped when it was short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// `away` is how long it had been lost; `None` for the first connect.
    Up {
        away: Option<Duration>,
    },
    Lost {
        since: Instant,
        reason: Arc<str>,
    },
}

/// Cheap to clone; the link is closed when the last clone goes.
#[derive(Clone)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

struct Shared {
    role: Role,
    /// Host and port or socket, for messages.
    server: String,
    config: Config,
    /// Replaced when fred's routing task has ended.
    client: ArcSwap<Client>,
    link: watch::Sender<Link>,
    /// A replacement of the link is under way.
    replacing: AtomicBool,
    /// `CLIENT ID` of the link a [`Connection::wait`] runs on; 0 when not known.
    id: AtomicI64,
    waiting: watch::Sender<bool>,
    /// Told of calls, where somebody asked for that.
    meter: OnceLock<Arc<dyn Meter>>,
    refusals: Arc<Refusals>,
}

impl Connection {
    /// Connects once. Afterwards the connection mends itself, without end.
    pub(crate) async fn open(redis: &config::Redis, role: Role) -> Result<Self, Error> {
        let server = server_name(redis);
        let config = fred_config(redis)?;
        let client = build(&config, &role);
        // before the connect, so that no event is missed
        let events = Events::of(&client);
        let task = client.init().await.map_err(|error| connect_error(&server, &error))?;
        let shared = Arc::new(Shared {
            role,
            server,
            config,
            client: ArcSwap::from_pointee(client),
            link: watch::Sender::new(Link::Up { away: None }),
            replacing: AtomicBool::new(false),
            id: AtomicI64::new(0),
            waiting: watch::Sender::new(false),
            meter: OnceLock::new(),
            refusals: Arc::default(),
        });
        shared.announce().await?;
        let keeper = tokio::spawn(keep(Arc::clone(&shared), events, AbortOnDropHandle::new(task)));
        Ok(Self { shared, _keeper: Arc::new(AbortOnDropHandle::new(keeper)) })
    }

    /// The link as it is now, and every change of it.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }

    /// What the server refuses over this connection.
    pub(crate) fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.shared.refusals)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.shared.client.load().is_connected() && matches!(*self.shared.link.borrow(), Link::Up { .. })
    }

    /// Host and port or socket, for messages.
    pub(crate) fn server(&self) -> &str {
        &self.shared.server
    }

    /// Sends one command and waits for the answer, together at most twice [`COMMAND_TIMEOUT`].
    ///
    /// Dropping the future does not take a command back that was sent.
    pub(crate) async fn call(&self, name: &'static str, args: Vec<Value>) -> Result<Value, Error> {
        self.send(name, CustomCommand::new_static(name, None, false), args).await
    }

    /// As [`Connection::call`]; `label` names the command in errors.
    pub(super) async fn send(
        &self,
        label: &'static str,
        command: CustomCommand,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let client = match self.ready().await {
            Ok(client) => client,
            Err(error) => {
                self.count(label, None, true);
                return Err(error);
            }
        };
        let begun = self.shared.meter.get().map(|_| Instant::now());
        let answer = client.custom(command, args).await.map_err(|error| self.sorted(label, &error));
        if let Some(begun) = begun {
            // a server that does not know a script yet is told it
            let failed = answer.as_ref().is_err_and(
                |error| !matches!(error, Error::Command { message, .. } if message.starts_with("NOSCRIPT")),
            );
            self.count(label, Some(begun.elapsed()), failed);
        }
        match &answer {
            Ok(_) => self.shared.refusals.done(label),
            Err(Error::Refused { message, .. }) => self.shared.refusals.refused(label, message),
            Err(_) => {}
        }
        answer
    }

    /// Has this told of all calls from now on; once.
    pub(super) fn metered(&self, meter: &Arc<dyn Meter>) {
        let _ = self.shared.meter.set(Arc::clone(meter));
    }

    fn count(&self, operation: &'static str, took: Option<Duration>, failed: bool) {
        if let Some(meter) = self.shared.meter.get() {
            meter.called(operation, took, failed);
        }
    }

    /// As [`Connection::call`] for a command that waits in the server for up to `deadline`.
    ///
    /// When nothing has come a second after that, the link is taken for dead and replaced.
    pub(crate) async fn call_blocking(
        &self,
        name: &'static str,
        args: Vec<Value>,
        deadline: Duration,
    ) -> Result<Value, Error> {
        let client = self.ready().await?;
        let answer = client.custom(CustomCommand::new_static(name, None, true), args);
        let answer = answer.map(|answer| answer.map_err(|error| self.sorted(name, &error)));
        let answer = self.in_time(name, deadline + BLOCKING_MARGIN, answer).await;
        self.count(name, None, answer.is_err());
        answer
    }

    /// Waits for the first member of any of these sorted sets and takes it: (key, member, score).
    ///
    /// `None` when nothing came within `timeout`, or after [`Connection::interrupt`]. One wait at a time per connection.
    /// Dropping the future replaces the link, and what the server gave at that moment is lost.
    pub(crate) async fn wait(
        &self,
        keys: &[String],
        timeout: Duration,
    ) -> Result<Option<(String, String, f64)>, Error> {
        let mut unfinished = Unfinished(Some(self));
        self.shared.waiting.send_replace(true);
        let answer = self.pop_first(keys, timeout).await;
        unfinished.0 = None;
        if answer.is_err() {
            self.shared.id.store(0, Ordering::Release);
        }
        self.shared.waiting.send_replace(false);
        match answer? {
            Value::Null => Ok(None),
            Value::Array(parts) => match parts.as_slice() {
                [key, member, score] => match (key.as_string(), member.as_string(), score.as_f64()) {
                    (Some(key), Some(member), Some(score)) => Ok(Some((key, member, score))),
                    _ => Err(wait_reply(format!("{parts:?}"))),
                },
                other => Err(wait_reply(format!("{} parts", other.len()))),
            },
            other => Err(wait_reply(format!("{other:?}"))),
        }
    }

    async fn pop_first(&self, keys: &[String], timeout: Duration) -> Result<Value, Error> {
        if self.shared.id.load(Ordering::Acquire) == 0 {
            let id = self.call_blocking("CLIENT", vec!["ID".into()], COMMAND_TIMEOUT).await?;
            self.shared.id.store(id.as_i64().unwrap_or(0), Ordering::Release);
        }
        // below 2 ms servers before 7.0.8 take the time for zero, which is for ever
        let timeout = timeout.max(Duration::from_millis(2));
        let mut args: Vec<Value> = keys.iter().map(|key| Value::from(key.as_str())).collect();
        args.push(Value::from(format!("{:.3}", timeout.as_secs_f64())));
        self.call_blocking("BZPOPMIN", args, timeout).await
    }

    /// Ends the running [`Connection::wait`], if there is one, by telling the server over `command`.
    ///
    /// Returns once it has ended. Where the server does not let us, the waiting link is replaced instead.
    pub(crate) async fn interrupt(&self, command: &Connection) {
        const TRIES: u32 = 8;
        let mut waiting = self.shared.waiting.subscribe();
        for attempt in 0..TRIES {
            if !*waiting.borrow_and_update() {
                return;
            }
            let id = self.shared.id.load(Ordering::Acquire);
            if id != 0 {
                match command.call("CLIENT", vec!["UNBLOCK".into(), id.into()]).await {
                    // 0 when the wait is still on its way to the server, or its answer to us
                    Ok(_) | Err(Error::Unreachable { .. }) => {}
                    Err(error) => {
                        tracing::debug!(%error, "cannot unblock a waiting connection, it is replaced");
                        break;
                    }
                }
            }
            let pause = Duration::from_millis(1 << attempt);
            let _ = tokio::time::timeout(pause, waiting.wait_for(|waiting| !waiting)).await;
        }
        if *waiting.borrow() {
            self.reconnect();
            let _ = waiting.wait_for(|waiting| !waiting).await;
        }
    }

    /// The answer to a call on this connection; when it has not come in time, the link is taken for dead and replaced.
    pub(crate) async fn in_time(
        &self,
        name: &'static str,
        deadline: Duration,
        answer: impl Future<Output = Result<Value, Error>>,
    ) -> Result<Value, Error> {
        if let Ok(answer) = tokio::time::timeout(deadline, answer).await {
            answer
        } else {
            if self.is_connected() {
                self.reconnect();
            }
            Err(self.shared.ambiguous(name, "the link is silent"))
        }
    }

    /// Finds out whether the link is alive; one that is silent is replaced.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        self.in_time("PING", PROBE_TIMEOUT, self.call("PING", Vec::new())).await.map(drop)
    }

    /// Drops the link and builds a new one. What is in flight ends as [`Error::Ambiguous`].
    pub(crate) fn reconnect(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.shared.replacing.swap(true, Ordering::AcqRel) {
            let shared = Arc::clone(&self.shared);
            runtime.spawn(async move {
                let client = shared.client.load_full();
                let _ = client.force_reconnection().await;
                shared.replacing.store(false, Ordering::Release);
            });
        }
    }

    /// The client, once its link stands; nothing has been sent when this fails.
    async fn ready(&self) -> Result<arc_swap::Guard<Arc<Client>>, Error> {
        let client = self.shared.client.load();
        if client.is_connected() {
            return Ok(client);
        }
        drop(client);
        let deadline = tokio::time::Instant::now() + COMMAND_TIMEOUT;
        loop {
            let client = self.shared.client.load_full();
            // the pause covers a connect that falls between the look and the subscription inside
            let _ = tokio::time::timeout(Duration::from_millis(20), client.wait_for_connect()).await;
            let client = self.shared.client.load();
            if client.is_connected() {
                return Ok(client);
            }
            if tokio::time::Instant::now() >= deadline {
                let reason = match &*self.shared.link.borrow() {
                    Link::Lost { reason, .. } => reason.to_string(),
                    Link::Up { .. } => "not connected".into(),
                };
                return Err(Error::Unreachable { server: self.shared.server.clone(), reason });
            }
        }
    }

    fn sorted(&self, command: &'static str, error: &fred::error::Error) -> Error {
        let silent = *error.kind() == fred::error::ErrorKind::Timeout;
        let error = self.shared.sorted(command, error);
        if silent || matches!(&error, Error::Refused { message, .. } if message.starts_with("READONLY")) {
            self.reconnect();
        }
        error
    }
}

impl Shared {
    fn ambiguous(&self, command: &'static str, reason: &str) -> Error {
        Error::Ambiguous { server: self.server.clone(), command, reason: reason.into() }
    }

    fn sorted(&self, command: &'static str, error: &fred::error::Error) -> Error {
        use fred::error::ErrorKind;
        let text = error.details();
        match error.kind() {
            ErrorKind::Timeout => self.ambiguous(command, "the time is up"),
            // fred's own words for a command it could not give to any connection
            _ if matches!(text, "Failed to route command." | "Client is not initialized.")
                || text.starts_with("Too many failed write") =>
            {
                Error::Unreachable { server: self.server.clone(), reason: "not connected".into() }
            }
            ErrorKind::Canceled => {
                Error::Unreachable { server: self.server.clone(), reason: "the connection is closing".into() }
            }
            ErrorKind::IO | ErrorKind::Protocol | ErrorKind::Tls => self.ambiguous(command, &io_reason(text)),
            _ => match sort(text) {
                (ServerError::Passing | ServerError::ReadOnly, message) => {
                    Error::Refused { command, message: message.into() }
                }
                (ServerError::Denied, message) => {
                    Error::Denied { server: self.server.clone(), command, message: message.into() }
                }
                (ServerError::WrongType, message) => Error::WrongType { command, message: message.into() },
                (ServerError::Other | ServerError::NoScript, message) if looks_like_reply(message) => {
                    Error::Command { command, message: message.into() }
                }
                // whatever else fred says happened on our side of the wire after the command left
                (_, message) => self.ambiguous(command, message),
            },
        }
    }

    /// Gives the link its name, for [`Role::Named`].
    async fn announce(&self) -> Result<(), Error> {
        if let Role::Named(name) = &self.role {
            let args: Vec<Value> = vec!["SETNAME".into(), name.as_str().into()];
            let client = self.client.load_full();
            let answer: Result<Value, _> = client.custom(CustomCommand::new_static("CLIENT", None, false), args).await;
            answer.map_err(|error| self.sorted("CLIENT SETNAME", &error))?;
        }
        Ok(())
    }
}

/// Error replies start with a word in capitals.
fn looks_like_reply(text: &str) -> bool {
    let word = text.split(' ').next().unwrap_or_default();
    word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// A wait whose future was dropped: the server still has it, so the link is of no use any more.
struct Unfinished<'a>(Option<&'a Connection>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0 {
            connection.reconnect();
            connection.shared.waiting.send_replace(false);
        }
    }
}

fn wait_reply(got: String) -> Error {
    Error::Reply { what: "BZPOPMIN", expected: "a key, a member and a score", got }
}

/// What fred tells about a link.
struct Events {
    errors: broadcast::Receiver<(fred::error::Error, Option<Server>)>,
    connects: broadcast::Receiver<Server>,
}

impl Events {
    fn of(client: &Client) -> Self {
        Self { errors: client.error_rx(), connects: client.reconnect_rx() }
    }
}

/// Follows the link and rebuilds the client when fred gives up on it.
async fn keep(shared: Arc<Shared>, mut events: Events, mut task: AbortOnDropHandle<ConnectOutcome>) {
    loop {
        tokio::select! {
            // losses first: of a loss and the connect that mended it, the connect must have the last word
            biased;
            Ok((error, _)) = events.errors.recv() => shared.lost(&io_reason(error.details())),
            Ok(_) = events.connects.recv() => {
                shared.id.store(0, Ordering::Release);
                if let Err(error) = shared.announce().await {
                    tracing::debug!(%error, "a connection has no name");
                }
                shared.up();
            }
            _ = &mut task => {
                shared.lost("the connection's task has ended");
                (events, task) = rebuild(&shared).await;
                shared.up();
            }
        }
    }
}

type ConnectOutcome = Result<(), fred::error::Error>;

async fn rebuild(shared: &Shared) -> (Events, AbortOnDropHandle<ConnectOutcome>) {
    loop {
        let client = build(&shared.config, &shared.role);
        let events = Events::of(&client);
        let task: Result<ConnectHandle, _> = client.init().await;
        match task {
            Ok(task) => {
                shared.client.store(Arc::new(client));
                shared.id.store(0, Ordering::Release);
                return (events, AbortOnDropHandle::new(task));
            }
            Err(error) => shared.lost(&io_reason(error.details())),
        }
        tokio::time::sleep(Duration::from_millis(u64::from(PAUSE.1) / 2 + fastrand::u64(..u64::from(PAUSE.1)))).await;
    }
}

impl Shared {
    fn lost(&self, reason: &str) {
        self.link.send_if_modified(|link| {
            if matches!(link, Link::Lost { .. }) {
                return false;
            }
            *link = Link::Lost { since: Instant::now(), reason: reason.into() };
            true
        });
    }

    fn up(&self) {
        let is_back = self.link.send_if_modified(|link| {
            let Link::Lost { since, .. } = link else { return false };
            *link = Link::Up { away: Some(since.elapsed()) };
            true
        });
        if let Some(meter) = self.meter.get().filter(|_| is_back) {
            meter.reconnected(self.role.as_str());
        }
    }
}

/// Why the first connect failed.
pub(super) fn connect_error(server: &str, error: &fred::error::Error) -> Error {
    let text = error.details();
    match sort(text) {
        (ServerError::Denied, message) => {
            Error::Denied { server: server.into(), command: "the connection", message: message.into() }
        }
        (ServerError::Passing | ServerError::ReadOnly, message) => {
            Error::Refused { command: "the connection", message: message.into() }
        }
        _ => Error::Unreachable { server: server.into(), reason: io_reason(text) },
    }
}

/// The readable part of an I/O error fred has printed in its debug form.
fn io_reason(text: &str) -> String {
    let quoted = |after: &str| {
        let start = text.find(after)? + after.len();
        let end = start + text[start..].find('"')?;
        Some(text[start..end].to_owned())
    };
    quoted("message: \"").or_else(|| quoted("error: \"")).unwrap_or_else(|| match text {
        "Connection closed." | "Connection Closed" | "" => "the connection was closed".into(),
        "Request timed out." => "no answer in time".into(),
        other => other.trim_end_matches('.').to_owned(),
    })
}

#[cfg(test)]
mod tests;
