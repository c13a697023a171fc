//! Answers that come later: an endpoint answers 202, goes on working, and calls back when it is done.
//!
//! Each attempt has a token of its own in the address that is to be called, made at random: whoever knows it may speak
//! for the attempt, and nobody else does. What is said is heard as the lines of a streamed answer are. The server behind
//! the address is not here (`daemon/callbacks.rs`).
#![cfg_attr(not(feature = "daemon"), allow(dead_code))] // without it there is nobody to hear calls

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use http::header::HeaderValue;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::handler::wire::{Heard, Listener};
use crate::handler::{JobContext, Refused};
use crate::job::{Failure, Outcome, QueueName};

/// The attempts that wait for a call. Clones are the same.
#[derive(Clone, Default)]
pub struct Callbacks {
    waiting: Arc<Mutex<HashMap<Uuid, Waiting>>>,
}

struct Waiting {
    queue: QueueName,
    calls: mpsc::Sender<Call>,
    /// Bytes of one call.
    limit: usize,
}

/// What one call said, and whoever wants to know whether it is done.
struct Call {
    said: Vec<Heard>,
    done: oneshot::Sender<Result<(), String>>,
}

/// Why a call is not heard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Deaf {
    /// No attempt has this token, or none has it any more.
    Gone,
    /// A line cannot be understood: nothing of the call is done.
    Nonsense(String),
    /// What it asked for was not done; the attempt fails of it.
    Undone(String),
}

impl Callbacks {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, Waiting>> {
        self.waiting.lock().expect("no code panics while holding this lock")
    }

    /// How many bytes a call for this token may have; `None`: nobody waits for it.
    pub(crate) fn limit(&self, token: &str) -> Option<usize> {
        let token = Uuid::try_parse(token).ok()?;
        self.waiting().get(&token).map(|waiting| waiting.limit)
    }

    /// Hears one call: one JSON object, or with `lines` one per line, all of them or none. Returns when it is done.
    ///
    /// Cancel safe: what was understood is done whether or not the answer is waited for.
    pub(crate) async fn hear(&self, token: &str, body: &[u8], lines: bool) -> Result<(), Deaf> {
        let token = Uuid::try_parse(token).map_err(|_| Deaf::Gone)?;
        let (queue, calls) = match self.waiting().get(&token) {
            Some(waiting) => (waiting.queue.clone(), waiting.calls.clone()),
            None => return Err(Deaf::Gone),
        };
        let whole = [body];
        let each: &mut dyn Iterator<Item = &[u8]> =
            if lines { &mut body.split(|byte| *byte == b'\n') } else { &mut whole.into_iter() };
        let said: Vec<Heard> = each.filter_map(|line| Heard::parse(line, 0, &queue)).collect();
        let misunderstood = said.iter().find_map(|heard| match heard {
            Heard::Nonsense(why) | Heard::Unfit(why) => Some(why.clone()),
            _ => None,
        });
        if let Some(why) = misunderstood {
            return Err(Deaf::Nonsense(why));
        }
        if said.is_empty() {
            return Err(Deaf::Nonsense("the call says nothing (expected a JSON object)".into()));
        }
        let (done, answer) = oneshot::channel();
        calls.send(Call { said, done }).await.map_err(|_| Deaf::Gone)?;
        answer.await.map_err(|_| Deaf::Gone)?.map_err(Deaf::Undone)
    }
}

/// Where endpoints are to call, as far as it is the same for all attempts.
pub(super) struct Address {
    callbacks: Callbacks,
    url: String,
}

impl Address {
    /// `url` as the configuration has it.
    pub(super) fn new(callbacks: Callbacks, url: &str) -> Result<Self, Refused> {
        let url = format!("{url}/v1/callbacks/");
        HeaderValue::try_from(&url).map_err(|_| Refused::Header("Oxherd-Callback".into()))?;
        Ok(Self { callbacks, url })
    }

    /// Waits for calls from now on. A call of `limit` bytes at most is taken.
    pub(super) fn begin(&self, queue: &QueueName, limit: usize) -> Awaited {
        let (token, (sender, calls)) = (Uuid::new_v4(), mpsc::channel(1));
        self.callbacks.waiting().insert(token, Waiting { queue: queue.clone(), calls: sender, limit });
        let url =
            HeaderValue::try_from(format!("{}{token}", self.url)).expect("a token is plain ASCII, the rest was tried");
        Awaited { callbacks: self.callbacks.clone(), token, url, calls }
    }
}

/// One attempt's calls. Dropped, they are answered that nobody waits.
pub(super) struct Awaited {
    callbacks: Callbacks,
    token: Uuid,
    pub(super) url: HeaderValue,
    calls: mpsc::Receiver<Call>,
}

impl Awaited {
    /// Hears calls until one states the outcome.
    pub(super) async fn outcome(mut self, longest: std::time::Duration, ctx: &JobContext) -> Outcome {
        let mut listener = Listener::new("callback");
        loop {
            let call = self.calls.recv().await.expect("the table has a sender until this is dropped");
            for heard in call.said {
                listener.hear(heard, ctx).await;
            }
            let done = match &listener.undone {
                None => Ok(()),
                Some(Outcome::Retry { failure, .. }) => Err(failure.message.clone()),
                Some(other) => Err(other.as_str().to_owned()),
            };
            // whoever called may have gone
            let _ = call.done.send(done);
            match (listener.undone.take(), listener.stated.take()) {
                (Some(undone), _) => return undone,
                (None, Some(stated)) => {
                    return stated.bounded(longest).outcome(
                        |asked| Failure::new(format!("the endpoint {asked}")),
                        || serde_json::value::RawValue::NULL.to_owned(),
                    );
                }
                (None, None) => {}
            }
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.callbacks.waiting().remove(&self.token);
    }
}
