//! What the manual page says of the keys: the tables of [`schema`](super::schema), section by section.

use super::schema::{Key, ROOT, Shape};

/// The keys under one header.
#[derive(Debug)]
pub struct Section {
    /// As in `[queues.NAME]`.
    pub heading: String,
    pub about: &'static str,
    pub keys: Vec<Entry>,
}

/// One key.
#[derive(Debug)]
pub struct Entry {
    /// Below the header, as in `backoff.delay`.
    pub name: String,
    /// What may stand there, and what holds without it.
    pub kind: String,
    pub about: &'static str,
}

/// All sections, in the order of the tables.
#[must_use]
pub fn sections() -> Vec<Section> {
    let mut sections = Vec::new();
    let mut plain = Vec::new();
    for key in ROOT.keys().unwrap_or_default() {
        let section = |heading: String, key: &Key, shape: &Shape| {
            let mut keys = Vec::new();
            entries(shape, "", &mut keys);
            Section { heading: format!("[{heading}]"), about: key.about, keys }
        };
        match &key.shape {
            // they are those of the queues
            _ if key.name == "defaults" => {
                sections.push(Section { heading: "[defaults]".to_owned(), about: key.about, keys: Vec::new() });
            }
            Shape::Table(_) => sections.push(section(key.name.to_owned(), key, &key.shape)),
            Shape::Named(_, Shape::One(kinds)) => {
                sections.extend(
                    kinds.iter().map(|kind| section(format!("{}.NAME.{}", key.name, kind.name), kind, &kind.shape)),
                );
            }
            Shape::Named(_, shape) => sections.push(section(format!("{}.NAME", key.name), key, shape)),
            _ => plain.push(entry(key, "")),
        }
    }
    sections
        .insert(0, Section { heading: "KEYS OF NO SECTION".to_owned(), about: "Above the first header.", keys: plain });
    sections
}

fn entry(key: &Key, above: &str) -> Entry {
    Entry { name: format!("{above}{}", key.name), kind: key.kind(), about: key.about }
}

/// The keys of a table, those of tables in it behind them.
fn entries(shape: &Shape, above: &str, into: &mut Vec<Entry>) {
    match shape {
        Shape::Table(keys) => {
            for key in *keys {
                into.push(entry(key, above));
                entries(&key.shape, &format!("{above}{}.", key.name), into);
            }
        }
        Shape::Either(shapes) => shapes.iter().for_each(|shape| entries(shape, above, into)),
        Shape::Named(_, shape) => entries(shape, &format!("{above}NAME."), into),
        _ => {}
    }
}
