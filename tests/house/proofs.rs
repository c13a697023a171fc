//! The page on the protocol says which test proves what: its tables are whole, every test they name is there, and the
//! releases it names are those that are tested.

use std::collections::BTreeSet;
use std::fs::read_to_string;

use super::{none, root, sources};

/// A row that proves something: its number, and what its last cell names.
struct Row {
    number: usize,
    proofs: Vec<String>,
}

fn page() -> String {
    read_to_string(root().join("docs/protocol.md")).unwrap()
}

/// The numbered rows of the tables under a heading.
fn rows(heading: &str) -> Vec<Row> {
    let page = page();
    let (_, section) =
        page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading:?}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split(" | ").map(str::trim).collect();
    let number = cells.first()?.parse().ok()?;
    let quoted = cells.last()?.split('`').skip(1).step_by(2);
    Some(Row { number, proofs: quoted.map(str::to_owned).collect() })
}

/// Every number once, in order, and each with a proof.
fn gaps(rows: &[Row], count: usize) -> Vec<String> {
    let numbers: Vec<usize> = rows.iter().map(|row| row.number).collect();
    let mut gaps = Vec::new();
    if numbers != (1..=count).collect::<Vec<_>>() {
        gaps.push(format!("expected the rows 1 to {count} in order, got {numbers:?}"));
    }
    gaps.extend(
        rows.iter().filter(|row| row.proofs.is_empty()).map(|row| format!("row {} names no proof", row.number)),
    );
    gaps
}

/// Whether the file has a test of that name, one that is run.
fn has_test(file: &str, name: &str) -> bool {
    let Ok(text) = read_to_string(root().join(file)) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let starts = [format!("fn {name}("), format!("async fn {name}(")];
    lines.iter().enumerate().filter(|(_, line)| starts.iter().any(|start| line.starts_with(start))).any(|(at, _)| {
        let attributes: Vec<_> = lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).collect();
        attributes.iter().any(|line| ["#[test]", "#[tokio::test"].iter().any(|test| line.starts_with(test)))
            && !attributes.iter().any(|line| line.starts_with("#[ignore"))
    })
}

/// Scenarios of the golden suite that are performed.
fn scenarios() -> BTreeSet<String> {
    let golden = root().join("tests/golden");
    let files = std::fs::read_dir(golden.join("steps")).unwrap().map(|file| file.unwrap().file_name());
    let mut names: BTreeSet<String> =
        files.filter_map(|name| Some(name.to_str()?.strip_suffix(".steps")?.to_owned())).collect();
    let differences: toml::Table = toml::from_str(&read_to_string(golden.join("differences.toml")).unwrap()).unwrap();
    for skipped in differences.get("skipped").and_then(|list| list.as_array()).into_iter().flatten() {
        if skipped.get("checkpoints").is_none() {
            for name in skipped["scenarios"].as_array().unwrap() {
                names.remove(name.as_str().unwrap());
            }
        }
    }
    names
}

/// The proofs that are not there.
fn missing(rows: &[Row]) -> Vec<String> {
    let scenarios = scenarios();
    let is_there = |proof: &str| match (proof.strip_prefix("golden "), proof.split_once("::")) {
        (Some(scenario), _) => scenarios.contains(scenario),
        (None, Some((file, name))) => has_test(file, name),
        (None, None) => false,
    };
    let named = rows.iter().flat_map(|row| row.proofs.iter().map(move |proof| (row.number, proof)));
    named
        .filter(|(_, proof)| !is_there(proof))
        .map(|(number, proof)| format!("row {number} names {proof}, which is neither a test nor a golden scenario"))
        .collect()
}

#[test]
fn every_check_of_conformance_names_what_proves_it() {
    let rows = rows("What proves it");
    none("the table of conformance checks in docs/protocol.md", &gaps(&rows, 73));
    none("proofs that are not there", &missing(&rows));
}

