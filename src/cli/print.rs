//! The only printing. Results go to standard output, complaints to standard error; whatever
//! came from outside is escaped, and a reader who has gone away is not an error.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};

use serde::Serialize;

use crate::daemon::{escape, logging::colour_is_wanted};

/// Standard output as the verbs use it.
pub struct Out {
    to: BufWriter<Stdout>,
    is_json: bool,
    has_colour: bool,
}

/// The colours there are.
#[derive(Clone, Copy)]
pub enum Colour {
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
}

impl Out {
    pub fn new(is_json: bool) -> Self {
        let stdout = io::stdout();
        let has_colour = stdout.is_terminal() && colour_is_wanted();
        Self { to: BufWriter::new(stdout), is_json, has_colour }
    }

    /// `--json` was given.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether standard output shows colours.
    pub fn has_colour(&self) -> bool {
        self.has_colour
    }

    /// One line. The text must already be safe; see [`escape`].
    pub fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// One value as one line of JSON.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let document = serde_json::to_string(value)?;
        self.line(escape::json(document))
    }

    /// Text in a colour, where colours are shown.
    pub fn paint(&self, colour: Colour, text: impl Display) -> String {
        if !self.has_colour {
            return text.to_string();
        }
        let code = match colour {
            Colour::Bold => 1,
            Colour::Dim => 2,
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Rows under a head line, columns aligned, numbers to the right. Cells are escaped here.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let lines = table(head, rows);
        for (n, line) in lines.into_iter().enumerate() {
            let line = if n == 0 { self.paint(Colour::Bold, line) } else { line };
            self.line(line)?;
        }
        Ok(())
    }

    /// Name and value, one pair a line, values aligned. Values are escaped here.
    pub fn pairs(&mut self, pairs: &[(&str, String)]) -> io::Result<()> {
        let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in pairs {
            // padded before it is painted: escape codes have no width
            let name = self.paint(Colour::Bold, format_args!("{name:width$}"));
            self.line(format_args!("{name}  {}", escape::text(value)))?;
        }
        Ok(())
    }

    /// Hands on what is buffered; a verb that follows something calls it after each line.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The lines of a table, the head first, no blanks at the ends.
fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| escape::text(cell).into_owned()).collect()).collect();
    let length = |text: &str| text.chars().count();
    let column = |n: usize| cells.iter().filter_map(move |row| row.get(n));
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(n, title)| column(n).map(|cell| length(cell)).max().unwrap_or(0).max(length(title)))
        .collect();
    let is_number: Vec<bool> =
        (0..head.len()).map(|n| !cells.is_empty() && column(n).all(|cell| cell.parse::<f64>().is_ok())).collect();
    let render = |row: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), right) in row.zip(&widths).zip(&is_number) {
            let fill = " ".repeat(width - length(cell));
            let padded = if *right { format!("{fill}{cell}") } else { format!("{cell}{fill}") };
            line.push_str(&padded);
            line.push_str("  ");
        }
        line.trim_end().to_owned()
    };
    std::iter::once(render(&mut head.iter().copied()))
        .chain(cells.iter().map(|row| render(&mut row.iter().map(String::as_str))))
        .collect()
}

/// A complaint: `error: …`. Nobody listening is nobody's problem.
pub fn error(text: impl Display) {
    complain("error", 31, text);
}

/// A remark that does not stop the verb: `note: …`.
pub fn note(text: impl Display) {
    complain("note", 33, text);
}

/// Text for standard error as it stands.
pub fn aside(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether standard error shows colours.
pub fn stderr_has_colour() -> bool {
    io::stderr().is_terminal() && colour_is_wanted()
}

fn complain(word: &str, colour: u8, text: impl Display) {
    let text = escape::block(&text.to_string());
    if stderr_has_colour() {
        aside(format_args!("\x1b[1;{colour}m{word}\x1b[0m: {text}"));
    } else {
        aside(format_args!("{word}: {text}"));
    }
}

/// What the argument parser has to say: help and version to standard output, mistakes to
/// standard error.
pub fn usage(message: &clap::Error) {
    let _ = message.print();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_hostile_cells_stay_in_their_place() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let lines = table(
            &["QUEUE", "WAITING", "NOTE"],
            &[row(["email", "12", "a\nb\u{1b}[31m"]), row(["größer-als", "3", ""])],
        );
        assert_eq!(
            lines,
            ["QUEUE       WAITING  NOTE", "email            12  a\\nb\\u001b[31m", "größer-als        3",]
        );
    }
}
