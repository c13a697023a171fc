//! Takes settled values out of the merged tree. An [`Item`] is a key that may be there; each
//! reading method answers with the value, or, when the key is missing or wrong, with the
//! default it was given. What is wrong is noted in the [`Context`] on the way, so that reading
//! goes on and finds the rest.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ::config::{Value, ValueKind};

use super::error::{Place, Problem, Severity};
use super::layer::{EXPANDED, GIVEN};
use super::locate::{Half, Sources};
use super::path::KeyPath;
use super::schema::nearest;
use super::secrets;
use super::units::{parse_duration, parse_size, show_duration, show_size};
use super::url::absolute;

/// What reading needs to know, and where problems are noted.
pub struct Context<'a> {
    pub sources: &'a Sources,
    pub env: &'a BTreeMap<String, String>,
    pub problems: RefCell<Vec<Problem>>,
    /// What must never be shown.
    pub secrets: RefCell<Vec<String>>,
}

impl Context<'_> {
    /// Remembers what is never to be shown of a text that holds a secret.
    pub fn keep_secret(&self, text: &str) {
        self.secrets.borrow_mut().extend(secrets::of(text));
    }

    /// Notes a problem with a key.
    pub fn note(&self, problem: Problem, path: &KeyPath, half: Half) {
        self.note_at(problem, path, self.sources.place(path, half));
    }

    fn note_at(&self, problem: Problem, path: &KeyPath, place: Option<Place>) {
        // a line whose TOML is broken has been reported; what was made of it says nothing
        let broken = place.as_ref().is_some_and(|place| {
            let line = place.position.as_ref().map(|at| at.line);
            let document = self.sources.documents.iter().find(|document| document.name == place.source);
            document.is_some_and(|document| line.is_some_and(|line| document.broken_lines.contains(&line)))
        });
        let problem = Problem { key: path.to_string(), place, ..problem };
        // one line can be looked at more than once, as [defaults] is for each queue
        let mut problems = self.problems.borrow_mut();
        if !broken && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Whether something may be missing only because a file could not be read whole.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.sources.documents.iter().any(|document| !document.broken_lines.is_empty())
    }
}

/// A key that may be there.
#[derive(Clone)]
pub struct Item<'a> {
    value: Option<&'a Value>,
    path: KeyPath,
    context: &'a Context<'a>,
}

/// A value that is no table.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Flag(bool),
    Whole(i128),
    Float(f64),
    Text(String),
}

impl<'a> Item<'a> {
    pub fn top(value: &'a Value, context: &'a Context<'a>) -> Self {
        Self { value: Some(value), path: KeyPath::default(), context }
    }

    pub fn child(&self, name: &str) -> Self {
        let value = match self.kind() {
            Some(ValueKind::Table(table)) => table.get(name),
            _ => None,
        };
        Self { value, path: self.path.key(name), context: self.context }
    }

    pub fn is_given(&self) -> bool {
        self.value.is_some()
    }

    pub fn path(&self) -> &KeyPath {
        &self.path
    }

