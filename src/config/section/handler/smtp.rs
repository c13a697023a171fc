//! Reads `[handlers.NAME.smtp]`.

use std::collections::BTreeMap;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::client::Certificate;

use super::http::breaker;
use super::{DAY, LARGEST, MS};
use crate::config::read::Item;
use crate::config::section::queue::rate_limit;
use crate::config::section::secret::secret;
use crate::config::{MailTls, OnAmbiguous, OnPartial, PemFile, RateLimit, SmtpHandler};

mod templates;

/// Most recipients, connections and failures that can be asked for.
const MOST: i128 = 100_000;

pub(super) fn smtp(item: &Item) -> Option<SmtpHandler> {
    let (url, from) = (item.child("url"), item.child("from"));
    if !url.is_given() {
        item.missing("an smtp handler needs url", "write url = \"smtps://mail.example.org\"");
    }
    if !from.is_given() {
        item.missing("an smtp handler needs from", "write from = \"Example <app@example.org>\"");
    }
    let sender = mailbox(&from);
    let text = secret(&url);
    let base = match SmtpHandler::new(
        text.as_ref().map_or("smtps://h", |url| url.reveal()),
        sender.clone().unwrap_or_default(),
    ) {
        Ok(base) => base,
        Err(invalid) => {
            url.error(invalid.message, invalid.help);
            SmtpHandler::new("smtps://h", "").expect("a host is enough")
        }
    };
    let tls = tls(&item.child("tls"), base.tls);
    let handler = SmtpHandler {
        username: beside_url(item, "username", base.username.is_some()).text().or(base.username),
        password: secret(&beside_url(item, "password", base.password.is_some())).or(base.password),
        ca: certificates(&item.child("ca")),
        hello: hello(&item.child("hello")),
        envelope_from: mailbox(&item.child("envelope_from")),
        reply_to: mailboxes(&item.child("reply_to")),
        allow_from: patterns(&item.child("allow_from")),
        redirect_all_to: mailboxes(&item.child("redirect_all_to")),
        templates: templates::templates(&item.child("templates")),
        attachments_dir: directory(&item.child("attachments_dir")),
        rate: rate_limit(&item.child("rate"), None),
        domain_rates: domain_rates(&item.child("domain_rates")),
        max_recipients: item.child("max_recipients").whole(1..=MOST, base.max_recipients),
        max_attachment: item.child("max_attachment").size(0..=LARGEST, base.max_attachment),
        max_message: item.child("max_message").size(1024..=LARGEST, base.max_message),
        on_partial: item
            .child("on_partial")
            .word(&[("complete", OnPartial::Complete), ("fail", OnPartial::Fail)], base.on_partial),
        on_ambiguous: item
            .child("on_ambiguous")
            .word(&[("retry", OnAmbiguous::Retry), ("fail", OnAmbiguous::Fail)], base.on_ambiguous),
        greylist: item.child("greylist").duration(Duration::ZERO..=7 * DAY, base.greylist),
        connect_timeout: item.child("connect_timeout").duration(MS..=DAY, base.connect_timeout),
        timeout: item.child("timeout").duration(MS..=DAY, base.timeout),
        data_timeout: item.child("data_timeout").duration(MS..=DAY, base.data_timeout),
        connections: item.child("connections").whole(1..=MOST, base.connections),
        idle: item.child("idle").duration(Duration::ZERO..=DAY, base.idle),
        breaker: breaker(&item.child("breaker"), base.breaker),
        tls,
        host: base.host,
        port: base.port,
        from: base.from,
    };
    if handler.tls == MailTls::Off && (handler.username.is_some() || handler.password.is_some()) {
        item.child("tls").error("tls = \"off\" would send the password in clear", "remove tls, or user and password");
    }
    match (&handler.username, &handler.password) {
        (Some(_), None) => item.missing("a user without a password cannot log in", "write password = { file = \"…\" }"),
        (None, Some(_)) => item.missing("a password without a user cannot log in", "write username = \"…\""),
        _ => {}
    }
    (text.is_some() && sender.is_some()).then_some(handler)
}

/// What may stand in the url or beside it, but not in both places.
fn beside_url<'a>(item: &Item<'a>, name: &str, in_url: bool) -> Item<'a> {
    let child = item.child(name);
    if child.is_given() && in_url {
        child.error(format!("{name} is in the url too"), "keep it in one place");
    }
    child
}

fn tls(item: &Item, of_url: MailTls) -> MailTls {
    let off = item.word(&[("required", false), ("off", true)], false);
    if off && of_url == MailTls::Implicit {
        item.error("smtps:// is TLS from the first byte on, and tls says off", "write smtp://, or remove tls");
    }
    if off { MailTls::Off } else { of_url }
}

/// One address, with or without a name.
fn mailbox(item: &Item) -> Option<String> {
    let text = item.text()?;
    match text.parse::<Mailbox>() {
        Ok(_) if !text.contains(char::is_control) => Some(text),
        _ => item.wrong("a mail address", "write \"Name <user@example.org>\" or \"user@example.org\""),
    }
}

fn mailboxes(item: &Item) -> Vec<String> {
    item.texts().unwrap_or_default().iter().filter_map(mailbox).collect()
}

fn patterns(item: &Item) -> Vec<String> {
    let pattern = |item: &Item| {
        let text = item.text()?;
        if !text.contains('@') {
            return item.wrong("an address or a pattern of some", "write \"*@example.org\"");
        }
        Some(text)
    };
    item.texts().unwrap_or_default().iter().filter_map(pattern).collect()
}

fn hello(item: &Item) -> Option<String> {
    let text = item.text()?;
    if text.contains(|c: char| !c.is_ascii_graphic()) {
        return item.wrong("the name of a host", "write \"worker.example.org\"");
    }
    Some(text)
}

pub(super) fn certificates(item: &Item) -> Option<PemFile> {
    let path = item.file_path()?;
    let refuse = |why: String| {
        item.error(format!("cannot use {} as ca: {why}", path.display()), "name a file of certificates in PEM form");
        None
    };
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(error) => return refuse(error.to_string()),
    };
    if Certificate::from_pem(&pem).is_err() || !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return refuse("no certificate in it".into());
    }
    Some(PemFile { path, pem })
}

fn directory(item: &Item) -> Option<std::path::PathBuf> {
    let path = item.file_path()?;
    if !path.is_dir() {
        let name = item.path().name();
        item.error(format!("{name} {} is not a directory", path.display()), "make it, or correct the path");
    }
    Some(path)
}

fn domain_rates(item: &Item) -> BTreeMap<String, RateLimit> {
    let mut rates = BTreeMap::new();
    for (domain, value) in item.entries() {
        if domain.contains(['@', '*']) || domain.is_empty() {
            value.wrong_name(
                format!("{domain:?} is not the name of a domain"),
                "write \"example.org\" = { max = 5, per = \"1s\" }",
            );
        }
        if let Some(rate) = rate_limit(&value, None) {
            rates.insert(domain.to_ascii_lowercase(), rate);
        }
    }
    rates
}
