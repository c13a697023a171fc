//! A mail as the bytes that go over the wire, and as the envelope they go in.

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, Mailboxes, Message, MultiPart, SinglePart, header};

use super::attachment::Attached;
use super::mail::{Defaults, LONGEST_LINE, Mail};
use crate::config::SmtpHandler;

/// Ready to be sent.
pub(super) struct Letter {
    pub(super) sender: Address,
    pub(super) recipients: Vec<Address>,
    pub(super) message_id: String,
    /// Without the last line's end, which the transfer adds.
    pub(super) content: Vec<u8>,
    /// Needs a server that takes UTF-8 in addresses.
    pub(super) is_utf8: bool,
}

/// Puts the mail together. `key` is the job's idempotency key: every attempt makes the same Message-ID of it, so that
/// whoever gets the mail twice can tell.
pub(super) fn compose(mail: &Mail, key: &str, config: &SmtpHandler, defaults: &Defaults) -> Result<Letter, String> {
    let message_id = format!("<{key}@{}>", mail.from.email.domain());
    let sender = defaults.envelope_from.clone().unwrap_or_else(|| mail.from.email.clone());
    let is_redirected = !defaults.redirect_all_to.is_empty();
    let recipients: Vec<Address> = if is_redirected {
        defaults.redirect_all_to.iter().map(|mailbox| mailbox.email.clone()).collect()
    } else {
        mail.recipients()
    };
    let mut builder = Message::builder().from(mail.from.clone());
    let mut subject = mail.subject.clone();
    if is_redirected {
        builder = builder.header(header::To::from(all(&defaults.redirect_all_to)));
        for (name, mailboxes) in [("To", &mail.to), ("Cc", &mail.cc), ("Bcc", &mail.bcc)] {
            if !mailboxes.is_empty() {
                let addresses: Vec<&str> = mailboxes.iter().map(|mailbox| mailbox.email.as_ref()).collect();
                builder = builder.raw_header(raw(&format!("X-Original-{name}"), addresses.join(", ")));
            }
        }
        let first = mail.recipients().first().map_or_else(String::new, ToString::to_string);
        let more = if mail.recipients().len() > 1 { ", …" } else { "" };
        subject = format!("[to {first}{more}] {subject}");
    } else {
        if !mail.to.is_empty() {
            builder = builder.header(header::To::from(all(&mail.to)));
        }
        if !mail.cc.is_empty() {
            builder = builder.header(header::Cc::from(all(&mail.cc)));
        }
    }
    if !mail.reply_to.is_empty() {
        builder = builder.header(header::ReplyTo::from(all(&mail.reply_to)));
    }
    builder = builder
        .subject(subject)
        .date_now()
        .message_id(Some(message_id.clone()))
        .raw_header(raw("Auto-Submitted", "auto-generated".into()));
    for (name, value) in &mail.headers {
        builder = builder.raw_header(raw(name, value.clone()));
    }
    // who gets it is said to the server, recipient by recipient
    let envelope = Envelope::new(Some(sender.clone()), recipients.clone()).map_err(|error| error.to_string())?;
    let builder = builder.envelope(envelope);
    let message = match body(mail) {
        Parts::One(part) => builder.singlepart(part),
        Parts::Many(parts) => builder.multipart(parts),
    };
    let mut content = message.map_err(|error| format!("the mail cannot be put together: {error}"))?.formatted();
    if content.ends_with(b"\r\n") {
        content.truncate(content.len() - 2);
    }
    if content.len() > config.max_message {
        return Err(format!(
            "the mail has {} bytes, expected at most {} (max_message)",
            content.len(),
            config.max_message
        ));
    }
    lines_are_whole(&content)?;
    let is_ascii = |address: &Address| address.to_string().is_ascii();
    let is_utf8 = !content.is_ascii() || !recipients.iter().chain([&sender]).all(is_ascii);
    Ok(Letter { sender, recipients, message_id, content, is_utf8 })
}

enum Parts {
    One(SinglePart),
    Many(MultiPart),
}

