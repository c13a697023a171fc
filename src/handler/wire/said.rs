//! The vocabulary: one JSON object a line, by which whatever does a job says how it goes and how it ended.
//!
//! Descriptor 3 of a command and the streamed answer of an endpoint carry it; `docs/handlers.md` lists it. Each thing
//! has a long form, named by `t`, and a short one.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::snippet;
use crate::config::Answer;
use crate::config::units::parse_duration;
use crate::job::{Failure, Flow, Outcome, QueueName};

/// One line understood.
pub(crate) enum Heard {
    Log(String),
    Progress(Box<RawValue>),
    Data(Box<RawValue>),
    Children(Vec<Flow>),
    Extend(Duration),
    Outcome(Stated),
    /// What cannot be understood and can be left out.
    Nonsense(String),
    /// What cannot be understood and would be missed.
    Unfit(String),
}

/// An outcome in the words of whoever does the job.
pub(crate) struct Stated {
    pub(crate) answer: Answer,
    message: Option<String>,
    stack: Option<String>,
    after: Option<Duration>,
    result: Option<Box<RawValue>>,
}

/// One line as it came.
#[derive(Deserialize)]
pub(crate) struct Frame {
    t: Option<String>,
    /// Which job it is about, where one channel carries several.
    #[cfg(feature = "command")]
    #[serde(rename = "ref")]
    pub(crate) reference: Option<String>,
    log: Option<String>,
    line: Option<String>,
    #[serde(default, deserialize_with = "given")]
    progress: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "given")]
    value: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "given")]
    data: Option<Box<RawValue>>,
    children: Option<Box<RawValue>>,
    extend: Option<String>,
    by: Option<String>,
    outcome: Option<String>,
    message: Option<String>,
    stack: Option<String>,
    after: Option<String>,
    #[serde(default, deserialize_with = "given")]
    result: Option<Box<RawValue>>,
}

/// A member that is there, `null` too.
fn given<'de, D: Deserializer<'de>>(member: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(member).map(Some)
}

impl Heard {
    /// Reads one line, which is `cut` bytes short; `None` for an empty one. Children that name no queue go to `queue`.
    pub(crate) fn parse(line: &[u8], cut: usize, queue: &QueueName) -> Option<Self> {
        if cut > 0 {
            return Some(Self::Nonsense(format!("a line {cut} bytes too long was dropped")));
        }
        if line.trim_ascii().is_empty() {
            return None;
        }
        Some(Frame::parse(line).map_or_else(Self::Nonsense, |frame| frame.understand(line, queue)))
    }
}

impl Frame {
    /// What it calls itself.
    #[cfg(feature = "command")]
    pub(crate) fn kind(&self) -> Option<&str> {
        self.t.as_deref()
    }

    /// The error says what is wrong and quotes the line.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| quoted(&format!("line not understood ({error})"), line))
    }

    /// What it says; `line` is what it was parsed from.
    pub(crate) fn understand(self, line: &[u8], queue: &QueueName) -> Heard {
        understand(self, queue).unwrap_or_else(|why| Heard::Nonsense(quoted(&why, line)))
    }
}

fn quoted(why: &str, line: &[u8]) -> String {
    format!("{why}: {}", snippet(line, 200))
}

