//! Reads the templates of mails and finds what is wrong in them, each mistake at its place in its file.

use minijinja::Environment;

use crate::config::read::Item;
use crate::config::{MailTemplates, Place, Position, Problem};

pub(super) fn templates(item: &Item) -> Option<MailTemplates> {
    let directory = item.file_path()?;
    let templates = match MailTemplates::read(&directory) {
        Ok(templates) => templates,
        Err(error) => {
            item.error(
                format!("cannot read the templates in {}: {error}", directory.display()),
                "name a directory of files such as welcome.txt and welcome.html",
            );
            return None;
        }
    };
    for (name, text) in &templates.files {
        let Some((line, why, help)) = mistake(name, text, &templates) else { continue };
        let line_text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let column = line_text.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let position = Some(Position { line, column, line_text });
        let place = Place { source: directory.join(name).display().to_string(), position };
        let mut problem = Problem::error(format!("template {name}: {why}")).with_place(place).with_help(help);
        problem.key = item.path().to_string();
        let mut problems = item.context().problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    Some(templates)
}

/// The first mistake in a template: its line, from 1, what it is and the remedy.
fn mistake(name: &str, text: &str, templates: &MailTemplates) -> Option<(usize, String, &'static str)> {
    if let Err(error) = Environment::new().template_from_named_str(name, text) {
        let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        return Some((error.line().unwrap_or(1), why, "the syntax is Jinja's: {{ name }}, {% if … %} … {% endif %}"));
    }
    let missing = references(text).find(|(_, other)| !templates.files.contains_key(*other))?;
    Some((missing.0, format!("there is no template {:?}", missing.1), "paths are seen from the directory of templates"))
}

/// Which templates one names outright, each with its line.
fn references(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("{%").filter_map(move |(at, _)| {
        let tag = text[at + 2..].split("%}").next()?.trim_start_matches(['-', '+']).trim();
        let rest = ["extends", "include", "import", "from"].iter().find_map(|word| tag.strip_prefix(word))?;
        if rest.contains("ignore missing") {
            return None;
        }
        let rest = rest.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let name = rest[1..].split(quote).next()?;
        Some((text[..at].matches('\n').count() + 1, name))
    })
}
