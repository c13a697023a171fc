//! The words of a steps file. `tests/golden/steps/README.md` lists the steps.

use serde_json::Value as Json;

/// One line: a step and what it must answer.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) words: Vec<Word>,
    pub(super) answer: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Word {
    /// As written; the content when it is a JSON string.
    pub(super) text: String,
    /// Of one that starts like JSON.
    pub(super) json: Option<Json>,
}

/// The steps of a file that concern one release, "v5" or "v6".
pub(super) fn parse(text: &str, release: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((only, rest)) = line.split_once(": ")
            && matches!(only, "v5" | "v6")
        {
            if only != release {
                continue;
            }
            line = rest;
        }
        let (line, answer) = match line.rsplit_once(" => ") {
            Some((line, answer)) => (line, Some(answer.trim().to_owned())),
            None => (line, None),
        };
        steps.push(Step { line: at + 1, words: words(line, at + 1), answer });
    }
    steps
}

fn words(line: &str, number: usize) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let length = if rest.starts_with(['{', '[', '"']) {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Json>();
            let value = values.next().unwrap().unwrap_or_else(|error| panic!("line {number}: {error}"));
            let length = values.byte_offset();
            let text = value.as_str().map_or_else(|| rest[..length].to_owned(), str::to_owned);
            words.push(Word { text, json: Some(value) });
            length
        } else {
            let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let json = serde_json::from_str(&rest[..length]).ok();
            words.push(Word { text: rest[..length].to_owned(), json });
            length
        };
        rest = rest[length..].trim_start();
    }
    words
}
