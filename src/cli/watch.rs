//! `oxherd watch`: status messages as they are published.

use clap::Args;
use serde_json::{Map, Value};

use super::print::{Colour, Out};
use super::session::Session;
use super::time::moment;
use super::{Error, Exit, print, value};
use crate::config::Status;
use crate::daemon::{self, Command, Signals, escape};
use crate::job::{JobId, QueueName};
use crate::store::Message;

/// Follows status changes until stopped. With --json every message is printed as it was published.
#[derive(Args)]
pub struct Watch {
    /// Only this queue
    #[arg(long, value_parser = value::queue)]
    queue: Option<QueueName>,
    /// Only this job
    #[arg(long, value_name = "ID", value_parser = value::id)]
    job: Option<JobId>,
    /// Only this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

impl Watch {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (mut out, is_json) = (Out::new(session.global.json), session.global.json);
        session.with_store(|store, config| async move {
            let (templates, channels): (Vec<_>, Vec<_>) =
                config.status.channels.iter().cloned().partition(|channel| is_template(channel));
            let patterns: Vec<_> = templates.iter().map(|template| glob(template)).collect();
            let mut messages = store.subscribe(&channels, &patterns).await?;
            let mut signals = Signals::listen().map_err(daemon::Error::Signals)?;
            let mut told = false;
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    command = signals.next() => match command {
                        Command::Stop | Command::HandBack => return Ok(Exit::Done),
                        Command::Reload | Command::Quiet | Command::Report => continue,
                    },
                };
                let Some(message) = message else {
                    return Err(Error::NoAnswer("the subscription has ended".into()));
                };
                if message.missed > 0 {
                    print::note(format_args!("{} messages came faster than they could be printed", message.missed));
                }
                let members: Map<String, Value> = serde_json::from_str(&message.payload).unwrap_or_default();
                if self.queue.is_some() && !members.contains_key("queue") && !told {
                    told = true;
                    print::note("these messages do not name their queue (status.format = \"simple\"); --queue matches none of them");
                }
                if !self.wants(&members) {
                    continue;
                }
                if is_json {
                    out.line(escape::json(escape_breaks(&message)))?;
                } else {
                    out.line(readable(&out, &message, &members, &config.status))?;
                }
                out.flush()?;
            }
        })?
    }

    fn wants(&self, members: &Map<String, Value>) -> bool {
        let is = |name: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| match members.get(name) {
                Some(Value::String(text)) => text == wanted,
                Some(Value::Null) | None => false,
                Some(other) => {
                    let text = other.to_string();
                    text == wanted
                }
            })
        };
        is("queue", self.queue.as_ref().map(QueueName::as_str))
            && is("jobId", self.job.as_ref().map(JobId::as_str))
            && is("tenantId", self.tenant.as_deref())
    }
}

fn is_template(channel: &str) -> bool {
    channel.contains("{queue}") || channel.contains("{tenant}")
}

/// A channel template as a pattern: what is filled in can be anything.
fn glob(template: &str) -> String {
    let mut pattern = String::new();
    for c in template.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.replace("{queue}", "*").replace("{tenant}", "*")
}

/// Somebody else's message may be anything: one line all the same.
fn escape_breaks(message: &Message) -> String {
    message.payload.replace(['\n', '\r'], " ")
}

/// `12:00:01.250 email welcome 1042 COMPLETED attempt 1/3 12ms`
fn readable(out: &Out, message: &Message, members: &Map<String, Value>, status: &Status) -> String {
    let Some(Value::String(word)) = members.get("status") else {
        return format!("{} {}", escape::text(&message.channel), escape::text(&message.payload));
    };
    let text = |name: &str| match members.get(name) {
        Some(Value::String(text)) => escape::text(text).into_owned(),
        Some(Value::Null) | None => String::new(),
        Some(other) => escape::text(&other.to_string()).into_owned(),
    };
    let mut parts = Vec::new();
    if let Some(ms) = members.get("timestamp").and_then(Value::as_u64) {
        let at = moment(ms);
        parts.push(out.paint(Colour::Dim, at.get(11..23).unwrap_or(&at)));
    }
    parts.extend(["queue", "name", "jobId"].map(text).into_iter().filter(|part| !part.is_empty()));
    let colour = match word.as_str() {
        word if word == status.word("completed") => Colour::Green,
        word if ["failed", "stalled", "expired"].iter().any(|state| status.word(state) == word) => Colour::Red,
        word if ["retrying", "cancelled"].iter().any(|state| status.word(state) == word) => Colour::Yellow,
        _ => Colour::Bold,
    };
    parts.push(out.paint(colour, escape::text(word)));
    if members.contains_key("attempt") {
        parts.push(format!("attempt {}/{}", text("attempt"), text("maxAttempts")));
    }
    if let Some(ms) = members.get("durationMs").filter(|value| !value.is_null()) {
        parts.push(format!("{ms}ms"));
    }
    for (name, label) in [("progress", "progress"), ("tenantId", "tenant"), ("error", "error")] {
        let value = text(name);
        if !value.is_empty() {
            parts.push(format!("{label}={value}"));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn templates_become_patterns_and_plain_names_stay() {
        assert!(!is_template("plain*") && is_template("jobs:{tenant}"));
        assert_eq!(glob("jobs:{tenant}:[x]:{queue}"), "jobs:*:\\[x\\]:*");
    }

    #[test]
    fn filters_compare_numbers_and_text_alike() {
        let watch = Watch { queue: None, job: Some(JobId::stored("7")), tenant: Some("42".into()) };
        assert!(watch.wants(&members(r#"{"jobId":"7","tenantId":42}"#)));
        assert!(!watch.wants(&members(r#"{"jobId":"7","tenantId":null}"#)));
        assert!(!watch.wants(&members(r#"{"jobId":"8","tenantId":"42"}"#)));
    }

    #[test]
    fn a_readable_line_is_one_line() {
        let payload = r#"{"tenantId":"t1","jobId":"j\n1","status":"FAILED","error":"no\u001b[2J","queue":"email","name":"welcome","attempt":1,"maxAttempts":3,"progress":null,"timestamp":1788253198120,"durationMs":12}"#;
        let message = Message { channel: "job_updates".into(), payload: payload.into(), missed: 0 };
        let line = readable(&Out::new(false), &message, &members(payload), &Status::default());
        assert!(line.ends_with("email welcome j\\n1 FAILED attempt 1/3 12ms tenant=t1 error=no\\u001b[2J"), "{line}");
    }
}
