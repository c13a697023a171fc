//! Text from outside (job data, answers, names) made safe to show: one line stays one line and
//! a terminal takes no orders from it. Used by the log and by everything the command line prints.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Control characters, C1 included, and the characters that change the direction of text or
/// break a line in some viewers.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// For plain text: `\n`, `\r`, `\t`, else `\u001b` as JSON would write it.
#[must_use]
pub fn text(raw: &str) -> Cow<'_, str> {
    if !raw.chars().any(is_unsafe) {
        return Cow::Borrowed(raw);
    }
    let mut safe = String::with_capacity(raw.len() + 8);
    for c in raw.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if is_unsafe(c) => push_escape(&mut safe, c),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// As [`text`], but line breaks and tabs stay: for text printed as a block of its own.
#[must_use]
pub fn block(raw: &str) -> String {
    raw.split('\n').map(|line| line.split('\t').map(text).collect::<Vec<_>>().join("\t")).collect::<Vec<_>>().join("\n")
}

/// For a JSON document: what the JSON encoder lets through inside its strings, as `\u202e`.
/// The document means the same before and after.
#[must_use]
pub fn json(document: String) -> String {
    // outside of strings JSON knows only ASCII, and there line breaks and tabs are harmless
    let is_hidden = |c: char| is_unsafe(c) && c >= '\u{7f}';
    if !document.chars().any(is_hidden) {
        return document;
    }
    let mut safe = String::with_capacity(document.len() + 8);
    for c in document.chars() {
        if is_hidden(c) { push_escape(&mut safe, c) } else { safe.push(c) }
    }
    safe
}

fn push_escape(safe: &mut String, c: char) {
    // every unsafe character is in the basic plane, so four digits always do
    write!(safe, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_breaks_a_line_or_orders_the_terminal_about() {
        assert_eq!(text("plain ünïcode → ok"), "plain ünïcode → ok");
        assert_eq!(text("a\nb\r\t\u{1b}[2J\u{9b}1m\u{202e}x\0"), "a\\nb\\r\\t\\u001b[2J\\u009b1m\\u202ex\\u0000");
        assert_eq!(block("a\n\tb\u{1b}"), "a\n\tb\\u001b");
    }

    #[test]
    fn an_escaped_json_document_means_the_same() {
        let value = serde_json::json!({"k\u{202e}": "v\u{9b}\u{7f}\n\u{1b}é"});
        let safe = json(value.to_string());
        assert!(safe.chars().all(|c| !is_unsafe(c)), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }
}
