//! Reads `[handlers.NAME.KIND]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::secret::secret;
use super::{is_placeholder, placeholders, unknown_placeholder};
use crate::config::handler::Answer;
use crate::config::locate::mask_urls;
use crate::config::read::Item;
use crate::config::schema::{answers, handler_kinds};
use crate::config::{CommandHandler, Handler, HttpHandler, LogHandler};

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Headers that only the request itself can know, and content we decide on.
const OWN_HEADERS: [&str; 7] =
    ["content-length", "content-type", "connection", "idempotency-key", "traceparent", "transfer-encoding", "upgrade"];
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
                "http" => http(item).map(Handler::Http),
                "command" => command(item).map(Handler::Command),
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

fn http(item: &Item) -> Option<HttpHandler> {
    let url = item.child("url");
    if !url.is_given() {
        item.missing("an http handler needs url", "write url = \"http://localhost:3000/jobs\"");
    }
    let text = url.text();
    if let Some(text) = &text {
        check_url(&url, text);
    }
    let base = HttpHandler::new(text.clone().unwrap_or_default());
    let base = HttpHandler {
        headers: headers(&item.child("headers")),
        connect_timeout: item.child("connect_timeout").duration(MS..=DAY, base.connect_timeout),
        max_response: item.child("max_response").size(0..=LARGEST, base.max_response),
        max_defer: item.child("max_defer").duration(Duration::ZERO..=365 * DAY, base.max_defer),
        status: statuses(&item.child("status")),
        url: base.url,
    };
    text.map(|_| base)
}

fn check_url(item: &Item, url: &str) {
    let shown = format!("{:?}", mask_urls(url));
    let refuse = |message: String, help: &str| item.error(message, help);
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") => rest,
        Some((scheme, _)) => {
            return refuse(format!("url must be http or https, got {scheme:?}"), "write http://HOST/PATH");
        }
        None => return refuse(format!("{shown} is not a URL"), "write http://HOST:PORT/PATH"),
    };
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return refuse(format!("url holds a space or control character: {shown}"), "percent-encode it, a space as %20");
    }
    if url.contains('#') {
        return refuse(
            format!("url holds a '#': {shown}"),
            "what follows a '#' is never sent; write %23 for the character",
        );
    }
    let (found, wrong) = placeholders(url);
    for invalid in wrong {
        item.error(invalid.message, invalid.help);
    }
    let start = url.len() - rest.len();
    let end = rest.find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    if found.iter().any(|place| place.start < end) {
        return refuse(
            format!("a placeholder may not fill the host: {shown}"),
            "placeholders go into path and query; a job must not choose where it is sent",
        );
    }
    let host = url[start..end].rsplit('@').next().unwrap_or("");
    let (host, port) = match host.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => return refuse(format!("no ']' behind the address in {shown}"), "write http://[::1]:3000/"),
        },
        None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return refuse(format!("{shown} names no host"), "write http://HOST/PATH");
    }
    if let Some(port) = port.filter(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        refuse(format!("port {port:?} in {shown} is not a number from 1 to 65535"), "write http://HOST:PORT/PATH");
    }
}

/// Header names are tokens of HTTP; values may be kept as secrets.
fn headers(item: &Item) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for (name, value) in item.entries() {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(legal) {
            value.error(format!("{name:?} is not the name of a header"), "use letters, digits and '-'");
        }
        let own = name.to_ascii_lowercase();
        if OWN_HEADERS.contains(&own.as_str()) || own.starts_with("webhook-") || own.starts_with("oxherd-") {
            value.error(format!("header {name} is set for every request by oxherd itself"), "remove it");
        }
        let text = if value.is_table() { secret(&value).map(|s| s.reveal().to_owned()) } else { value.any_text() };
        let Some(text) = text else { continue };
        if text.contains(|c: char| !c.is_ascii() || (c.is_ascii_control() && c != '\t')) {
            value.error(format!("header {name} holds a character HTTP does not allow"), "use visible ASCII characters");
        }
        headers.insert(name, text);
    }
    headers
}

fn statuses(item: &Item) -> BTreeMap<u16, Answer> {
    let mut statuses = BTreeMap::new();
    for (code, answer) in item.entries() {
        let number = code.parse::<u16>().ok().filter(|number| (100..600).contains(number));
        if number.is_none() {
            answer.error(format!("{code:?} is not an HTTP status"), "write a code from 100 to 599, such as \"418\"");
        }
        let known: Vec<(&'static str, Option<Answer>)> =
            answers().into_iter().map(|name| (name, Answer::parse(name))).collect();
        if let (Some(number), Some(answer)) = (number, answer.word(&known, None)) {
            statuses.insert(number, answer);
        }
    }
    statuses
}

fn command(item: &Item) -> Option<CommandHandler> {
    let argv = item.child("argv");
    if !argv.is_given() {
        item.missing("a command handler needs argv", "write argv = [\"/path/to/program\", \"argument\"]");
    }
    let arguments = argv.texts();
    let mut words = Vec::new();
    if let Some(arguments) = &arguments {
        for (n, argument) in arguments.iter().enumerate() {
            let text = if n == 0 { argument.text() } else { argument.any_text() };
            let text = text.unwrap_or_default();
            check_argument(argument, n, &text);
            words.push(text);
        }
        if arguments.is_empty() {
            argv.error("argv must not be empty", "write argv = [\"/path/to/program\", \"argument\"]");
        }
    }
    let base = CommandHandler::new(words);
    let base = CommandHandler {
        directory: item.child("directory").file_path(),
        env: environment(&item.child("env")),
        env_allow: allowed(&item.child("env_allow")),
        kill_after: item.child("kill_after").duration(Duration::ZERO..=DAY, base.kill_after),
        max_output: item.child("max_output").size(0..=LARGEST, base.max_output),
        argv: base.argv,
    };
    arguments.map(|_| base)
}

fn check_argument(item: &Item, n: usize, text: &str) {
    if text.contains('\0') {
        item.error("an argument must not hold a NUL character", "remove it");
    }
    if let Some(placeholder) = placeholder_in(text) {
        if n == 0 {
            item.error(
                "a placeholder may not name the program",
                "write the program out; a job may fill only arguments",
            );
        } else if placeholder.len() < text.len() {
            item.error(
                format!("placeholder {placeholder} is only a part of an argument"),
                "make it an argument of its own, so that nothing reads the value as more than a value",
            );
        }
        return;
    }
    // braces that are no placeholder are common in arguments, such as JSON or awk programs
    let whole = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let meant = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
    if let Some(name) = whole.filter(meant) {
        let invalid = unknown_placeholder(name, &["queue", "name", "id", "attempt", "data.PATH"]);
        item.error(invalid.message, invalid.help);
    }
}

/// The first placeholder, braces included; `${name}` is a shell's variable.
fn placeholder_in(text: &str) -> Option<&str> {
    text.match_indices('{').find_map(|(open, _)| {
        let close = open + text[open..].find('}')?;
        let known = is_placeholder(&text[open + 1..close]) && !text[..open].ends_with('$');
        known.then(|| &text[open..=close])
    })
}

fn environment(item: &Item) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in item.entries() {
        check_variable(&value, &name);
        let text = if value.is_table() { secret(&value).map(|s| s.reveal().to_owned()) } else { value.any_text() };
        variables.extend(text.map(|text| (name, text)));
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

fn log(item: &Item) -> LogHandler {
    LogHandler { duration: item.child("duration").duration(Duration::ZERO..=DAY, Duration::ZERO) }
}
