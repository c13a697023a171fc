//! Mail addresses out of a job's data: one text, or a list, or `{name, address}`. Domains become ASCII here, so that no
//! later step has to think of them.

use lettre::Address;
use lettre::message::{Mailbox, Mailboxes};
use serde_json::Value;

/// The addresses in a field that is there; `field` names it in the reason.
pub(super) fn mailboxes(field: &str, value: &Value) -> Result<Vec<Mailbox>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => {
            let each = values.iter().enumerate().map(|(n, value)| match value {
                Value::Array(_) | Value::Null => Err(wrong(&format!("{field}[{n}]"), value)),
                value => mailboxes(&format!("{field}[{n}]"), value),
            });
            Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
        }
        Value::String(text) => parse(field, text),
        Value::Object(parts) => {
            let part = |name: &str| match parts.get(name) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) => {
                    printable(&format!("{field}.{name}"), text)?;
                    Ok(Some(text))
                }
                Some(value) => Err(wrong(&format!("{field}.{name}"), value)),
            };
            let (name, address) = (part("name")?, part("address")?);
            let address = address.ok_or_else(|| wrong(field, value))?;
            let parsed =
                ascii(address).ok_or_else(|| wrong(&format!("{field}.address"), &Value::String(address.clone())))?;
            Ok(vec![Mailbox::new(name.filter(|name| !name.is_empty()).cloned(), parsed)])
        }
        value => Err(wrong(field, value)),
    }
}

/// Addresses as the configuration and job data write them in a text: one, or several with commas between them.
pub(super) fn parse(field: &str, text: &str) -> Result<Vec<Mailbox>, String> {
    printable(field, text)?;
    let refuse = || wrong(field, &Value::String(text.to_owned()));
    let found: Vec<Mailbox> = if let Ok(found) = text.parse::<Mailboxes>() {
        found.into_iter().collect()
    } else {
        // a name that needs quotes and has none, such as Doe, Jane <jane@example.org>
        let (name, address) = text.rsplit_once('<').ok_or_else(refuse)?;
        let address = address.trim_end().strip_suffix('>').ok_or_else(refuse)?;
        if name.contains(['@', '<', '>', '"']) {
            return Err(refuse());
        }
        vec![Mailbox::new(Some(name.trim().to_owned()), address.trim().parse().map_err(|_| refuse())?)]
    };
    if found.is_empty() {
        return Err(refuse());
    }
    found
        .into_iter()
        .map(|mailbox| Ok(Mailbox::new(mailbox.name, ascii(mailbox.email.as_ref()).ok_or_else(refuse)?)))
        .collect()
}

/// Nothing that could end a line or a command.
pub(super) fn printable(field: &str, text: &str) -> Result<(), String> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("{field} holds the control character {c:?}, which no header or address may; remove it")),
        None => Ok(()),
    }
}

/// An address whose domain is spelled in ASCII.
fn ascii(text: &str) -> Option<Address> {
    let address: Address = text.parse().ok()?;
    if address.domain().is_ascii() {
        return Some(address);
    }
    let domain = idna::domain_to_ascii(address.domain()).ok()?;
    Address::new(address.user(), domain).ok()
}

fn wrong(field: &str, value: &Value) -> String {
    let shown = match value {
        Value::String(text) => format!("{text:?} is"),
        Value::Object(_) => "an object without the member address is".into(),
        Value::Array(_) => "a list within the list is".into(),
        value => format!("{value} is"),
    };
    format!("{field}: {shown} not a mail address; write user@example.org or Name <user@example.org>")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<Vec<String>, String> {
        Ok(mailboxes("to", value)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn addresses_are_written_in_many_ways() {
        for (value, want) in [
            (json!("a@example.org"), vec!["a@example.org"]),
            (json!("Ann <a@example.org>, b@example.org"), vec!["Ann <a@example.org>", "b@example.org"]),
            (
                json!(["a@example.org", {"name": "Bo", "address": "b@example.org"}]),
                vec!["a@example.org", "Bo <b@example.org>"],
            ),
            (json!({"address": "a@example.org"}), vec!["a@example.org"]),
            (json!("Doe, Jane <j@example.org>"), vec!["\"Doe, Jane\" <j@example.org>"]),
            (json!("a@bücher.example"), vec!["a@xn--bcher-kva.example"]),
            (json!("jürgen@example.org"), vec!["jürgen@example.org"]),
            (json!(null), vec![]),
            (json!([]), vec![]),
        ] {
            assert_eq!(read(&value).unwrap(), want, "{value}");
        }
    }

    #[test]
    fn f110_what_is_no_address_is_refused_by_name() {
        for (value, field) in [
            (json!("nobody"), "to"),
            (json!(""), "to"),
            (json!(7), "to"),
            (json!({}), "to"),
            (json!(["a@example.org", "x"]), "to[1]"),
            (json!([["a@example.org"]]), "to[0]"),
            (json!([{"name": 7, "address": "a@example.org"}]), "to[0].name"),
            (json!("a@example.org\r\nBcc: b@example.org"), "to"),
            (json!("a@example.org\r\nRCPT TO:<b@example.org>"), "to"),
            (json!({"name": "A\nB", "address": "a@example.org"}), "to.name"),
            (json!({"address": "a@example.org>\r\nDATA"}), "to.address"),
            (json!({"address": "a@example.org> NOTIFY=NEVER"}), "to.address"),
            (json!("a\0@example.org"), "to"),
            (json!("<a@example.org> <b@example.org>"), "to"),
            (json!("x <a@example.org, b@example.org>"), "to"),
        ] {
            let why = read(&value).unwrap_err();
            assert!(
                why.starts_with(&format!("{field}:")) || why.starts_with(&format!("{field} holds")),
                "{value}: {why}"
            );
        }
    }
}
