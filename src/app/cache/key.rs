//! What values of the cache are called: `entity:operation:k=v:variant`, identifiers sorted, all of it escaped; and patterns
//! of such names.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use crate::config::{Invalid, LITERAL};
use crate::store::AppKeys;

use super::super::Error;

/// The name of one value. The same parts make the same name, in whatever order identifiers are given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    entity: String,
    operation: String,
    ids: BTreeMap<String, String>,
    variant: Option<String>,
}

impl Key {
    /// `entity` is what the value is about, and decides how long it lives; `operation` what was asked of it.
    #[must_use]
    pub fn new(entity: impl Into<String>, operation: impl Into<String>) -> Self {
        Self { entity: entity.into(), operation: operation.into(), ids: BTreeMap::new(), variant: None }
    }

    /// With an identifier; a second one of the same name takes its place.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.ids.insert(name.into(), value.to_string());
        self
    }

    /// One of several values for the same identifiers, such as a version of the format.
    #[must_use]
    pub fn variant(mut self, variant: impl Into<String>) -> Self {
        self.variant = Some(variant.into());
        self
    }

    #[must_use]
    pub fn entity(&self) -> &str {
        &self.entity
    }
}

/// The name, as it stands behind the prefix.
impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", entity(&self.entity), escaped(&self.operation))?;
        for (name, value) in &self.ids {
            write!(f, ":{}={}", escaped(name), escaped(value))?;
        }
        match &self.variant {
            Some(variant) => write!(f, ":{}", escaped(variant)),
            None => Ok(()),
        }
    }
}

/// Which values are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What SCAN looks for.
    glob: String,
    /// Steps a name must have: entity and operation at their places, the others anywhere behind them.
    entity: Option<String>,
    operation: Option<String>,
    ids: BTreeMap<String, String>,
}

impl Pattern {
    /// Every value of an entity.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let entity = entity(name);
        Self { glob: format!("{entity}:*"), entity: Some(entity), operation: None, ids: BTreeMap::new() }
    }

    /// Only those of an operation.
    #[must_use]
    pub fn operation(mut self, operation: &str) -> Self {
        self.operation = Some(escaped(operation));
        self.spelled()
    }

    /// Only those with this identifier, whatever others they have.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.ids.insert(escaped(name), escaped(&value.to_string()));
        self.spelled()
    }

    /// A pattern as Redis has it, of names behind the prefix: `*` and `?` stand for others, `[a-z]` for one of these, and
    /// `\` has the next character stand for itself. One that does not begin with three plain characters is refused.
    pub fn glob(text: &str) -> Result<Self, Error> {
        let end = text.find(['*', '?', '[', '\\']).unwrap_or(text.len());
        let start = &text[..end];
        let first = start.split(':').next().unwrap_or_default();
        if AppKeys::TAKEN.contains(&first) {
            let message = format!("{text:?} covers what is no value of the cache");
            return Err(Error::Pattern(Invalid::new(message, "begin with an entity, such as \"user:*\"")));
        }
        if start.chars().count() < LITERAL {
            let message = format!("{text:?} may cover values that nobody had in mind");
            let help = format!("begin with {LITERAL} plain characters at least, such as \"user:*\"");
            return Err(Error::Pattern(Invalid::new(message, help)));
        }
        Ok(Self { glob: text.to_owned(), entity: None, operation: None, ids: BTreeMap::new() })
    }

    fn spelled(mut self) -> Self {
        let mut glob = self.entity.clone().unwrap_or_default();
        let _ = write!(glob, ":{}*", self.operation.as_deref().unwrap_or_default());
        for (name, value) in &self.ids {
            let _ = write!(glob, ":{name}={value}*");
        }
        self.glob = glob;
        self
    }

    /// What SCAN is to look for; it may find more.
    pub(super) fn as_glob(&self) -> &str {
        &self.glob
    }

    /// Whether a name that was found is meant.
    pub(super) fn covers(&self, name: &str) -> bool {
        let Some(entity) = &self.entity else { return true };
        let mut steps = name.split(':');
        let fits = steps.next() == Some(entity)
            && steps.next().is_some_and(|step| self.operation.as_deref().is_none_or(|operation| operation == step));
        let rest: Vec<&str> = steps.collect();
        fits && self.ids.iter().all(|(name, value)| rest.iter().any(|step| step.split_once('=') == Some((name, value))))
    }
}

/// As [`escaped`], and none of the names under which other things stand.
fn entity(name: &str) -> String {
    let plain = escaped(name);
    match plain.chars().next() {
        Some(first) if AppKeys::TAKEN.contains(&plain.as_str()) => {
            format!("%{:02X}{}", u32::from(first), &plain[first.len_utf8()..])
        }
        _ => plain,
    }
}

/// A text in which nothing separates steps, means something in a pattern, or moves a key to another slot of a cluster.
fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || "-_.@+,/~".contains(c) {
            plain.push(c);
        } else {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                let _ = write!(plain, "%{byte:02X}");
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_identifiers_sorted_and_escaped() {
        let key = Key::new("user", "profile").with("lang", "de").with("id", 7).variant("v2");
        assert_eq!(key.to_string(), "user:profile:id=7:lang=de:v2");
        assert_eq!(key, Key::new("user", "profile").with("id", 8).with("id", 7).with("lang", "de").variant("v2"));
        let hostile = Key::new("user", "by:mail").with("q", "a*b?[c]{d}=e:f %\n").with("ü", "ß");
        assert_eq!(hostile.to_string(), "user:by%3Amail:q=a%2Ab%3F%5Bc%5D%7Bd%7D%3De%3Af%20%25%0A:ü=ß");
        assert_eq!(Key::new("tag", "x").to_string(), "%74ag:x", "the sets of tags stand there");
        assert_ne!(Key::new("a", "b").variant("c=1").to_string(), Key::new("a", "b").with("c", 1).to_string());
    }

    #[test]
    fn f149_patterns_mean_whole_steps() {
        let names = [
            "user:profile:id=7",
            "user:profile:id=77",
            "user:profile:id=7:v2",
            "user:profiles:id=7",
            "user:posts:id=7:lang=de",
            "user:posts:aid=7:id=8",
            "users:profile:id=7",
        ];
        let covered =
            |pattern: &Pattern| -> Vec<usize> { (0..names.len()).filter(|at| pattern.covers(names[*at])).collect() };
        assert_eq!(covered(&Pattern::of("user")), [0, 1, 2, 3, 4, 5]);
        assert_eq!(covered(&Pattern::of("user").operation("profile")), [0, 1, 2]);
        assert_eq!(covered(&Pattern::of("user").with("id", 7)), [0, 2, 3, 4]);
        assert_eq!(covered(&Pattern::of("user").with("lang", "de").with("id", 7)), [4]);
        assert_eq!(Pattern::of("user").with("lang", "de").with("id", "*").as_glob(), "user:*:id=%2A*:lang=de*");
        assert_eq!(Pattern::of("user").with("id", 7).operation("posts").as_glob(), "user:posts*:id=7*");
    }

    #[test]
    fn f149_a_glob_begins_with_what_it_is_about() {
        for text in ["*", "", "u*", "us?r", "[abc]def", "\\*abc", "tag:*", "tag:front"] {
            assert!(matches!(Pattern::glob(text), Err(Error::Pattern(_))), "{text}");
        }
        for text in ["user:*", "user:profile:id=7", "use*", "tagged:*"] {
            assert_eq!(Pattern::glob(text).unwrap().as_glob(), text);
        }
    }
}
