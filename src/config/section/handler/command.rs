//! Reads `[handlers.NAME.command]`.

use super::program::program;
use super::{LARGEST, placeholder_in};
use crate::config::CommandHandler;
use crate::config::read::Item;
use crate::config::section::unknown_placeholder;

pub(super) fn command(item: &Item) -> Option<CommandHandler> {
    let program = program(item, "command", check_argument);
    let base = CommandHandler::new(Vec::new());
    let max_output = item.child("max_output").size(0..=LARGEST, base.max_output);
    program.map(|program| CommandHandler { program, max_output })
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
