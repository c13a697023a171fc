//! How far a long verb is, for whoever watches.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes of input, or without their number only what is done; `is_hidden` where the output is on the
/// terminal too. On standard error, and only where somebody watches it.
pub fn bytes(length: Option<u64>, is_hidden: bool) -> ProgressBar {
    match length {
        Some(length) => bar(Some(length), is_hidden, "{bar:40} {percent:>3}%  {msg}  {bytes_per_sec}  {eta} left"),
        None => bar(None, is_hidden, "{spinner} {msg}  {elapsed}"),
    }
}

/// The same over jobs.
pub fn jobs(total: u64, is_hidden: bool) -> ProgressBar {
    bar(Some(total), is_hidden, "{bar:40} {percent:>3}%  {human_pos} jobs  {per_sec:.0}  {eta} left")
}

fn bar(length: Option<u64>, is_hidden: bool, template: &str) -> ProgressBar {
    if is_hidden || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(ProgressStyle::with_template(template).expect("the template is ours and well formed"))
}
