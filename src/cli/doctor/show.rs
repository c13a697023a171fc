//! How findings look.

use serde_json::json;

use super::super::Error;
use super::super::print::{Colour, Out};
use crate::daemon::escape;
use crate::store::checkup::{Finding, Severity};

/// Codes named on the line of what is as it should be.
const PER_LINE: usize = 100;

pub fn print(out: &mut Out, findings: &[Finding], all: bool) -> Result<(), Error> {
    let count = |severity| findings.iter().filter(|found| found.severity == severity).count();
    if out.is_json() {
        return Ok(out.json(&json!({
            "errors": count(Severity::Error),
            "warnings": count(Severity::Warning),
            "notes": count(Severity::Note),
            "unknown": count(Severity::Unknown),
            "ok": count(Severity::Ok),
            "findings": findings,
        }))?);
    }
    let is_shown = |found: &&Finding| all || found.severity > Severity::Ok;
    let width = findings.iter().filter(is_shown).map(|found| found.code.len()).max().unwrap_or(0);
    for found in findings.iter().filter(is_shown) {
        let (word, colour) = look(found.severity);
        // padded before it is painted: escape codes have no width
        let word = out.paint(colour, format_args!("{word:7}"));
        let subject = found.subject.as_ref().map(|subject| format!("{subject}: ")).unwrap_or_default();
        let seen = format!("{subject}{}", found.seen);
        out.line(format_args!("{word}  {:width$}  {}", found.code, escape::text(&seen)))?;
        if let Some(remedy) = &found.remedy {
            let indent = " ".repeat(7 + 2 + width + 2);
            out.line(out.paint(Colour::Dim, format_args!("{indent}{}", escape::text(remedy))))?;
        }
    }
    if !all {
        fine(out, findings)?;
    }
    let words = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let some = words.iter().filter(|(severity, _)| count(*severity) > 0);
    let mut summary: Vec<String> = some
        .map(|(severity, word)| {
            let plural = if count(*severity) == 1 { "" } else { "s" };
            out.paint(look(*severity).1, format_args!("{} {word}{plural}", count(*severity)))
        })
        .collect();
    if count(Severity::Unknown) > 0 {
        summary.push(format!("{} unknown", count(Severity::Unknown)));
    }
    summary.push(out.paint(Colour::Green, format_args!("{} fine", count(Severity::Ok))));
    Ok(out.line(summary.join(", "))?)
}

/// What is as it should be, by code alone.
fn fine(out: &mut Out, findings: &[Finding]) -> Result<(), Error> {
    let mut line = String::new();
    for found in findings.iter().filter(|found| found.severity == Severity::Ok) {
        if line.len() + found.code.len() > PER_LINE {
            out.line(out.paint(Colour::Dim, format_args!("ok       {line}")))?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(found.code);
    }
    if !line.is_empty() {
        out.line(out.paint(Colour::Dim, format_args!("ok       {line}")))?;
    }
    Ok(())
}

fn look(severity: Severity) -> (&'static str, Colour) {
    match severity {
        Severity::Ok => ("ok", Colour::Green),
        Severity::Unknown => ("unknown", Colour::Dim),
        Severity::Note => ("note", Colour::Bold),
        Severity::Warning => ("warning", Colour::Yellow),
        Severity::Error => ("error", Colour::Red),
    }
}
