//! What is wrong with the configuration, where, and what to do about it. Problems are
//! collected, so that one look shows all of them.

use std::fmt;

/// Everything that is wrong; never empty. Warnings stand among the errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub problems: Vec<Problem>,
}

/// Whether a problem keeps the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    pub severity: Severity,
    pub message: String,
    /// Where it was written, if it was written anywhere.
    pub place: Option<Place>,
    /// Dotted path of the key, empty when it is not about one.
    pub key: String,
    pub help: Option<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The file as the operator named it, or `environment variable NAME`, or the flag.
    pub source: String,
    /// Only in files.
    #[serde(flatten)]
    pub position: Option<Position>,
}

/// A character in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line itself; secrets in it are already masked.
    pub line_text: String,
}

impl Problem {
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), place: None, key: String::new(), help: None }
    }

    #[must_use]
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn with_place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The problem as it is printed, without a last newline; in colour if asked for.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let paint =
            |code: &str, text: &str| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
        let (word, strong) = match self.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let blue = |text: &str| paint("1;34", text);
        let mut lines = vec![format!("{}: {}", paint(strong, word), paint("1", &printable(&self.message)))];
        let position = self.place.as_ref().and_then(|place| place.position.as_ref());
        let pad = " ".repeat(position.map_or(1, |at| at.line.to_string().len()));
        let place = self.place.as_ref().map(|place| match position {
            Some(at) => format!("{}:{}:{}", printable(&place.source), at.line, at.column),
            None => printable(&place.source),
        });
        let key = Some(printable(&self.key)).filter(|key| !key.is_empty());
        let where_and_what: Vec<String> = place.into_iter().chain(key).collect();
        if !where_and_what.is_empty() {
            lines.push(format!("{pad}{} {}", blue("-->"), where_and_what.join("   ")));
        }
        let bar = blue("|");
        if let Some(at) = position {
            // tabs stay tabs, so that the caret stands under its character
            let mut before: String =
                at.line_text.chars().take(at.column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
            before += &" ".repeat((at.column - 1).saturating_sub(before.chars().count()));
            lines.push(format!("{pad} {bar}"));
            lines.push(format!("{} {bar} {}", blue(&at.line.to_string()), printable(&at.line_text)));
            lines.push(format!("{pad} {bar} {before}{}", paint(strong, "^")));
        }
        if let Some(help) = &self.help {
            lines.push(format!("{pad} {} help: {}", blue("="), printable(help)));
        }
        lines.join("\n")
    }
}

/// Control characters made visible: what stands in a file must not steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

impl Error {
    /// How many of the problems are errors.
    #[must_use]
    pub fn count(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { "\n\n" })?;
            f.write_str(&problem.render(false))?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        let position = Position { line: 14, column: 15, line_text: "concurrency = 0".into() };
        Problem {
            key: "queues.email.concurrency".into(),
            ..Problem::error("concurrency must be at least 1, got 0")
                .with_help("remove the line to use the default, 5")
                .with_place(Place { source: "config/oxherd.toml".into(), position: Some(position) })
        }
    }

    #[test]
    fn rendered_as_the_contract_shows_it() {
        let want = "\
error: concurrency must be at least 1, got 0
  --> config/oxherd.toml:14:15   queues.email.concurrency
   |
14 | concurrency = 0
   |               ^
   = help: remove the line to use the default, 5";
        assert_eq!(problem().render(false), want);
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let coloured = problem().render(true);
        assert!(coloured.starts_with("\x1b[1;31merror\x1b[0m: "));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some(at) = rest.find('\x1b') {
            plain += &rest[..at];
            rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
        }
        plain += rest;
        assert_eq!(plain, problem().render(false));
    }

    #[test]
    fn a_variable_has_no_line() {
        let place = Place { source: "environment variable OXHERD__REDIS__PREFIX".into(), position: None };
        let problem = Problem { key: "redis.prefix".into(), ..Problem::error("prefix must not be empty") };
        assert_eq!(
            problem.with_place(place).render(false),
            "error: prefix must not be empty\n --> environment variable OXHERD__REDIS__PREFIX   redis.prefix"
        );
    }

    #[test]
    fn the_caret_stands_under_its_character_behind_tabs_and_accents() {
        let mut problem = problem();
        problem.place.as_mut().unwrap().position =
            Some(Position { line: 3, column: 4, line_text: "\tü\u{1b}x".into() });
        let text = problem.render(false);
        assert!(text.contains("\n3 | \tü\u{fffd}x\n  | \t  ^\n"), "{text}");
    }
}