/// `mixed( alternative( text, related( html, inline… ) ), attachment… )`, each layer only where it is needed.
fn body(mail: &Mail) -> Parts {
    let (inline, attached): (Vec<&Attached>, Vec<&Attached>) =
        mail.attachments.iter().partition(|file| file.content_id.is_some() && mail.html.is_some());
    let text = mail.text.as_ref().map(|text| SinglePart::plain(unix_lines(text)));
    let html = mail.html.as_ref().map(|html| SinglePart::html(unix_lines(html)));
    let html = html.map(|html| {
        if inline.is_empty() {
            return Parts::One(html);
        }
        Parts::Many(
            inline.iter().fold(MultiPart::related().singlepart(html), |parts, file| parts.singlepart(part(file))),
        )
    });
    let said = match (text, html) {
        (Some(text), None) => Parts::One(text),
        (None, Some(html)) => html,
        (Some(text), Some(html)) => Parts::Many(within(MultiPart::alternative().singlepart(text), html)),
        (None, None) => Parts::One(SinglePart::plain(String::new())),
    };
    if attached.is_empty() {
        return said;
    }
    let mixed = match said {
        Parts::One(part) => MultiPart::mixed().singlepart(part),
        Parts::Many(parts) => MultiPart::mixed().multipart(parts),
    };
    Parts::Many(attached.into_iter().fold(mixed, |parts, file| parts.singlepart(part(file))))
}

fn within(outer: MultiPart, inner: Parts) -> MultiPart {
    match inner {
        Parts::One(part) => outer.singlepart(part),
        Parts::Many(parts) => outer.multipart(parts),
    }
}

fn part(file: &Attached) -> SinglePart {
    let attachment = match &file.content_id {
        Some(id) => Attachment::new_inline_with_name(id.clone(), file.filename.clone()),
        None => Attachment::new(file.filename.clone()),
    };
    // bytes are base64 whatever is in them, so that no server on the way rewrites a line
    let body = Body::new_with_encoding(file.content.clone(), header::ContentTransferEncoding::Base64)
        .expect("base64 carries all bytes");
    attachment.body(body, ContentType::clone(&file.content_type))
}

