//! Placeholders in the url of an endpoint and the arguments of a command, filled in from a job.
//! A url is a [`Template`] with any number of them; an argument is one [`Field`] or none.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde_json::value::RawValue;

use super::TemplateError;
use crate::job::Job;

/// A text with placeholders, checked when the handler is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Field(Field),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Queue,
    Name,
    Id,
    Attempt,
    /// Member names and array positions from the top of the job's data.
    Data(Vec<String>),
}

/// A job does not hold what a placeholder asks for; no retry will change that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfilled {
    #[error("the job has no {0}")]
    Missing(Field),
    #[error("{0} is {1}, expected text, a number or a boolean")]
    Shape(Field, &'static str),
}

impl Template {
    /// `{{` and `}}` stand for braces.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            plain.push_str(before);
            if brace.starts_with("{{") || brace.starts_with("}}") {
                plain.push_str(&brace[..1]);
                rest = &brace[2..];
            } else if let Some(after) = brace.strip_prefix('}') {
                plain.push('}');
                rest = after;
            } else {
                let (name, after) = brace[1..].split_once('}').ok_or_else(|| TemplateError::Open(text.to_owned()))?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Field(Field::parse(name)?));
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }
}

impl Field {
    /// What stands between the braces.
    pub(crate) fn parse(name: &str) -> Result<Self, TemplateError> {
        match name {
            "queue" => Ok(Self::Queue),
            "name" => Ok(Self::Name),
            "id" => Ok(Self::Id),
            "attempt" => Ok(Self::Attempt),
            _ => match name.strip_prefix("data.") {
                Some(path) if path.split('.').all(|step| !step.is_empty()) => {
                    Ok(Self::Data(path.split('.').map(str::to_owned).collect()))
                }
                _ => Err(TemplateError::Unknown(name.to_owned())),
            },
        }
    }

    /// The job's value: text as it is, numbers as the producer spelled them.
    pub(crate) fn value<'a>(&self, job: &'a Job) -> Result<Cow<'a, str>, Unfilled> {
        match self {
            Self::Queue => Ok(job.queue.as_str().into()),
            Self::Name => Ok(job.name.as_str().into()),
            Self::Id => Ok(job.id.as_str().into()),
            Self::Attempt => Ok(job.attempt().to_string().into()),
            Self::Data(path) => {
                let missing = || Unfilled::Missing(self.clone());
                let mut here: &RawValue = &job.data;
                for step in path {
                    here = member(here, step).ok_or_else(missing)?;
                }
                match here.get().as_bytes().first() {
                    Some(b'"') => serde_json::from_str::<Text>(here.get()).map(|text| text.0).map_err(|_| missing()),
                    Some(b'{') => Err(Unfilled::Shape(self.clone(), "an object")),
                    Some(b'[') => Err(Unfilled::Shape(self.clone(), "an array")),
                    Some(b'n') | None => Err(missing()),
                    Some(_) => Ok(here.get().into()),
                }
            }
        }
    }
}

/// Borrows where the JSON text needs no unescaping.
#[derive(serde::Deserialize, PartialEq, Eq, Hash)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// One level down. Values on the way are only skipped over, never built: a number keeps its digits.
fn member<'a>(value: &'a RawValue, step: &str) -> Option<&'a RawValue> {
    if value.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
        return items.get(step.parse::<usize>().ok()?).copied();
    }
    let members: HashMap<Text<'a>, &RawValue> = serde_json::from_str(value.get()).ok()?;
    members.get(&Text(step.into())).copied()
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue => f.write_str("queue"),
            Self::Name => f.write_str("name"),
            Self::Id => f.write_str("id"),
            Self::Attempt => f.write_str("attempt"),
            Self::Data(path) => write!(f, "data.{}", path.join(".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::job;

    fn field(name: &str, data: &str) -> Result<String, Unfilled> {
        Field::parse(name).unwrap().value(&job(data)).map(Cow::into_owned)
    }

    #[test]
    fn parts_in_order() {
        let text = |text: &str| Part::Text(text.to_owned());
        let template = Template::parse("a{queue}{data.x.0}/b}{attempt}").unwrap();
        let data = Field::Data(vec!["x".into(), "0".into()]);
        assert_eq!(
            template.parts,
            [text("a"), Part::Field(Field::Queue), Part::Field(data), text("/b}"), Part::Field(Field::Attempt)]
        );
        assert!(Template::parse("").unwrap().parts.is_empty());
        assert_eq!(
            Template::parse("{{a}}:{{{name}}}").unwrap().parts,
            [text("{a}:{"), Part::Field(Field::Name), text("}")]
        );
    }

    #[test]
    fn mistakes_are_found_before_a_job_comes() {
        for (text, want) in [
            ("{queu}", TemplateError::Unknown("queu".into())),
            ("{data}", TemplateError::Unknown("data".into())),
            ("{data.}", TemplateError::Unknown("data.".into())),
            ("{data.a..b}", TemplateError::Unknown("data.a..b".into())),
            ("a{name", TemplateError::Open("a{name".into())),
        ] {
            assert_eq!(Template::parse(text), Err(want), "{text}");
        }
        assert!(
            TemplateError::Unknown("queu".into())
                .to_string()
                .starts_with("unknown placeholder {queu}: expected {queue}")
        );
    }

    #[test]
    fn values_come_as_the_producer_spelled_them() {
        let data = r#"{"s":"a\n\"ä","n":1.10,"big":12345678901234567890123,"b":false,"o":{"in":[10,{"x":"y"}]},"k\u0061y":1,"z":null}"#;
        for (name, want) in [
            ("data.s", "a\n\"ä"),
            ("data.n", "1.10"),
            ("data.big", "12345678901234567890123"),
            ("data.b", "false"),
            ("data.o.in.0", "10"),
            ("data.o.in.1.x", "y"),
            ("data.kay", "1"),
            ("queue", "email"),
            ("name", "welcome"),
            ("id", "1042"),
            ("attempt", "1"),
        ] {
            assert_eq!(field(name, data).as_deref(), Ok(want), "{name}");
        }
        for name in ["data.none", "data.z", "data.s.x", "data.o.in.7", "data.o.in.x", "data.n.0"] {
            assert_eq!(field(name, data).unwrap_err().to_string(), format!("the job has no {name}"));
        }
        assert_eq!(field("data.a", "null").unwrap_err().to_string(), "the job has no data.a");
        assert_eq!(
            field("data.o", data).unwrap_err().to_string(),
            "data.o is an object, expected text, a number or a boolean"
        );
    }
}
