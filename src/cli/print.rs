//! The only printing. Results go to standard output, complaints to standard error; whatever
//! came from outside is escaped, and a reader who has gone away is not an error.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};

use serde::Serialize;

use tracing::Level;

use crate::daemon::{escape, journal, logging::colour_is_wanted};

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
        Table::new(head).page(self, rows)
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

/// A table that comes page by page, so that a long one need not be held: a column is as wide as its widest cell
/// so far.
pub struct Table {
    head: Vec<String>,
    widths: Vec<usize>,
    /// Columns of numbers, by what the first page holds; none before it.
    is_number: Option<Vec<bool>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
        Self { widths: head.iter().map(|title| length(title)).collect(), head, is_number: None }
    }

    /// Prints more rows; the head stands before the first, also when there is none.
    pub fn page(&mut self, out: &mut Out, rows: &[Vec<String>]) -> io::Result<()> {
        let is_first = self.is_number.is_none();
        for (n, line) in self.lines(rows).into_iter().enumerate() {
            let line = if is_first && n == 0 { out.paint(Colour::Bold, line) } else { line };
            out.line(line)?;
        }
        Ok(())
    }

    /// The lines of a page, no blanks at their ends.
    fn lines(&mut self, rows: &[Vec<String>]) -> Vec<String> {
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| escape::text(cell).into_owned()).collect()).collect();
        let column = |n: usize| cells.iter().filter_map(move |row| row.get(n));
        for (n, width) in self.widths.iter_mut().enumerate() {
            *width = column(n).map(|cell| length(cell)).max().unwrap_or(0).max(*width);
        }
        let head = self.is_number.is_none().then(|| self.head.clone());
        let is_number = self.is_number.get_or_insert_with(|| {
            let holds_numbers = |n| !cells.is_empty() && column(n).all(|cell| cell.parse::<f64>().is_ok());
            (0..self.head.len()).map(holds_numbers).collect()
        });
        let render = |row: &Vec<String>| {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&self.widths).zip(&*is_number) {
                let fill = " ".repeat(width - length(cell));
                let padded = if *right { format!("{fill}{cell}") } else { format!("{cell}{fill}") };
                line.push_str(&padded);
                line.push_str("  ");
            }
            line.trim_end().to_owned()
        };
        head.iter().chain(&cells).map(render).collect()
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// A JSON list on one line whose items come one by one.
#[derive(Default)]
pub struct JsonList {
    is_begun: bool,
}

impl JsonList {
    pub fn item<T: Serialize + ?Sized>(&mut self, out: &mut Out, value: &T) -> io::Result<()> {
        let before = if self.is_begun { ',' } else { '[' };
        self.is_begun = true;
        write!(out.to, "{before}{}", escape::json(serde_json::to_string(value)?))
    }

    pub fn end(self, out: &mut Out) -> io::Result<()> {
        out.line(if self.is_begun { "]" } else { "[]" })
    }
}

/// A complaint: `error: …`. Nobody listening is nobody's problem.
pub fn error(text: impl Display) {
    complain(Level::ERROR, "error", 31, text);
}

/// A remark that does not stop the verb: `note: …`.
pub fn note(text: impl Display) {
    complain(Level::WARN, "note", 33, text);
}

/// Whether a question on standard error can be answered on standard input.
pub fn somebody_answers() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on standard error, and waits for a line.
pub fn ask(what: &str) -> io::Result<String> {
    let mut stderr = io::stderr();
    write!(stderr, "{}? [y/N] ", escape::text(what))?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

/// Text for standard error as it stands.
pub fn aside(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether standard error shows colours.
pub fn stderr_has_colour() -> bool {
    io::stderr().is_terminal() && colour_is_wanted()
}

fn complain(level: Level, word: &str, colour: u8, text: impl Display) {
    let text = escape::block(&text.to_string());
    if stderr_has_colour() {
        aside(format_args!("\x1b[1;{colour}m{word}\x1b[0m: {text}"));
    } else {
        grave(level, &format!("{word}: {text}"));
    }
}

/// Text for standard error as it stands, whose lines the journal takes for as grave as this.
pub fn grave(level: Level, text: &str) {
    if journal::reads_stderr() {
        let _ = io::stderr().write_all(journal::entry(level, text).as_bytes());
    } else {
        aside(text);
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
        let mut table = Table::new(&["QUEUE", "WAITING", "NOTE"]);
        let lines = table.lines(&[row(["email", "12", "a\nb\u{1b}[31m"]), row(["größer-als", "3", ""])]);
        assert_eq!(
            lines,
            ["QUEUE       WAITING  NOTE", "email            12  a\\nb\\u001b[31m", "größer-als        3",]
        );
        let lines = table.lines(&[row(["reports", "123456789", "later pages align with earlier ones"])]);
        assert_eq!(lines, ["reports     123456789  later pages align with earlier ones"]);
    }
}
