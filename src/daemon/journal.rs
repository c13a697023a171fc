//! systemd's journal as the reader of standard error. It has a time of its own, no colours, and takes how grave a line is
//! from a number before it (`sd-daemon(3)`). The log writes so, and the command line what it complains of.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use tracing::Level;

/// Longest line handed over, in bytes. The journal cuts lines at 48 KiB, and what a cut begins with would be read for a
/// number.
const LONGEST: usize = 40 * 1024;

/// Whether the journal reads standard error: `JOURNAL_STREAM` names the socket that it is, by device and inode. The
/// variable alone says nothing, for whoever sends the output elsewhere leaves it as it is.
#[must_use]
pub fn reads_stderr() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() else { return false };
    File::from(stderr).metadata().is_ok_and(|stderr| named == format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// Text as the journal takes it, each of its lines as grave as the whole. Ends with a line break.
#[must_use]
pub fn entry(level: Level, text: &str) -> String {
    let mark = match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    };
    let mut entry = String::with_capacity(text.len() + 8);
    for line in text.lines() {
        let end = (0..=LONGEST.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        let cut = if end < line.len() { "…" } else { "" };
        entry.extend([mark, &line[..end], cut, "\n"]);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_says_how_grave_it_is() {
        assert_eq!(entry(Level::ERROR, "a\n  b\n"), "<3>a\n<3>  b\n");
        assert_eq!(entry(Level::WARN, "a"), "<4>a\n");
        assert_eq!(entry(Level::INFO, "a"), "<6>a\n");
        assert_eq!(entry(Level::DEBUG, "a"), "<7>a\n");
    }

    #[test]
    fn no_line_is_so_long_that_the_journal_cuts_it() {
        let line = entry(Level::INFO, &"<0>ü".repeat(20_000));
        assert!(line.len() < 48 * 1024 && line.ends_with("…\n") && line.starts_with("<6><0>ü"), "{}", line.len());
    }
}
