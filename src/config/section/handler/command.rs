//! Reads `[handlers.NAME.command]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::program::program;
use super::{DAY, LARGEST, placeholder_in};
use crate::config::read::Item;
use crate::config::schema::answers;
use crate::config::section::unknown_placeholder;
use crate::config::{Answer, CommandHandler, ExitMeaning};

pub(super) fn command(item: &Item) -> Option<CommandHandler> {
    let program = program(item, "command", check_argument);
    let base = CommandHandler::new(Vec::new());
    let max_output = item.child("max_output").size(0..=LARGEST, base.max_output);
    let (work_dir, exit) = (item.child("work_dir").file_path(), exit_codes(&item.child("exit")));
    program.map(|program| CommandHandler { program, max_output, work_dir, exit })
}

/// `75 = "fail"` or `75 = { outcome = "defer", after = "10m" }`
fn exit_codes(item: &Item) -> BTreeMap<u8, ExitMeaning> {
    let known: Vec<(&'static str, Option<Answer>)> =
        answers().into_iter().map(|name| (name, Answer::parse(name))).collect();
    let mut codes = BTreeMap::new();
    for (code, meaning) in item.entries() {
        let number = code.parse::<u8>().ok();
        if number.is_none() {
            meaning.wrong_name(format!("{code:?} is not an exit code"), "write a number from 0 to 255");
        }
        let outcome = meaning.child("outcome");
        if meaning.is_table() && !outcome.is_given() {
            meaning.missing("an exit code needs an outcome", "write { outcome = \"defer\", after = \"10m\" }");
        }
        let answer = if meaning.is_table() { &outcome } else { &meaning }.word(&known, None);
        let after = meaning.child("after").optional_duration(Duration::ZERO..=365 * DAY, None);
        if after.is_some() && answer.is_some_and(|answer| !matches!(answer, Answer::Retry | Answer::Defer)) {
            meaning.child("after").error("only a retry or a deferral waits", "remove after");
        }
        if let (Some(number), Some(answer)) = (number, answer) {
            codes.insert(number, ExitMeaning { answer, after });
        }
    }
    codes
}

fn check_argument(item: &Item, n: usize, text: &str) {
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
