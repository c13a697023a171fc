//! The golden suite: what the published bullmq packages leave in Redis, and what we leave by the same steps.
//!
//! `tests/golden/data` holds the dumps, `tests/golden/steps` what is done in each scenario and where it is compared,
//! `tests/golden/differences.toml` where we differ, or do not go yet, and why. A new pair of dumps with a file of
//! steps is picked up as it is; a dump that is neither performed nor listed fails the test.

mod differences;
mod flows;
mod jobs;
mod keyspace;
mod play;
mod queues;
mod running;
mod series;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::store::Store;
use crate::store::testing::Server;
use differences::{Differences, Place};
use keyspace::Keyspace;
use play::Play;

#[derive(Deserialize)]
struct Dump {
    bullmq: Json,
    checkpoints: Vec<Checkpoint>,
}

#[derive(Deserialize)]
struct Checkpoint {
    label: String,
    at: String,
    keys: Map<String, Json>,
    events: Map<String, Json>,
}

#[tokio::test]
async fn leaves_what_bullmq_leaves() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let differences: Differences = toml::from_str(&read(&home.join("differences.toml"))).unwrap();
    let only = std::env::var("GOLDEN").ok();
    let server = Server::start().await;
    let store = Store::open(&server.config(), "golden").await.unwrap();
    let (mut report, mut failures, mut compared) = (String::new(), String::new(), 0);
    let mut places = BTreeSet::new();
    for dump_file in files(&home.join("data"), "json") {
        let name = dump_file.file_stem().unwrap().to_str().unwrap().to_owned();
        let (scenario, release) = name.rsplit_once('.').unwrap();
        if only.as_deref().is_some_and(|only| only != scenario) {
            continue;
        }
        let dump: Dump = serde_json::from_str(&read(&dump_file)).unwrap();
        let steps_file = home.join("steps").join(format!("{scenario}.steps"));
        let text = if steps_file.exists() { read(&steps_file) } else { String::new() };
        let newer: Option<Dump> = (release == "v5")
            .then(|| dump_file.with_file_name(format!("{scenario}.v6.json")))
            .map(|file| serde_json::from_str(&read(&file)).unwrap());
        let mut run = Run {
            store: &store,
            scenario,
            release,
            dump: &dump,
            newer: newer.as_ref(),
            differences: &differences,
            failures: String::new(),
        };
        let done = Box::pin(run.perform(&steps::parse(&text, release))).await;
        let passed = if run.failures.is_empty() { "ok" } else { "FAILED" };
        writeln!(report, "{passed:6} {name}: {done} of {} checkpoints", dump.checkpoints.len()).unwrap();
        compared += done;
        if !run.failures.is_empty() {
            writeln!(failures, "== {name}\n{}", run.failures).unwrap();
        }
        places.extend(dump.checkpoints.iter().map(|checkpoint| (scenario.to_owned(), checkpoint.label.clone())));
    }
    if only.is_none() {
        differences.check_places(&places, &mut failures);
    }
    differences.describe(&mut report);
    assert!(failures.is_empty(), "{failures}\n{report}");
    assert!(compared > 0, "nothing was compared");
    show(&report);
}

#[expect(clippy::print_stderr, reason = "what is not like BullMQ is to be seen with --nocapture")]
fn show(report: &str) {
    eprintln!("{report}");
}

struct Run<'a> {
    store: &'a Store,
    scenario: &'a str,
    release: &'a str,
    dump: &'a Dump,
    /// Of v6, when this one is of v5.
    newer: Option<&'a Dump>,
    differences: &'a Differences,
    failures: String,
}

