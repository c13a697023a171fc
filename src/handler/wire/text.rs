//! Foreign text made fit: as a return value, as a reason, as a line of a log.

use serde_json::value::RawValue;

/// Output as a return value: one JSON document as it is, nothing as `null`, anything else as a
/// JSON string with invalid UTF-8 replaced.
pub(crate) fn value(output: Vec<u8>) -> Box<RawValue> {
    let text = match String::from_utf8(output) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    if text.trim().is_empty() {
        return RawValue::NULL.to_owned();
    }
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(document) => document.to_owned(),
        Err(_) => serde_json::value::to_raw_value(&text).expect("text is always JSON"),
    }
}

/// Foreign bytes made fit for a reason or a log line: one line, control characters escaped, at
/// most `limit` characters.
pub(crate) fn snippet(bytes: &[u8], limit: usize) -> String {
    // no character is longer than four bytes, so the rest cannot show
    let tame = tame(&bytes[..bytes.len().min(limit * 4 + 4)]);
    match tame.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &tame[..end]),
        None => tame,
    }
}

/// As [`snippet`], but the end stays where there is more than `limit`.
#[cfg(feature = "command")]
pub(crate) fn tail(bytes: &[u8], limit: usize) -> String {
    let tame = tame(bytes);
    match tame.char_indices().rev().nth(limit) {
        Some((before, c)) => format!("…{}", &tame[before + c.len_utf8()..]),
        None => tame,
    }
}

fn tame(bytes: &[u8]) -> String {
    let mut line = String::new();
    for c in String::from_utf8_lossy(bytes).trim().chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f86_output_becomes_json_whatever_it_is() {
        for (output, want) in [
            (&b""[..], "null"),
            (b" \r\n", "null"),
            (b" {\"a\": 1.10}\n", "{\"a\": 1.10}"),
            (b"42\n", "42"),
            (b"{} {}", "\"{} {}\""),
            (b"a\x1b[31m\xff\r\n", "\"a\\u001b[31m\u{fffd}\\r\\n\""),
        ] {
            assert_eq!(value(output.to_vec()).get(), want);
        }
    }

    #[test]
    fn f86_snippets_are_short_and_tame() {
        assert_eq!(snippet(b" a\r\nb\x1b[0m\xff\0 ", 50), "a  b\\u{1b}[0m\u{fffd}\\u{0}");
        assert_eq!(snippet("äöü".as_bytes(), 2), "äö…");
        assert_eq!(snippet(&vec![b'x'; 1 << 20], 10), "xxxxxxxxxx…");
        assert_eq!(snippet(b" \n", 10), "");
    }

    #[cfg(feature = "command")]
    #[test]
    fn tails_keep_the_end() {
        assert_eq!(tail("äöü".as_bytes(), 2), "…öü");
        assert_eq!(tail(b"a\nb\n", 3), "a b");
    }
}
