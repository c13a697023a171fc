//! Checks that need more than one key: names nobody knows, and sections that must fit together.
//! Every problem is noted, not the first alone.

use std::collections::BTreeMap;

use ::config::{Value, ValueKind};

use super::error::Problem;
use super::locate::Half;
use super::path::{KeyPath, Step};
use super::read::{Context, Item};
use super::schema::{Key, ROOT, Shape, handler_kind_with, nearest};
use super::{Config, Handler, OWN_ROOT, Queue};
use super::{crowd, zone};

/// Notes every key the schema does not have, with the name that was probably meant.
pub fn unknown_keys(tree: &Value, context: &Context) {
    visit(tree, &ROOT, &KeyPath::default(), context);
}

fn visit(value: &Value, shape: &Shape, path: &KeyPath, context: &Context) {
    if let (ValueKind::Array(elements), Shape::List(shape)) = (&value.kind, shape) {
        for (n, element) in elements.iter().enumerate() {
            visit(element, shape, &path.index(n), context);
        }
    }
    // whether a table may be here at all is for those who read the value
    let ValueKind::Table(table) = &value.kind else { return };
    if !shape.is_table() {
        return;
    }
    for (name, below) in table {
        let path = path.key(name);
        match shape.child(name) {
            Some(shape) => visit(below, shape, &path, context),
            None => context.note(unknown(name, below, shape, &path), &path, Half::Key),
        }
    }
}

fn unknown(name: &str, value: &Value, shape: &Shape, path: &KeyPath) -> Problem {
    let known = shape.names().unwrap_or_default();
    let parent = path.parent().unwrap_or_default();
    let problem = match parent.0.as_slice() {
        [] if matches!(value.kind, ValueKind::Table(_)) => Problem::error(format!("unknown section [{path}]")),
        [] => Problem::error(format!("unknown key {name:?}")),
        _ => Problem::error(format!("unknown key {name:?} in [{parent}]")),
    };
    if path.to_string() == "defaults.list" {
        return Problem::error("[defaults] can hold no list: each is one queue's own")
            .with_help("write it in [queues.NAME.list]");
    }
    if let Some(near) = nearest(name, known.iter().copied()) {
        return problem.with_help(format!("did you mean {near:?}?"));
    }
    let in_handler = matches!(parent.0.as_slice(), [Step::Key(top), Step::Key(_)] if top == "handlers");
    if let Some(kind) = handler_kind_with(name).filter(|_| in_handler) {
        return problem
            .with_help(format!("the kind of a handler is the name of its table: write it in [{parent}.{kind}]"));
    }
    // a key of the queues or of another section, one header too far away
    let has = |section: &&Key| section.shape.keys().is_some() && section.shape.child(name).is_some();
    let elsewhere = ROOT.keys().and_then(|sections| sections.iter().find(has));
    if let Some(section) = elsewhere.filter(|_| parent.0.len() < 2) {
        return problem.with_help(format!("did you mean {name} in [{}]?", section.name));
    }
    problem.with_help(format!("known are {}", known.join(", ")))
}

/// Notes where the stream of status messages cannot be written in one step with the queues, or would be among their keys.
fn status_stream(config: &Config, top: &Item) {
    let Some(stream) = &config.status.stream else { return };
    let item = top.child("status").child("stream").child("key");
    let prefix = &config.redis.prefix;
    if stream.key.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with(':')) {
        let help = format!("do not begin it with \"{prefix}:\"; \"{prefix}.updates\" can be had");
        item.error(format!("{:?} is among the keys of queues", stream.key), help);
    }
    let tag = |text: &str| {
        let (_, rest) = text.split_once('{')?;
        rest.split_once('}').map(|(tag, _)| tag.to_owned()).filter(|tag| !tag.is_empty())
    };
    if let Some(own) = tag(prefix).filter(|own| tag(&stream.key).as_ref() != Some(own)) {
        let help = format!("name it \"{{{own}}}.updates\"");
        let message = format!(
            "on a cluster {:?} may be elsewhere than the queues, whose keys have the hash tag {{{own}}}",
            stream.key
        );
        item.error(message, help);
    }
}