    pub fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// Whether the operator wrote a table here.
    pub fn is_table(&self) -> bool {
        matches!(self.kind(), Some(ValueKind::Table(_)))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.kind(), Some(ValueKind::Array(_)))
    }

    pub fn is_text(&self) -> bool {
        matches!(self.kind(), Some(ValueKind::String(_) | ValueKind::Nil))
    }

    /// The keys of a table, sorted; anything but a table is a problem.
    pub fn entries(&self) -> Vec<(String, Self)> {
        match self.kind() {
            Some(ValueKind::Table(table)) => {
                let mut names: Vec<&String> = table.keys().collect();
                names.sort();
                names.into_iter().map(|name| (name.clone(), self.child(name))).collect()
            }
            None | Some(ValueKind::Nil) => Vec::new(),
            Some(_) => {
                self.wrong::<()>("a table", &format!("write [{}] and its keys below", self.path));
                Vec::new()
            }
        }
    }

    /// Refuses anything but a table.
    pub fn expect_table(&self) {
        if !self.is_table() {
            self.entries();
        }
    }

    /// Notes an error about the value.
    pub fn error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.context.note(Problem::error(message).with_help(help), &self.path, Half::Value);
    }

    /// Notes an error about a character of a text, counted from 1.
    pub fn error_within(&self, text: &str, column: usize, message: impl Into<String>, help: impl Into<String>) {
        let sources = self.context.sources;
        let place = sources.place_within(&self.path, text, column - 1);
        let place = place.or_else(|| sources.place(&self.path, Half::Value));
        self.context.note_at(Problem::error(message).with_help(help), &self.path, place);
    }

    /// Notes an error about the key itself.
    pub fn wrong_name(&self, message: impl Into<String>, help: impl Into<String>) {
        self.context.note(Problem::error(message).with_help(help), &self.path, Half::Key);
    }

    /// Notes a warning about the value.
    pub fn warn(&self, message: impl Into<String>, help: impl Into<String>) {
        self.context.note(Problem::warning(message).with_help(help), &self.path, Half::Value);
    }

    /// Notes that something required is not there, unless a broken file may be why.
    pub fn missing(&self, message: impl Into<String>, help: impl Into<String>) {
        if !self.context.is_torn() {
            self.context.note(Problem::error(message).with_help(help), &self.path, Half::Key);
        }
    }

    /// A whole number within bounds.
    pub fn whole<T>(&self, bounds: RangeInclusive<i128>, default: T) -> T
    where
        T: TryFrom<i128> + Display,
    {
        let fallback = default.to_string();
        self.whole_or(bounds, &fallback).unwrap_or(default)
    }

    /// A whole number within bounds, or `false` for none.
    pub fn optional_whole<T>(&self, bounds: RangeInclusive<i128>, default: Option<T>) -> Option<T>
    where
        T: TryFrom<i128> + Display,
    {
        if self.is_off() {
            return None;
        }
        let fallback = default.as_ref().map_or("none".into(), ToString::to_string);
        self.whole_or(bounds, &fallback).or(default)
    }

    fn whole_or<T: TryFrom<i128>>(&self, bounds: RangeInclusive<i128>, default: &str) -> Option<T> {
        match self.scalar()? {
            Scalar::Whole(number) => {
                self.within(&number, &bounds, ToString::to_string, default)?;
                T::try_from(number).ok()
            }
            Scalar::Text(text) if text.parse::<i128>().is_ok() => {
                self.wrong("a whole number", &format!("write {text} without quotes"))
            }
            _ => self.wrong("a whole number", &self.remove(default)),
        }
    }

    /// A number from 0 to 1.
    pub fn share(&self, default: f64) -> f64 {
        let number = match self.scalar() {
            None => return default,
            #[expect(clippy::cast_precision_loss, reason = "only 0 and 1 are let through")]
            Some(Scalar::Whole(number)) => number as f64,
            Some(Scalar::Float(number)) => number,
            Some(_) => {
                return self.wrong("a number from 0 to 1", &self.remove(&default.to_string())).unwrap_or(default);
            }
        };
        if (0.0..=1.0).contains(&number) {
            return number;
        }
        self.error(
            format!("{} must be from 0 to 1, got {}", self.path.name(), self.got()),
            self.remove(&default.to_string()),
        );
        default
    }

    pub fn flag(&self, default: bool) -> bool {
        match self.scalar() {
            None => default,
            Some(Scalar::Flag(flag)) => flag,
            Some(_) => self.wrong("true or false", &self.remove(&default.to_string())).unwrap_or(default),
        }
    }

    /// Whether the operator switched an optional setting off.
    pub fn is_off(&self) -> bool {
        match self.kind() {
            Some(ValueKind::Boolean(flag)) => !flag,
            Some(ValueKind::String(text)) => self.is_loose() && text == "false",
            _ => false,
        }
    }

    /// A text that is not empty.
    pub fn text(&self) -> Option<String> {
        let text = self.any_text()?;
        if text.is_empty() {
            self.error(format!("{} must not be empty", self.path.name()), "fill it in or remove the line");
            return None;
        }
        Some(text)
    }

    /// A text, be it empty.
    pub fn any_text(&self) -> Option<String> {
        match self.kind()? {
            ValueKind::String(text) => Some(text.clone()),
            ValueKind::Nil => None,
            _ => self.wrong("a text", "put it in quotes"),
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)], default: T) -> T {
        let Some(text) = self.any_text() else { return default };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return *meaning;
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = match nearest(&text, names.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "write one of them".into(),
        };
        let listed: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        self.error(format!("{} must be {}, got {}", self.path.name(), either(&listed), self.got()), help);
        default
    }

    /// A duration within bounds.
    pub fn duration(&self, bounds: RangeInclusive<Duration>, default: Duration) -> Duration {
        self.duration_or(bounds, &show_duration(default)).unwrap_or(default)
    }

    /// A duration within bounds, or `false` for none.
    pub fn optional_duration(&self, bounds: RangeInclusive<Duration>, default: Option<Duration>) -> Option<Duration> {
        if self.is_off() {
            return None;
        }
        let fallback = default.map_or("none".into(), show_duration);
        self.duration_or(bounds, &fallback).or(default)
    }

    fn duration_or(&self, bounds: RangeInclusive<Duration>, default: &str) -> Option<Duration> {
        let parsed = match self.kind()? {
            ValueKind::Nil => return None,
            ValueKind::String(text) => parse_duration(text).map_err(|invalid| invalid.help),
            _ => match self.scalar() {
                Some(Scalar::Whole(number)) if number < 0 => Err("a duration cannot be negative".into()),
                Some(Scalar::Whole(number)) => Err(format!("say the unit: \"{number}s\" or \"{number}ms\"")),
                _ => Err("write a number and a unit, such as \"30s\"".into()),
            },
        };
        match parsed {
            Ok(duration) => {
                self.within(&duration, &bounds, |duration| show_duration(*duration), default)?;
                Some(duration)
            }
            Err(help) => self.wrong("a duration", &help),
        }
    }

    /// A size in bytes, within bounds.
    pub fn size(&self, bounds: RangeInclusive<usize>, default: usize) -> usize {
        self.size_or(bounds, &show_size(default)).unwrap_or(default)
    }

    /// A size in bytes within bounds, or `false` for none.
    pub fn optional_size(&self, bounds: RangeInclusive<usize>, default: Option<usize>) -> Option<usize> {
        if self.is_off() {
            return None;
        }
        let fallback = default.map_or("none".into(), show_size);
        self.size_or(bounds, &fallback).or(default)
    }

    fn size_or(&self, bounds: RangeInclusive<usize>, default: &str) -> Option<usize> {
        let parsed = match self.kind()? {
            ValueKind::Nil => return None,
            ValueKind::String(text) => parse_size(text).map_err(|invalid| invalid.help),
            _ => match self.scalar() {
                Some(Scalar::Whole(number)) if number >= 0 => {
                    Err(format!("say the unit: \"{number}B\" or \"{number}KiB\""))
                }
                _ => Err("write a whole number and a unit, such as \"256KiB\"".into()),
            },
        };
        match parsed {
            Ok(size) => self.within(&size, &bounds, |size| show_size(*size), default).map(|()| size),
            Err(help) => self.wrong("a size", &help),
        }
    }

    /// A list of texts; one text stands for a list of one.
    pub fn texts(&self) -> Option<Vec<Self>> {
        match self.kind()? {
            ValueKind::Nil => None,
            ValueKind::String(_) => Some(vec![self.clone()]),
            ValueKind::Array(_) => Some(self.elements()),
            _ => self.wrong("a list of texts", "write [\"…\", \"…\"]"),
        }
    }

    /// The value as JSON, keys sorted.
    pub fn json(&self) -> Option<serde_json::Value> {
        Some(match self.kind()? {
            ValueKind::Nil => return None,
            ValueKind::Table(_) => {
                let member = |(name, item): (String, Self)| Some((name, item.json()?));
                serde_json::Value::Object(self.entries().into_iter().filter_map(member).collect())
            }
            ValueKind::Array(_) => self.elements().iter().filter_map(Self::json).collect(),
            ValueKind::String(text) => text.as_str().into(),
            ValueKind::Boolean(flag) => (*flag).into(),
            ValueKind::Float(number) => match serde_json::Number::from_f64(*number) {
                Some(number) => number.into(),
                None => return self.wrong("a number that JSON has", "write a text"),
            },
            _ => match self.scalar() {
                Some(Scalar::Whole(number)) if i64::try_from(number).is_ok() => {
                    serde_json::Number::from_i128(number)?.into()
                }
                _ => return self.wrong("a number of at most 64 bits", "write a text"),
            },
        })
    }

    /// The elements of a list; none of anything else.
    pub fn elements(&self) -> Vec<Self> {
        let Some(ValueKind::Array(values)) = self.kind() else { return Vec::new() };
        let item = |(n, value)| Self { value: Some(value), path: self.path.index(n), context: self.context };
        values.iter().enumerate().map(item).collect()
    }

    /// A path, as seen from the file it stands in; from elsewhere, from the current directory.
    pub fn file_path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        Some(absolute(&self.directory(), text))
    }

    /// Against which relative paths are taken here.
    pub fn directory(&self) -> PathBuf {
        self.context.sources.document(&self.path).map(|document| document.directory.clone()).unwrap_or_default()
    }

    /// A value that is no table; lists and tables are a problem of the caller's wording.
    pub fn scalar(&self) -> Option<Scalar> {
        Some(match self.kind()? {
            ValueKind::Nil => return None,
            ValueKind::Boolean(flag) => Scalar::Flag(*flag),
            ValueKind::I64(number) => Scalar::Whole((*number).into()),
            ValueKind::I128(number) => Scalar::Whole(*number),
            ValueKind::U64(number) => Scalar::Whole((*number).into()),
            ValueKind::U128(number) => Scalar::Whole(i128::try_from(*number).unwrap_or(i128::MAX)),
            ValueKind::Float(number) => Scalar::Float(*number),
            ValueKind::String(text) if self.is_loose() => loose(text),
            ValueKind::String(text) => Scalar::Text(text.clone()),
            ValueKind::Array(_) | ValueKind::Table(_) => Scalar::Text(String::new()),
        })
    }

    /// Notes that the value is of the wrong type.
    pub fn wrong<T>(&self, expected: &str, help: &str) -> Option<T> {
        self.error(format!("{} must be {expected}, got {}", self.path.name(), self.got()), help);
        None
    }

    /// The value as a message shows it.
    fn got(&self) -> String {
        match self.value {
            None => "nothing".into(),
            Some(value) if value.origin() == Some(EXPANDED) => "what its variable holds".into(),
            Some(value) => match &value.kind {
                ValueKind::Nil => "nothing".into(),
                ValueKind::Table(_) => "a table".into(),
                ValueKind::Array(_) => "a list".into(),
                ValueKind::String(text) if self.is_loose() && !matches!(loose(text), Scalar::Text(_)) => text.clone(),
                ValueKind::String(text) => format!("{text:?}"),
                _ => match self.scalar() {
                    Some(Scalar::Flag(flag)) => flag.to_string(),
                    Some(Scalar::Whole(number)) => number.to_string(),
                    Some(Scalar::Float(number)) => number.to_string(),
                    _ => "nothing".into(),
                },
            },
        }
    }

    fn within<T: PartialOrd>(
        &self,
        value: &T,
        bounds: &RangeInclusive<T>,
        show: impl Fn(&T) -> String,
        default: &str,
    ) -> Option<()> {
        let bound = if value < bounds.start() {
            format!("at least {}", show(bounds.start()))
        } else if value > bounds.end() {
            format!("at most {}", show(bounds.end()))
        } else {
            return Some(());
        };
        self.error(format!("{} must be {bound}, got {}", self.path.name(), self.got()), self.remove(default));
        None
    }

    /// How to get the default back.
    fn remove(&self, default: &str) -> String {
        let how = match self.context.sources.given(&self.path) {
            None => "remove the line",
            Some(given) if given.source.starts_with("--") => "leave out the flag",
            Some(_) => "unset the variable",
        };
        format!("{how} to use the default, {default}")
    }

    fn is_loose(&self) -> bool {
        self.value.and_then(Value::origin).is_some_and(|origin| origin == GIVEN || origin == EXPANDED)
    }

    fn kind(&self) -> Option<&'a ValueKind> {
        self.value.map(|value| &value.kind)
    }
}

/// A text that may stand for a number or flag.
fn loose(text: &str) -> Scalar {
    let text = text.trim();
    match text {
        "true" => Scalar::Flag(true),
        "false" => Scalar::Flag(false),
        _ => match (text.parse(), text.parse()) {
            (Ok(number), _) => Scalar::Whole(number),
            (_, Ok(number)) => Scalar::Float(number),
            _ => Scalar::Text(text.to_owned()),
        },
    }
}

/// `a, b or c`.
fn either(words: &[String]) -> String {
    match words.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => words.concat(),
    }
}

/// Errors first come first in their file; what has no line comes last.
pub fn sort(problems: &mut [Problem], sources: &Sources) {
    problems.sort_by_key(|problem| {
        let place = problem.place.as_ref();
        let file = place.and_then(|place| sources.documents.iter().position(|document| document.name == place.source));
        let at = place.and_then(|place| place.position.as_ref()).map_or((0, 0), |at| (at.line, at.column));
        (file.unwrap_or(usize::MAX), at)
    });
}

/// Whether any of them is an error.
pub fn any_error(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}