fn understand(said: Frame, queue: &QueueName) -> Result<Heard, String> {
    let kind = match said.t.as_deref() {
        Some(kind) => kind,
        None if said.log.is_some() || said.line.is_some() => "log",
        None if said.outcome.is_some() => "outcome",
        None if said.progress.is_some() => "progress",
        None if said.data.is_some() => "data",
        None if said.children.is_some() => "children",
        None if said.extend.is_some() => "extend",
        None if said.result.is_some() => "done",
        None => "",
    };
    match kind {
        "log" => said.line.or(said.log).map(Heard::Log).ok_or_else(|| missing("line")),
        "progress" => said.value.or(said.progress).map(Heard::Progress).ok_or_else(|| missing("value")),
        "data" => Ok(said
            .data
            .map_or_else(|| Heard::Unfit("data says nothing (expected the member data)".into()), Heard::Data)),
        "children" => Ok(children(said.children.as_deref(), queue).map_or_else(Heard::Unfit, Heard::Children)),
        "extend" => {
            let by = said.by.or(said.extend).ok_or_else(|| missing("by"))?;
            parse_duration(&by).map(Heard::Extend).map_err(|why| why.to_string())
        }
        "outcome" => stated(said, None),
        "done" => stated(said, Some(Answer::Complete)),
        "fail" => stated(said, Some(Answer::Retry)),
        _ => Err("line not understood (expected log, progress, data, children, extend or outcome)".into()),
    }
}

fn missing(member: &str) -> String {
    format!("line not understood (expected the member {member})")
}

fn children(list: Option<&RawValue>, queue: &QueueName) -> Result<Vec<Flow>, String> {
    let list = list.map_or("null", RawValue::get);
    let list: Vec<&RawValue> =
        serde_json::from_str(list).map_err(|error| format!("children must be a list of jobs ({error})"))?;
    list.into_iter().map(|child| Flow::parse(child.get(), Some(queue)).map_err(|error| error.to_string())).collect()
}

fn stated(said: Frame, otherwise: Option<Answer>) -> Result<Heard, String> {
    let answer = match (said.outcome, otherwise) {
        (Some(word), _) => Answer::parse(&word).ok_or_else(|| {
            format!("unknown outcome {word:?}, expected {}", Answer::NAMES.map(|(name, _)| name).join(", "))
        })?,
        (None, Some(otherwise)) => otherwise,
        (None, None) => return Err(missing("outcome")),
    };
    let after = said.after.as_deref().map(parse_duration).transpose().map_err(|why| why.to_string())?;
    Ok(Heard::Outcome(Stated { answer, message: said.message, stack: said.stack, after, result: said.result }))
}

impl Stated {
    /// With no longer wait than this.
    #[cfg(feature = "http")]
    pub(crate) fn bounded(mut self, longest: Duration) -> Self {
        self.after = self.after.map(|after| after.min(longest));
        self
    }

