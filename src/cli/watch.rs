//! `oxherd watch`: status messages as they are published.

use clap::Args;
use serde_json::json;

use super::print::{Colour, Out};
use super::session::Session;
use super::time::{age, moment};
use super::value::{self, Past, Since};
use super::{Error, Exit, print};
use crate::config::{Config, Status, local_zone};
use crate::daemon::{self, Command, Signals, escape};
use crate::job::glob::covers;
use crate::job::schedule::day;
use crate::job::{UnixMillis, millis};
use crate::store::{EntryId, Heard, StatusMessage, Store, Updates};

/// Follow status changes live
///
/// Until stopped. With --json every message is printed as it was published, and what could not be
/// heard as {"missed":COUNT} or {"gapMs":MS}.
#[derive(Args)]
pub struct Watch {
    /// Only this queue, or those a glob covers; repeat for more
    #[arg(long, value_name = "QUEUE")]
    queue: Vec<String>,
    /// Only this job, or those a glob covers; repeat for more
    #[arg(long, value_name = "ID")]
    job: Vec<String>,
    /// Only this tenant, or those a glob covers; repeat for more
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<String>,
    /// First what the stream has kept behind this entry (status.stream); 0 for all of it
    #[arg(long, value_name = "ENTRY", conflicts_with = "since")]
    from: Option<EntryId>,
    /// First what the stream has kept since then (status.stream): a time ago such as 10m, a day, or a time with its offset
    #[arg(long, value_name = "TIME", value_parser = value::past)]
    since: Option<Past>,
}

impl Watch {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (out, is_json) = (Out::new(session.global.json), session.global.json);
        session.with_store(|store, config| async move {
            let mut updates = self.open(&store, &config).await?;
            let mut signals = Signals::listen().map_err(daemon::Error::Signals)?;
            let mut printer = Printer { out, is_json, status: config.status.clone(), last: None };
            let mut told = false;
            loop {
                let heard = tokio::select! {
                    heard = updates.next() => heard,
                    command = signals.next() => match command {
                        Command::Stop | Command::HandBack => return Ok(printer.end()),
                        Command::Reload | Command::Quiet | Command::Report => continue,
                    },
                };
                let Some(heard) = heard else {
                    return Err(Error::NoAnswer("the subscription has ended".into()));
                };
                if let Heard::Message(message) = &heard {
                    printer.last = message.entry.or(printer.last);
                    if !self.queue.is_empty() && message.queue.is_none() && !told {
                        told = true;
                        print::note("these messages do not name their queue (status.format = \"simple\"); --queue matches none of them");
                    }
                    if !self.wants(message) {
                        continue;
                    }
                }
                printer.print(&heard)?;
            }
        })?
    }

    async fn open(&self, store: &Store, config: &Config) -> Result<Updates, Error> {
        let after = match (self.from, &self.since) {
            (Some(entry), _) => entry,
            (None, Some(past)) => EntryId::before(moment_of(past, store.now(), config)),
            (None, None) => return Ok(store.updates(&config.followed()).await?),
        };
        let Some(stream) = &config.status.stream else {
            let help = "no stream keeps status messages; configure [status] stream, or leave --from and --since out";
            return Err(Error::Usage(help.into()));
        };
        Ok(store.updates_kept(stream, Some(after)).await?)
    }

    fn wants(&self, message: &StatusMessage) -> bool {
        let covered = |globs: &[String], text: Option<&str>| {
            globs.is_empty() || text.is_some_and(|text| globs.iter().any(|glob| glob == text || covers(glob, text)))
        };
        covered(&self.queue, message.queue.as_deref())
            && covered(&self.job, Some(&message.job_id))
            && covered(&self.tenant, message.tenant().as_deref())
    }
}

fn moment_of(past: &Past, now: UnixMillis, config: &Config) -> UnixMillis {
    match past {
        Past::Ago(ago) => UnixMillis(now.0.saturating_sub(millis(*ago))),
        Past::At(Since::Moment(moment)) => *moment,
        Past::At(Since::Day(text)) => {
            let zone = config.daemon.timezone.clone().unwrap_or_else(local_zone);
            day(text, &zone).unwrap_or_default().0
        }
    }
}

/// How what is heard looks.
struct Printer {
    out: Out,
    is_json: bool,
    status: Status,
    /// Of the last message, printed or not, where there are any.
    last: Option<EntryId>,
}

