//! The configuration in force with where each value comes from: behind it as a remark, or beside it as JSON.

use serde_json::json;
use toml::{Table, Value};

use crate::config::origin::{Found, Origins};
use crate::config::path::{KeyPath, Step};
use crate::config::{Config, show::table};

/// Values wider than this have their remark right behind them.
const WIDEST: usize = 48;

/// As TOML, with a remark behind each value.
#[must_use]
pub fn show_origins(config: &Config, origins: &Origins) -> String {
    let mut text = String::new();
    section(&table(config), &KeyPath::default(), &mut text, &|path| origins.of(path, config));
    text
}

/// As JSON: one object per value with its key, the key's steps, the value and its origins.
#[must_use]
pub fn show_origins_json(config: &Config, origins: &Origins) -> serde_json::Value {
    let mut values = Vec::new();
    leaves(&table(config), &KeyPath::default(), &mut |path, value| {
        let names: Vec<&str> = path.0.iter().filter_map(Step::name).collect();
        let origins = origins.of(path, config);
        values.push(json!({ "key": path.to_string(), "path": names, "value": value, "origins": origins }));
    });
    values.into()
}

fn section(table: &Table, path: &KeyPath, text: &mut String, origins: &dyn Fn(&KeyPath) -> Vec<Found>) {
    let is_below = |value: &Value| value.as_table().is_some_and(|table| !table.is_empty());
    let lines: Vec<(String, KeyPath)> = table
        .iter()
        .filter(|(_, value)| !is_below(value))
        .map(|(name, value)| {
            let key = KeyPath::default().key(name);
            (format!("{key} = {value}"), path.key(name))
        })
        .collect();
    if !lines.is_empty() && !path.0.is_empty() {
        let blank = if text.is_empty() { "" } else { "\n" };
        text.extend([blank, "[", &path.to_string(), "]\n"]);
    }
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0);
    for (line, path) in lines {
        let origins: Vec<String> = origins(&path).iter().map(ToString::to_string).collect();
        // a name of a file may hold anything
        let origins = origins.join(" and ").replace(char::is_control, "\u{fffd}");
        text.extend([&format!("{line:width$}"), "  # ", &origins, "\n"]);
    }
    for (name, value) in table {
        if let Some(below) = value.as_table().filter(|_| is_below(value)) {
            section(below, &path.key(name), text, origins);
        }
    }
}

fn leaves(table: &Table, path: &KeyPath, each: &mut dyn FnMut(&KeyPath, &Value)) {
    for (name, value) in table {
        let path = path.key(name);
        match value {
            Value::Table(below) if !below.is_empty() => leaves(below, &path, each),
            value => each(&path, value),
        }
    }
}
