//! From the merged tree to settled values, one file per kind of section. Each reads what is
//! there over the defaults it is given and notes what is wrong on the way.

pub mod admin;
pub mod app;
pub mod callbacks;
pub mod daemon;
pub mod handler;
pub mod list;
pub mod queue;
pub mod redis;
pub mod schedule;
pub mod secret;
pub mod status;
pub mod traces;

use std::ops::Range;

use super::invalid::Invalid;
use super::schema::nearest;

/// What a placeholder may be called, beside `data` and paths into it.
const PLACEHOLDERS: [&str; 4] = ["queue", "name", "id", "attempt"];

/// Whether this is the name of a placeholder a job can fill.
fn is_placeholder(name: &str) -> bool {
    let path = name.strip_prefix("data.");
    PLACEHOLDERS.contains(&name) || path.is_some_and(|path| path.split('.').all(|step| !step.is_empty()))
}

/// What is wrong with a placeholder's name.
fn unknown_placeholder(name: &str, known: &[&str]) -> Invalid {
    let all: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
    let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean {{{near}}}?"));
    let help = near.unwrap_or_else(|| format!("known are {}", all.join(", ")));
    Invalid::new(format!("unknown placeholder {{{name}}}"), help)
}

/// The `{…}` of a template, with what is wrong in them. `{{` and `}}` stand for braces.
fn placeholders(text: &str) -> (Vec<Range<usize>>, Vec<Invalid>) {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(['{', '}']).map(|at| from + at) {
        let brace = &text[at..=at];
        if text[at + 1..].starts_with(brace) {
            from = at + 2;
            continue;
        }
        let close = text[at..].find('}').map(|close| at + close);
        let (Some(close), "{") = (close, brace) else {
            let what = if brace == "{" { "is never closed" } else { "closes nothing" };
            wrong.push(Invalid::new(format!("a '{brace}' {what}"), format!("write {brace}{brace} for a brace")));
            break;
        };
        let name = &text[at + 1..close];
        if !is_placeholder(name) {
            wrong.push(unknown_placeholder(name, &["queue", "name", "id", "attempt", "data.PATH"]));
        }
        found.push(at..close + 1);
        from = close + 1;
    }
    (found, wrong)
}
