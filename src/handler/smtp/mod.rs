//! A job as a mail: composed from its data, handed to a mail server, each recipient's answer kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::time::Instant;

use super::circuit::{Circuit, Since};
use super::cool_down::CoolDown;
use super::error::Refused;
use super::shortage::{self, Shortage};
use super::wire;
use super::{ActionError, CancelReason, Gate, Handler, JobContext, Running};
use crate::config::{Breaker, OnAmbiguous, OnPartial, SmtpHandler};
use crate::job::{Failure, Job, Outcome};

mod address;
mod attachment;
mod connection;
mod ledger;
mod letter;
mod mail;
mod pool;
mod rate;
mod template;

use connection::{Answer, Server, Trouble};
use ledger::Ledger;
use letter::Letter;
use mail::{Defaults, Mail};
use pool::Pool;
use rate::Rates;
use template::Templates;

/// A mail that may go this soon is waited for; others are deferred.
const SOON: Duration = Duration::from_secs(5);
/// What is left of an attempt's time when the server's answer comes too late: to say so ourselves.
const MARGIN: Duration = Duration::from_millis(500);
/// How long the answer to a mail just sent is waited for when the job is told to stop. Below the handler's grace.
const LAST_ANSWER: Duration = Duration::from_secs(4);

/// Greets the mail server of a handler, and hands in nothing; its name. For who asks whether it is there.
#[cfg(feature = "daemon")]
pub(crate) async fn greet(config: &SmtpHandler) -> Result<String, String> {
    Server::new(config)?.greet().await
}

/// `[handlers.NAME.smtp]`
pub struct Smtp {
    post: Arc<Post>,
}

struct Post {
    config: SmtpHandler,
    defaults: Defaults,
    templates: Option<Templates>,
    pool: Arc<Pool>,
    rates: Rates,
    circuit: Circuit,
    shortage: Shortage,
}

impl Smtp {
    /// Checks the settings and compiles the templates. Opens no connection.
    pub fn new(config: SmtpHandler) -> Result<Self, Refused> {
        let defaults = Defaults::read(&config).map_err(Refused::Mail)?;
        let templates = config.templates.as_ref().map(Templates::compile).transpose().map_err(Refused::Mail)?;
        let server = Server::new(&config).map_err(Refused::Mail)?;
        let breaker = config.breaker.unwrap_or(Breaker { failures: u32::MAX, ..Breaker::default() });
        let cool_down = CoolDown::new(breaker.cool_down, breaker.max);
        let circuit = Circuit::new(Gate::default(), breaker.failures, cool_down);
        Ok(Self {
            post: Arc::new(Post {
                pool: Pool::new(server, config.connections, config.idle),
                rates: Rates::new(config.rate, config.domain_rates.clone()),
                shortage: Shortage::new(circuit.gate().clone()),
                circuit,
                defaults,
                templates,
                config,
            }),
        })
    }
}

impl Handler for Smtp {
    fn gate(&self) -> Option<&Gate> {
        Some(self.post.circuit.gate())
    }

    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        let post = Arc::clone(&self.post);
        Box::pin(async move {
            let sent = AtomicBool::new(false);
            let doing = post.send(&job, &ctx, &sent);
            tokio::pin!(doing);
            let reason = tokio::select! {
                biased;
                outcome = &mut doing => return outcome,
                reason = ctx.cancelled() => reason,
            };
            // before its last line nothing has been sent, and dropping the connection keeps it so
            if !sent.load(Ordering::SeqCst) {
                return ctx.stopped(reason);
            }
            match tokio::time::timeout(LAST_ANSWER, doing).await {
                Ok(outcome) => outcome,
                Err(_) => post.unknown(&ctx, reason),
            }
        })
    }
}

/// What is made of a job before anything is sent.
struct Composed {
    letter: Letter,
    ledger: Ledger,
}

/// What a job that sent its mail returns.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt<'a> {
    sent: bool,
    message_id: &'a str,
    accepted: Vec<&'a str>,
    rejected: Vec<&'a str>,
    answers: serde_json::Map<String, serde_json::Value>,
}

