//! The texts in the sources of the loader that may become part of a message. Read as text: good enough to notice one that
//! no test shows.

use std::fs;
use std::path::{Path, PathBuf};

/// A literal and where it stands.
#[derive(Debug)]
#[expect(dead_code, reason = "the place is for those who read a failure")]
pub struct Literal {
    pub text: String,
    file: String,
    line: usize,
}

/// Those with a space between letters, outside of tests, comments and attributes.
pub fn literals() -> Vec<Literal> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root.join("config"), &mut files);
    let of_jobs = ["job/schedule.rs", "job/schedule/pattern.rs", "job/schedule/zone.rs", "job/times.rs", "job/name.rs"];
    files.extend(of_jobs.map(|file| root.join(file)));
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        // how the configuration is shown and described are no messages
        let others = ["config/show", "config/schema", "config/manual.rs", "config/origin.rs", "tests", "docs.rs"];
        if others.iter().any(|other| name.contains(other)) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        read(text, &name, &mut found);
    }
    found.retain(|literal: &Literal| literal.text.trim().contains(' ') && literal.text.contains(char::is_alphabetic));
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(text: &str, name: &str, found: &mut Vec<Literal>) {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(length) = character(rest) {
            at += length;
        } else if rest.starts_with('"') {
            let (literal, length) = literal(rest);
            if !is_aside(&text[..at]) {
                let line = text[..at].matches('\n').count() + 1;
                found.push(Literal { text: literal, file: name.to_owned(), line });
            }
            at += length;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
}

/// The length of a character in quotes, which may be a quote.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    let length = match inner.strip_prefix('\\') {
        Some(escape) => 1 + escape.find('\'').map(|at| at.max(1))?,
        None => inner.chars().next()?.len_utf8(),
    };
    (inner.get(length..)?.starts_with('\'') && length < 12).then_some(length + 2)
}

/// What is in the quotes, and the length of all of it.
fn literal(rest: &str) -> (String, usize) {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, at + 1),
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, other)) => text.push(other),
                None => {}
            },
            c => text.push(c),
        }
    }
    (text, rest.len())
}

/// What is told to readers of the code alone.
fn is_aside(before: &str) -> bool {
    let before = before.trim_end();
    let in_attribute = before.rfind("#[").is_some_and(|at| !before[at..].contains(']'));
    let in_log = before.rfind("tracing::").is_some_and(|at| !before[at..].contains(';'));
    in_log || before.ends_with("expect(") || before.ends_with("reason =") || in_attribute
}
