//! From a job's data to a mail: who gets it, what is in it. Every field that is wrong fails the job for good, by name.

use std::collections::HashSet;

use lettre::Address;
use lettre::message::Mailbox;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::address::{self, printable};
use super::attachment::{self, Attached};
use super::ledger::{self, Ledger};
use super::template::Templates;
use crate::config::SmtpHandler;
use crate::job::glob;

/// What the configuration says of every mail, its addresses read.
pub(super) struct Defaults {
    pub(super) from: Mailbox,
    pub(super) envelope_from: Option<Address>,
    pub(super) reply_to: Vec<Mailbox>,
    pub(super) redirect_all_to: Vec<Mailbox>,
}

/// One mail, understood.
pub(super) struct Mail {
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
    pub(super) cc: Vec<Mailbox>,
    pub(super) bcc: Vec<Mailbox>,
    pub(super) reply_to: Vec<Mailbox>,
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    /// Beside ours, checked.
    pub(super) headers: Vec<(String, String)>,
    pub(super) attachments: Vec<Attached>,
    /// What earlier attempts came to.
    pub(super) ledger: Ledger,
}

impl Defaults {
    pub(super) fn read(config: &SmtpHandler) -> Result<Self, String> {
        let one = |field: &str, text: &str| match address::parse(field, text)?.as_slice() {
            [mailbox] => Ok(mailbox.clone()),
            several => Err(format!("{field} names {} addresses, expected one", several.len())),
        };
        let all =
            |field: &str, texts: &[String]| texts.iter().map(|text| one(field, text)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            from: one("from", &config.from)?,
            envelope_from: match &config.envelope_from {
                Some(text) => Some(one("envelope_from", text)?.email),
                None => None,
            },
            reply_to: all("reply_to", &config.reply_to)?,
            redirect_all_to: all("redirect_all_to", &config.redirect_all_to)?,
        })
    }
}

impl Mail {
    /// Reads the data, renders the template, decodes attachments. Takes a while for large mails, and may read files.
    pub(super) fn read(
        data: &RawValue,
        config: &SmtpHandler,
        defaults: &Defaults,
        templates: Option<&Templates>,
    ) -> Result<Self, String> {
        let data: Map<String, Value> = serde_json::from_str(data.get())
            .map_err(|_| "the job's data is no object; a mail needs at least to and text")?;
        let field = |name: &str| data.get(name).filter(|value| !value.is_null());
        let text = |name: &str| match field(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value) => Err(format!("{name} must be a text, got {value}")),
        };
        let addresses =
            |name: &str| field(name).map_or_else(|| Ok(Vec::new()), |value| address::mailboxes(name, value));

        let (to, cc, bcc) = (addresses("to")?, addresses("cc")?, addresses("bcc")?);
        let everybody: HashSet<String> = to.iter().chain(&cc).chain(&bcc).map(|mailbox| key(&mailbox.email)).collect();
        if everybody.is_empty() {
            return Err("the mail goes to nobody; fill in to, cc or bcc".into());
        }
        if everybody.len() > config.max_recipients {
            let count = everybody.len();
            return Err(format!(
                "{count} recipients, expected at most {}; split the mail or raise max_recipients",
                config.max_recipients
            ));
        }
        let rendered = match (text("template")?, templates) {
            (None, _) => super::template::Rendered::default(),
            (Some(name), None) => {
                return Err(format!(
                    "template {name:?} is asked for, and this handler has no templates; set templates"
                ));
            }
            (Some(name), Some(templates)) => {
                let none = Map::new();
                let context = match field("context") {
                    None => &none,
                    Some(Value::Object(context)) => context,
                    Some(value) => return Err(format!("context must be an object, got {value}")),
                };
                templates.render(&name, context)?
            }
        };
        let subject = text("subject")?.or(rendered.subject).unwrap_or_default();
        printable("subject", &subject)?;
        let (text, html) = (text("text")?.or(rendered.text), text("html")?.or(rendered.html));
        if text.is_none() && html.is_none() {
            return Err("the mail says nothing; fill in text, html or template".into());
        }
        for (name, part) in [("text", &text), ("html", &html)] {
            if part.as_ref().is_some_and(|part| part.contains('\0')) {
                return Err(format!("{name} holds a NUL character, which no mail may; remove it"));
            }
        }
        let reply_to = addresses("replyTo")?;
        Ok(Self {
            from: sender(field("from"), config, defaults)?,
            reply_to: if reply_to.is_empty() { defaults.reply_to.clone() } else { reply_to },
            headers: field("headers").map_or_else(|| Ok(Vec::new()), headers)?,
            attachments: field("attachments")
                .map_or_else(|| Ok(Vec::new()), |value| attachment::read(value, config))?,
            ledger: match data.get(ledger::MEMBER) {
                None => Ledger::default(),
                Some(value) => serde_json::from_value(value.clone())
                    .map_err(|error| format!("{} is not as it was left ({error}); remove it", ledger::MEMBER))?,
            },
            to,
            cc,
            bcc,
            subject,
            text,
            html,
        })
    }

    /// Everybody the mail goes to, each address once.
    pub(super) fn recipients(&self) -> Vec<Address> {
        let mut seen = HashSet::new();
        let all = self.to.iter().chain(&self.cc).chain(&self.bcc).map(|mailbox| mailbox.email.clone());
        all.filter(|address| seen.insert(key(address))).collect()
    }
}

