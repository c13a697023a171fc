//! Descriptor 3 of a command: JSON lines by which the program logs and states its outcome.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::Answer;
use crate::config::units::parse_duration;
use crate::handler::{JobContext, wire};

/// What the program said so far.
#[derive(Default)]
pub(super) struct Channel {
    /// The last outcome stated; it beats the exit code.
    pub(super) stated: Option<Stated>,
}

/// An outcome in the program's own words.
pub(super) struct Stated {
    pub(super) answer: Answer,
    pub(super) message: Option<String>,
    pub(super) after: Option<Duration>,
    pub(super) result: Option<Box<RawValue>>,
}

/// `{"t":"log","line":"…"}` or, shorter, `{"log":"…"}`, and so on.
#[derive(Deserialize)]
struct Said {
    t: Option<String>,
    log: Option<String>,
    line: Option<String>,
    outcome: Option<String>,
    message: Option<String>,
    after: Option<String>,
    result: Option<Box<RawValue>>,
    /// Accepted, so that programs may send it; nobody reads it yet.
    progress: Option<Box<RawValue>>,
}

impl Channel {
    /// One line. What cannot be understood is logged with the job, for whoever wrote the program.
    pub(super) fn line(&mut self, bytes: &[u8], cut: usize, ctx: &JobContext) {
        if bytes.trim_ascii().is_empty() {
            return;
        }
        if cut > 0 {
            ctx.log(format!("descriptor 3: a line {cut} bytes too long was dropped"));
            return;
        }
        if let Err(why) = self.understand(bytes, ctx) {
            ctx.log(format!("descriptor 3: {why}: {}", wire::snippet(bytes, 200)));
        }
    }

    fn understand(&mut self, bytes: &[u8], ctx: &JobContext) -> Result<(), String> {
        let said: Said = serde_json::from_slice(bytes).map_err(|error| format!("line not understood ({error})"))?;
        match said.t.as_deref() {
            Some("log") | None if said.log.is_some() || said.line.is_some() => {
                let text = said.log.or(said.line).unwrap_or_default();
                ctx.log(wire::snippet(text.as_bytes(), super::LOG_LINE));
                Ok(())
            }
            Some("outcome") | None if said.outcome.is_some() => {
                let word = said.outcome.unwrap_or_default();
                let answer = Answer::parse(&word).ok_or_else(|| {
                    format!("unknown outcome {word:?}, expected complete, retry, defer, fail or discard")
                })?;
                let after = said.after.as_deref().map(parse_duration).transpose().map_err(|why| why.to_string())?;
                self.stated = Some(Stated { answer, message: said.message, after, result: said.result });
                Ok(())
            }
            Some("progress") => Ok(()),
            None if said.progress.is_some() => Ok(()),
            _ => Err("line not understood (expected log, progress or outcome)".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::context;

    fn hear(lines: &[&str]) -> (Option<Stated>, Vec<String>) {
        let (mut channel, ctx) = (Channel::default(), context());
        for line in lines {
            channel.line(line.as_bytes(), 0, &ctx);
        }
        (channel.stated, ctx.take_log())
    }

    #[test]
    fn both_spellings_are_heard() {
        for lines in [
            [r#"{"t":"log","line":"half\nway"}"#, r#"{"t":"outcome","outcome":"retry","message":"m","after":"30s"}"#],
            [r#"{"log":"half\nway"}"#, r#"{"outcome":"retry","message":"m","after":"30s"}"#],
        ] {
            let (stated, log) = hear(&lines);
            let stated = stated.unwrap();
            assert_eq!(stated.answer, Answer::Retry);
            assert_eq!((stated.message.as_deref(), stated.after), (Some("m"), Some(Duration::from_secs(30))));
            assert_eq!(log, ["half way"]);
        }
        let (stated, log) = hear(&[r#"{"t":"progress","value":40}"#, r#"{"progress":{"a":1}}"#, " "]);
        assert!(stated.is_none() && log.is_empty(), "{log:?}");
    }

    #[test]
    fn the_last_outcome_stands_and_its_result_keeps_its_digits() {
        let (stated, _) = hear(&[r#"{"outcome":"fail"}"#, r#"{"outcome":"complete","result":{"n":1.10}}"#]);
        let stated = stated.unwrap();
        assert_eq!((stated.answer, stated.result.unwrap().get()), (Answer::Complete, r#"{"n":1.10}"#));
    }

    #[test]
    fn nonsense_is_logged_and_changes_nothing() {
        for line in [
            "hello",
            "[1]",
            r#"{"t":"outcome"}"#,
            r#"{"t":"dance"}"#,
            r#"{"outcome":"perhaps"}"#,
            r#"{"outcome":"defer","after":"soon"}"#,
            r#"{"outcome":"defer","after":5}"#,
            r#"{"log":7}"#,
            "{}",
        ] {
            let (stated, log) = hear(&[line]);
            assert!(stated.is_none(), "{line}");
            assert!(log.len() == 1 && log[0].starts_with("descriptor 3: "), "{line}: {log:?}");
        }
    }
}
