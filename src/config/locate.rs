//! Key path → file, line, column and the line itself. A [`Document`] is one file, read into a
//! tree that remembers where each key and value stands; [`Sources`] are all places a value of
//! the configuration can come from.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::{Place, Position, Problem};
use super::path::{KeyPath, Step};
use super::seen::Seen;

/// A value and where it stands, in bytes.
#[derive(Debug, Clone)]
pub struct Node {
    pub key_span: Range<usize>,
    pub span: Range<usize>,
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Kind {
    Text(String),
    Integer(i128),
    Float(f64),
    Flag(bool),
    /// A TOML date or time, as it is written.
    Moment(String),
    List(Vec<Node>),
    /// In the order of the file.
    Table(Vec<(String, Node)>),
}

/// One file.
#[derive(Debug)]
pub struct Document {
    /// As the operator named it.
    pub name: String,
    /// Another file names it; else the operator did.
    pub is_included: bool,
    /// Against which relative paths in the file are taken.
    pub directory: PathBuf,
    pub text: String,
    pub root: Node,
    /// Lines with a mistake in the TOML itself, from 1.
    pub broken_lines: Vec<usize>,
}

/// Which half of `key = value` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    Key,
    Value,
}

/// A value from outside the files.
#[derive(Debug, Clone)]
pub struct Given {
    pub path: KeyPath,
    /// `environment variable NAME` or the flag.
    pub source: String,
}

/// Everywhere a value can come from.
#[derive(Debug, Default)]
pub struct Sources {
    pub documents: Vec<Document>,
    /// Strongest first.
    pub given: Vec<Given>,
    pub seen: Seen,
}

impl Document {
    /// Reads a file's text. Mistakes in the TOML are returned beside what could be read of it.
    #[must_use]
    pub fn parse(name: String, directory: &Path, text: String) -> (Self, Vec<Problem>) {
        let (root, errors) = parse(&text);
        let directory = directory.to_owned();
        let mut document = Self { name, is_included: false, directory, text, root, broken_lines: Vec::new() };
        let problems = document.syntax_problems(errors);
        if !document.broken_lines.is_empty() {
            document.read_around();
        }
        (document, problems)
    }

