//! Where each value in force comes from, for `oxherd config show --origin`.

use std::fmt;

use serde::Serialize;

use super::expand::variables;
use super::load::LoadOptions;
use super::locate::{Document, Kind, Node, Sources};
use super::path::{KeyPath, Step};
use super::{Config, Redis};

/// What was read, as far as it says where values come from.
#[derive(Debug)]
pub struct Origins {
    sources: Sources,
    /// What decides where Redis is in place of `redis.url`, and with which password.
    redis: [Option<Origin>; 2],
    /// Names of the variables that are set.
    variables: Vec<String>,
}

/// What variables say of keys that no file has, the stronger first.
const OUTSIDE: [(&[&str], &[&str]); 7] = [
    (&["traces", "endpoint"], &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]),
    (&["traces", "headers"], &["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]),
    (&["traces", "timeout"], &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]),
    (&["traces", "service"], &["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"]),
    (&["traces", "attributes"], &["OTEL_RESOURCE_ATTRIBUTES"]),
    (&["traces", "sample"], &["OTEL_TRACES_SAMPLER"]),
    (&["traces", "parent_based"], &["OTEL_TRACES_SAMPLER"]),
];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Origin {
    /// Nobody has said anything.
    Default,
    File {
        /// As the operator named it.
        file: String,
        /// From 1, as the column.
        line: usize,
        column: usize,
        /// Another file names this one.
        included: bool,
        /// The variables in it that the environment fills in.
        variables: Vec<String>,
    },
    Environment {
        variable: String,
    },
    Flag {
        flag: String,
    },
    /// What this machine says of itself.
    Host,
}

/// Where a value comes from, and what was inherited on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    #[serde(flatten)]
    pub origin: Origin,
    /// The section it is inherited from: `[defaults]`, say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited: Option<String>,
}

impl Origins {
    pub(super) fn new(sources: Sources, options: &LoadOptions) -> Self {
        let set = options.env.iter().filter(|(_, value)| !value.trim().is_empty());
        let variables: Vec<String> = set.map(|(name, _)| name.clone()).collect();
        let env = |name: &str| variable(&variables, name);
        let given = |key: &str| find(&sources, &["redis", key].map(str::to_owned).into_iter().collect()).is_some();
        let redis = match &options.redis_url {
            Some(_) => {
                let in_it = Redis::default().with_url(options.redis_url.as_deref().unwrap_or(""), "".as_ref());
                let has_password = in_it.is_ok_and(|redis| redis.password.is_some());
                let flag = Origin::Flag { flag: "--redis".to_owned() };
                [Some(flag), env("REDIS_PASSWORD").filter(|_| !has_password)]
            }
            None if given("url") => [None, None],
            None => [env("REDIS_URL"), env("REDIS_PASSWORD").filter(|_| !given("password"))],
        };
        Self { sources, redis, variables }
    }

    /// Where the value under this key comes from: from several places where it is made of them. `config` is what was
    /// loaded.
    pub(super) fn of(&self, path: &KeyPath, config: &Config) -> Vec<Found> {
        let names: Vec<&str> = path.0.iter().filter_map(Step::name).collect();
        let found: Vec<Found> = match names[..] {
            // what is shown as one URL
            ["redis", "url"] => {
                let parts = ["url", "username", "password"].map(|key| find(&self.sources, &sibling(path, key)));
                let own = |origin| Found { origin, inherited: None };
                match &self.redis {
                    [Some(url), password] if matches!(url, Origin::Flag { .. }) => {
                        [Some(url), password.as_ref()].into_iter().flatten().cloned().map(own).collect()
                    }
                    [url, password] => {
                        let [given, username, given_password] = parts;
                        let all = [given.or(url.clone()), username, given_password.or(password.clone())];
                        all.into_iter().flatten().map(own).collect()
                    }
                }
            }
            [.., "status", "only"] => {
                let except = sibling(path, "except");
                self.nearest(path, config).into_iter().chain(self.nearest(&except, config)).collect()
            }
            _ => self.nearest(path, config).into_iter().collect(),
        };
        if !found.is_empty() {
            return found;
        }
        let outside = OUTSIDE.iter().filter(|(key, _)| names.starts_with(key)).flat_map(|(_, variables)| *variables);
        let origin = match names[..] {
            ["schedules", _, "timezone"] => Origin::Host,
            _ => outside.into_iter().find_map(|name| variable(&self.variables, name)).unwrap_or(Origin::Default),
        };
        vec![Found { origin, inherited: None }]
    }