/// Notes what does not fit together. `registered` are handlers the program brings itself.
pub fn relations(config: &Config, top: &Item, registered: &[String]) {
    status_stream(config, top);
    let context = top.context();
    let handlers = top.child("handlers");
    // a handler that could not be read is still there
    let mut known: Vec<String> = handlers.entries().into_iter().map(|(name, _)| name).collect();
    known.extend_from_slice(registered);
    let mut used: Vec<&str> = Vec::new();
    let defaults = top.child("defaults");
    for (name, queue) in &config.queues {
        let item = top.child("queues").child(name);
        let place = |key: &str| {
            let own = item.child(key);
            if own.is_given() { own } else { defaults.child(key) }
        };
        let mut names: Vec<(&str, Item)> = queue.handler.iter().map(|h| (h.as_str(), place("handler"))).collect();
        names.extend(queue.routes.iter().map(|(route, h)| (h.as_str(), place("routes").child(route))));
        if names.is_empty() && item.is_table() && !place("handler").is_given() && !place("routes").is_given() {
            let help = "write handler = \"NAME\", in the queue or in [defaults]";
            item.missing(format!("queue {name:?} has no handler"), help);
        }
        for (handler, item) in names {
            used.push(handler);
            if !known.iter().any(|name| name == handler) {
                check_absent(handler, &known, &item);
            }
        }
    }
    lists(config, top);
    let events = top.child("admin").child("events");
    if events.is_given() && config.followed().is_empty() {
        events.warn("viewers will see nothing: no status messages are published", "remove status.enabled = false");
    }
    for (name, handler) in &config.handlers {
        if let Handler::Http(handler) = handler
            && handler.callback
            && config.callbacks.is_none()
            && !top.child("callbacks").is_given()
        {
            let help = "write [callbacks] with listen = \"127.0.0.1:7118\"";
            let item = handlers.child(name).child("http").child("callback");
            item.error("nothing listens for callbacks", help);
        }
        if let Handler::Http(handler) = handler
            && let Some(batch) = handler.batch
            && used.contains(&name.as_str())
        {
            let uses = |queue: &&Queue| queue.handler.iter().chain(queue.routes.values()).any(|used| used == name);
            let most =
                config.queues.values().filter(uses).map(|queue| queue.concurrency as usize).max().unwrap_or_default();
            if most < batch.max {
                let item = handlers.child(name).child("http").child("batch");
                let message = format!("batches of {} never fill: {most} jobs of a queue run at a time", batch.max);
                item.warn(message, format!("set concurrency of the queue to {}, or max to {most}", batch.max));
            }
        }
        if let Handler::Redis(handler) = handler {
            let item = handlers.child(name).child("redis");
            for (key, invalid) in handler.problems(&config.redis.prefix) {
                item.child(key).error(invalid.message, invalid.help);
            }
        }
    }
    if context.is_torn() {
        return;
    }
    for name in config.handlers.keys() {
        if !used.contains(&name.as_str()) {
            let help = format!("write handler = {name:?} in a queue, or remove it");
            handlers.child(name).warn(format!("no queue uses handler {name:?}"), help);
        }
    }
}

/// Notes lists that are not one queue's alone.
fn lists(config: &Config, top: &Item) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, list) in config.queues.iter().filter_map(|(name, queue)| Some((name, queue.list.as_ref()?))) {
        let item = top.child("queues").child(name).child("list").child("key");
        if let Some(other) = seen.insert(&list.key, name) {
            let help = "one queue works a list; tell its jobs apart by routes";
            item.error(format!("queues {other:?} and {name:?} are the same list, {:?}", list.key), help);
        }
        let under = |root: &str| list.key.strip_prefix(root).is_some_and(|rest| rest.starts_with(':'));
        if [config.redis.prefix.as_str(), OWN_ROOT].into_iter().any(under) {
            let help = "a list queue works a list that an application fills by itself";
            item.error(format!("list {:?} is among the keys of BullMQ queues or of oxherd", list.key), help);
        }
    }
}

/// Notes what is odd about the schedules as they stand together. `host` is the host's zone, if it is known.
pub fn schedules(config: &Config, top: &Item, host: Option<&str>) {
    let items = top.child("schedules");
    let known: Vec<String> = top.child("queues").entries().into_iter().map(|(name, _)| name).collect();
    if !top.context().is_torn() {
        let mut fed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for schedule in
            config.schedules.values().filter(|schedule| !known.iter().any(|name| name == schedule.queue.as_str()))
        {
            fed.entry(schedule.queue.as_str()).or_default().push(&schedule.name);
        }
        for (queue, schedules) in fed {
            let who = match schedules[..] {
                [name] => format!("schedule {name:?} feeds"),
                _ => format!("{} schedules feed", schedules.len()),
            };
            let help = match nearest(queue, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("describe [queues.{}], unless others work it", KeyPath::default().key(queue)),
            };
            let message = format!("{who} queue {queue:?}, which nobody here works");
            items.child(schedules[0]).child("queue").warn(message, help);
        }
    }
    for schedule in config.schedules.values() {
        if config.queues.get(schedule.queue.as_str()).is_some_and(|queue| queue.list.is_some()) {
            let message =
                format!("schedule {:?} feeds queue {:?}, which is a list", schedule.name, schedule.queue.as_str());
            let help = "name a queue without a list; its handler may be the same";
            items.child(&schedule.name).child("queue").error(message, help);
        }
    }
    let zoneless: Vec<&str> = config
        .schedules
        .values()
        .filter(|schedule| schedule.spec.timezone.is_some() && config.daemon.timezone.is_none())
        .map(|schedule| schedule.name.as_str())
        .filter(|name| {
            !items.child(name).child("timezone").is_given() && !top.child("daemon").child("timezone").is_given()
        })
        .collect();
    if let Some(first) = zoneless.first() {
        let who = match zoneless.len() {
            1 => format!("schedule {first:?} names no time zone and follows"),
            n => format!("{n} schedules name no time zone and follow"),
        };
        let (whose, zone) = match host {
            Some(zone) => (format!("that of this host, {zone:?}"), zone),
            None => (format!("{:?}, since that of this host is not known", zone::UNKNOWN), "Europe/Berlin"),
        };
        let help = format!("write timezone = {zone:?} there, or in [daemon] for all");
        items.child(first).warn(format!("{who} {whose}"), help);
    }
    if let Some(crowd) = crowd::find(config) {
        let first = items.child(crowd.names[0]);
        first.warn(crowd.to_string(), "give some of them another minute, or a jitter of a few minutes");
    }
}

fn check_absent(handler: &str, known: &[String], item: &Item) {
    // torn files may have swallowed it
    if item.context().is_torn() {
        return;
    }
    let help = match nearest(handler, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => {
            format!("describe it in [handlers.{}.http], or .command, or .log", KeyPath::default().key(handler))
        }
        None => format!("known are {}", known.join(", ")),
    };
    item.error(format!("there is no handler {handler:?}"), help);
}
