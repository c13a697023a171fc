//! What must never be shown, gathered while a configuration is read: whoever writes logs covers it wherever it turns up.

use ::config::{Value, ValueKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// The passwords of the URLs in a tree of values.
pub fn in_tree(value: &Value, found: &mut Vec<String>) {
    match &value.kind {
        ValueKind::String(text) => found.extend(in_text(text)),
        ValueKind::Table(table) => table.values().for_each(|value| in_tree(value, found)),
        ValueKind::Array(values) => values.iter().for_each(|value| in_tree(value, found)),
        _ => {}
    }
}

/// What is secret of a text that holds a secret: the passwords if it is a URL, else all of it.
pub fn of(text: &str) -> Vec<String> {
    if text.contains("://") {
        return in_text(text);
    }
    // of an authorization the scheme is none
    let bare = text.split_once(' ').map(|(_, bare)| bare.to_owned());
    std::iter::once(text.to_owned()).chain(bare).collect()
}

/// The passwords of the URLs in a text: as they are written, as they are meant, and as Basic authentication sends them.
fn in_text(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("://") {
        let rest = &text[at + 3..];
        let end = rest.find(['"', '\'', ' ']).unwrap_or(rest.len());
        // a careless password may hold a '/', so the path is not the end of the search
        let Some((user, password)) = rest[..end].rfind('@').and_then(|sign| rest[..sign].split_once(':')) else {
            continue;
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, meant) = (decoded(user), decoded(password));
        found.extend([password.to_owned(), STANDARD.encode(format!("{user}:{meant}")), meant]);
    }
    found.retain(|text| !text.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_found_in_every_spelling() {
        assert_eq!(in_text("redis://u:p%40ss@h:1/0"), ["p%40ss", "dTpwQHNz", "p@ss"]);
        assert_eq!(of("redis://:careless/pass@h"), ["careless/pass", "OmNhcmVsZXNzL3Bhc3M=", "careless/pass"]);
        assert_eq!(of("just-a-secret"), ["just-a-secret"]);
        assert_eq!(of("Bearer t0ken"), ["Bearer t0ken", "t0ken"]);
        for none in ["http://h/a:b", "http://u@h/", "redis://127.0.0.1:6379/0"] {
            assert_eq!(of(none), [""; 0], "{none}");
        }
    }
}
