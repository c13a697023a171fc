//! Reads `[handlers.NAME.KIND]`, one file per kind.

use std::time::Duration;

use crate::config::read::Item;
use crate::config::schema::handler_kinds;
use crate::config::section::is_placeholder;
use crate::config::{Handler, LogHandler};

mod command;
pub(super) mod http;
mod process;
mod program;
mod redis;
mod smtp;

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The largest bound on bytes that can be asked for.
const LARGEST: usize = 1024 * 1024 * 1024;

/// One handler, if its table says which kind it is.
pub fn handler(name: &str, item: &Item) -> Option<Handler> {
    item.expect_table();
    let kinds: Vec<(String, Item)> =
        item.entries().into_iter().filter(|(kind, _)| handler_kinds().contains(&kind.as_str())).collect();
    match kinds.as_slice() {
        [(kind, item)] => {
            item.expect_table();
            match kind.as_str() {
                "http" => http::http(item).map(Handler::Http),
                "command" => command::command(item).map(Handler::Command),
                "process" => process::process(item).map(Handler::Process),
                "redis" => redis::redis(item).map(Box::new).map(Handler::Redis),
                "smtp" => smtp::smtp(item).map(|handler| Handler::Smtp(Box::new(handler))),
                _ => Some(Handler::Log(log(item))),
            }
        }
        [] => {
            // other keys are reported as unknown, with what is known
            if item.is_table() && item.entries().is_empty() {
                let tables: Vec<String> =
                    handler_kinds().iter().map(|kind| format!("[{}.{kind}]", item.path())).collect();
                let help = format!("the kind is the name of its table: {}", tables.join(", "));
                item.missing(format!("handler {name:?} does not say its kind"), help);
            }
            None
        }
        several => {
            let listed: Vec<&str> = several.iter().map(|(kind, _)| kind.as_str()).collect();
            item.error(
                format!("handler {name:?} is of two kinds: {}", listed.join(" and ")),
                "give each handler one kind and a name of its own",
            );
            None
        }
    }
}

fn log(item: &Item) -> LogHandler {
    LogHandler { duration: item.child("duration").duration(Duration::ZERO..=DAY, Duration::ZERO) }
}

/// The first placeholder, braces included; `${name}` is a shell's variable.
fn placeholder_in(text: &str) -> Option<&str> {
    text.match_indices('{').find_map(|(open, _)| {
        let close = open + text[open..].find('}')?;
        let known = is_placeholder(&text[open + 1..close]) && !text[..open].ends_with('$');
        known.then(|| &text[open..=close])
    })
}
