//! One tree out of all layers: files, environment, flags, the stronger over the weaker. The
//! merging itself is the `config` crate's.

use std::collections::BTreeMap;

use ::config::{Map, Source, Value, ValueKind};

use super::error::{Place, Problem};
use super::expand::expand;
use super::locate::{Document, Given, Kind, Node, Sources};
use super::path::{KeyPath, Step};
use super::schema::{ROOT, Shape, nearest};

/// Origin of a text that came from a variable or a flag and may stand for a number.
pub const GIVEN: &str = "given";
/// Origin of a text with variables filled in: it may stand for a number, and is not shown.
pub const EXPANDED: &str = "expanded";

/// Names of variables that override a key start with this.
const PREFIX: &str = "OXHERD__";

/// All layers merged, `sources.given` filled in.
pub fn merge(
    sources: &mut Sources,
    set: &[String],
    env: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Value {
    duplicates(sources, problems);
    // an including file stands before what it includes, and is the stronger one
    let mut layers: Vec<Layer> = sources
        .documents
        .iter()
        .rev()
        .map(|document| Layer(from_file(&document.root, &KeyPath::default(), document, env, problems)))
        .collect();
    let mut flags = Vec::new();
    for text in set {
        match flag(text) {
            Ok((path, value)) => {
                sources.given.insert(0, Given { path: path.clone(), source: format!("--set {}", shown_flag(text)) });
                flags.push(Layer(at(&path, value)));
            }
            Err(problem) => problems.push(*problem),
        }
    }
    let names = build(layers.iter().chain(&flags));
    for (name, text) in env.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        match resolve(name, &names) {
            Ok(path) => {
                sources.given.push(Given { path: path.clone(), source: format!("environment variable {name}") });
                layers.push(Layer(at(&path, given(text))));
            }
            Err(problem) => problems.push(*problem),
        }
    }
    build(layers.iter().chain(&flags))
}

/// One source for the `config` crate. The tree hangs under a single key, because the crate
/// takes the names at the top for paths and would split them at their dots.
#[derive(Debug, Clone)]
struct Layer(Value);

const TOP: &str = "top";

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(Map::from_iter([(TOP.to_owned(), self.0.clone())]))
    }
}

fn build<'a>(layers: impl Iterator<Item = &'a Layer>) -> Value {
    let builder = layers.fold(::config::Config::builder(), |builder, layer| builder.add_source(layer.clone()));
    let config = builder.build().expect("collecting a tree in memory cannot fail");
    match config.cache.kind {
        ValueKind::Table(mut table) => table.remove(TOP),
        _ => None,
    }
    .unwrap_or_else(|| Value::new(None, ValueKind::Table(Map::new())))
}

/// A tree that holds nothing but one value.
fn at(path: &KeyPath, value: Value) -> Value {
    path.0.iter().rev().fold(value, |inner, step| match step {
        Step::Key(name) => Value::new(None, ValueKind::Table(Map::from_iter([(name.clone(), inner)]))),
        Step::Index(_) => inner,
    })
}