/// Domains have no case; what stands before them may have.
fn key(address: &Address) -> String {
    format!("{}@{}", address.user(), address.domain().to_ascii_lowercase())
}

fn sender(value: Option<&Value>, config: &SmtpHandler, defaults: &Defaults) -> Result<Mailbox, String> {
    let Some(value) = value else { return Ok(defaults.from.clone()) };
    let mut found = address::mailboxes("from", value)?;
    let (Some(asked), true) = (found.pop(), found.is_empty()) else {
        return Err("from must be one address".into());
    };
    let address = key(&asked.email);
    let is_allowed =
        config.allow_from.iter().any(|pattern| glob::covers(&pattern.to_lowercase(), &address.to_lowercase()));
    if asked == defaults.from || is_allowed {
        return Ok(asked);
    }
    Err(format!("from {address:?} is not allowed here; leave it out, or list it in allow_from"))
}

/// Headers that are ours, or that would say something else than the mail's fields do.
const OWN: [&str; 17] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "return-path",
    "received",
    "auto-submitted",
    "authentication-results",
    "dkim-signature",
    "delivered-to",
    "errors-to",
];
const OWN_PREFIXES: [&str; 5] = ["content-", "resent-", "arc-", "x-original-", "received-"];
/// As long as a line may be, less the line's end.
pub(super) const LONGEST_LINE: usize = 998;

