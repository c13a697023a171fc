//! A page that is tried as its reader would: files are saved, commands typed one after the other into one shell in a fresh
//! directory, and what they print is what the page says.
//!
//! A fenced block is a file where its first line names one after the language (```` ```toml oxherd.toml ````), else commands
//! (`sh`), or what the commands before it print (`text`; a `…` stands for any text, on a line of its own for any lines).
//! `sh until` is a look that is taken again until it shows that. Other blocks are only read.

/// A block of a page that something is done with.
#[derive(Debug, PartialEq)]
pub enum Block {
    File { name: String, text: String },
    Commands { text: String, again: bool, prints: Option<String> },
}

/// The blocks of a page in their order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let text: String = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
        match info.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["sh"] => blocks.push(Block::Commands { text, again: false, prints: None }),
            ["sh", "until"] => blocks.push(Block::Commands { text, again: true, prints: None }),
            ["text"] => match blocks.last_mut() {
                Some(Block::Commands { prints, .. }) => *prints = Some(text),
                _ => panic!("no commands stand before this text:\n{text}"),
            },
            [_, name] => blocks.push(Block::File { name: (*name).to_owned(), text }),
            _ => {}
        }
    }
    blocks
}

/// Whether a text is what a page shows of it.
pub fn fits(shown: &str, text: &str) -> bool {
    let lines = |text: &str| text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    lines_fit(&lines(shown), &lines(text))
}

fn lines_fit(shown: &[String], lines: &[String]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => (0..=lines.len()).any(|skipped| lines_fit(rest, &lines[skipped..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, more)| line_fits(first, line) && lines_fit(rest, more))
        }
    }
}

fn line_fits(shown: &str, line: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else { return shown == line };
    let Some(mut line) = line.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('…').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = line.find(part) else { return false };
        line = &line[at + part.len()..];
    }
    line.ends_with(end)
}

#[test]
fn a_page_is_read_block_by_block() {
    let page =
        "Text\n```toml a.toml\nx = 1\n```\n```sh\ntrue\n```\n```sh until\nls\n```\n```text\na\n```\n```json\n{}\n```\n";
    let commands = |text: &str, again, prints: Option<&str>| Block::Commands {
        text: text.to_owned(),
        again,
        prints: prints.map(str::to_owned),
    };
    let file = Block::File { name: "a.toml".into(), text: "x = 1\n".into() };
    assert_eq!(blocks(page), [file, commands("true\n", false, None), commands("ls\n", true, Some("a\n"))]);
}

#[test]
fn what_a_page_leaves_out_fits_and_nothing_else() {
    for (shown, text) in
        [("a\nb", "a\nb\n"), ("a … d", "a b c d"), ("…\nz", "x\ny\nz\n"), ("a\n…", "a"), ("… b …", "a b c")]
    {
        assert!(fits(shown, text), "{shown:?} {text:?}");
    }
    for (shown, text) in [("a", "a\nb"), ("a … d", "a b c"), ("a\n…", "b"), ("", "a")] {
        assert!(!fits(shown, text), "{shown:?} {text:?}");
    }
}
