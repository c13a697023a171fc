//! Reads `[daemon]`, `[shutdown]` and `[log]`.

use std::time::Duration;

use super::schedule::zone_is_known;
use crate::config::read::Item;
use crate::config::schema::nearest;
use crate::config::{Daemon, Log, LogFormat, Shutdown};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub fn daemon(item: &Item) -> Daemon {
    item.expect_table();
    let name = item.child("name");
    let text = name.text();
    if text.as_ref().is_some_and(|text| text.chars().any(|c| c.is_control() || c == ':')) {
        name.error("name must not hold ':' or control characters", "use letters, digits and '-'");
    }
    let zone = item.child("timezone");
    let timezone = zone.text().filter(|text| zone_is_known(&zone, text));
    Daemon { name: text, state_dir: item.child("state_dir").file_path(), timezone }
}

pub fn shutdown(item: &Item) -> Shutdown {
    item.expect_table();
    let base = Shutdown::default();
    Shutdown {
        drain: item.child("drain").duration(Duration::ZERO..=DAY, base.drain),
        cancel: item.child("cancel").duration(Duration::ZERO..=DAY, base.cancel),
    }
}

pub fn log(item: &Item) -> Log {
    item.expect_table();
    let base = Log::default();
    let level = item.child("level");
    let text = level.text();
    if let Some(text) = &text {
        check_level(&level, text);
    }
    let formats = [("auto", LogFormat::Auto), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
    Log { level: text.unwrap_or(base.level), format: item.child("format").word(&formats, base.format) }
}

/// A level, or levels of targets: `info,oxherd::store=debug`.
fn check_level(item: &Item, text: &str) {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for part in text.split(',').filter(|part| !part.contains('[')) {
        let word = part.rsplit('=').next().unwrap_or(part).trim();
        if LEVELS.contains(&word.to_lowercase().as_str()) {
            continue;
        }
        let help = match nearest(word, LEVELS) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "levels are off, error, warn, info, debug and trace".into(),
        };
        item.error(format!("{word:?} is not a log level"), help);
    }
}
