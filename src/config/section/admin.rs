//! Reads `[admin]`.

use std::net::SocketAddr;
use std::time::Duration;

use super::secret::{secret, secrets};
use crate::config::read::Item;
use crate::config::{Admin, AdminEvents, Secret};

/// Shortest key HMAC-SHA256 is as strong with as it can be, in bytes.
const SHORTEST_KEY: usize = 32;
/// Shortest token, in bytes: 80 bits when it is made of letters and digits.
const SHORTEST_TOKEN: usize = 16;
const GENERATE: &str = "make one: head -c 32 /dev/urandom | base64";

pub fn admin(item: &Item) -> Option<Admin> {
    if !item.is_given() {
        return None;
    }
    item.expect_table();
    let base = Admin::default();
    let place = item.child("listen");
    let admin = Admin {
        listen: listen(&place).unwrap_or(base.listen),
        token: token(&item.child("token")),
        events: events(&item.child("events"), base.events),
    };
    if !admin.is_loopback() && !item.child("token").is_given() {
        let message = format!("{} can be reached from other hosts, and there is no token", admin.listen);
        place.error(message, "write token = { file = \"…\" } in [admin], or listen on 127.0.0.1");
    }
    Some(admin)
}

fn listen(item: &Item) -> Option<SocketAddr> {
    let text = item.text()?;
    let Ok(listen) = text.parse() else {
        item.error(format!("{text:?} is not an address and a port"), "write listen = \"127.0.0.1:7117\"");
        return None;
    };
    Some(listen)
}

fn token(item: &Item) -> Option<Secret> {
    let token = secret(item)?;
    if !token.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
        item.error("token holds what a header cannot carry", "use letters, digits and punctuation of ASCII");
    } else if token.reveal().len() < SHORTEST_TOKEN {
        let message = format!("token must have at least {SHORTEST_TOKEN} characters, got {}", token.reveal().len());
        item.error(message, GENERATE);
    }
    Some(token)
}

fn events(item: &Item, base: AdminEvents) -> AdminEvents {
    item.expect_table();
    let second = Duration::from_secs(1);
    AdminEvents {
        secrets: keys(&item.child("secrets")),
        allow_origins: origins(&item.child("allow_origins")).unwrap_or(base.allow_origins),
        max_viewers: item.child("max_viewers").whole(1..=1_000_000, base.max_viewers),
        heartbeat: item.child("heartbeat").duration(second..=300 * second, base.heartbeat),
        buffer: item.child("buffer").whole(1..=100_000, base.buffer),
    }
}

fn keys(item: &Item) -> Vec<Secret> {
    let mut keys = Vec::new();
    for (item, secret) in secrets(item) {
        let length = secret.reveal().len();
        if length < SHORTEST_KEY {
            item.error(format!("a secret must have at least {SHORTEST_KEY} bytes, got {length}"), GENERATE);
        }
        keys.push(secret);
    }
    keys
}

fn origins(item: &Item) -> Option<Vec<String>> {
    let mut origins = Vec::new();
    for item in item.texts()? {
        let Some(text) = item.text() else { continue };
        match origin(&text) {
            Ok(origin) => origins.push(origin),
            Err(help) => item.error(format!("{text:?} is not an origin"), help),
        }
    }
    Some(origins)
}

/// The origin as browsers send it: lower case, no path, no usual port.
fn origin(text: &str) -> Result<String, String> {
    let text = text.to_lowercase();
    let usual = "write https://HOST or https://HOST:PORT, one for each";
    if text.contains('*') {
        return Err(format!("there are no patterns here; {usual}"));
    }
    let (scheme, rest) = text.split_once("://").ok_or(usual)?;
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return Err(usual.into()),
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
    if host.is_empty() || host.starts_with(':') || host.contains(is_odd) {
        return Err(format!("an origin has no path, user or spaces; {usual}"));
    }
    Ok(format!("{scheme}://{}", host.strip_suffix(port).unwrap_or(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for (written, sent) in [
            ("https://app.example.org", "https://app.example.org"),
            ("HTTPS://App.example.org/", "https://app.example.org"),
            ("https://app.example.org:443", "https://app.example.org"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(origin(written).as_deref(), Ok(sent), "{written}");
        }
        for written in
            ["*", "https://*.example.org", "null", "app.example.org", "https://a/b", "https://u@a", "ftp://a"]
        {
            assert!(origin(written).is_err(), "{written}");
        }
    }
}