/// Lines end alike, whatever the producer's system.
fn unix_lines(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

fn all(mailboxes: &[Mailbox]) -> Mailboxes {
    mailboxes.iter().cloned().collect()
}

fn raw(name: &str, value: String) -> HeaderValue {
    let name = HeaderName::new_from_ascii(name.to_owned()).expect("checked when it was read");
    HeaderValue::new(name, value)
}

/// A line ends with CR LF and no other way, and is no longer than servers take: a lone one of both is what some servers
/// end a line at and others do not, and so a way to end the mail early.
fn lines_are_whole(content: &[u8]) -> Result<(), String> {
    let mut lines = content.split(|b| *b == b'\n').peekable();
    while let Some(line) = lines.next() {
        let (line, is_ended) = line.strip_suffix(b"\r").map_or((line, false), |line| (line, true));
        if line.contains(&b'\r') || is_ended != lines.peek().is_some() {
            return Err("the mail holds a line that ends with a carriage return or a line feed alone; remove it".into());
        }
        if line.len() > LONGEST_LINE {
            return Err(format!(
                "a line of the mail is longer than {LONGEST_LINE} bytes; shorten names, addresses or headers"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    fn compose_with(data: &serde_json::Value, change: impl FnOnce(&mut SmtpHandler)) -> Result<Letter, String> {
        let mut config = SmtpHandler::new("smtps://h", "App <app@example.org>").unwrap();
        change(&mut config);
        let defaults = Defaults::read(&config).unwrap();
        let data = RawValue::from_string(data.to_string()).unwrap();
        let mail = Mail::read(&data, &config, &defaults, None)?;
        compose(&mail, "msg_1", &config, &defaults)
    }

    fn text(letter: &Letter) -> String {
        String::from_utf8(letter.content.clone()).unwrap()
    }

    #[test]
    fn the_head_says_what_the_mail_is() {
        let data = json!({"to": "Jörg <a@example.org>", "cc": "c@example.org", "bcc": "hidden@example.org", "subject": "grüße",
                          "text": "hi", "headers": {"List-Unsubscribe": format!("<https://example.org/{}>", "u".repeat(200))}});
        let letter = compose_with(&data, |_| {}).unwrap();
        let text = text(&letter);
        for line in [
            "From: App <app@example.org>",
            "To: =?utf-8?b?SsO2cmc=?= <a@example.org>",
            "Cc: c@example.org",
            "Subject: =?utf-8?b?Z3LDvMOfZQ==?=",
            "Message-ID: <msg_1@example.org>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} not in\n{text}");
        }
        assert!(text.contains(&format!("<https://example.org/{}>", "u".repeat(200))), "{text}");
        assert!(!text.to_lowercase().contains("bcc") && !text.contains("hidden@"), "{text}");
        assert!(text.ends_with("\r\n\r\nhi") && text.contains("\r\nDate: "), "{text}");
        assert_eq!(letter.recipients.len(), 3);
        assert!(!letter.is_utf8);
    }

    #[test]
    fn each_layer_is_there_where_it_is_needed() {
        let logo = json!({"filename": "logo.png", "contentType": "image/png", "content": "AP8Q", "contentId": "logo"});
        let file = json!({"filename": "ü \"1\".txt", "text": "größe"});
        for (data, want) in [
            (json!({"html": "h"}), "text/html"),
            (json!({"text": "t", "html": "h"}), "multipart/alternative text/plain text/html"),
            (json!({"html": "h", "attachments": [logo]}), "multipart/related text/html image/png"),
            (json!({"text": "t", "attachments": [logo]}), "multipart/mixed text/plain image/png"),
            (
                json!({"text": "t", "html": "h", "attachments": [logo, file]}),
                "multipart/mixed multipart/alternative text/plain multipart/related text/html image/png text/plain",
            ),
        ] {
            let mut data = data;
            data["to"] = "a@example.org".into();
            let text = text(&compose_with(&data, |_| {}).unwrap());
            let types: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix("Content-Type: ")?.split(';').next()).collect();
            assert_eq!(types.join(" "), want, "{text}");
            assert_eq!(text.matches("Content-ID: <logo>\r\n").count(), data.to_string().matches("logo.png").count());
        }
    }

    #[test]
    fn redirected_mail_goes_nowhere_else() {
        let data =
            json!({"to": "a@example.org", "cc": "c@example.org", "bcc": "b@example.org", "subject": "s", "text": "t"});
        let letter =
            compose_with(&data, |config| config.redirect_all_to = vec!["Dev <dev@example.net>".into()]).unwrap();
        let recipients: Vec<String> = letter.recipients.iter().map(ToString::to_string).collect();
        assert_eq!(recipients, ["dev@example.net"]);
        let text = text(&letter);
        for line in [
            "To: Dev <dev@example.net>",
            "X-Original-To: a@example.org",
            "X-Original-Cc: c@example.org",
            "X-Original-Bcc: b@example.org",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} not in\n{text}");
        }
        assert!(!text.contains("\r\nCc:"), "{text}");
    }

    #[test]
    fn local_parts_beyond_ascii_need_utf8() {
        assert!(compose_with(&json!({"to": "jürgen@example.org", "text": "t"}), |_| {}).unwrap().is_utf8);
        assert!(!compose_with(&json!({"to": "a@bücher.example", "text": "größe"}), |_| {}).unwrap().is_utf8);
    }

    #[test]
    fn f110_no_text_can_end_a_line_its_own_way() {
        for body in
            ["a\r.\rb", "a\n.\nb", "a\r\n.\r\nb", "\r\n\r\n.", ".", "a\r\r\n.\r\n", "ü\n.\rü", "\u{2028}.\u{85}"]
        {
            let letter = compose_with(&json!({"to": "a@example.org", "text": body, "html": body}), |_| {}).unwrap();
            lines_are_whole(&letter.content).unwrap();
        }
        for content in [&b"a\nb"[..], b"a\rb", b"a\r\n\nb", b"a\r\r\nb"] {
            assert!(lines_are_whole(content).is_err(), "{content:?}");
        }
        let error =
            compose_with(&json!({"to": "a@example.org", "text": "t".repeat(3000)}), |config| config.max_message = 1024);
        assert!(error.err().unwrap().ends_with("expected at most 1024 (max_message)"));
    }
}
