//! The tutorials of docs/, each followed from top to bottom as somebody would who has never seen oxherd.

mod desk;
mod page;

use std::collections::{BTreeMap, BTreeSet};

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use desk::Desk;

#[test]
fn a_list_queue_that_loses_nothing() {
    let mut desk = Desk::new(&[]);
    desk.follow(include_str!("../../docs/tutorials/list-queue.md"));
    // the page counts; here each one is looked at
    let expected: BTreeSet<String> = (1..=201).chain([999]).map(|n| format!("import-{n}")).collect();
    let done: BTreeSet<String> = desk.read("done.txt").lines().map(str::to_owned).collect();
    assert_eq!(done, expected, "every id is done");
    let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    desk.run("until grep '\"import-999\",\"status\":\"COMPLETED\"' updates.txt > /dev/null; do sleep 0.05; done");
    for line in desk.read("updates.txt").lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let (Some(id), Some(status)) = (message["jobId"].as_str(), message["status"].as_str()) else { continue };
        if ["COMPLETED", "FAILED"].contains(&status) {
            ends.entry(id.to_owned()).or_default().push(status.to_owned());
        }
    }
    assert_eq!(ends.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(ends.remove("import-999").unwrap(), ["FAILED", "COMPLETED"], "it was put back by hand");
    assert!(ends.values().all(|ends| ends == &["COMPLETED"]), "a final status was seen more than once: {ends:?}");
}

#[test]
fn from_a_worker_of_bullmq_6_in_ten_minutes() {
    from_a_worker_of("bullmq");
}

#[test]
fn from_a_worker_of_bullmq_5_in_ten_minutes() {
    from_a_worker_of("bullmq5");
}

fn from_a_worker_of(release: &str) {
    let mut desk = Desk::new(&[]);
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/node/node_modules");
    assert!(modules.is_dir(), "the Node clients are missing; run make setup");
    std::fs::create_dir(desk.work().join("node_modules")).unwrap();
    symlink(modules.join(release), desk.work().join("node_modules/bullmq")).unwrap();
    desk.follow(include_str!("../../docs/tutorials/from-bullmq.md"));
    let last: Value = serde_json::from_str(&desk.run("oxherd job ls pictures --limit 10 --json")).unwrap();
    let by: Vec<_> = last.as_array().unwrap().iter().map(|job| &job["returnvalue"]["by"]).collect();
    assert_eq!(by, ["resize"; 10], "after the switch all is done by the pool");
}

#[test]
fn mail_exports_and_clean_ups_of_a_small_web_application() {
    let mut desk = Desk::new(&["2525"]);
    desk.follow(include_str!("../../docs/tutorials/small-web-app.md"));
}
