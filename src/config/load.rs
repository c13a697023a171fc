//! Reads the configuration: finds the files, layers files, environment and flags, and settles
//! every value or says what is wrong. The command line and a reload call [`load`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use ::config::Value;

use super::error::{Error, Problem};
use super::files::Reader;
use super::invalid::split;
use super::layer;
use super::locate::{Half, Sources};
use super::origin::Origins;
use super::read::{Context, Item, any_error, sort};
use super::section;
use super::seen::Seen;
use super::{Config, Queue, Secret, Status};
use super::{secrets, validate, zone};
use crate::job::QueueName;

/// What [`load`] goes by. Nothing is taken from the process itself but the current directory,
/// so that two loads in one program do not disturb each other.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Files and directories of `-c`; empty searches for one.
    pub files: Vec<PathBuf>,
    /// `key=value` texts of `--set`; later ones win.
    pub set: Vec<String>,
    /// The environment, see [`process_env`].
    pub env: Vec<(String, String)>,
    /// URL of `--redis`.
    pub redis_url: Option<String>,
    /// Whether defaults do when no file is found, for verbs that only need Redis.
    pub no_file_ok: bool,
    /// Where the search for a file starts; empty is the current directory.
    pub directory: PathBuf,
    /// Names of handlers the program registers itself.
    pub handlers: Vec<String>,
}

/// The environment of this process. Variables that are not UTF-8 are left out.
#[must_use]
pub fn process_env() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// The files and directories [`load`] begins with; empty when there are none to be found.
#[must_use]
pub fn files(options: &LoadOptions) -> Vec<PathBuf> {
    search(options, &options.env.iter().cloned().collect())
}

/// Loads the configuration. Beside it stand the warnings; with any error there is none, and
/// the error holds all problems found, warnings included.
pub fn load(options: &LoadOptions) -> Loaded {
    look(options).0
}

/// What a load comes to.
pub type Loaded = Result<(Config, Vec<Problem>), Error>;

/// As [`load`]; with what the files were that it comes from.
pub(super) fn look(options: &LoadOptions) -> (Loaded, Seen) {
    let (config, problems, sources) = read(options);
    let loaded = if any_error(&problems) { Err(Error { problems }) } else { Ok((config, problems)) };
    (loaded, sources.seen)
}

/// Loads the configuration, and what is needed to say where each of its values comes from.
pub fn load_with_origins(options: &LoadOptions) -> Result<(Config, Origins), Error> {
    let (config, problems, sources) = read(options);
    if any_error(&problems) { Err(Error { problems }) } else { Ok((config, Origins::new(sources, options))) }
}

fn read(options: &LoadOptions) -> (Config, Vec<Problem>, Sources) {
    let env: BTreeMap<String, String> = options.env.iter().cloned().collect();
    let mut problems = Vec::new();
    let mut reader = Reader::new(&env);
    let files = search(options, &env);
    if files.is_empty() && !options.no_file_ok {
        let help = format!("looked for {}; name one with -c FILE or OXHERD_CONFIG", PLACES.join(", "));
        problems.push(Problem::error("there is no configuration file").with_help(help));
    }
    for file in &files {
        reader.read(file);
    }
    let mut sources = reader.finish(&mut problems);
    let tree = layer::merge(&mut sources, &options.set, &env, &mut problems);
    let context = Context { sources: &sources, env: &env, problems: problems.into(), secrets: RefCell::default() };
    let mut config = settle(&tree, options, &context);
    let mut found = context.secrets.take();
    secrets::in_tree(&tree, &mut found);
    options.redis_url.iter().for_each(|url| found.extend(secrets::of(url)));
    found.sort_unstable();
    found.dedup();
    config.secrets = found.into_iter().map(Secret::new).collect();
    let mut problems = context.problems.into_inner();
    sort(&mut problems, &sources);
    (config, problems, sources)
}