impl Printer {
    fn print(&mut self, heard: &Heard<StatusMessage>) -> Result<(), Error> {
        match heard {
            Heard::Message(message) if self.is_json => self.out.line(escape::json(one_line(&message.text)))?,
            Heard::Message(message) => self.out.line(readable(&self.out, message, &self.status))?,
            // whoever reads the one must not have to read the other to know that something is missing
            Heard::Missed(count) if self.is_json => self.out.json(&json!({ "missed": count }))?,
            Heard::Gap(gap) if self.is_json => self.out.json(&json!({ "gapMs": millis(*gap) }))?,
            Heard::Missed(count) => {
                print::note(format_args!("{count} messages came faster than they could be printed"));
            }
            Heard::Gap(gap) => {
                print::note(format_args!(
                    "nothing could be heard for {}; messages may be missing here",
                    age(millis(*gap))
                ));
            }
        }
        self.out.flush()?;
        Ok(())
    }

    fn end(self) -> Exit {
        if let Some(last) = self.last {
            print::note(format_args!("read up to here: --from {last} goes on behind it"));
        }
        Exit::Done
    }
}

/// Somebody else's message may be laid out in any way.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// `12:00:01.250 email welcome 1042 COMPLETED attempt 1/3 12ms`
fn readable(out: &Out, message: &StatusMessage, status: &Status) -> String {
    let safe = |text: &str| escape::text(text).into_owned();
    let mut parts = Vec::new();
    if let Some(ms) = message.timestamp.and_then(|at| u64::try_from(at.0).ok()) {
        let at = moment(ms);
        parts.push(out.paint(Colour::Dim, at.get(11..23).unwrap_or(&at)));
    }
    let names = [message.queue.as_deref(), message.name.as_deref(), Some(&*message.job_id)];
    parts.extend(names.into_iter().flatten().filter(|name| !name.is_empty()).map(safe));
    let is = |states: &[&str]| states.iter().any(|state| status.word(state) == message.status);
    let colour = match () {
        () if is(&["completed"]) => Colour::Green,
        () if is(&["failed", "stalled", "expired"]) => Colour::Red,
        () if is(&["retrying", "cancelled"]) => Colour::Yellow,
        () => Colour::Bold,
    };
    parts.push(out.paint(colour, escape::text(&message.status)));
    if let (Some(attempt), Some(max)) = (message.attempt, message.max_attempts) {
        parts.push(format!("attempt {attempt}/{max}"));
    }
    parts.extend(message.duration_ms.map(|ms| format!("{ms}ms")));
    let progress = message.progress.as_ref().filter(|progress| **progress != 0);
    parts.extend(progress.map(|progress| format!("progress={}", safe(&progress.to_string()))));
    parts.extend(message.tenant().map(|tenant| format!("tenant={}", safe(&tenant))));
    parts.extend(message.error.iter().flatten().map(|error| format!("error={}", safe(error))));
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(queue: &[&str], job: &[&str], tenant: &[&str]) -> Watch {
        let [queue, job, tenant] = [queue, job, tenant].map(|globs| globs.iter().map(ToString::to_string).collect());
        Watch { queue, job, tenant, from: None, since: None }
    }

    fn message(text: &str) -> StatusMessage {
        StatusMessage::read(text.into()).unwrap()
    }

    #[test]
    fn filters_are_names_and_globs_any_of_which_will_do() {
        let mail = message(r#"{"tenantId":42,"jobId":"repeat:a:7","status":"X","queue":"email"}"#);
        assert!(watch(&[], &[], &[]).wants(&mail));
        assert!(watch(&["other", "em*"], &["repeat:a:*"], &["42"]).wants(&mail));
        assert!(!watch(&["other"], &[], &[]).wants(&mail));
        assert!(!watch(&[], &["7"], &[]).wants(&mail));
        assert!(!watch(&[], &[], &["4"]).wants(&mail));
        let nobodys = message(r#"{"tenantId":null,"jobId":"a*b","status":"X"}"#);
        assert!(!watch(&[], &[], &["*"]).wants(&nobodys), "no tenant is none of all tenants");
        assert!(!watch(&["*"], &[], &[]).wants(&nobodys));
        assert!(watch(&[], &["a*b"], &[]).wants(&nobodys));
    }

    #[test]
    fn a_readable_line_is_one_line() {
        let failed = message(
            r#"{"tenantId":"t1","jobId":"j\n1","status":"FAILED","error":"no\u001b[2J","queue":"email","name":"welcome","attempt":1,"maxAttempts":3,"progress":40,"timestamp":1788253198120,"durationMs":12}"#,
        );
        let line = readable(&Out::new(false), &failed, &Status::default());
        assert!(
            line.ends_with("email welcome j\\n1 FAILED attempt 1/3 12ms progress=40 tenant=t1 error=no\\u001b[2J"),
            "{line}"
        );
    }
}