    /// The key itself, or the one it inherits from.
    fn nearest(&self, path: &KeyPath, config: &Config) -> Option<Found> {
        let own = find(&self.sources, path).map(|origin| Found { origin, inherited: None });
        own.or_else(|| {
            above(path, config).into_iter().find_map(|(above, section)| {
                let origin = find(&self.sources, &above)?;
                Some(Found { origin, inherited: Some(section) })
            })
        })
    }
}

fn variable(set: &[String], name: &str) -> Option<Origin> {
    set.iter().any(|set| set == name).then(|| Origin::Environment { variable: name.to_owned() })
}

/// The keys that stand for this one where it is not given, nearest first, and their sections.
fn above(path: &KeyPath, config: &Config) -> Vec<(KeyPath, String)> {
    let names: Vec<String> = path.0.iter().filter_map(Step::name).map(str::to_owned).collect();
    let texts: Vec<&str> = names.iter().map(String::as_str).collect();
    let at = |section: &[&str], rest: &[&str]| {
        let path: KeyPath = section.iter().chain(rest).map(|name| (*name).to_owned()).collect();
        let section: KeyPath = section.iter().map(|name| (*name).to_owned()).collect();
        (path, format!("[{section}]"))
    };
    match &texts[..] {
        ["queues", _, "status", rest @ ..] => vec![at(&["defaults", "status"], rest), at(&["status"], rest)],
        ["queues", _, rest @ ..] if rest.first() != Some(&"list") => vec![at(&["defaults"], rest)],
        ["schedules", _, "timezone"] => vec![at(&["daemon"], &["timezone"])],
        ["schedules", name, "backoff", ..] => {
            let rest = &texts[2..];
            let queue = config.schedules.get(*name).map_or("", |schedule| schedule.queue.as_str());
            vec![at(&["queues", queue], rest), at(&["defaults"], rest)]
        }
        _ => Vec::new(),
    }
}

fn sibling(path: &KeyPath, name: &str) -> KeyPath {
    path.parent().unwrap_or_default().key(name)
}

/// Where a key was written, or the short form of a table it is in.
fn find(sources: &Sources, path: &KeyPath) -> Option<Origin> {
    if let Some(given) = sources.given(path) {
        return Some(match given.source.strip_prefix("environment variable ") {
            Some(variable) => Origin::Environment { variable: variable.to_owned() },
            None => Origin::Flag { flag: given.source.clone() },
        });
    }
    sources.documents.iter().find_map(|document| Some(place(document, written(&document.root, &path.0)?)))
}

fn written<'a>(node: &'a Node, steps: &[Step]) -> Option<&'a Node> {
    match (&node.kind, steps) {
        (Kind::Table(entries), [Step::Key(name), rest @ ..]) => {
            written(&entries.iter().find(|(key, _)| key == name)?.1, rest)
        }
        _ => Some(node),
    }
}

fn place(document: &Document, node: &Node) -> Origin {
    let place = document.place(node.key_span.start);
    let (line, column) = place.position.map_or((0, 0), |at| (at.line, at.column));
    Origin::File { file: place.source, line, column, included: document.is_included, variables: names(node) }
}

/// The variables of all texts in it, each once.
fn names(node: &Node) -> Vec<String> {
    let mut names: Vec<String> = match &node.kind {
        Kind::Text(text) => variables(text).map(str::to_owned).collect(),
        Kind::List(nodes) => nodes.iter().flat_map(names).collect(),
        Kind::Table(entries) => entries.iter().flat_map(|(_, node)| names(node)).collect(),
        _ => Vec::new(),
    };
    names.sort();
    names.dedup();
    names
}

/// As a remark behind the value.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str("default")?,
            Origin::Host => f.write_str("this host")?,
            Origin::Environment { variable } => write!(f, "environment variable {variable}")?,
            Origin::Flag { flag } => f.write_str(flag)?,
            Origin::File { file, line, column, included, variables } => {
                write!(f, "{file}:{line}:{column}")?;
                for variable in variables {
                    write!(f, " with ${{{variable}}}")?;
                }
                if *included {
                    f.write_str(", included")?;
                }
            }
        }
        match &self.inherited {
            Some(section) => write!(f, ", by {section}"),
            None => Ok(()),
        }
    }
}