/// Where a file is looked for, in this order.
const PLACES: [&str; 3] = ["oxherd.toml", "config/oxherd.toml", "/etc/oxherd/oxherd.toml"];

fn search(options: &LoadOptions, env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    if !options.files.is_empty() {
        return options.files.clone();
    }
    if let Some(file) = env.get("OXHERD_CONFIG").filter(|text| !text.is_empty()) {
        return vec![PathBuf::from(file)];
    }
    PLACES.iter().map(|place| options.directory.join(place)).find(|path| path.exists()).into_iter().collect()
}

fn settle(tree: &Value, options: &LoadOptions, context: &Context) -> Config {
    validate::unknown_keys(tree, context);
    let top = Item::top(tree, context);
    let nameless = QueueName::new("defaults").expect("a plain word is a legal name");
    let defaults = section::queue::queue(&top.child("defaults"), Queue::new(nameless));
    let defaults = Queue { list: None, ..defaults };
    let mut queues = BTreeMap::new();
    for (name, item) in top.child("queues").entries() {
        match QueueName::new(&name) {
            Ok(legal) => {
                queues.insert(name, section::queue::queue(&item, Queue { name: legal, ..defaults.clone() }));
            }
            Err(e) => {
                let (message, help) = split(&e.to_string());
                context.note(Problem { help, ..Problem::error(message) }, item.path(), Half::Key);
            }
        }
    }
    let mut handlers = BTreeMap::new();
    for (name, item) in top.child("handlers").entries() {
        handlers.extend(section::handler::handler(&name, &item).map(|handler| (name, handler)));
    }
    let daemon = section::daemon::daemon(&top.child("daemon"));
    let host = zone::of_host(context.env.get("TZ").map(String::as_str));
    let around = section::schedule::Around {
        zone: daemon.timezone.as_deref(),
        host: host.as_deref().unwrap_or(zone::UNKNOWN),
        queues: &queues,
        defaults: &defaults,
    };
    let mut schedules = BTreeMap::new();
    for (name, item) in top.child("schedules").entries() {
        schedules.extend(section::schedule::schedule(&name, &item, &around).map(|schedule| (name, schedule)));
    }
    let redis = section::redis::redis(&top.child("redis"), options.redis_url.as_deref());
    let status = statuses(&top, &queues);
    let config = Config {
        app: section::app::app(&top.child("app"), &redis.prefix),
        redis,
        queues,
        handlers,
        schedules,
        status,
        callbacks: section::callbacks::callbacks(&top.child("callbacks")),
        admin: section::admin::admin(&top.child("admin")),
        traces: section::traces::traces(&top.child("traces")),
        daemon,
        shutdown: section::daemon::shutdown(&top.child("shutdown")),
        log: section::daemon::log(&top.child("log")),
        secrets: Vec::new(),
    };
    validate::relations(&config, &top, &options.handlers);
    validate::schedules(&config, &top, host.as_deref());
    if !options.no_file_ok && !context.sources.documents.is_empty() && !top.child("queues").is_given() {
        let help = "describe one: [queues.NAME] with handler = \"…\"";
        context.problems.borrow_mut().push(Problem::warning("no queue is configured").with_help(help));
    }
    config
}

/// `[status]`, and what queues have instead: each over `[defaults]`, and that over `[status]`.
fn statuses(top: &Item, queues: &BTreeMap<String, Queue>) -> Status {
    let read = |item: &Item, base: &Status| {
        let own = item.child("status");
        own.is_given().then(|| section::status::status(&own, base.clone()))
    };
    let base = section::status::status(&top.child("status"), Status::default());
    let defaults = read(&top.child("defaults"), &base);
    let own = queues.keys().filter_map(|name| {
        let status = read(&top.child("queues").child(name), defaults.as_ref().unwrap_or(&base));
        Some((name.clone(), status.or_else(|| defaults.clone())?))
    });
    Status { queues: own.collect(), ..base }
}

#[cfg(test)]
mod docs;
#[cfg(test)]
mod tests;