fn from_file(
    node: &Node,
    path: &KeyPath,
    document: &Document,
    env: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Value {
    let mut origin = None;
    let kind = match &node.kind {
        Kind::Text(text) => match expand(text, env) {
            Ok(None) => ValueKind::String(text.clone()),
            Ok(Some(text)) => {
                origin = Some(EXPANDED.to_owned());
                ValueKind::String(text)
            }
            Err(wrong) => {
                for invalid in wrong {
                    let place = document.place(node.span.start);
                    let problem = Problem::error(invalid.message).with_help(invalid.help).with_place(place);
                    problems.push(Problem { key: path.to_string(), ..problem });
                }
                // reported; nothing more is to be said about this key
                ValueKind::Nil
            }
        },
        Kind::Table(entries) => {
            let child = |(name, node): &(String, Node)| {
                (name.clone(), from_file(node, &path.key(name), document, env, problems))
            };
            ValueKind::Table(entries.iter().map(child).collect())
        }
        Kind::List(nodes) => {
            let child = |(n, node): (usize, &Node)| from_file(node, &path.index(n), document, env, problems);
            ValueKind::Array(nodes.iter().enumerate().map(child).collect())
        }
        Kind::Integer(number) => ValueKind::I128(*number),
        Kind::Float(number) => ValueKind::Float(*number),
        Kind::Flag(flag) => ValueKind::Boolean(*flag),
        Kind::Moment(text) => ValueKind::String(text.clone()),
    };
    Value::new(origin.as_ref(), kind)
}

/// A text from a variable or flag: a list or table where it reads as one, else the text.
fn given(text: &str) -> Value {
    let origin = Some(GIVEN.to_owned());
    let mut kind = ValueKind::String(text.to_owned());
    if text.trim_start().starts_with(['[', '{']) {
        let (document, wrong) = Document::parse(String::new(), "".as_ref(), format!("v = {}", text.trim()));
        if let (Some(node), true) = (document.find(&KeyPath::default().key("v")), wrong.is_empty()) {
            // variables are for files: what is given on a command line went through a shell
            kind = plain(node).kind;
        }
    }
    Value::new(origin.as_ref(), kind)
}

fn plain(node: &Node) -> Value {
    let kind = match &node.kind {
        Kind::Text(text) | Kind::Moment(text) => ValueKind::String(text.clone()),
        Kind::Integer(number) => ValueKind::I128(*number),
        Kind::Float(number) => ValueKind::Float(*number),
        Kind::Flag(flag) => ValueKind::Boolean(*flag),
        Kind::List(nodes) => ValueKind::Array(nodes.iter().map(plain).collect()),
        Kind::Table(entries) => {
            ValueKind::Table(entries.iter().map(|(name, node)| (name.clone(), plain(node))).collect())
        }
    };
    Value::new(None, kind)
}

/// Reads `key=value` of `--set`. The key is written as TOML writes it, the value with or
/// without the quotes a file would need.
fn flag(text: &str) -> Result<(KeyPath, Value), Box<Problem>> {
    let place = Place { source: format!("--set {}", shown_flag(text)), position: None };
    let refuse = |message: &str| {
        let help = "write --set KEY=VALUE, such as --set queues.email.concurrency=20";
        Box::new(Problem::error(message).with_help(help).with_place(place.clone()))
    };
    // a quoted name in the key may hold a '='
    let mut quote = None;
    let split = text.char_indices().find(|(_, c)| {
        match (quote, *c) {
            (None, '"' | '\'') => quote = Some(*c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        quote.is_none() && *c == '='
    });
    let (at, _) = split.ok_or_else(|| refuse("--set has no '='"))?;
    let (key, value) = (&text[..at], &text[at + 1..]);
    let (document, wrong) = Document::parse(String::new(), "".as_ref(), format!("{key} = 0"));
    if !wrong.is_empty() {
        return Err(refuse(&format!("{key:?} is not a key")));
    }
    let mut path = KeyPath::default();
    let mut node = &document.root;
    while let Kind::Table(entries) = &node.kind {
        let (name, below) = entries.first().ok_or_else(|| refuse(&format!("{key:?} is not a key")))?;
        path = path.key(name);
        node = below;
    }
    let quoted = value.trim_start().starts_with(['"', '\'']);
    let (document, wrong) = Document::parse(String::new(), "".as_ref(), format!("v = {value}"));
    if let (true, true, Some(node)) = (quoted, wrong.is_empty(), document.find(&KeyPath::default().key("v"))) {
        return Ok((path, plain(node)));
    }
    Ok((path, given(value)))
}

/// A flag as messages show it: without its value, which may be a secret.
fn shown_flag(text: &str) -> &str {
    text.split('=').next().unwrap_or(text)
}

/// Finds the key a variable names. Names of variables have no case and hold only letters,
/// digits and underscores, so names match that are equal in these.
fn resolve(variable: &str, names: &Value) -> Result<KeyPath, Box<Problem>> {
    let place = Place { source: format!("environment variable {variable}"), position: None };
    let refuse =
        |message: String, help: String| Box::new(Problem::error(message).with_help(help).with_place(place.clone()));
    let mut path = KeyPath::default();
    let mut shape = &ROOT;
    let mut value = Some(names);
    let mut start = PREFIX.len();
    for segment in variable[PREFIX.len()..].split("__") {
        let (before, after) = (&variable[..start], &variable[start + segment.len()..]);
        start += segment.len() + 2;
        let here = value.and_then(|value| match &value.kind {
            ValueKind::Table(table) => Some(table),
            _ => None,
        });
        let present = || {
            let mut names: Vec<_> = here.map(|table| table.keys().map(String::as_str).collect()).unwrap_or_default();
            // told in the same order each time
            names.sort_unstable();
            names
        };
        let known: Vec<&str> = shape.names().unwrap_or_else(present);
        let written = fold(segment);
        let matching: Vec<&str> = known.iter().copied().filter(|name| fold(name) == written).collect();
        // what the operator names freely may be new, but a queue or handler only a file can begin
        let begun_in_a_file = path.0.len() == 1;
        let name = match (&matching[..], shape) {
            ([one], _) => *one,
            ([], Shape::Named(..)) if !begun_in_a_file && !segment.is_empty() => segment,
            ([], _) => {
                let what = match path.0.as_slice() {
                    [] => format!("environment variable {variable} names no section: there is no {segment:?}"),
                    _ => format!("environment variable {variable} names no key: there is no {segment:?} in {path}"),
                };
                let upper = |name: &str| format!("{before}{}{after}", fold(name).to_uppercase());
                let help = match nearest(segment, known.iter().copied()) {
                    Some(name) => format!("did you mean {}?", upper(name)),
                    None if known.is_empty() => "only a file or --set can begin one".into(),
                    None => format!("known are {}", known.join(", ")),
                };
                return Err(refuse(what, help));
            }
            (several, _) => {
                let message = format!(
                    "environment variable {variable} is ambiguous: {} are all spelled {segment}",
                    several.join(", ")
                );
                return Err(refuse(message, "use --set, which has case".into()));
            }
        };
        path = path.key(name);
        value = here.and_then(|table| table.get(name));
        shape = shape.child(name).expect("the name was taken from this shape");
    }
    Ok(path)
}

/// A name as a variable can spell it.
fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// Keys set in two files. A queue, a handler and a schedule is one thing: it is not put together from two.
fn duplicates(sources: &Sources, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<KeyPath, usize> = BTreeMap::new();
    for (number, document) in sources.documents.iter().enumerate() {
        let mut leaves = Vec::new();
        collect(&document.root, &KeyPath::default(), &mut leaves);
        for path in leaves {
            let Some(first) = seen.insert(path.clone(), number) else { continue };
            let place_in = |number: usize| {
                let document = &sources.documents[number];
                document.find(&path).map(|node| document.place(node.key_span.start))
            };
            let (Some(first), Some(second)) = (place_in(first), place_in(number)) else { continue };
            let at = first.position.expect("a file has positions");
            let problem = Problem::error(format!("{path} is set in two files"))
                .with_help(format!("first at {}:{}:{}; keep one of them", first.source, at.line, at.column))
                .with_place(second);
            problems.push(Problem { key: path.to_string(), ..problem });
        }
    }
}

fn collect(node: &Node, path: &KeyPath, leaves: &mut Vec<KeyPath>) {
    let is_one = |name: &str| matches!(name, "queues" | "handlers" | "schedules");
    let whole = path.0.len() == 2 && matches!(&path.0[0], Step::Key(name) if is_one(name));
    match &node.kind {
        Kind::Table(entries) if !whole => {
            for (name, below) in entries.iter().filter(|(name, _)| !path.0.is_empty() || name != "include") {
                collect(below, &path.key(name), leaves);
            }
        }
        _ => leaves.push(path.clone()),
    }
}