#[test]
fn every_defect_that_is_not_repeated_has_a_test_of_its_number() {
    let rows = rows("Defects that are not repeated");
    none("the table of defects in docs/protocol.md", &gaps(&rows, 15));
    none("proofs that are not there", &missing(&rows));
    // both ways: a test of a number stands in its row
    let numbered = |number: usize| format!("::defect_{number}_");
    let without = rows.iter().filter(|row| !row.proofs.iter().any(|proof| proof.contains(&numbered(row.number))));
    none("defects without a test", &without.map(|row| format!("row {}", row.number)).collect::<Vec<_>>());
    // spelled so that this line is none
    let start = ["fn ", "defect_"].concat();
    let mut strangers = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        for (_, line) in &source.lines {
            let Some((_, rest)) = line.split_once(&start) else { continue };
            let proof = format!("{}::defect_{}", source.path, rest.split('(').next().unwrap_or_default());
            if !rows.iter().any(|row| proof.contains(&numbered(row.number)) && row.proofs.contains(&proof)) {
                strangers.push(proof);
            }
        }
    }
    none("tests of defects that their row does not name", &strangers);
}

#[test]
fn the_releases_named_are_those_tested() {
    let interop = root().join("tests/interop");
    let node: serde_json::Value =
        serde_json::from_str(&read_to_string(interop.join("node/package.json")).unwrap()).unwrap();
    let release = |name: &str| node["dependencies"][name].as_str().unwrap().rsplit('@').next().unwrap().to_owned();
    let python = read_to_string(interop.join("python/requirements.txt")).unwrap();
    let python = python.lines().find_map(|line| line.strip_prefix("bullmq==")).unwrap().to_owned();
    let releases = [release("bullmq"), release("bullmq5"), release("@bull-board/api"), python];
    let page = page();
    let absent = releases.iter().filter(|release| !page.contains(&format!("| {release} |")));
    none("releases that docs/protocol.md does not name", &absent.cloned().collect::<Vec<_>>());
}

/// Tables of which a test takes every row as what is to be seen: the page, the first cell of its head, and the test.
const TABLES: [(&str, &str, &str); 4] = [
    ("docs/handlers.md", "outcome", "src/engine/tests/outcomes.rs::every_row_of_the_table_of_outcomes"),
    ("docs/handlers/http.md", "answer", "src/handler/http/tests/table.rs::f102_every_status_of_the_table"),
    ("docs/handlers/command.md", "exit", "src/handler/command/tests/table.rs::f83_every_exit_code_there_is"),
    ("docs/handlers/command.md", "exit", "src/handler/command/tests/table.rs::f83_f89_every_other_row"),
];

#[test]
fn the_tables_of_outcomes_statuses_and_exits_are_proven_row_by_row() {
    let unproven = TABLES.iter().filter(|(page, head, proof)| {
        let (file, test) = proof.split_once("::").unwrap();
        let source = read_to_string(root().join(file)).unwrap_or_default();
        // the test reads the very table
        let reads = source.contains(&format!("{page}\"), \"{head}\")"));
        let has_table = read_to_string(root().join(page)).unwrap().contains(&format!("\n| {head} |"));
        !(reads && has_table && has_test(file, test))
    });
    none("tables that no test reads row by row", &unproven.map(|table| format!("{table:?}")).collect::<Vec<_>>());
}

#[test]
fn rows_are_read_as_they_are_written() {
    let found = row("| 12 | a check, `this` too | `golden a`, `src/x.rs::y` |").unwrap();
    assert_eq!((found.number, found.proofs), (12, vec!["golden a".to_owned(), "src/x.rs::y".to_owned()]));
    assert!(row("| # | check | proof |").is_none() && row("|---|---|---|").is_none() && row("12 | a").is_none());
    assert!(has_test("tests/house/proofs.rs", "rows_are_read_as_they_are_written"));
    assert!(!has_test("tests/house/proofs.rs", "row") && !has_test("tests/house/none.rs", "row"));
}