impl Post {
    async fn send(self: &Arc<Self>, job: &Arc<Job>, ctx: &JobContext, sent: &AtomicBool) -> Outcome {
        let composed = {
            let (post, job) = (Arc::clone(self), Arc::clone(job));
            let key = wire::idempotency_key(&job, ctx);
            // templates, base64 and files on a disk
            tokio::task::spawn_blocking(move || post.compose(&job, &key)).await
        };
        let Composed { mut letter, mut ledger } = match composed {
            Ok(Ok(composed)) => composed,
            Ok(Err(why)) => return Outcome::fail(why),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Outcome::Interrupted,
        };
        if ledger.sending {
            ledger.sending = false;
            let _ = self.save(&ledger, ctx).await;
            return Outcome::fail("an attempt before this one may have sent the mail; retry the job to send it again");
        }
        let everybody: Vec<String> = letter.recipients.iter().map(ToString::to_string).collect();
        letter.recipients.retain(|address| !ledger.is_settled(address.as_ref()));
        let settled = |ledger: &Ledger, given_up: &[(String, Answer)]| {
            self.settled(&letter.message_id, &everybody, ledger, given_up)
        };
        if letter.recipients.is_empty() {
            return settled(&ledger, &[]);
        }
        if let Some(deferral) = self.wait_for_turn(job, &letter).await {
            return deferral;
        }
        if self.config.on_ambiguous == OnAmbiguous::Fail {
            ledger.sending = true;
            if let Err(outcome) = self.save(&ledger, ctx).await {
                return outcome;
            }
            ledger.sending = false;
        }
        let end = Instant::from_std(ctx.deadline()) - MARGIN;
        let since = self.circuit.begin();
        let answers = match self.pool.deliver(&letter, sent, end).await {
            Ok(answers) => answers,
            Err(trouble) => return self.trouble(trouble, since, &ledger, ctx).await,
        };
        self.circuit.worked();
        self.shortage.is_over();
        let is_last = job.attempt() >= ctx.max_attempts();
        let before = ledger.clone();
        let mut pending = Vec::new();
        for (address, answer) in letter.recipients.iter().zip(answers) {
            match answer {
                Answer::Accepted(said) => drop(ledger.accepted.insert(address.to_string(), said)),
                Answer::Refused(said) => drop(ledger.rejected.insert(address.to_string(), said)),
                answer => pending.push((address.to_string(), answer)),
            }
        }
        if pending.is_empty() {
            return settled(&ledger, &[]);
        }
        if let Some((_, Answer::Unknown(why))) = pending.iter().find(|(_, answer)| matches!(answer, Answer::Unknown(_)))
            && self.config.on_ambiguous == OnAmbiguous::Fail
        {
            let _ = self.save(&ledger, ctx).await;
            return Outcome::fail(format!("{AMBIGUOUS}: {why}"));
        }
        // there is no other attempt to give them: some have the mail, and that may be enough
        if is_last && !ledger.accepted.is_empty() {
            return settled(&ledger, &pending);
        }
        if (ledger != before || self.config.on_ambiguous == OnAmbiguous::Fail)
            && let Err(outcome) = self.save(&ledger, ctx).await
        {
            return outcome;
        }
        self.retry(&pending)
    }

    fn compose(&self, job: &Job, key: &str) -> Result<Composed, String> {
        let mail = Mail::read(&job.data, &self.config, &self.defaults, self.templates.as_ref())?;
        let letter = letter::compose(&mail, key, &self.config, &self.defaults)?;
        Ok(Composed { letter, ledger: mail.ledger })
    }

    /// Waits until the mail may go, or answers how long it is put off.
    async fn wait_for_turn(&self, job: &Job, letter: &Letter) -> Option<Outcome> {
        let key = format!("{}:{}", job.queue, job.id);
        let now = Instant::now();
        let moment = self.rates.moment(&key, letter.recipients.iter().map(lettre::Address::domain), now);
        let wait = moment - now;
        if wait > SOON {
            self.rates.keep(key, moment);
            return Some(Outcome::Defer {
                reason: "a recipient's domain has had its share of mails".into(),
                after: wait,
            });
        }
        tokio::time::sleep_until(moment).await;
        None
    }

