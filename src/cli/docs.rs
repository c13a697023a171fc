//! What the documentation tells people to type must be something that can be typed.

use std::fs;
use std::path::Path;

use clap::Parser as _;

use super::Cli;

/// The words of a line as a shell has them, up to the end of the first command.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '>' | '<' | ';' | '&') => break,
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_in_the_documentation_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    for folder in ["docs", "docs/handlers"] {
        pages.extend(fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    let mut commands = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for (n, part) in text.split("```").enumerate() {
            let Some(block) = part.strip_prefix("sh\n").filter(|_| n % 2 == 1) else { continue };
            for line in block.lines() {
                // behind a pipe as well as at the beginning
                for command in line.split("| ").map(str::trim_start).filter(|command| command.starts_with("oxherd ")) {
                    commands += 1;
                    if let Err(error) = Cli::try_parse_from(words(command)) {
                        panic!("{}: {command}\n{error}", page.display());
                    }
                }
            }
        }
    }
    assert!(commands > 30, "only {commands} commands found");
}

#[test]
fn words_are_the_shells() {
    let line = r#"oxherd job add email n '{"a": "b c"}' --name "x y"   # a remark"#;
    assert_eq!(words(line), ["oxherd", "job", "add", "email", "n", r#"{"a": "b c"}"#, "--name", "x y"]);
    assert_eq!(words("oxherd job export q > jobs.jsonl"), ["oxherd", "job", "export", "q"]);
    assert_eq!(words("oxherd job ls q --name ''"), ["oxherd", "job", "ls", "q", "--name", ""]);
}
