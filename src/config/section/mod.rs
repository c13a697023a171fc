//! From the merged tree to settled values, one file per kind of section. Each reads what is
//! there over the defaults it is given and notes what is wrong on the way.

pub mod daemon;
pub mod handler;
pub mod queue;
pub mod redis;
pub mod secret;
pub mod status;

use std::ops::Range;

use super::invalid::Invalid;
use super::schema::nearest;

/// What a placeholder may be called, beside paths into the data.
const PLACEHOLDERS: [&str; 4] = ["queue", "name", "id", "attempt"];

/// The `{…}` of a template, with what is wrong in them.
fn placeholders(text: &str, known: &[&str], with_data: bool) -> (Vec<Range<usize>>, Vec<Invalid>) {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let Some(close) = text[open..].find('}').map(|at| open + at) else {
            wrong.push(Invalid::new(format!("'{{' is not closed in {text:?}"), "write {name}"));
            break;
        };
        let name = &text[open + 1..close];
        let is_known = known.contains(&name) || (with_data && is_data(name));
        if !is_known {
            let mut all: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
            all.extend(with_data.then(|| "{data.PATH}".to_owned()));
            let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean {{{near}}}?"));
            let help = near.unwrap_or_else(|| format!("known are {}", all.join(", ")));
            wrong.push(Invalid::new(format!("unknown placeholder {{{name}}}"), help));
        }
        found.push(open..close + 1);
        from = close + 1;
    }
    (found, wrong)
}

/// `data.` and a path of member names.
fn is_data(name: &str) -> bool {
    name.strip_prefix("data.").is_some_and(|path| path.split('.').all(|step| !step.is_empty()))
}
