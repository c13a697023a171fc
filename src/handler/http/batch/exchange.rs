//! One call for a batch, and what its answer means for each job.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::value::RawValue;

use super::super::address::Target;
use super::super::answer::Reply;
use super::super::body::Body;
use super::super::breaker::Attempt;
use super::super::{EXPLANATION, Endpoint, is_stream};
use super::results::{self, Results};
use super::wire::{self, Heard, LOG_LINE, Lines, Listener, Stated, snippet};
use super::{Leaving, Member};
use crate::config::Answer;
use crate::handler::CancelReason;
use crate::job::{Failure, Outcome};

impl Endpoint {
    /// Calls for all that still wait. Ends early when none does any more.
    pub(super) async fn send(self: &Arc<Self>, queue: &str, target: &Target, leaving: Leaving) {
        let Leaving { mut members, mut here } = leaving;
        if members.is_empty() {
            return;
        }
        let mut attempt = match self.breaker.enter(self.named(target)) {
            Ok(attempt) => attempt,
            Err(outcome) => return all(&mut members, &outcome),
        };
        let unread = tokio::select! {
            biased;
            unread = self.exchange_for_all(queue, target, &mut attempt, &mut members) => unread,
            _ = here.recv() => {
                let timed_out = |member: &Member| member.ctx.cancel_reason() == Some(CancelReason::Timeout);
                if members.iter().any(timed_out) {
                    attempt.cancelled(CancelReason::Timeout);
                }
                None
            }
        };
        // nobody waits for the end of the answer, but the connection can be kept when it has come
        if let Some(mut answer) = unread {
            let _ = tokio::time::timeout(self.explain_within, answer.read(&mut Vec::new(), EXPLANATION)).await;
        }
    }

