//! Every row of the table of exits in `docs/handlers/command.md`, by real programs. The page is the expectation: where it
//! and the handler disagree, one of them is wrong.

use super::*;
use crate::handler::testing::rows;

/// The outcome the page gives for an exit code, by the first row that lists it.
fn promised<'a>(rows: &[Vec<&'a str>], code: u8) -> &'a str {
    let lists = |row: &&Vec<&str>| row[0].split(", ").any(|word| word == code.to_string());
    let row = rows.iter().find(lists).or_else(|| rows.iter().find(|row| row[0] == "any other code"));
    row.expect("a row for any other code")[1]
}

/// As the page writes it.
fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Defer { after, .. } => format!("defer, {} s", after.as_secs()),
        Outcome::PutOff { after, .. } => format!("put off, {} s", after.as_secs()),
        other => other.as_str().to_owned(),
    }
}

#[tokio::test]
async fn f83_every_exit_code_there_is() {
    let rows = rows(include_str!("../../../../docs/handlers/command.md"), "exit");
    for code in 0..=255 {
        let outcome = script(&format!("exit {code}")).await;
        assert!(promised(&rows, code).starts_with(&shown(&outcome)), "{code}: {outcome:?}");
    }
}

#[tokio::test]
async fn f83_f89_every_other_row() {
    let rows = rows(include_str!("../../../../docs/handlers/command.md"), "exit");
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "no program").unwrap();
    let mut gone = shell("exit 0");
    gone.program.directory = Some("/nowhere/at/all".into());
    let programs = [
        ("no such file", config(&["/nowhere/at/all"])),
        ("not executable", config(&[text.to_str().unwrap()])),
        ("no such directory", gone),
        ("killed by a signal", shell("kill -KILL $$")),
        ("killed by a signal", shell("kill -SEGV $$")),
        ("arguments are too long", config(&["true", "--", "{data.long}"])),
    ];
    let long = job(&serde_json::json!({"long": "x".repeat(3_000_000)}).to_string());
    let proven: Vec<&str> = programs.iter().map(|(what, _)| *what).collect();
    for (what, program) in programs {
        let outcome = run(program, long.clone()).await;
        let row = rows.iter().find(|row| row[0].contains(what)).unwrap_or_else(|| panic!("no row is about {what}"));
        assert!(row[1].starts_with(&shown(&outcome)), "{what}: {outcome:?}");
    }
    // and no row is about anything else, but for a machine that has no more: `tests/fault/shortage.rs` takes that from a daemon
    let known = [&proven[..], &["0", "64, 65", "75", "126, 127", "any other code", "the machine has no more"]].concat();
    for row in &rows {
        assert!(known.iter().any(|known| row[0].contains(known)), "no program proves {row:?}");
    }
}
