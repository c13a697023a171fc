//! Which keys there are, as data: what may stand under each, what holds without it, and its entry in the manual.
//! For refusing unknown keys with the nearest name, for matching the names of environment variables, which have no
//! case, and for what is written about the keys elsewhere: the JSON Schema ([`json`]) and the manual page.
//!
//! One file of tables per kind of section; a new key is one line there.

mod handler;
mod json;
mod kind;
mod queue;
mod root;
mod schedule;

pub use self::handler::{answers, handler_kind_with, handler_kinds};
pub use self::json::json_schema;
pub use self::root::ROOT;

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub without: Without,
    /// What it is for, as a sentence.
    pub about: &'static str,
}

/// What holds where a key is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// This, written as for `--set`: as in TOML, but texts without quotes.
    Default(&'static str),
    /// Nothing, or what the description says.
    Nothing,
    /// The table is refused.
    Refused,
}

/// A key with a default.
const fn key(name: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Key {
    Key { name, shape, without: Without::Default(default), about }
}

/// A key that need not be there.
const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, without: Without::Nothing, about }
}

/// A key without which the table means nothing.
const fn required(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, without: Without::Refused, about }
}

/// What may stand under a key. In a file, a text with `${…}` in it may stand for any of them but tables and lists.
#[derive(Debug)]
pub enum Shape {
    /// A text: what it is called, and a regular expression that it matches.
    Text(&'static str, &'static str),
    /// A whole number, from and to.
    Whole(i64, i64),
    /// A number, from and to.
    Number(f64, f64),
    Flag,
    /// `false`, for what can be switched off.
    Off,
    Duration,
    Size,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A text, or a table that says where it is kept.
    Secret,
    /// A table of these keys.
    Table(&'static [Key]),
    /// A table of exactly one of these keys.
    One(&'static [Key]),
    /// A table of names the operator chooses, which match a regular expression, each holding the same.
    Named(&'static str, &'static Shape),
    /// A table of these names, each holding a text.
    Words(fn() -> Vec<&'static str>),
    /// A list, each element the same; one of them stands for a list of one.
    List(&'static Shape),
    /// Any of some; one of them at most is a table.
    Either(&'static [Shape]),
    /// A value or a table of values, as deep as the operator likes.
    Any,
}

use Shape::{Any, Duration, Either, List, Named, Off, One, Secret, Size, Table, Text, Words};

const TEXT: Shape = Text("text", ".");
/// Be it empty.
const ANY_TEXT: Shape = Text("text", "");
const PATH: Shape = Text("path", ".");
/// `http` or `https`; placeholders may be anywhere in it.
const URL: Shape = Text("url", "^[Hh][Tt][Tt][Pp][Ss]?://");
const ADDRESS: Shape = Text("address and port", ":[0-9]+$");
const POINTER: Shape = Text("JSON pointer", "^/");
const ZONE: Shape = Text("time zone", ".");
const TEXTS: Shape = List(&TEXT);
/// As many as anybody can mean.
const MOST: i64 = u32::MAX as i64;
const DURATION_OR_OFF: Shape = Either(&[Duration, Off]);
const SIZE_OR_OFF: Shape = Either(&[Size, Off]);

/// Where a secret is kept.
const KEPT: Shape = One(&[
    optional("file", PATH, "The file that holds it; its last line end does not count."),
    optional("env", TEXT, "The environment variable that holds it."),
    optional("credential", TEXT, "The name of a credential, as systemd's LoadCredential= passes it."),
]);

impl Shape {
    /// The names that may stand here, if the operator does not choose them.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&'static str>> {
        match self {
            Words(names) => Some(names()),
            List(element) => element.names(),
            Either(shapes) => shapes.iter().find_map(Self::names),
            _ => self.keys().map(|keys| keys.iter().map(|key| key.name).collect()),
        }
    }

    /// The keys of a table that has its own.
    #[must_use]
    pub fn keys(&self) -> Option<&'static [Key]> {
        match self {
            Table(keys) | One(keys) => Some(keys),
            Secret => KEPT.keys(),
            _ => None,
        }
    }

    /// What stands under a name, if the name may be here.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Shape> {
        match self {
            Named(_, shape) => Some(shape),
            Any => Some(&Any),
            List(element) => element.child(name),
            Words(names) => names().contains(&name).then_some(&TEXT),
            Either(shapes) => shapes.iter().find_map(|shape| shape.child(name)),
            _ => self.keys()?.iter().find(|key| key.name == name).map(|key| &key.shape),
        }
    }

    /// Whether a table may stand here, and its names mean something to us.
    #[must_use]
    pub fn is_table(&self) -> bool {
        match self {
            Named(..) | Words(_) => true,
            List(element) => element.is_table(),
            Either(shapes) => shapes.iter().any(Self::is_table),
            _ => self.keys().is_some(),
        }
    }
}

/// The known name that was probably meant.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let from = plain(written);
    let candidates = known.into_iter().map(|name| (distance(&from, &plain(name)), name));
    let (distance, name) = candidates.min_by_key(|(distance, name)| (*distance, name.len().abs_diff(written.len())))?;
    let bound = (name.chars().count() / 3).clamp(1, 3);
    (distance <= bound).then_some(name)
}

/// Letters to insert, remove, replace or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    // rows of the table: two back, one back
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests;
