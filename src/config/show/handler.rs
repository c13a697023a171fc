//! Handlers, as they are shown: one function per kind.

use toml::{Table, Value};

use super::{COVERED, covered, duration, named, texts};
use crate::config::locate::mask_urls;
use crate::config::units::show_size;
use crate::config::{Answer, CommandHandler, Handler, HttpHandler, LogHandler, Program};

pub(super) fn handler_table(handler: &Handler) -> Table {
    let (kind, table) = match handler {
        Handler::Http(config) => ("http", http(config)),
        Handler::Command(config) => ("command", command(config)),
        Handler::Log(config) => ("log", log(config)),
    };
    named([(kind, table.into())])
}

fn http(config: &HttpHandler) -> Table {
    let answer = |answer: &Answer| {
        let name = Answer::NAMES.iter().find(|(_, known)| known == answer).map_or("", |(name, _)| name);
        Value::from(name)
    };
    let status = config.status.iter().map(|(code, to)| (code.to_string(), answer(to))).collect();
    let mut table = named([
        ("url", mask_urls(&config.url).into()),
        ("headers", covered(&config.headers)),
        ("signing_secrets", Value::Array(config.signing_secrets.iter().map(|_| COVERED.into()).collect())),
        ("connect_timeout", duration(config.connect_timeout)),
        ("max_response", show_size(config.max_response).into()),
        ("max_defer", duration(config.max_defer)),
        ("status", Value::Table(status)),
    ]);
    if let Some(path) = &config.socket {
        table.insert("socket".into(), path.display().to_string().into());
    }
    table
}

fn command(config: &CommandHandler) -> Table {
    let mut table = program(&config.program);
    table.insert("max_output".into(), show_size(config.max_output).into());
    table
}

fn program(config: &Program) -> Table {
    let mut table = named([
        ("argv", texts(&config.argv)),
        ("env", covered(&config.env)),
        ("env_allow", texts(&config.env_allow)),
        ("kill_after", duration(config.kill_after)),
    ]);
    if let Some(directory) = &config.directory {
        table.insert("directory".into(), directory.display().to_string().into());
    }
    table
}

fn log(config: &LogHandler) -> Table {
    named([("duration", duration(config.duration))])
}