fn headers(value: &Value) -> Result<Vec<(String, String)>, String> {
    let Value::Object(entries) = value else { return Err(format!("headers must be an object, got {value}")) };
    let mut headers = Vec::new();
    for (name, value) in entries {
        let field = format!("headers.{name}");
        let own = name.to_ascii_lowercase();
        if name.is_empty() || name.len() > 76 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            return Err(format!("headers: {name:?} is not the name of a header; use letters, digits and '-'"));
        }
        if OWN.contains(&own.as_str()) || OWN_PREFIXES.iter().any(|prefix| own.starts_with(prefix)) {
            return Err(format!("{field} may not be set by a job; use the mail's own fields"));
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            value => return Err(format!("{field} must be a text, got {value}")),
        };
        printable(&field, &text)?;
        if text.len() > LONGEST_LINE * 8 || text.split(' ').any(|word| word.len() > LONGEST_LINE - name.len() - 2) {
            return Err(format!("{field} is longer than a line of a mail may be; shorten it"));
        }
        if headers.iter().any(|(known, _): &(String, String)| known.eq_ignore_ascii_case(name)) {
            return Err(format!("{field} is there twice; keep one"));
        }
        headers.push((name.clone(), text));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_with(data: &Value, change: impl FnOnce(&mut SmtpHandler)) -> Result<Mail, String> {
        let mut config = SmtpHandler::new("smtps://h", "App <app@example.org>").unwrap();
        change(&mut config);
        let defaults = Defaults::read(&config).unwrap();
        let data = RawValue::from_string(data.to_string()).unwrap();
        Mail::read(&data, &config, &defaults, None)
    }

    fn refused(data: &Value) -> String {
        read_with(data, |_| {}).err().unwrap_or_else(|| panic!("{data} was taken"))
    }

    #[test]
    fn a_mail_is_read() {
        let data = json!({"to": "a@example.org", "cc": ["A@EXAMPLE.org", "a@EXAMPLE.org"], "bcc": {"address": "b@example.org"},
                          "subject": "grüße", "text": "t", "replyTo": "r@example.org", "tenantId": 7,
                          "headers": {"List-Unsubscribe": "<https://example.org/u>", "X-Priority": 1}});
        let mail = read_with(&data, |_| {}).unwrap();
        let recipients: Vec<String> = mail.recipients().iter().map(ToString::to_string).collect();
        assert_eq!(recipients, ["a@example.org", "A@EXAMPLE.org", "b@example.org"]);
        assert_eq!((mail.subject.as_str(), mail.from.to_string().as_str()), ("grüße", "App <app@example.org>"));
        assert_eq!(mail.headers[1], ("X-Priority".to_owned(), "1".to_owned()));
    }

    #[test]
    fn f110_every_wrong_field_is_named() {
        for (data, why) in [
            (json!(3), "the job's data is no object"),
            (json!({"text": "t"}), "the mail goes to nobody"),
            (json!({"to": [], "text": "t"}), "the mail goes to nobody"),
            (json!({"to": "a@b.example"}), "the mail says nothing"),
            (json!({"to": "a@b.example", "text": 7}), "text must be a text, got 7"),
            (json!({"to": "a@b.example", "html": "a\u{0}b"}), "html holds a NUL"),
            (
                json!({"to": "a@b.example", "text": "t", "subject": "a\r\nBcc: x@y.example"}),
                "subject holds the control character '\\r'",
            ),
            (
                json!({"to": "a@b.example", "text": "t", "subject": "a\u{0}"}),
                "subject holds the control character '\\0'",
            ),
            (json!({"to": "a@b.example", "text": "t", "replyTo": "x"}), "replyTo: \"x\" is not a mail address"),
            (
                json!({"to": "a@b.example", "text": "t", "from": "evil@example.org"}),
                "from \"evil@example.org\" is not allowed here",
            ),
            (
                json!({"to": "a@b.example", "text": "t", "from": "Boss <app@example.org>"}),
                "from \"app@example.org\" is not allowed here",
            ),
            (
                json!({"to": "a@b.example", "text": "t", "from": ["a@b.example", "c@d.example"]}),
                "from must be one address",
            ),
            (json!({"to": "a@b.example", "text": "t", "headers": []}), "headers must be an object"),
            (
                json!({"to": "a@b.example", "text": "t", "headers": {"Bcc": "x@y.example"}}),
                "headers.Bcc may not be set",
            ),
            (
                json!({"to": "a@b.example", "text": "t", "headers": {"content-type": "x"}}),
                "headers.content-type may not be set",
            ),
            (
                json!({"to": "a@b.example", "text": "t", "headers": {"X-A: b\r\nBcc": "x"}}),
                "headers: \"X-A: b\\r\\nBcc\" is not the name",
            ),
            (
                json!({"to": "a@b.example", "text": "t", "headers": {"X-A": "b\nBcc: x"}}),
                "headers.X-A holds the control character",
            ),
            (json!({"to": "a@b.example", "text": "t", "headers": {"X-A": ["b"]}}), "headers.X-A must be a text"),
            (
                json!({"to": "a@b.example", "text": "t", "headers": {"X-A": "1", "x-a": "2"}}),
                "headers.x-a is there twice",
            ),
            (json!({"to": "a@b.example", "text": "t", "headers": {"X-A": "b".repeat(1000)}}), "headers.X-A is longer"),
            (
                json!({"to": "a@b.example", "template": "welcome"}),
                "template \"welcome\" is asked for, and this handler has no templates",
            ),
            (json!({"to": "a@b.example", "text": "t", "attachments": {}}), "attachments must be a list"),
            (json!({"to": "a@b.example", "text": "t", "oxherd.mail": 7}), "oxherd.mail is not as it was left"),
        ] {
            let error = refused(&data);
            assert!(error.starts_with(why), "{data}: {error}");
        }
    }

    #[test]
    fn f110_recipients_are_limited_in_count() {
        let many: Vec<String> = (0..51).map(|n| format!("a{n}@example.org")).collect();
        let error = refused(&json!({"to": many[..30], "bcc": many[30..], "text": "t"}));
        assert!(error.starts_with("51 recipients, expected at most 50"), "{error}");
        read_with(&json!({"to": many[..30], "bcc": many[..50], "text": "t"}), |_| {}).unwrap();
    }

    #[test]
    fn f110_the_sender_is_the_configurations_unless_it_allows_others() {
        let data = json!({"to": "a@b.example", "text": "t", "from": "Ann <Ann@team.example.org>"});
        let allow = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            read_with(&data, |config| config.allow_from = patterns)
        };
        assert_eq!(allow(&["*@TEAM.example.org"]).unwrap().from.to_string(), "Ann <Ann@team.example.org>");
        assert!(allow(&["*@example.org", "bo@team.example.org"]).is_err());
        let own = json!({"to": "a@b.example", "text": "t", "from": "App <app@example.org>"});
        read_with(&own, |_| {}).unwrap();
    }
}
