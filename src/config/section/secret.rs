//! Reads a secret: a text, or where it is kept. Never shows it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::Secret;
use crate::config::read::Item;
use crate::config::url::absolute;

/// Longest secret file read, in bytes.
const LONGEST: u64 = 64 * 1024;

pub fn secret(item: &Item) -> Option<Secret> {
    if !item.is_given() {
        return None;
    }
    let name = item.path().name();
    let text = if item.is_table() {
        let entries = item.entries();
        let [(source, value)] = entries.as_slice() else {
            item.error(
                format!("{name} must name exactly one source, got {}", entries.len()),
                "write one of { file = \"…\" }, { env = \"NAME\" } or { credential = \"name\" }",
            );
            return None;
        };
        match source.as_str() {
            "file" => from_file(value, &value.file_path()?)?,
            "env" => from_variable(value, &value.text()?)?,
            "credential" => from_file(value, &credential(value)?)?,
            // an unknown key, which is reported as such
            _ => return None,
        }
    } else if item.is_text() {
        item.text()?
    } else {
        // unlike for other keys, the message does not say what it got
        item.error(format!("{name} must be a text or a table that says where it is kept"), "put it in quotes");
        return None;
    };
    if text.is_empty() {
        item.error(format!("{name} is empty where it is kept"), "put the secret there");
        return None;
    }
    item.context().keep_secret(&text);
    Some(Secret::new(text))
}

/// Some secrets: one, or a list of them.
pub fn secrets<'a>(item: &Item<'a>) -> Vec<(Item<'a>, Secret)> {
    let items = if item.is_list() { item.elements() } else { vec![item.clone()] };
    items.into_iter().filter_map(|item| secret(&item).map(|secret| (item, secret))).collect()
}

fn from_variable(item: &Item, name: &str) -> Option<String> {
    let value = item.context().env.get(name);
    if value.is_none() {
        item.error(format!("environment variable {name} is not set"), "set it before oxherd starts");
    }
    value.cloned()
}

/// systemd puts credentials into a directory of its own.
fn credential(item: &Item) -> Option<PathBuf> {
    let name = item.text()?;
    if name.contains('/') || name == ".." {
        item.error(format!("credential must be a plain name, got {name:?}"), "write the name from LoadCredential=");
        return None;
    }
    let Some(directory) = item.context().env.get("CREDENTIALS_DIRECTORY") else {
        item.error(
            format!("credential {name:?} is not there: CREDENTIALS_DIRECTORY is not set"),
            "start oxherd as a systemd service with LoadCredential=, or use { file = \"…\" }",
        );
        return None;
    };
    Some(absolute(Path::new(directory), name))
}

fn from_file(item: &Item, path: &Path) -> Option<String> {
    let shown = path.display();
    let refuse = |why: String| {
        item.error(format!("cannot read secret file {shown}: {why}"), "check the path and its permissions");
        None
    };
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) => return refuse(e.to_string()),
    };
    if !meta.is_file() {
        return refuse("not a regular file".into());
    }
    if meta.len() > LONGEST {
        return refuse(format!("longer than {LONGEST} bytes"));
    }
    if meta.permissions().mode() & 0o026 != 0 {
        item.warn(
            format!("secret file {shown} is open to others (mode {:03o})", meta.permissions().mode() & 0o777),
            format!("chmod 600 {shown}"),
        );
    }
    match fs::read_to_string(path) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(e) => refuse(e.to_string()),
    }
}
