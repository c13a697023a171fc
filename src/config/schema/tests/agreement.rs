//! The tables, their JSON Schema and the reader of files say the same: each is asked about every key, by values that
//! are right and values that are not.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use toml::Value;

use super::*;
use crate::config::{Config, Error, LoadOptions, load};

/// What every file here has, and what the sections need that cannot be empty.
fn around(path: &[String]) -> toml::Table {
    let text = match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["schedules", name, "every", ..] => format!("[schedules.{name}]\nqueue = \"q\""),
        ["schedules", name, ..] => format!("[schedules.{name}]\nqueue = \"q\"\ncron = \"0 3 * * *\""),
        ["queues", name, ..] => format!("[queues.{name}]\nhandler = \"h\""),
        ["handlers", name, "redis", key, ..] => format!("[handlers.{name}.redis]\n{}", action(key)),
        ["handlers", name, kind, ..] => {
            let needed = match kind {
                "http" => "url = \"https://x/\"",
                "smtp" => "url = \"smtps://x\"\nfrom = \"a@example.org\"",
                "command" | "process" => "argv = [\"true\"]",
                _ => "",
            };
            format!("[handlers.{name}.{kind}]\n{needed}")
        }
        ["callbacks", ..] => "[callbacks]\nlisten = \"127.0.0.1:7118\"".to_owned(),
        _ => String::new(),
    };
    toml::from_str(&format!("[queues.q]\nhandler = \"h\"\n[handlers.h.log]\n{text}\n")).unwrap()
}

/// An action that has this key.
fn action(key: &str) -> &'static str {
    match key {
        "ttl" | "jitter" | "only" => "action = \"expire\"\nmatch = \"abc*\"\nttl = \"1s\"",
        "tag" | "member" => "action = \"tag-delete\"\ntag = \"abc\"",
        "grace" => "action = \"set-prune\"\nmatch = \"abc*\"\nmember = \"abc:{member}\"",
        "count" | "older" | "score" | "keep" => "action = \"trim\"\nmatch = \"abc\"\ncount = 5",
        "fetch" | "headers" | "connect_timeout" | "max_size" | "key" | "busy" => {
            "action = \"warm\"\nfetch = \"http://x/\"\nkey = \"abc\"\nttl = \"1s\""
        }
        _ => "action = \"delete\"\nmatch = \"abc*\"",
    }
}

/// What the tables say is needed beside a key.
fn beside(path: &[String]) -> &'static str {
    match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [.., "rate_limit" | "rate" | "x", "max" | "per"] => "max = 1\nper = \"1s\"",
        [.., "list", "id" | "name"] => "key = \"k\"\npayload = \"json\"",
        [.., "list", _] => "key = \"k\"",
        [.., "75", "after"] => "outcome = \"retry\"",
        _ => "",
    }
}

/// A file with this value, or with the table it would stand in.
fn file(path: &[String], value: Option<Value>) -> toml::Table {
    let mut file = around(path);
    let (name, above) = path.split_last().unwrap();
    let mut table = &mut file;
    for name in above {
        let next = table.entry(name.clone()).or_insert_with(|| toml::Table::new().into());
        table = next.as_table_mut().unwrap();
    }
    table.extend(toml::from_str::<toml::Table>(beside(path)).unwrap());
    table.extend(value.map(|value| (name.clone(), value)));
    file
}

fn read(directory: &Path, file: &toml::Table) -> Result<Config, Error> {
    let path = directory.join("oxherd.toml");
    fs::write(&path, toml::to_string(file).unwrap()).unwrap();
    let env = vec![("CREDENTIALS_DIRECTORY".to_owned(), "/nowhere".to_owned())];
    load(&LoadOptions { files: vec![path], env, ..LoadOptions::default() }).map(|(config, _)| config)
}

/// Values that cannot stand where this can.
fn wrong(shape: &Shape) -> Vec<Value> {
    let text = |text: &str| Value::from(text);
    match shape {
        Text(_, "") | Named(..) => vec![5.into()],
        Text(_, ".") => vec![5.into(), text("")],
        Text(..) | Shape::Word(_) => vec![5.into(), text("nonsense")],
        Shape::Whole(least, most) => {
            let beyond = most.checked_add(1).map(Value::from);
            [(least - 1).into(), 1.5.into(), true.into(), text("nonsense")].into_iter().chain(beyond).collect()
        }
        Shape::Number(least, _) => vec![(least - 0.5).into(), true.into(), text("nonsense")],
        Shape::Flag => vec![1.into(), text("nonsense")],
        Duration => vec![5.into(), text("5 apples"), text("1m1h"), text(""), text("-5s"), text("1.5h")],
        Size => vec![5.into(), text("5 apples"), text("10M"), text("")],
        Secret => vec![5.into(), toml::Table::new().into(), table("nonsense = \"x\"")],
        Table(_) => vec![5.into(), text("nonsense"), table("nonsense = 1")],
        One(_) => vec![5.into(), toml::Table::new().into(), table("nonsense = 1")],
        Words(_) => vec![5.into(), table("nonsense = \"x\"")],
        List(element) => wrong(element).into_iter().flat_map(|value| [vec![value.clone()].into(), value]).collect(),
        Either(shapes) => {
            let has = |wanted: fn(&Shape) -> bool| shapes.iter().any(wanted);
            let has_texts = has(|shape| matches!(shape, Text(..) | Secret));
            let has_flags = has(|shape| matches!(shape, Shape::Flag));
            let mut values = vec![5.5.into(), (-7).into(), table("nonsense = 1")];
            values.extend((!has_texts).then(|| text("nonsense")));
            values.extend((!has_flags).then(|| true.into()));
            values
        }
        Shape::Off | Any => vec![],
    }
}

