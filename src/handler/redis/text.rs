//! Keys and patterns of the configuration, filled in from a job. A value stands for itself: what a pattern gives a meaning
//! to is escaped in it.

use bytes::Bytes;

use crate::handler::TemplateError;
use crate::handler::template::{Part, Template};
use crate::job::Job;
use crate::store::escaped;

/// A key or a pattern with placeholders.
pub(super) struct KeyText {
    /// Escapes are resolved in it unless it is a pattern.
    parts: Vec<Part>,
    is_pattern: bool,
}

/// Which keys a job is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Keys {
    One(Bytes),
    Like(String),
}

impl KeyText {
    /// A pattern, unless nothing in it stands for others: then it is the one key.
    pub(super) fn pattern(text: &str) -> Result<Self, TemplateError> {
        let parts = Template::parse(text)?.parts;
        let plain = parts.iter().map(|part| match part {
            Part::Text(text) => unescaped(text).map(Part::Text),
            Part::Field(field) => Some(Part::Field(field.clone())),
        });
        Ok(match plain.collect::<Option<Vec<_>>>() {
            Some(parts) => Self { parts, is_pattern: false },
            None => Self { parts, is_pattern: true },
        })
    }

    /// The name of one key, whatever characters it holds.
    pub(super) fn key(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { parts: Template::parse(text)?.parts, is_pattern: false })
    }

    /// For one job. The error is the reason the job fails for good.
    pub(super) fn fill(&self, job: &Job) -> Result<Keys, String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Field(field) => {
                    let value = field.value(job).map_err(|unfilled| format!("{unfilled}, and the key needs it"))?;
                    if value.is_empty() {
                        return Err(format!("{field} is empty, and the key needs it"));
                    }
                    filled.push_str(&if self.is_pattern { escaped(&value).into() } else { value });
                }
            }
        }
        Ok(if self.is_pattern { Keys::Like(filled) } else { Keys::One(filled.into()) })
    }

    /// As [`KeyText::fill`], of a text that names one key.
    pub(super) fn fill_one(&self, job: &Job) -> Result<Bytes, String> {
        match self.fill(job)? {
            Keys::One(key) => Ok(key),
            Keys::Like(pattern) => Err(format!("{pattern:?} is a pattern, and one key is needed")),
        }
    }
}

/// The text with its escapes resolved; `None` when a character in it stands for others.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' | '?' | '[' => return None,
            '\\' => plain.extend(rest.next()),
            c => plain.push(c),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::job;

    fn pattern(text: &str, data: &str) -> Result<Keys, String> {
        KeyText::pattern(text).unwrap().fill(&job(data))
    }

    #[test]
    fn f149_a_value_means_itself_and_nothing_else() {
        let like = |text: &str| Ok(Keys::Like(text.to_owned()));
        assert_eq!(pattern("user:{data.id}:*", r#"{"id":"*"}"#), like("user:\\*:*"));
        assert_eq!(pattern("user:{data.id}:*", r#"{"id":"a?[b-c]\\^"}"#), like("user:a\\?\\[b-c\\]\\\\\\^:*"));
        assert_eq!(pattern("user:{data.id}:*", r#"{"id":7}"#), like("user:7:*"));
        let one = |text: &'static str| Ok(Keys::One(text.into()));
        assert_eq!(pattern("user:{data.id}", r#"{"id":"*"}"#), one("user:*"));
        assert_eq!(pattern("user:\\*:{name}", "null"), one("user:*:welcome"));
        assert_eq!(KeyText::key("tag:[x]:{data.tag}").unwrap().fill(&job(r#"{"tag":"*"}"#)), one("tag:[x]:*"));
    }

    #[test]
    fn f149_a_value_that_is_missing_or_empty_widens_nothing() {
        for (data, reason) in [
            ("{}", "the job has no data.id, and the key needs it"),
            (r#"{"id":""}"#, "data.id is empty, and the key needs it"),
            (r#"{"id":null}"#, "the job has no data.id, and the key needs it"),
            (r#"{"id":["*"]}"#, "data.id is an array, expected text, a number or a boolean, and the key needs it"),
        ] {
            assert_eq!(pattern("user:{data.id}:*", data), Err(reason.to_owned()), "{data}");
        }
    }
}