    /// Reads once more without the broken lines: a slip in one line can hide all behind it. Keys
    /// below a broken header would land in the wrong table, so then the first reading stays.
    fn read_around(&mut self) {
        let mut header = false;
        let mut text = String::with_capacity(self.text.len());
        for (n, (_, line)) in self.lines().enumerate() {
            if self.broken_lines.contains(&(n + 1)) {
                header |= line.trim_start().starts_with('[');
                text.extend(line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            } else {
                text += line;
            }
        }
        let (root, errors) = parse(&text);
        if !header && errors.iter().all(|(message, _)| message == DUPLICATE) {
            self.root = root;
        }
    }

    /// One problem a line, since one slip often breaks several rules.
    fn syntax_problems(&mut self, mut errors: Vec<(String, Range<usize>)>) -> Vec<Problem> {
        errors.sort_by_key(|(_, span)| span.start);
        let mut problems = Vec::new();
        for (message, span) in errors {
            let line = self.position(span.start).line;
            if self.broken_lines.last() == Some(&line) {
                continue;
            }
            let place = self.place(span.start);
            if message == DUPLICATE {
                problems.push(self.duplicate(&span).with_place(place));
                continue;
            }
            self.broken_lines.push(line);
            let nothing = self.text[span.start..].lines().next().unwrap_or("").trim().is_empty();
            problems.push(if message.starts_with("string values must be quoted") && nothing {
                Problem::error("a value is missing behind the '='").with_place(place)
            } else {
                Problem::error(format!("not valid TOML: {message}")).with_place(place)
            });
        }
        problems
    }

    fn duplicate(&self, span: &Range<usize>) -> Problem {
        let key = &self.text[span.clone()];
        let line = self.position(span.start).line_text;
        let header = line.trim_start().starts_with('[');
        let what = if header { line.trim().to_owned() } else { key.to_owned() };
        let problem = Problem::error(format!("{what} is there twice"));
        let first = if header {
            self.lines().find(|(start, text)| *start < span.start && text.trim() == line.trim()).map(|(start, _)| start)
        } else {
            // the table's own lines stand between its header and the second key
            let table = self.lines().filter(|(start, text)| *start < span.start && text.trim_start().starts_with('['));
            let from = table.last().map_or(0, |(start, _)| start);
            self.root.keys(key).filter(|at| (from..span.start).contains(at)).min()
        };
        match first {
            Some(at) if self.position(at).line != self.position(span.start).line => {
                let at = self.position(at);
                problem.with_help(format!("first at {}:{}:{}; keep one of them", self.name, at.line, at.column))
            }
            _ => problem.with_help("keep one of them"),
        }
    }

    /// Start and text of each line.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.split_inclusive('\n').scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line))
        })
    }

    /// The node at a path.
    #[must_use]
    pub fn find(&self, path: &KeyPath) -> Option<&Node> {
        path.0.iter().try_fold(&self.root, |node, step| match (step, &node.kind) {
            (Step::Key(name), Kind::Table(entries)) => entries.iter().find(|(key, _)| key == name).map(|(_, n)| n),
            (Step::Index(index), Kind::List(nodes)) => nodes.get(*index),
            _ => None,
        })
    }

    /// The place of a byte of the text.
    #[must_use]
    pub fn place(&self, at: usize) -> Place {
        Place { source: self.name.clone(), position: Some(self.position(at)) }
    }

    fn position(&self, at: usize) -> Position {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line_text = self.text[start..].lines().next().unwrap_or("");
        Position {
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[start..at].chars().count() + 1,
            line_text: if self.root.is_within_a_secret(start) { "***".into() } else { mask(line_text) },
        }
    }
}

impl Node {
    /// Where keys of this name stand, at any depth.
    fn keys<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = usize> + 'a> {
        let Kind::Table(entries) = &self.kind else { return Box::new(std::iter::empty()) };
        Box::new(entries.iter().flat_map(move |(key, node)| {
            (key == name).then_some(node.key_span.start).into_iter().chain(node.keys(name))
        }))
    }

    /// Whether this byte is in a value over several lines that began on a line before, under a name that makes it a
    /// secret.
    fn is_within_a_secret(&self, at: usize) -> bool {
        let Kind::Table(entries) = &self.kind else { return false };
        entries.iter().any(|(name, node)| {
            let inside = !node.is_open_table() && node.span.start < at && at < node.span.end;
            (inside && is_secret_name(name)) || node.is_within_a_secret(at)
        })
    }

    /// Whether this is a table with a header of its own, or made of dotted keys.
    fn is_open_table(&self) -> bool {
        matches!(self.kind, Kind::Table(_)) && self.span.start <= self.key_span.start
    }
}

/// How the parser words a key that is there twice.
const DUPLICATE: &str = "duplicate key";

fn parse(text: &str) -> (Node, Vec<(String, Range<usize>)>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let root = Node { key_span: 0..0, span: 0..0, kind: Kind::Table(entries(table.get_ref())) };
    (root, errors.iter().map(|e| (e.message().to_owned(), e.span().unwrap_or(0..0))).collect())
}

fn entries(table: &DeTable) -> Vec<(String, Node)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let node = Node { key_span: key.span(), span: value.span(), kind: kind(value.get_ref()) };
            (key.get_ref().to_string(), node)
        })
        .collect();
    entries.sort_by_key(|(_, node)| node.key_span.start);
    entries
}