fn table(text: &str) -> Value {
    toml::from_str::<toml::Table>(text).unwrap().into()
}

/// As JSON, days and moments as texts.
fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Datetime(moment) => moment.to_string().into(),
        Value::Array(values) => values.iter().map(as_json).collect(),
        Value::Table(members) => members.iter().map(|(name, value)| (name.clone(), as_json(value))).collect(),
        plain => serde_json::to_value(plain).unwrap(),
    }
}

/// What a validator of JSON Schema says of documents that are to pass, and of such that are not.
fn contradictions(good: &[serde_json::Value], bad: &[serde_json::Value]) -> String {
    const VALIDATE: &str = "
import json, sys
from jsonschema import Draft7Validator
asked = json.load(sys.stdin)
Draft7Validator.check_schema(asked['schema'])
validator = Draft7Validator(asked['schema'])
for document in asked['good']:
    for error in validator.iter_errors(document):
        print('refused:', error.json_path, error.message, document)
for document in asked['bad']:
    if validator.is_valid(document):
        print('passed:', document)
";
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/python/bin/python");
    let mut child = Command::new(&python)
        .args(["-c", VALIDATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; make it with scripts/setup-tests.sh", python.display()));
    let asked = json!({ "schema": json_schema(), "good": good, "bad": bad });
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn defaults_are_what_holds_and_bounds_and_words_are_the_loaders() {
    let directory = tempfile::tempdir().unwrap();
    let (mut good, mut checked) = (Vec::new(), 0);
    visit(&ROOT, &mut Vec::new(), &mut |path, shape, key| {
        let mut accepted = |value: Value| {
            let file = file(path, Some(value));
            let config = read(directory.path(), &file);
            good.push(as_json(&file.clone().into()));
            (config, file)
        };
        if let Some(default) = key.and_then(Key::default) {
            checked += 1;
            let (config, written) = accepted(Value::try_from(&default).unwrap());
            let config = config.unwrap_or_else(|error| panic!("{path:?}: {error}\n{written}"));
            let without = read(directory.path(), &file(path, None)).unwrap();
            assert!(config == without, "{path:?} is not {default} without being given");
        }
        let shapes = if let Either(shapes) = shape { shapes } else { std::slice::from_ref(shape) };
        for shape in shapes {
            let values: Vec<Value> = match shape {
                Shape::Whole(least, most) => [*least, *most].map(Value::from).into(),
                Shape::Word(words) => words.iter().map(|word| Value::from(*word)).collect(),
                Shape::Off => vec![false.into()],
                Shape::Flag => vec![true.into(), false.into()],
                _ => continue,
            };
            for value in values {
                checked += 1;
                let (config, written) = accepted(value);
                // what does not fit together is another matter than what may be written
                let problems = config.err().map(|error| error.problems).unwrap_or_default();
                let refused = problems.iter().find(|problem| {
                    let name = path.last().unwrap();
                    problem.key.ends_with(name.as_str()) && problem.message.starts_with(&format!("{name} must be "))
                });
                assert_eq!(refused, None, "{path:?}\n{written}");
            }
        }
    });
    assert!(checked > 300, "only {checked} values");
    assert_eq!(contradictions(&good, &[]), "");
}

#[test]
fn what_the_loader_refuses_by_its_type_the_schema_refuses_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut bad = Vec::new();
    visit(&ROOT, &mut Vec::new(), &mut |path, shape, _| {
        for value in wrong(shape) {
            let file = file(path, Some(value));
            assert!(read(directory.path(), &file).is_err(), "{path:?} is let through\n{file}");
            bad.push(as_json(&file.into()));
        }
        if let Shape::Word(words) = shape {
            let refused = read(directory.path(), &file(path, Some("nonsense".into()))).unwrap_err().to_string();
            let listed: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            let (last, before) = listed.split_last().unwrap();
            let named = format!(" must be {} or {last}, got", before.join(", "));
            assert!(refused.contains(&named), "{path:?} is one of {listed:?}, and the loader says: {refused}");
        }
    });
    assert!(bad.len() > 500, "only {} values", bad.len());
    assert_eq!(contradictions(&[], &bad), "");
}