    /// The outcome. `failure` stands in where no message was given, and is told what was asked for; `value` where no
    /// result was.
    pub(crate) fn outcome(
        self,
        failure: impl FnOnce(&str) -> Failure,
        value: impl FnOnce() -> Box<RawValue>,
    ) -> Outcome {
        let Self { answer, message, stack, after, result } = self;
        let failure = |asked: &str| match message {
            Some(message) => Failure { message: snippet(message.as_bytes(), super::LOG_LINE), stack },
            None => failure(asked),
        };
        match answer {
            Answer::Complete => Outcome::Complete(result.unwrap_or_else(value)),
            Answer::Retry => Outcome::Retry { failure: failure("asks for a retry"), after },
            Answer::Defer => {
                Outcome::Defer { reason: failure("asks for a deferral").message, after: after.unwrap_or(super::DEFER) }
            }
            Answer::Fail => Outcome::Fail(failure("gives up")),
            Answer::Discard => Outcome::Discard { reason: failure("discards the job").message },
            Answer::WaitingChildren => Outcome::WaitForChildren,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(line: &str) -> Heard {
        Heard::parse(line.as_bytes(), 0, &QueueName::new("own").unwrap()).unwrap()
    }

    fn outcome(line: &str) -> Outcome {
        let Heard::Outcome(stated) = hear(line) else { panic!("{line}") };
        stated.outcome(
            |asked| Failure::new(format!("it {asked}")),
            || RawValue::from_string("\"otherwise\"".into()).unwrap(),
        )
    }

    #[test]
    fn both_spellings_are_heard() {
        for (long, short) in [
            (r#"{"t":"log","line":"a"}"#, r#"{"log":"a"}"#),
            (r#"{"t":"progress","value":1.10}"#, r#"{"progress":1.10}"#),
            (r#"{"t":"progress","value":null}"#, r#"{"progress":null}"#),
            (r#"{"t":"data","data":{"n":1.10}}"#, r#"{"data":{"n":1.10}}"#),
            (r#"{"t":"data","data":null}"#, r#"{"data":null}"#),
            (r#"{"t":"children","children":[{"name":"a"}]}"#, r#"{"children":[{"name":"a","queueName":"own"}]}"#),
            (r#"{"t":"extend","by":"30s"}"#, r#"{"extend":"30s"}"#),
        ] {
            let said = [long, short].map(|line| match hear(line) {
                Heard::Log(line) => line,
                Heard::Progress(value) | Heard::Data(value) => value.get().to_owned(),
                Heard::Children(children) => format!("{} in {}", children[0].job.name, children[0].queue),
                Heard::Extend(by) => format!("{by:?}"),
                _ => panic!("{line}"),
            });
            assert_eq!(said[0], said[1], "{long}");
        }
        for (long, short) in [
            (r#"{"t":"outcome","outcome":"complete","result":1.10}"#, r#"{"result":1.10}"#),
            (r#"{"t":"done","result":null}"#, r#"{"result":null}"#),
            (r#"{"t":"done"}"#, r#"{"outcome":"complete"}"#),
            (r#"{"t":"fail","message":"m","stack":"s"}"#, r#"{"outcome":"retry","message":"m","stack":"s"}"#),
            (r#"{"t":"fail","outcome":"fail"}"#, r#"{"outcome":"fail"}"#),
            (r#"{"t":"outcome","outcome":"defer","after":"90s"}"#, r#"{"outcome":"defer","after":"90s"}"#),
            (r#"{"t":"outcome","outcome":"waiting-children"}"#, r#"{"outcome":"waiting-children"}"#),
        ] {
            assert_eq!(format!("{:?}", outcome(long)), format!("{:?}", outcome(short)));
        }
        assert!(matches!(outcome(r#"{"outcome":"waiting-children"}"#), Outcome::WaitForChildren));
        assert!(matches!(outcome(r#"{"t":"done"}"#), Outcome::Complete(value) if value.get() == "\"otherwise\""));
        assert!(matches!(outcome(r#"{"outcome":"fail"}"#), Outcome::Fail(failure) if failure.message == "it gives up"));
        let Outcome::Retry { failure, .. } = outcome(r#"{"t":"fail","message":"a\nb","stack":"s\nt"}"#) else {
            panic!()
        };
        assert_eq!((failure.message.as_str(), failure.stack.as_deref()), ("a b", Some("s\nt")));
    }

    #[test]
    fn nonsense_is_told_from_what_would_be_missed() {
        for line in [
            "hello",
            "[1]",
            "{}",
            r#"{"t":"outcome"}"#,
            r#"{"t":"dance"}"#,
            r#"{"t":"extend"}"#,
            r#"{"extend":"soon"}"#,
            r#"{"outcome":"perhaps"}"#,
            r#"{"outcome":"defer","after":"soon"}"#,
            r#"{"outcome":"defer","after":5}"#,
            r#"{"log":7}"#,
        ] {
            assert!(matches!(hear(line), Heard::Nonsense(_)), "{line}");
        }
        for line in [
            r#"{"t":"data"}"#,
            r#"{"t":"children"}"#,
            r#"{"children":{"name":"a"}}"#,
            r#"{"children":[{"data":1}]}"#,
            r#"{"children":[{"name":"a","opts":7}]}"#,
        ] {
            assert!(matches!(hear(line), Heard::Unfit(_)), "{line}");
        }
        let queue = QueueName::new("own").unwrap();
        assert!(Heard::parse(b" \r", 0, &queue).is_none());
        assert!(matches!(Heard::parse(b"{}", 3, &queue), Some(Heard::Nonsense(_))));
    }
}
