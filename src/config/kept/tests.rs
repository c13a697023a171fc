//! Every key there is, changed: a reload takes it over, or names it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::super::schema::{ROOT, Shape};
use super::super::{Config, Diff, LoadOptions, load};

/// What stands around the keys; a key of which another must be there finds it here.
const AROUND: &str = r#"
[redis]
username = "u"
[defaults]
handler = "log"
backoff = { type = "fixed" }
rate_limit = { max = 1, per = "1s" }
keep_completed = { count = 1 }
keep_failed = { count = 1 }
[queues.d]
[queues.q]
rate_limit = { max = 1, per = "1s" }
routes = { http = "http", command = "command", process = "process", smtp = "smtp", other = "other", signs = "signs" }
[queues.r]
routes = { delete = "delete", expire = "expire", tag = "tag", prune = "prune", trim = "trim", warm = "warm" }
[queues.l]
handler = "log"
list = { key = "l", payload = "json" }
[handlers.log.log]
[handlers.http.http]
url = "http://localhost/"
batch = { max = 2 }
[handlers.signs.http]
url = "http://{data.host}/"
allow = ["example.org"]
[handlers.command.command]
argv = ["true"]
exit = { 3 = { outcome = "retry" } }
[handlers.process.process]
argv = ["true"]
workers = { min = 1, max = 100 }
[handlers.smtp.smtp]
url = "smtps://mail.example.org"
from = "a@example.org"
username = "u"
password = "p"
rate = { max = 1, per = "1s" }
domain_rates = { "example.org" = { max = 1, per = "1s" } }
[handlers.other.smtp]
url = "smtp://mail.example.org"
from = "a@example.org"
[handlers.delete.redis]
action = "delete"
match = "key:*"
[handlers.expire.redis]
action = "expire"
match = "key:*"
ttl = "1h"
[handlers.tag.redis]
action = "tag-delete"
tag = "tag:x"
[handlers.prune.redis]
action = "set-prune"
match = "key:*"
member = "key:{member}"
[handlers.trim.redis]
action = "trim"
match = "key:*"
count = 5
[handlers.warm.redis]
action = "warm"
fetch = "http://localhost/"
key = "key:x"
ttl = "1h"
[schedules.s]
every = "1h"
queue = "q"
[schedules.c]
cron = "0 3 * * *"
queue = "q"
[status]
stream = { key = "stream" }
[callbacks]
listen = "127.0.0.1:7118"
url = "http://localhost:7118"
[admin]
[traces]
"#;

/// Where a key must stand elsewhere than the walk comes by, or cannot have the values its shape suggests. Without a path
/// it stands where it stands.
const INSTEAD: &[(&str, &str, [&str; 2])] = &[
    ("redis.url", "", ["redis://a", "redis://b"]),
    ("queues.q.handler", "", ["log", "http"]),
    ("defaults.handler", "", ["http", "command"]),
    ("queues.q.routes.x", "", ["log", "http"]),
    ("defaults.routes.x", "", ["log", "http"]),
    ("schedules.s.cron", "schedules.c.cron", ["0 3 * * *", "0 4 * * *"]),
    ("schedules.s.queue", "", ["q", "d"]),
    ("schedules.s.starts", "", ["2027-03-28", "2027-03-29"]),
    ("schedules.s.ends", "", ["2047-03-28", "2047-03-29"]),
    ("admin.events.allow_origins", "", ["https://a.example", "https://b.example"]),
    ("handlers.http.http.allow", "handlers.signs.http.allow", ["example.org", "example.com"]),
    ("handlers.http.http.batch.max", "", ["2", "3"]),
    ("handlers.smtp.smtp.url", "", ["smtps://a.example", "smtps://b.example"]),
    ("handlers.smtp.smtp.tls", "handlers.other.smtp.tls", ["required", "off"]),
    ("handlers.smtp.smtp.breaker.max", "", ["20s", "30s"]),
    ("handlers.http.http.breaker.max", "", ["20s", "30s"]),
    ("handlers.http.http.callback", "handlers.signs.http.callback", ["true", "false"]),
    ("handlers.delete.redis.url", "", ["redis://a", "redis://b"]),
    ("handlers.delete.redis.action", "handlers.delete.redis", ["{dry_run=false}", "{action=\"expire\",ttl=\"1h\"}"]),
    ("app.sessions.max_age", "", ["20d", "30d"]),
    ("log.level", "", ["info", "debug"]),
];

