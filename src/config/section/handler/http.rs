//! Reads `[handlers.NAME.http]`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::smtp::certificates;
use super::{DAY, LARGEST, MS};
use crate::config::handler::{Answer, Breaker, Gone};
use crate::config::locate::{is_secret_name, mask_urls};
use crate::config::read::Item;
use crate::config::schema::answers;
use crate::config::section::placeholders;
use crate::config::section::secret::{secret, secrets};
use crate::config::units::show_duration;
use crate::config::{AllowedHost, Batch, HttpHandler, PemFile, Secret};

/// Headers that only the request itself can know, and content we decide on.
const OWN_HEADERS: [&str; 8] = [
    "content-length",
    "content-type",
    "connection",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn http(item: &Item) -> Option<HttpHandler> {
    let url = item.child("url");
    if !url.is_given() {
        item.missing("an http handler needs url", "write url = \"http://localhost:3000/jobs\"");
    }
    let text = url.text();
    let allow = allow(&item.child("allow"));
    if let Some(text) = &text {
        check_url(&url, text, Some(item));
    }
    let base = HttpHandler::new(text.clone().unwrap_or_default());
    let base = HttpHandler {
        allow,
        socket: socket(&item.child("socket")),
        ca: authorities(&item.child("ca"), text.as_deref()),
        http2: item.child("http2").flag(base.http2),
        headers: headers(&item.child("headers")),
        signing_secrets: signing_secrets(&item.child("signing_secrets")),
        connect_timeout: item.child("connect_timeout").duration(MS..=DAY, base.connect_timeout),
        response_timeout: item.child("response_timeout").optional_duration(MS..=DAY, None),
        min_rate: item.child("min_rate").optional_size(1..=LARGEST, base.min_rate),
        max_response: item.child("max_response").size(0..=LARGEST, base.max_response),
        max_defer: item.child("max_defer").duration(Duration::ZERO..=365 * DAY, base.max_defer),
        breaker: breaker(&item.child("breaker"), base.breaker),
        gone: item.child("gone").word(&[("fail", Gone::Fail), ("stop", Gone::Stop)], base.gone),
        callback: item.child("callback").flag(base.callback),
        batch: batch(&item.child("batch")),
        status: statuses(&item.child("status")),
        url: base.url,
    };
    if base.callback && base.batch.is_some() {
        item.child("batch").error(
            "a batch has its results in the answer, and callback is to bring them later",
            "remove one of the two",
        );
    }
    text.map(|_| base)
}

/// What the host may become.
fn allow(item: &Item) -> Vec<AllowedHost> {
    let read = |item: Item| {
        let text = item.text()?;
        AllowedHost::parse(&text).map_err(|invalid| item.error(invalid.message, invalid.help)).ok()
    };
    item.texts().unwrap_or_default().into_iter().filter_map(read).collect()
}

/// A path the system can connect to.
fn socket(item: &Item) -> Option<PathBuf> {
    /// Bytes a socket's address has room for, without the zero at its end.
    const LONGEST: usize = 107;
    let path = item.file_path()?;
    let bytes = path.as_os_str().len();
    if bytes > LONGEST {
        item.error(
            format!("the path of a socket has at most {LONGEST} bytes, {} has {bytes}", path.display()),
            "put the socket into a directory with a shorter name",
        );
        return None;
    }
    Some(path)
}

/// Who vouches for the endpoint at this url.
pub(in crate::config::section) fn authorities(item: &Item, url: Option<&str>) -> Option<PemFile> {
    if item.is_given() && url.is_some_and(|url| url.starts_with("http:")) {
        item.warn("ca says nothing: url is http, without TLS", "remove it, or write https");
    }
    certificates(item)
}

/// `handler` is the table that may say more about the host.
pub(in crate::config::section) fn check_url(item: &Item, url: &str, handler: Option<&Item>) {
    let shown = format!("{:?}", mask_urls(url));
    let refuse = |message: String, help: &str| item.error(message, help);
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") => rest,
        Some((scheme, _)) if scheme.to_ascii_lowercase().contains("unix") => {
            return refuse(
                format!("url must be http or https, got {scheme:?}"),
                "write socket = \"/run/app.sock\" beside url = \"http://localhost/PATH\"",
            );
        }
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
    let host_start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    let in_host: Vec<_> = found.into_iter().filter(|place| place.start < end).collect();
    let allow = handler.map(|handler| handler.child("allow"));
    let listed = allow.as_ref().filter(|allow| allow.texts().is_some_and(|hosts| !hosts.is_empty()));
    if !in_host.is_empty() && listed.is_none() {
        let help = match handler {
            Some(_) => "to let jobs choose where they are sent, list in allow what the host may become",
            None => "placeholders go into path and query; a job must not choose where it is sent",
        };
        return refuse(format!("a placeholder may not fill the host: {shown}"), help);
    }
    let is_out_of_place =
        |place: &Range<usize>| place.start < host_start || url[host_start..place.start].contains([':', '[']);
    if in_host.iter().any(is_out_of_place) {
        return refuse(
            format!("a placeholder may not fill scheme, credentials or port: {shown}"),
            "placeholders go into host, path and query",
        );
    }
    if let Some(allow) = listed.filter(|_| in_host.is_empty()) {
        allow.warn("allow says nothing: no placeholder fills the host of url", "remove it");
    }
    if let Some(socket) = handler.map(|handler| handler.child("socket")).filter(|_| !in_host.is_empty())
        && socket.is_given()
    {
        socket.error("a placeholder fills the host, and socket says where to connect", "remove one of the two");
    }
    // a placeholder may hold any character
    let mut host = url[host_start..end].to_owned();
    for place in in_host.iter().rev() {
        host.replace_range(place.start - host_start..place.end - host_start, "x");
    }
    let host = host.as_str();
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

/// A table, be it empty, switches it on.
fn batch(item: &Item) -> Option<Batch> {
    if !item.is_given() || item.is_off() {
        return None;
    }
    if !item.is_table() {
        return item.wrong("a table or false", "write batch = { max = 50, wait = \"20ms\" }");
    }
    let base = Batch::default();
    Some(Batch {
        max: item.child("max").whole(1..=10_000, base.max),
        wait: item.child("wait").duration(Duration::ZERO..=60_000 * MS, base.wait),
        max_body: item.child("max_body").size(1024..=LARGEST, base.max_body),
    })
}

/// `false` switches it off.
pub(super) fn breaker(item: &Item, default: Option<Breaker>) -> Option<Breaker> {
    if !item.is_given() {
        return default;
    }
    if item.is_off() {
        return None;
    }
    let base = default.unwrap_or_default();
    if !item.is_table() {
        item.wrong::<()>("a table or false", "write breaker = { failures = 5, cool_down = \"10s\", max = \"5m\" }");
        return default;
    }
    let failures = item.child("failures").whole(1..=1_000_000, base.failures);
    let cool_down = item.child("cool_down").duration(MS..=DAY, base.cool_down);
    let max = item.child("max");
    let breaker = Breaker { failures, cool_down, max: max.duration(MS..=DAY, base.max.max(cool_down)) };
    if breaker.max < breaker.cool_down {
        max.error(
            format!("max is shorter than cool_down, {}", show_duration(cool_down)),
            "make it as long or longer, or make cool_down shorter",
        );
    }
    Some(breaker)
}

/// Header names are tokens of HTTP; values may be kept as secrets.
pub(in crate::config::section) fn headers(item: &Item) -> BTreeMap<String, String> {
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
        if is_secret_name(&name) {
            item.context().keep_secret(&text);
        }
        if text.contains(|c: char| !c.is_ascii() || (c.is_ascii_control() && c != '\t')) {
            value.error(format!("header {name} holds a character HTTP does not allow"), "use visible ASCII characters");
        }
        headers.insert(name, text);
    }
    headers
}

fn signing_secrets(item: &Item) -> Vec<Secret> {
    let fit = |(item, secret): (Item, Secret)| match HttpHandler::signing_key(&secret) {
        Ok(_) => Some(secret),
        Err(invalid) => {
            item.error(invalid.message, invalid.help);
            None
        }
    };
    secrets(item).into_iter().filter_map(fit).collect()
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
