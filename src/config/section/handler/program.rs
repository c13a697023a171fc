//! Reads what all handlers that run programs have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use super::DAY;
use crate::config::locate::is_secret_name;
use crate::config::read::Item;
use crate::config::section::secret::secret;
use crate::config::{Limits, Program};

/// The program of a handler of this kind; `check` looks at each argument, the program being the first. `None` without
/// `argv`.
pub(super) fn program(item: &Item, kind: &str, check: impl Fn(&Item, usize, &str)) -> Option<Program> {
    let argv = item.child("argv");
    let example = "write argv = [\"/path/to/program\", \"argument\"]";
    if !argv.is_given() {
        item.missing(format!("a {kind} handler needs argv"), example);
    }
    let arguments = argv.texts();
    let mut words = Vec::new();
    if let Some(arguments) = &arguments {
        for (n, argument) in arguments.iter().enumerate() {
            let text = if n == 0 { argument.text() } else { argument.any_text() };
            let text = text.unwrap_or_default();
            if text.contains('\0') {
                argument.error("an argument must not hold a NUL character", "remove it");
            }
            check(argument, n, &text);
            words.push(text);
        }
        if arguments.is_empty() {
            argv.error("argv must not be empty", example);
        }
    }
    let base = Program::new(words);
    let base = Program {
        directory: item.child("directory").file_path(),
        env: environment(&item.child("env")),
        env_allow: allowed(&item.child("env_allow")),
        kill_after: item.child("kill_after").duration(Duration::ZERO..=DAY, base.kill_after),
        user: account(&item.child("user")),
        group: account(&item.child("group")),
        limits: limits(&item.child("limits")),
        argv: base.argv,
    };
    arguments.map(|_| base)
}

/// A name or a number; whether there is one is looked up when it is used.
fn account(item: &Item) -> Option<String> {
    let name = item.text()?;
    if name.contains(['\0', ':', '/']) || name.contains(char::is_whitespace) {
        item.error(format!("{name:?} cannot be the name of a user or a group"), "write a name or a number");
    }
    Some(name)
}

fn limits(item: &Item) -> Limits {
    item.expect_table();
    let cpu = item.child("cpu").optional_duration(Duration::from_secs(1)..=365 * DAY, None);
    Limits {
        memory: item.child("memory").optional_size(1024 * 1024..=usize::MAX >> 16, None),
        // the kernel counts whole seconds
        cpu: cpu.map(|cpu| Duration::from_secs(cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0))),
        // standard streams, descriptor 3, and what it takes to load a program
        files: item.child("files").optional_whole(8..=1 << 30, None),
        processes: item.child("processes").optional_whole(1..=1 << 30, None),
        file_size: item.child("file_size").optional_size(0..=usize::MAX >> 16, None),
    }
}

fn environment(item: &Item) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in item.entries() {
        check_variable(&value, &name);
        let text = if value.is_table() { secret(&value).map(|s| s.reveal().to_owned()) } else { value.any_text() };
        let Some(text) = text else { continue };
        if is_secret_name(&name) {
            item.context().keep_secret(&text);
        }
        variables.insert(name, text);
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
