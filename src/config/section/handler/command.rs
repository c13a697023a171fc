//! Reads `[handlers.NAME.command]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{DAY, LARGEST};
use crate::config::CommandHandler;
use crate::config::read::Item;
use crate::config::section::secret::secret;
use crate::config::section::{is_placeholder, unknown_placeholder};

pub(super) fn command(item: &Item) -> Option<CommandHandler> {
    let argv = item.child("argv");
    if !argv.is_given() {
        item.missing("a command handler needs argv", "write argv = [\"/path/to/program\", \"argument\"]");
    }
    let arguments = argv.texts();
    let mut words = Vec::new();
    if let Some(arguments) = &arguments {
        for (n, argument) in arguments.iter().enumerate() {
            let text = if n == 0 { argument.text() } else { argument.any_text() };
            let text = text.unwrap_or_default();
            check_argument(argument, n, &text);
            words.push(text);
        }
        if arguments.is_empty() {
            argv.error("argv must not be empty", "write argv = [\"/path/to/program\", \"argument\"]");
        }
    }
    let base = CommandHandler::new(words);
    let base = CommandHandler {
        directory: item.child("directory").file_path(),
        env: environment(&item.child("env")),
        env_allow: allowed(&item.child("env_allow")),
        kill_after: item.child("kill_after").duration(Duration::ZERO..=DAY, base.kill_after),
        max_output: item.child("max_output").size(0..=LARGEST, base.max_output),
        argv: base.argv,
    };
    arguments.map(|_| base)
}

fn check_argument(item: &Item, n: usize, text: &str) {
    if text.contains('\0') {
        item.error("an argument must not hold a NUL character", "remove it");
    }
    if let Some(placeholder) = placeholder_in(text) {
        if n == 0 {
            item.error(
                "a placeholder may not name the program",
                "write the program out; a job may fill only arguments",
            );
        } else if placeholder.len() < text.len() {
            item.error(
                format!("placeholder {placeholder} is only a part of an argument"),
                "make it an argument of its own, so that nothing reads the value as more than a value",
            );
        }
        return;
    }
    // braces that are no placeholder are common in arguments, such as JSON or awk programs
    let whole = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let meant = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
    if let Some(name) = whole.filter(meant) {
        let invalid = unknown_placeholder(name, &["queue", "name", "id", "attempt", "data.PATH"]);
        item.error(invalid.message, invalid.help);
    }
}

/// The first placeholder, braces included; `${name}` is a shell's variable.
fn placeholder_in(text: &str) -> Option<&str> {
    text.match_indices('{').find_map(|(open, _)| {
        let close = open + text[open..].find('}')?;
        let known = is_placeholder(&text[open + 1..close]) && !text[..open].ends_with('$');
        known.then(|| &text[open..=close])
    })
}

fn environment(item: &Item) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in item.entries() {
        check_variable(&value, &name);
        let text = if value.is_table() { secret(&value).map(|s| s.reveal().to_owned()) } else { value.any_text() };
        variables.extend(text.map(|text| (name, text)));
    }
    variables
}

fn allowed(item: &Item) -> Vec<String> {
    let mut names = Vec::new();
    for name in item.texts().unwrap_or_default() {
        if let Some(text) = name.text() {
            check_variable(&name, &text);
            names.push(text);
        }
    }
    names
}

fn check_variable(item: &Item, name: &str) {
    if name.is_empty() || name.contains(['=', '\0']) {
        item.error(format!("{name:?} is not the name of a variable"), "use letters, digits and '_'");
    } else if name.starts_with("OXHERD_") {
        item.error(format!("{name} is a name oxherd sets itself"), "choose a name that does not start with OXHERD_");
    }
}