fn kind(value: &DeValue) -> Kind {
    match value {
        DeValue::String(text) => Kind::Text(text.to_string()),
        // only digits reach this point: what the sign and radix allow has been checked
        DeValue::Integer(number) => {
            Kind::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Float(number) => Kind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Kind::Flag(*flag),
        DeValue::Datetime(moment) => Kind::Moment(moment.to_string()),
        DeValue::Array(array) => {
            let element =
                |v: &toml::Spanned<DeValue>| Node { key_span: v.span(), span: v.span(), kind: kind(v.get_ref()) };
            Kind::List(array.iter().map(element).collect())
        }
        DeValue::Table(table) => Kind::Table(entries(table)),
    }
}

impl Sources {
    /// Where a key or its value was written; for one that was not written, the nearest table
    /// around it.
    #[must_use]
    pub fn place(&self, path: &KeyPath, half: Half) -> Option<Place> {
        if let Some(given) = self.given(path) {
            return Some(Place { source: given.source.clone(), position: None });
        }
        let mut path = Some(path.clone());
        let mut half = half;
        while let Some(here) = path.filter(|path| !path.0.is_empty()) {
            for document in &self.documents {
                if let Some(node) = document.find(&here) {
                    let key = half == Half::Key || node.is_open_table();
                    return Some(document.place(if key { node.key_span.start } else { node.span.start }));
                }
            }
            path = here.parent();
            half = Half::Key;
        }
        None
    }

    /// Where a character of a text stands, counted from 0. `None` where the text is not written plainly in a file:
    /// with escapes or variables in it, or from a flag.
    #[must_use]
    pub fn place_within(&self, path: &KeyPath, text: &str, character: usize) -> Option<Place> {
        const QUOTES: [&str; 6] = ["\"\"\"\n", "\"\"\"", "\"", "'''\n", "'''", "'"];
        let document = self.document(path)?;
        let start = document.find(path)?.span.start;
        let written = &document.text[start..];
        let quotes = QUOTES.iter().find(|quotes| written.starts_with(**quotes))?.len();
        let within = text.char_indices().nth(character).map_or(text.len(), |(at, _)| at);
        written[quotes..].starts_with(text).then(|| document.place(start + quotes + within))
    }

    /// The value from outside the files that decides this key.
    #[must_use]
    pub fn given(&self, path: &KeyPath) -> Option<&Given> {
        self.given.iter().find(|given| path.0.starts_with(&given.path.0))
    }

    /// The file that holds a key.
    #[must_use]
    pub fn document(&self, path: &KeyPath) -> Option<&Document> {
        if self.given(path).is_some() {
            return None;
        }
        self.documents.iter().find(|document| document.find(path).is_some())
    }
}

/// Words in a key that make its value a secret.
const SECRET_WORDS: [&str; 8] =
    ["password", "passwd", "secret", "token", "authorization", "cookie", "api-key", "api_key"];

/// Whether a value under this name is not to be shown.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word)) || name.ends_with("key")
}

/// A line with what may be a secret in it covered: the values of keys that sound like one, and
/// passwords in URLs.
fn mask(line: &str) -> String {
    let line = mask_urls(line);
    let Some((before, value)) = line.split_once('=') else { return line };
    // an inline table can hold the key anywhere
    let last =
        line.match_indices('=').filter(|(at, _)| is_secret_name(last_word(&line[..*at]))).map(|(at, _)| at).min();
    match last {
        // a reference to a secret is none
        Some(_) if before.trim_end().ends_with("password") && value.trim_start().starts_with('{') => line,
        Some(at) => format!("{}= ***", &line[..at]),
        None => line,
    }
}

fn last_word(text: &str) -> &str {
    let text = text.trim_end().trim_end_matches(['"', '\'']);
    let start = text.rfind([' ', '{', ',', '"', '\'', '.']).map_or(0, |at| at + 1);
    &text[start..]
}

/// A text with the passwords of the URLs in it covered.
#[must_use]
pub fn mask_urls(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out += before;
        // a careless password may hold a '/', so the path is not the end of the search
        let end = after.find(['"', '\'', ' ']).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(sign) => {
                let user = after[..sign].split(':').next().unwrap_or("");
                out += user;
                out += if after[..sign].contains(':') { ":***" } else { "" };
                &after[sign..]
            }
            None => after,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests;