    /// Every recipient has an answer, or gets no other: `given_up` are those whose last one was temporary.
    fn settled(&self, id: &str, everybody: &[String], ledger: &Ledger, given_up: &[(String, Answer)]) -> Outcome {
        let (accepted, mut rejected): (Vec<&str>, Vec<&str>) = everybody
            .iter()
            .map(String::as_str)
            .filter(|address| ledger.is_settled(address))
            .partition(|address| ledger.accepted.contains_key(*address));
        rejected.extend(given_up.iter().map(|(address, _)| address.as_str()));
        let said = |address: &&str| {
            let last = given_up.iter().find(|(other, _)| other == address).map(|(_, answer)| answer.text());
            let text = last.or(ledger.accepted.get(*address).map(String::as_str));
            text.or(ledger.rejected.get(*address).map(String::as_str)).unwrap_or_default().to_owned()
        };
        if accepted.is_empty() || (self.config.on_partial == OnPartial::Fail && !rejected.is_empty()) {
            let mut why: Vec<String> = rejected.iter().take(SHOWN).map(|to| format!("{to}: {}", said(to))).collect();
            if rejected.len() > SHOWN {
                why.push(format!("and {} more", rejected.len() - SHOWN));
            }
            let some = if accepted.is_empty() { "" } else { " for some" };
            return Outcome::fail(format!("the mail was refused{some}: {}", why.join("; ")));
        }
        let answers =
            accepted.iter().chain(&rejected).map(|address| ((*address).to_owned(), said(address).into())).collect();
        let receipt = Receipt { sent: true, message_id: id, accepted, rejected, answers };
        Outcome::Complete(to_raw_value(&receipt).expect("texts and lists are always JSON"))
    }

    fn retry(&self, pending: &[(String, Answer)]) -> Outcome {
        let mut why: Vec<String> =
            pending.iter().take(SHOWN).map(|(to, answer)| format!("{to}: {}", answer.text())).collect();
        if pending.len() > SHOWN {
            why.push(format!("and {} more", pending.len() - SHOWN));
        }
        let is_unknown = pending.iter().any(|(_, answer)| matches!(answer, Answer::Unknown(_)));
        let what = if is_unknown { AMBIGUOUS } else { "the mail was put off" };
        Outcome::RetryLater {
            failure: Failure::new(format!("{what}: {}", why.join("; "))),
            least: self.config.greylist,
        }
    }

    /// The server cannot be used: an attempt is over, and after some of them no job is taken for a while.
    async fn trouble(&self, trouble: Trouble, since: Since, ledger: &Ledger, ctx: &JobContext) -> Outcome {
        let Trouble::Server { why, is_temporary } = trouble else {
            unreachable!("the pool goes on with another connection")
        };
        if self.config.on_ambiguous == OnAmbiguous::Fail
            && let Err(outcome) = self.save(ledger, ctx).await
        {
            return outcome;
        }
        if let Some(errno) = shortage::of_descriptors() {
            return self.shortage.met(errno);
        }
        self.circuit.failed(since, &why);
        let least = if is_temporary { self.config.greylist } else { Duration::ZERO };
        Outcome::RetryLater { failure: Failure::new(why), least }
    }

    /// Told to stop after the mail was sent and before it was answered.
    fn unknown(&self, ctx: &JobContext, reason: CancelReason) -> Outcome {
        match self.config.on_ambiguous {
            OnAmbiguous::Fail => Outcome::fail(format!("{AMBIGUOUS}: stopped ({}) before the answer", reason.as_str())),
            OnAmbiguous::Retry => ctx.stopped(reason),
        }
    }

    /// Keeps what is known of the recipients for the next attempt. In the error the outcome to answer with instead.
    async fn save(&self, ledger: &Ledger, ctx: &JobContext) -> Result<(), Outcome> {
        let cannot = |why: String| Outcome::retry(format!("cannot keep who has the mail: {why}"));
        let data = ledger.within(&ctx.job().data).map_err(|error| cannot(error.to_string()))?;
        match ctx.update_data(&data).await {
            // nothing runs the job again where there is no engine
            Ok(()) | Err(ActionError::NoEngine) => Ok(()),
            Err(ActionError::Stopping(reason)) => Err(ctx.stopped(reason)),
            Err(error) => Err(cannot(error.to_string())),
        }
    }
}

/// Recipients named in a reason.
const SHOWN: usize = 5;
const AMBIGUOUS: &str = "the mail was sent and not answered, so it may have been accepted";

#[cfg(test)]
mod tests;
