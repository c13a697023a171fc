//! The Node program that knows the times, asked a zone at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use oxherd::job::ScheduleError;
use serde::{Deserialize, Serialize};

/// Which pattern, from which moment on, how many times.
#[derive(Serialize)]
pub struct Chain {
    pub pattern: usize,
    #[serde(rename = "moment")]
    pub meeting: usize,
    pub count: usize,
}

#[derive(Serialize)]
pub struct Question<'a> {
    pub zone: &'a str,
    pub patterns: &'a [String],
    /// In Unix ms.
    pub moments: &'a [i64],
    pub chains: &'a [Chain],
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// In Unix ms; `None` where no further one was found.
    Times(Vec<Option<i64>>),
    Refused(#[expect(dead_code, reason = "shown where a test fails")] String),
}

impl Answer {
    pub fn is(&self, ours: &Result<Vec<Option<i64>>, &ScheduleError>) -> bool {
        match (self, ours) {
            (Self::Times(theirs), Ok(ours)) => theirs == ours,
            (Self::Refused(_), Err(_)) => true,
            _ => false,
        }
    }
}

pub struct Node {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Node {
    pub fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/node");
        assert!(folder.join("node_modules/cron-parser").is_dir(), "cron-parser is missing; run make setup");
        let mut command = Command::new("node");
        command.arg(folder.join("cron.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// The answer to each chain of the question.
    pub fn ask(&mut self, question: &Question) -> Vec<Answer> {
        // the program reads a question whole before it answers
        writeln!(self.child.stdin.as_mut().unwrap(), "{}", serde_json::to_string(question).unwrap()).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answers: Vec<Answer> = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(answers.len(), question.chains.len());
        answers
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
