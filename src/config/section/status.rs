//! Reads `[status]`, and what queues have instead.

use std::collections::{BTreeMap, BTreeSet};

use super::unknown_placeholder;
use crate::config::read::{Item, Scalar};
use crate::config::{Status, StatusFormat, StatusStream};

/// Entries of the stream. Redis trims some hundred at a time, and a reader needs time to read on.
const SHORTEST: i128 = 1000;
const LONGEST: i128 = 1_000_000_000;

/// `[status]`, or what a queue has instead of it, `base` where that is silent.
pub fn status(item: &Item, base: Status) -> Status {
    item.expect_table();
    let formats = [("simple", StatusFormat::Simple), ("full", StatusFormat::Full)];
    Status {
        enabled: item.child("enabled").flag(base.enabled),
        channels: channels(&item.child("channel")).unwrap_or(base.channels),
        tenant: tenant(&item.child("tenant")).unwrap_or(base.tenant),
        format: item.child("format").word(&formats, base.format),
        told: told(item, base.told),
        names: base.names.into_iter().chain(names(&item.child("names"))).collect(),
        stream: if item.child("stream").is_given() { stream(&item.child("stream")) } else { base.stream },
        queues: BTreeMap::new(),
    }
}

/// `only` in place of what was told before, without what `except` names.
fn told(item: &Item, base: BTreeSet<&'static str>) -> BTreeSet<&'static str> {
    let words: Vec<_> = Status::WORDS.iter().map(|(state, _)| (*state, Some(*state))).collect();
    let [only, except] = ["only", "except"].map(|key| item.child(key));
    let mut is_known = true;
    let mut states = |item: &Item| -> Option<BTreeSet<&'static str>> {
        let states: Vec<_> = item.texts()?.iter().map(|state| state.word(&words, None)).collect();
        is_known &= states.iter().all(Option::is_some);
        Some(states.into_iter().flatten().collect())
    };
    let (chosen, left_out) = (states(&only).unwrap_or(base), states(&except).unwrap_or_default());
    let told: BTreeSet<_> = chosen.difference(&left_out).copied().collect();
    if let Some(key) = [only, except].into_iter().find(Item::is_given).filter(|_| told.is_empty() && is_known) {
        key.error("no state is left to be told", "write enabled = false to publish nothing");
    }
    told
}

/// A table; true stands for its defaults.
fn stream(item: &Item) -> Option<StatusStream> {
    if item.is_off() {
        return None;
    }
    let base = StatusStream::default();
    if !item.is_table() {
        return match item.scalar() {
            Some(Scalar::Flag(true)) => Some(base),
            _ => item.wrong("a table", "write { key = \"job_updates:stream\" }, or false for none"),
        };
    }
    let key = item.child("key");
    let name = key.text().unwrap_or(base.key);
    if let Some(hole) = ["{queue}", "{tenant}"].iter().find(|hole| name.contains(**hole)) {
        key.error(
            format!("the stream has one key, whose entries have one order, but its name holds {hole}"),
            format!("leave {hole} out: each entry has the fields queue, tenant and jobId to filter by"),
        );
    }
    Some(StatusStream { key: name, max_length: item.child("max_length").whole(SHORTEST..=LONGEST, base.max_length) })
}

fn channels(item: &Item) -> Option<Vec<String>> {
    let channels = item.texts()?;
    if channels.is_empty() {
        item.error("channel must not be an empty list", "write enabled = false to publish nothing");
    }
    let read = |channel: &Item| {
        let text = channel.text()?;
        for part in text.split('{').skip(1) {
            match part.split_once('}') {
                Some(("queue" | "tenant", _)) => {}
                Some((name, _)) => {
                    let invalid = unknown_placeholder(name, &["queue", "tenant"]);
                    channel.error(invalid.message, invalid.help);
                }
                None => channel.error(format!("a '{{' is never closed in {text:?}"), "write {queue} or {tenant}"),
            }
        }
        Some(text)
    };
    Some(channels.iter().filter_map(read).collect())
}

/// A JSON pointer: empty, or steps that begin with `/`.
fn tenant(item: &Item) -> Option<String> {
    let text = item.any_text()?;
    if !text.is_empty() && !text.starts_with('/') {
        item.error(
            format!("tenant must be a JSON pointer into the job's data, got {text:?}"),
            format!("write \"/{}\"", text.replace('.', "/")),
        );
    }
    Some(text)
}

fn names(item: &Item) -> BTreeMap<String, String> {
    let read = |(state, word): (String, Item)| Some((state, word.text()?));
    item.entries().into_iter().filter_map(read).collect()
}