    /// Tells each job its outcome; what is left of the answer then.
    async fn exchange_for_all<'a>(
        &self,
        queue: &str,
        target: &Target,
        attempt: &mut Attempt<'a>,
        members: &mut [Member],
    ) -> Option<Body<'a>> {
        let keys: Vec<String> = members.iter().map(|member| wire::idempotency_key(&member.job, &member.ctx)).collect();
        let deadline = members.iter().map(|member| member.ctx.deadline_ms()).min().unwrap_or_default();
        let mut body = b"{\"jobs\":[".to_vec();
        for (n, member) in members.iter_mut().enumerate() {
            body.extend_from_slice(if n > 0 { b"," } else { b"" });
            body.append(&mut member.body);
        }
        body.extend_from_slice(b"]}");
        let headers = match self.headers.of_batch(&wire::batch_key(&keys), queue, keys.len(), deadline, &body) {
            Ok(headers) => headers,
            Err(reason) => {
                all(members, &Outcome::fail(reason));
                return None;
            }
        };
        let response = match self.post(target, headers, body, attempt).await {
            Ok(response) => response,
            Err(outcome) => {
                all(members, &outcome);
                return None;
            }
        };
        let reply = Reply::read(response.status(), response.headers(), &self.config, SystemTime::now());
        attempt.answered(&reply);
        let is_stream = response.status().is_success() && is_stream(response.headers());
        let mut answer = Body::new(response, attempt.to(), self.pace);
        if is_stream {
            self.listen_for_all(&mut answer, &reply, members).await;
            return Some(answer);
        }
        let mut body = Vec::new();
        let limit = self.config.max_response;
        let whole = if reply.answer == Answer::Complete {
            answer.read(&mut body, limit).await
        } else {
            // the status has decided of those it names no result for
            let read = tokio::time::timeout(self.explain_within, answer.read(&mut body, limit)).await;
            read.unwrap_or(Ok(false)).or(Ok(false))
        };
        match whole {
            Ok(true) => self.tell(&reply, body, members),
            Ok(false) if reply.answer != Answer::Complete => all(members, &reply.outcome(Some(body))),
            Ok(false) => all(members, &Outcome::retry(format!("{} (max_response)", answer.is_longer_than(limit)))),
            Err(why) => all(members, &Outcome::retry(why)),
        }
        None
    }

    /// What a whole answer says of each.
    fn tell(&self, reply: &Reply, body: Vec<u8>, members: &mut [Member]) {
        let ids: Vec<&str> = members.iter().map(|member| member.job.id.as_str()).collect();
        let Some(first) = members.first() else { return };
        let Some(mut results) = Results::read(&body, &ids, &first.job.queue) else {
            let is_empty = body.iter().all(u8::is_ascii_whitespace);
            let outcome = match reply.answer {
                Answer::Complete if is_empty => Outcome::done(),
                Answer::Complete => Outcome::retry(format!(
                    "the answer to the batch is no {{\"results\":[…]}}: {}",
                    snippet(&body, 200)
                )),
                _ => reply.outcome(Some(body)),
            };
            return all(members, &outcome);
        };
        for (n, member) in members.iter_mut().enumerate() {
            member.end(match results.of.remove(&n) {
                Some(Ok(stated)) => self.stated(stated),
                Some(Err(why)) => Outcome::retry(format!("the result of this job cannot be used: {why}")),
                None if reply.answer == Answer::Complete => Outcome::retry(results.missing()),
                None => reply.outcome(None),
            });
        }
    }

    fn stated(&self, stated: Stated) -> Outcome {
        stated
            .bounded(self.config.max_defer)
            .outcome(|asked| Failure::new(format!("the endpoint {asked}")), || RawValue::NULL.to_owned())
    }

    /// Hears an answer in lines that each name their job. The outcome of a job ends it, whatever becomes of the rest.
    async fn listen_for_all(&self, answer: &mut Body<'_>, reply: &Reply, members: &mut [Member]) {
        let limit = self.config.max_response;
        let mut listeners: Vec<Listener> = members.iter().map(|_| Listener::new("answer")).collect();
        let mut lines = Lines::new(limit);
        let mut said = Vec::new();
        let mut bytes = 0;
        let broken = loop {
            let each = |line: &[u8], cut| said.push((line.to_vec(), cut));
            let end = match answer.next().await {
                Ok(Some(chunk)) => {
                    let kept = &chunk[..chunk.len().min(limit - bytes)];
                    bytes += kept.len();
                    lines.push(kept, each);
                    if lines.is_empty() {
                        answer.pauses();
                    }
                    (kept.len() < chunk.len()).then(|| Some(answer.is_longer_than(limit)))
                }
                Ok(None) => {
                    lines.finish(each);
                    Some(None)
                }
                Err(why) => Some(Some(why)),
            };
            for (line, cut) in said.drain(..) {
                self.hear(&line, cut, members, &mut listeners).await;
            }
            if !members.iter().any(Member::waits) {
                return;
            }
            if let Some(end) = end {
                break end;
            }
        };
        for (member, listener) in members.iter_mut().zip(listeners) {
            member.end(match (listener.undone, &broken) {
                (Some(undone), _) => undone,
                (None, Some(why)) => Outcome::retry(why),
                (None, None) if reply.answer == Answer::Complete => {
                    Outcome::retry("the answer to the batch has no result for this job")
                }
                (None, None) => reply.outcome(None),
            });
        }
    }

    async fn hear(&self, line: &[u8], cut: usize, members: &mut [Member], listeners: &mut [Listener]) {
        let Some(first) = members.first() else { return };
        let Some(heard) = Heard::parse(line, cut, &first.job.queue) else { return };
        let id = results::id(line);
        let place = id.and_then(|id| members.iter().position(|member| member.job.id.as_str() == id));
        let Some(place) = place else {
            // whom it is about is not known, so all are told
            let line = format!("answer: a line that names no job of the batch: {}", snippet(line, 200));
            for member in members.iter().filter(|member| member.waits()) {
                member.ctx.log(snippet(line.as_bytes(), LOG_LINE));
            }
            return;
        };
        let (member, listener) = (&mut members[place], &mut listeners[place]);
        if !member.waits() {
            return;
        }
        match heard {
            Heard::Outcome(stated) => {
                let outcome = listener.undone.take().unwrap_or_else(|| self.stated(stated));
                member.end(outcome);
            }
            heard => listener.hear(heard, &member.ctx).await,
        }
    }
}

/// One outcome for everybody.
fn all(members: &mut [Member], outcome: &Outcome) {
    for member in members {
        member.end(outcome.clone());
    }
}
