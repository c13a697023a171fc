//! Reads `[callbacks]`.

use std::net::SocketAddr;

use crate::config::Callbacks;
use crate::config::locate::mask_urls;
use crate::config::read::Item;

pub fn callbacks(item: &Item) -> Option<Callbacks> {
    if !item.is_given() {
        return None;
    }
    item.expect_table();
    let place = item.child("listen");
    let url = item.child("url");
    if !place.is_given() {
        item.missing("[callbacks] needs listen", "write listen = \"127.0.0.1:7118\"");
    }
    let text = place.text()?;
    let Ok(listen) = text.parse::<SocketAddr>() else {
        place.error(format!("{text:?} is not an address and a port"), "write listen = \"127.0.0.1:7118\"");
        return None;
    };
    if listen.port() == 0 && !url.is_given() {
        place.error("port 0 is any free port, and endpoints are to know which", "write a port");
    }
    let base = match url.text() {
        Some(text) => check_url(&url, &text),
        None if listen.ip().is_unspecified() => {
            let help = "write url = \"http://HOST:PORT\", as endpoints reach this host";
            item.missing(format!("{listen} is every address of this host, and no endpoint can call that"), help);
            return None;
        }
        None => format!("http://{listen}"),
    };
    Some(Callbacks { listen, url: base })
}

fn check_url(item: &Item, url: &str) -> String {
    let rest = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")).map(|(_, rest)| rest);
    let odd = |c: char| c.is_whitespace() || c.is_control() || !c.is_ascii() || "?#{}".contains(c);
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) || url.contains(odd) {
        item.error(format!("{:?} is not a URL to call", mask_urls(url)), "write http://HOST:PORT or https://HOST/PATH");
    }
    url.trim_end_matches('/').to_owned()
}
