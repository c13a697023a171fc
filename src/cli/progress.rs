//! How far a long verb is, for whoever watches.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over jobs, on standard error, and only where somebody watches it.
pub fn jobs(total: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {percent:>3}%  {human_pos} jobs  {per_sec:.0}  {eta} left";
    ProgressBar::new(total)
        .with_style(ProgressStyle::with_template(template).expect("the template is ours and well formed"))
}
