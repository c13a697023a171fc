//! What a look at Redis, or at this machine, has found: a value per fact, printed by `cli/doctor`.

use std::fmt::Display;

use serde::Serialize;

/// How bad it is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Looked at, and as it should be.
    Ok,
    /// Could not be looked at.
    Unknown,
    /// Worth knowing.
    Note,
    /// Works, and will not one day.
    Warning,
    /// Jobs are lost, late or not done.
    Error,
}

/// What can be found: a stable name, when it is found, and what to do then. All of them are in [`super::codes`].
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    pub name: &'static str,
    /// When it is found.
    pub about: &'static str,
    /// `NAME` stands for the queue, list, schedule or handler.
    pub remedy: &'static str,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: &'static str,
    pub severity: Severity,
    /// The queue, list, schedule or handler; `None` where it is Redis or the machine.
    pub subject: Option<String>,
    /// What was seen, or why nothing could be seen.
    pub seen: String,
    /// `None` where nothing is to be done.
    pub remedy: Option<String>,
}

/// What could be read, or why it could not.
pub type Known<T> = Result<T, String>;

impl Code {
    fn found(&self, severity: Severity, seen: &dyn Display) -> Finding {
        let remedy = (severity > Severity::Unknown).then(|| self.remedy.to_owned());
        Finding { code: self.name, severity, subject: None, seen: seen.to_string(), remedy }
    }

    #[must_use]
    pub fn ok(&self, seen: impl Display) -> Finding {
        self.found(Severity::Ok, &seen)
    }

    #[must_use]
    pub fn unknown(&self, why: impl Display) -> Finding {
        self.found(Severity::Unknown, &why)
    }

    #[must_use]
    pub fn note(&self, seen: impl Display) -> Finding {
        self.found(Severity::Note, &seen)
    }

    #[must_use]
    pub fn warning(&self, seen: impl Display) -> Finding {
        self.found(Severity::Warning, &seen)
    }

    #[must_use]
    pub fn error(&self, seen: impl Display) -> Finding {
        self.found(Severity::Error, &seen)
    }

    /// The verdict on what is known, or that nothing is.
    pub fn judge<T>(&self, known: Known<T>, verdict: impl FnOnce(&Self, T) -> Finding) -> Finding {
        match known {
            Ok(known) => verdict(self, known),
            Err(why) => self.unknown(why),
        }
    }
}

impl Finding {
    /// The same, about one queue, list, schedule or handler.
    #[must_use]
    pub fn of(mut self, subject: impl Display) -> Self {
        let subject = subject.to_string();
        self.remedy = self.remedy.map(|remedy| remedy.replace("NAME", &subject));
        self.subject = Some(subject);
        self
    }
}

/// Of what was looked for in many places, one answer for all where it was found in none.
pub fn unless_found(code: &Code, found: Vec<Finding>, seen: impl Display) -> Vec<Finding> {
    if found.is_empty() { vec![code.ok(seen)] } else { found }
}