impl Run<'_> {
    /// Performs the steps; returns how many checkpoints were compared.
    async fn perform(&mut self, steps: &[steps::Step]) -> usize {
        keyspace::raw(self.store, keyspace::CALL, &["FLUSHALL".into()]).await;
        // of two packages on one queue the steps name the one that opens it
        let store = match steps.first() {
            Some(step) if step.words[0].text == "prefix" => self.store.under(&step.words[1].text).await.unwrap(),
            _ => self.store.clone(),
        };
        let mut play = Play::new(&store, self.dump.bullmq.as_str().unwrap_or_default());
        let mut seen = BTreeMap::new();
        let mut reached = Vec::new();
        for step in steps {
            let at = &step.line;
            match step.words[0].text.as_str() {
                // what all the others are done under
                "prefix" => {}
                "checkpoint" => {
                    let label = &step.words[1].text;
                    let Some(expected) = self.dump.checkpoints.iter().find(|checkpoint| checkpoint.label == *label)
                    else {
                        writeln!(self.failures, "line {at}: there is no checkpoint {label:?}").unwrap();
                        break;
                    };
                    let found = keyspace::read(self.store).await;
                    self.compare(expected, &since(found, &mut seen));
                    reached.push(label.clone());
                }
                "load" => {
                    let label = &step.words[1].text;
                    let state = self.dump.checkpoints.iter().find(|checkpoint| checkpoint.label == *label).unwrap();
                    keyspace::raw(self.store, keyspace::CALL, &["FLUSHALL".into()]).await;
                    keyspace::load(self.store, &state.keys).await;
                    play.set_clock(keyspace::restored(&state.at).parse().unwrap());
                    seen.clear();
                }
                _ => {
                    let answer = play.perform(step).await;
                    let answer = answer.unwrap_or_else(|error| format!("error: {error}"));
                    let expected = match &step.answer {
                        Some(expected) => keyspace::restored(expected),
                        None if answer.starts_with("refused") || answer.starts_with("error") => "success".into(),
                        None => answer.clone(),
                    };
                    if answer != expected {
                        let words: Vec<_> = step.words.iter().map(|word| word.text.as_str()).collect();
                        let words = words.join(" ");
                        writeln!(self.failures, "line {at}: {words}\n  expected {expected}\n  got      {answer}")
                            .unwrap();
                    }
                }
            }
        }
        for checkpoint in &self.dump.checkpoints {
            if reached.contains(&checkpoint.label) == self.differences.skips(self.scenario, &checkpoint.label) {
                let label = &checkpoint.label;
                writeln!(self.failures, "{label:?} must be either compared or listed as skipped").unwrap();
            }
        }
        reached.len()
    }

    fn compare(&mut self, golden: &Checkpoint, found: &Keyspace) {
        let mut expected = Keyspace::default();
        expected.keys.extend(golden.keys.iter().map(|(key, entry)| (key.clone(), entry.clone())));
        for (stream, events) in &golden.events {
            expected.events.insert(stream.clone(), events.as_array().unwrap().clone());
        }
        let at = Place { scenario: self.scenario, release: self.release, label: &golden.label };
        let newer = self.newer.and_then(|dump| dump.checkpoints.iter().find(|other| other.label == golden.label));
        for key in self.differences.apply(at, newer, &mut expected) {
            writeln!(self.failures, "{:?}: {key} does not differ in the way that is listed", golden.label).unwrap();
        }
        let mut text = String::new();
        let keys = expected.keys.keys().chain(found.keys.keys().filter(|key| !expected.keys.contains_key(*key)));
        for key in keys {
            difference_of(key, expected.keys.get(key), found.keys.get(key), &mut text);
        }
        let none = Vec::new();
        let streams =
            expected.events.keys().chain(found.events.keys().filter(|key| !expected.events.contains_key(*key)));
        for stream in streams {
            let (theirs, ours) =
                (expected.events.get(stream).unwrap_or(&none), found.events.get(stream).unwrap_or(&none));
            // the order of the fields counts, which comparing objects would not tell
            let lines = |events: &[Json]| events.iter().map(Json::to_string).collect::<Vec<_>>();
            let (theirs, ours) = (lines(theirs), lines(ours));
            if theirs != ours {
                writeln!(text, "  {stream}\n    bullmq\n      {}", theirs.join("\n      ")).unwrap();
                writeln!(text, "    oxherd\n      {}", ours.join("\n      ")).unwrap();
            }
        }
        if !text.is_empty() {
            writeln!(self.failures, "at {:?}\n{text}", golden.label).unwrap();
        }
    }
}

/// The events that came since the last look.
fn since(mut found: Keyspace, seen: &mut BTreeMap<String, usize>) -> Keyspace {
    for (stream, events) in &mut found.events {
        let before = seen.insert(stream.clone(), events.len()).unwrap_or(0);
        // a stream can be trimmed
        events.drain(..before.min(events.len()));
    }
    found.events.retain(|_, events| !events.is_empty());
    found
}

/// Says how two entries of one key differ, field by field when both are hashes.
fn difference_of(key: &str, theirs: Option<&Json>, ours: Option<&Json>, text: &mut String) {
    let show = |value: Option<&Json>| value.map_or_else(|| "nothing".to_owned(), Json::to_string);
    if let (Some(theirs), Some(ours)) = (theirs, ours) {
        if theirs["type"] == ours["type"] && theirs["value"] == ours["value"] {
            if !same_ttl(theirs.get("ttl"), ours.get("ttl")) {
                let (theirs, ours) = (show(theirs.get("ttl")), show(ours.get("ttl")));
                writeln!(text, "  {key} ttl\n    bullmq {theirs}\n    oxherd {ours}").unwrap();
            }
            return;
        }
        if let (Some(theirs), Some(ours)) = (theirs["value"].as_object(), ours["value"].as_object()) {
            for field in theirs.keys().chain(ours.keys().filter(|field| !theirs.contains_key(*field))) {
                let (theirs, ours) = (theirs.get(field), ours.get(field));
                if theirs != ours {
                    writeln!(text, "  {key} {field}\n    bullmq {}\n    oxherd {}", show(theirs), show(ours)).unwrap();
                }
            }
            return;
        }
    }
    if theirs != ours {
        writeln!(text, "  {key}\n    bullmq {}\n    oxherd {}", show(theirs), show(ours)).unwrap();
    }
}

/// The server's clock runs on while the test does: a little less is the same.
fn same_ttl(theirs: Option<&Json>, ours: Option<&Json>) -> bool {
    let ms = |ttl: &Json| -> u64 { ttl.as_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap() };
    match (theirs, ours) {
        (None, None) => true,
        (Some(theirs), Some(ours)) => (ms(theirs) - ms(theirs) / 4..=ms(theirs)).contains(&ms(ours)),
        _ => false,
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}
