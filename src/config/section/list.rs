//! Reads `list` of a queue, and says which keys of a queue mean nothing to a list.

use std::time::Duration;

use crate::config::list::hash_tag;
use crate::config::read::Item;
use crate::config::{List, ListMode, Payload, Side};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Keys of a queue that a list cannot have, and why.
const FOREIGN: [(&str, &str); 5] = [
    ("lock", "elements of a list are held by list.lease"),
    ("expires_after", "elements of a list do not say when they were pushed"),
    ("metrics", "they are BullMQ's, and a list has none"),
    ("placement", "it is BullMQ's; the elements of a paused list stay where they are"),
    ("keep_completed", "nothing is kept of an element that is done"),
];

/// `queue` is the table of the queue.
pub fn list(queue: &Item) -> Option<List> {
    let item = queue.child("list");
    if !item.is_given() {
        return None;
    }
    if !item.is_table() {
        return item.wrong("a table", "write list = { key = \"job_queue\" }");
    }
    for (name, why) in FOREIGN {
        let foreign = queue.child(name);
        if foreign.is_given() && !foreign.is_off() {
            foreign.wrong_name(format!("{name} means nothing to a list: {why}"), "remove the line");
        }
    }
    let key = item.child("key");
    if !key.is_given() {
        item.missing("list needs key", "write list = { key = \"job_queue\" }");
    }
    let base = List::new(key.text().unwrap_or_default());
    check_key(&key, &base.key);
    let payload = item.child("payload").word(&Payload::WORDS, base.payload);
    let pointer = |name: &str| {
        let item = item.child(name);
        let pointer = pointer(&item)?;
        if payload != Payload::Json {
            item.error(
                format!("{name} points into JSON, and payload is {:?}", payload.as_str()),
                "write payload = \"json\", or remove it",
            );
        }
        Some(pointer)
    };
    Some(List {
        take: item.child("take").word(&Side::WORDS, base.take),
        mode: item.child("mode").word(&ListMode::WORDS, base.mode),
        id: pointer("id"),
        name: pointer("name"),
        payload,
        lease: item.child("lease").duration(Duration::from_secs(1)..=DAY, base.lease),
        block: item.child("block").duration(Duration::from_millis(100)..=Duration::from_secs(3600), base.block),
        ..base
    })
}

/// The keys beside the list are to be in its slot.
fn check_key(item: &Item, key: &str) {
    if hash_tag(key).is_none() && key.contains('}') {
        item.error(
            format!("no key beside {key:?} can be in its slot: it holds a '}}' that ends no hash tag"),
            "name the list without braces, or with a hash tag as in \"{jobs}:imports\"",
        );
    }
}

fn pointer(item: &Item) -> Option<String> {
    let text = item.text()?;
    if !text.starts_with('/') {
        let help = format!("write \"/{}\"", text.replace('.', "/"));
        item.error(format!("{} must be a JSON pointer into the element, got {text:?}", item.path().name()), help);
        return None;
    }
    Some(text)
}