/// Files that settings name.
const FILES: [&str; 2] = ["one", "two"];

#[test]
fn every_key_there_is_is_taken_over_or_named_as_waiting_for_a_start() {
    let dir = tempfile::tempdir().unwrap();
    for name in FILES {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("oxherd.toml"), AROUND).unwrap();
    for (name, key) in [("one.pem", 1), ("two.pem", 2)] {
        let certified = rcgen::generate_simple_self_signed(vec![format!("host-{key}")]).unwrap();
        fs::write(dir.path().join(name), certified.cert.pem()).unwrap();
    }
    let mut walk = Walk {
        at: dir.path(),
        before: read(dir.path(), &[]).unwrap(),
        leaves: BTreeMap::new(),
        wrong: Vec::new(),
        waiting: BTreeSet::new(),
    };
    walk.down("", &ROOT);
    assert!(walk.leaves.len() > 250, "only {} keys", walk.leaves.len());
    for (key, values) in std::mem::take(&mut walk.leaves) {
        walk.change(&key, &values);
    }
    assert!(walk.wrong.is_empty(), "{}", walk.wrong.join("\n"));
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    assert_eq!(walk.waiting, documented(&manual), "docs/operations.md, Reloading, names other keys");
}

/// The keys that wait for a start by the manual.
fn documented(manual: &str) -> BTreeSet<String> {
    let section = manual.split("\n## Reloading\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows =
        section.expect("there is a section on reloading").lines().filter(|line| line.ends_with("| the next start |"));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

struct Walk<'a> {
    at: &'a Path,
    /// What is read before anything changes.
    before: Config,
    /// Keys that hold values, and two of those.
    leaves: BTreeMap<String, [String; 2]>,
    wrong: Vec<String>,
    waiting: BTreeSet<String>,
}

impl Walk<'_> {
    fn down(&mut self, path: &str, shape: &Shape) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match shape {
            Shape::Table(keys) | Shape::One(keys) => {
                for key in *keys {
                    match (path, key.name) {
                        // files are read whatever they say, and a list is one queue's own
                        ("", "include") | ("defaults", "list") => {}
                        // what a list has not is for the other queue, and the other way round
                        ("queues.q", "list") => self.down("queues.l.list", &key.shape),
                        ("handlers.redis", "redis") => {
                            for (name, shape) in key.shape.keys().unwrap().iter().map(|key| (key.name, &key.shape)) {
                                self.down(&format!("handlers.{}.redis.{name}", action_of(name)), shape);
                            }
                        }
                        _ => self.down(&below(key.name), &key.shape),
                    }
                }
            }
            Shape::Named(_, shape) if path == "handlers" => {
                for kind in shape.keys().unwrap() {
                    let one = Shape::One(std::slice::from_ref(kind));
                    self.down(&below(kind.name), &one);
                }
            }
            Shape::Named(_, shape) => self.down(&below(named(path)), shape),
            Shape::Words(names) => {
                for name in names() {
                    self.down(&below(name), &Shape::Text("text", "."));
                }
            }
            Shape::Either(shapes) => {
                let table = shapes.iter().find(|shape| shape.is_table());
                let plain = shapes.iter().find(|shape| !shape.is_table() && values(path, shape).is_some());
                for shape in table.into_iter().chain(plain) {
                    self.down(path, shape);
                }
            }
            shape => {
                let values = values(path, shape).unwrap_or_else(|| panic!("{path}: what is a {shape:?}?"));
                self.leaves.insert(path.to_owned(), values);
            }
        }
    }

    fn change(&mut self, key: &str, values: &[String; 2]) {
        let instead = INSTEAD.iter().find(|(other, ..)| *other == key);
        let place = instead.map_or(key, |(_, place, _)| if place.is_empty() { key } else { place });
        let values = instead.map_or_else(|| values.clone(), |(_, _, values)| values.map(str::to_owned));
        let is_read = ["ca", "templates", "attachments_dir"].iter().any(|name| place.ends_with(&format!(".{name}")));
        let mut diff = Diff::default();
        // one of the two may be what holds anyway
        for value in values {
            let value = if is_read { self.at.join(value).display().to_string() } else { value };
            match read(self.at, &[format!("{place}={value}")]) {
                Ok(config) => diff = Diff::between(&self.before, &config),
                Err(error) => {
                    let why: Vec<_> = error.problems.iter().map(|problem| problem.message.clone()).collect();
                    return self.wrong.push(format!("{place} = {value}: {}", why.join("; ")));
                }
            }
            if !diff.is_empty() {
                break;
            }
        }
        if diff.is_empty() {
            self.wrong.push(format!("{place}: a reload does not see that it has changed"));
        } else if !diff.restart_needed.is_empty() {
            let only = Diff { restart_needed: vec![place.to_owned()], ..Diff::default() };
            // of what the operator names, the table is told
            let only = match place.split_once(".x") {
                Some((table, _)) => Diff { restart_needed: vec![table.to_owned()], ..only },
                None => only,
            };
            if diff != only {
                self.wrong.push(format!("{place}: is told as {diff:?}"));
            }
            self.waiting.extend(diff.restart_needed);
        }
    }
}

