//! `${NAME}` and `${NAME:-default}` inside a text, from the environment. `$${` stands for `${`.

use std::collections::BTreeMap;

use super::invalid::Invalid;

/// The text with its variables filled in, or `None` when there are none. A default serves when
/// the variable is missing or empty, as in a shell.
pub fn expand(text: &str, env: &BTreeMap<String, String>) -> Result<Option<String>, Vec<Invalid>> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::new();
    let mut wrong = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, inside) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            out += before;
            out += "${";
            rest = inside;
            continue;
        }
        out += before;
        let Some(end) = inside.find('}') else {
            wrong.push(Invalid::new("\"${\" is not closed", "write ${NAME}, or $${ for a plain \"${\""));
            rest = "";
            break;
        };
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        rest = &inside[end + 1..];
        let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if name.is_empty() || !legal || name.as_bytes()[0].is_ascii_digit() {
            let help = "write ${NAME} or ${NAME:-default}, or $${ for a plain \"${\"";
            wrong.push(Invalid::new(format!("{name:?} is not the name of a variable"), help));
            continue;
        }
        match (env.get(name), default) {
            (Some(value), None) => out += value,
            (Some(value), Some(_)) if !value.is_empty() => out += value,
            (_, Some(default)) => out += default,
            (None, None) => {
                let help = format!("set it, or write ${{{name}:-default}}");
                wrong.push(Invalid::new(format!("environment variable {name} is not set"), help));
            }
        }
    }
    out += rest;
    if wrong.is_empty() { Ok(Some(out)) } else { Err(wrong) }
}

/// The names of the variables in a text that [`expand`] takes.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("${").filter(|(at, _)| !text[..*at].ends_with('$')).filter_map(|(at, _)| {
        let inside = text[at + 2..].split('}').next()?;
        Some(inside.split_once(":-").map_or(inside, |(name, _)| name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> BTreeMap<String, String> {
        [("HOST", "api"), ("EMPTY", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, want) in [
            ("http://${HOST}:3000", "http://api:3000"),
            ("${HOST}${HOST}", "apiapi"),
            ("${NONE:-x y}", "x y"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${HOST:-x}", "api"),
            ("${NONE:-}", ""),
            ("$${HOST}", "${HOST}"),
            ("a$b ${HOST} {queue}", "a$b api {queue}"),
        ] {
            assert_eq!(expand(text, &env()), Ok(Some(want.to_owned())), "{text}");
        }
        assert_eq!(expand("$HOST {queue}", &env()), Ok(None));
        assert_eq!(variables("${HOST}:${PORT:-80}$${PLAIN} $X").collect::<Vec<_>>(), ["HOST", "PORT"]);
    }

    #[test]
    fn every_mistake_is_named() {
        let wrong = expand("${NONE} ${1x} ${OTHER} ${", &env()).unwrap_err();
        let messages: Vec<_> = wrong.iter().map(|w| w.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "environment variable NONE is not set",
                "\"1x\" is not the name of a variable",
                "environment variable OTHER is not set",
                "\"${\" is not closed"
            ]
        );
    }
}