fn read(at: &Path, set: &[String]) -> Result<Config, super::super::Error> {
    let options = LoadOptions {
        files: vec![at.join("oxherd.toml")],
        set: set.to_vec(),
        directory: at.to_owned(),
        ..LoadOptions::default()
    };
    load(&options).map(|(config, _)| config)
}

/// The name that something is given where the operator chooses it.
fn named(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("queues") => "q",
        Some("schedules") => "s",
        Some("domain_rates") => "\"example.org\"",
        Some("exit") => "3",
        Some("status") => "418",
        _ => "x",
    }
}

/// The handler whose action has this key.
fn action_of(key: &str) -> &'static str {
    match key {
        "ttl" | "jitter" | "only" => "expire",
        "tag" => "tag",
        "member" | "grace" => "prune",
        "count" | "older" | "score" | "keep" => "trim",
        "fetch" | "headers" | "connect_timeout" | "max_size" | "key" | "busy" => "warm",
        _ => "delete",
    }
}

/// Two values of a key.
fn values(path: &str, shape: &Shape) -> Option<[String; 2]> {
    let two = |a: &str, b: &str| Some([a.to_owned(), b.to_owned()]);
    let name = path.rsplit('.').next().unwrap_or_default();
    match (shape, name) {
        (Shape::Text(..), "ca") => two("one.pem", "two.pem"),
        (Shape::Text(..), "from" | "envelope_from") => two("x@example.org", "y@example.org"),
        (Shape::Text("text", _), "match" | "tag" | "key") if path.starts_with("handlers") => two("abc:*", "abd:*"),
        (Shape::Text("text", _), "member") => two("abc:{member}", "abd:{member}"),
        (Shape::Text("text" | "path", _), _) => two(FILES[0], FILES[1]),
        (Shape::Text("url", _), _) => two("http://localhost:1", "http://localhost:2"),
        (Shape::Text("address and port", _), _) => two("127.0.0.1:1111", "127.0.0.1:2222"),
        (Shape::Text("JSON pointer", _), _) => two("/a", "/b"),
        (Shape::Text("time zone", _), _) => two("Europe/Oslo", "Asia/Tokyo"),
        (Shape::Text(..), _) => two("a", "b"),
        (Shape::Whole(from, to), _) => {
            let first = (*from).max(7);
            two(&first.to_string(), &(first + 1).min(*to).to_string())
        }
        (Shape::Number(from, _), _) => two(&(from + 0.25).to_string(), &(from + 0.5).to_string()),
        (Shape::Flag, _) => two("true", "false"),
        (Shape::Duration, _) => two("7s", "8s"),
        (Shape::Size, _) => two("7MiB", "8MiB"),
        (Shape::Word(words), _) => two(words[0], words[1]),
        (Shape::Secret, _) => two(&"a".repeat(40), &"b".repeat(40)),
        (Shape::Any, _) => two("{a=1}", "{a=2}"),
        (Shape::List(element), _) => match name {
            "argv" => two("[\"one\"]", "[\"two\"]"),
            "reply_to" | "allow_from" | "redirect_all_to" => two("[\"x@example.org\"]", "[\"y@example.org\"]"),
            _ => values(path, element).map(|values| values.map(|value| format!("[\"{value}\"]"))),
        },
        (Shape::Either(shapes), _) => shapes.iter().find_map(|shape| values(path, shape)),
        _ => None,
    }
}
