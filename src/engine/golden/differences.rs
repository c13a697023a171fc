//! `tests/golden/differences.toml`: where we leave something else than BullMQ, or do not go yet, and why.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Checkpoint;
use super::keyspace::Keyspace;

/// `differences.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Differences {
    /// Where our state is another one.
    differs: Vec<Difference>,
    /// Where 5.x left another state than 6 does, and ours is that of 6.
    as_v6: Vec<AsV6>,
    /// Checkpoints we do not come to.
    #[serde(default)]
    skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    scenario: String,
    checkpoints: Vec<String>,
    /// "v5" or "v6" when only the dump of that release differs.
    release: Option<String>,
    /// A key, or a stream for the events since the checkpoint before.
    key: String,
    /// Of a hash, when only this field differs.
    field: Option<String>,
    /// What we have instead, as JSON; nothing when absent.
    oxherd: Option<String>,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AsV6 {
    scenario: String,
    checkpoints: Vec<String>,
    /// Keys, and streams for the events since the checkpoint before.
    keys: Vec<String>,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skipped {
    scenarios: Vec<String>,
    /// All of the scenario when absent.
    checkpoints: Option<Vec<String>>,
    why: String,
}

#[derive(PartialEq)]
enum Applied {
    Changed,
    Nothing,
}

impl Difference {
    /// Makes the golden state ours at this one place.
    fn apply(&self, expected: &mut Keyspace) -> Applied {
        let ours: Option<Json> = self.oxherd.as_ref().map(|text| {
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{} of {}: {error}", self.key, self.scenario))
        });
        let before =
            |old: Option<Json>, new: &Option<Json>| if old == *new { Applied::Nothing } else { Applied::Changed };
        if self.key.ends_with(":events") {
            let ours = ours.unwrap_or(json!([]));
            let old = expected.events.insert(self.key.clone(), ours.as_array().unwrap().clone());
            return before(old.map(Json::Array), &Some(ours));
        }
        if let Some(field) = &self.field {
            let Some(fields) = expected.keys.get_mut(&self.key).and_then(|entry| entry["value"].as_object_mut()) else {
                return Applied::Nothing;
            };
            return match ours.clone() {
                Some(value) => before(fields.insert(field.clone(), value), &ours),
                None => before(fields.shift_remove(field), &ours),
            };
        }
        match ours.clone() {
            Some(entry) => before(expected.keys.insert(self.key.clone(), entry), &ours),
            None => before(expected.keys.remove(&self.key), &ours),
        }
    }
}

impl AsV6 {
    fn apply<'a>(&'a self, newer: &Checkpoint, expected: &mut Keyspace) -> Vec<&'a str> {
        let mut same = Vec::new();
        for key in &self.keys {
            let events = |stream: &Json| stream.as_array().unwrap().clone();
            let changed = if key.ends_with(":events") {
                let theirs = newer.events.get(key).map(events).unwrap_or_default();
                expected.events.insert(key.clone(), theirs.clone()).unwrap_or_default() != theirs
            } else {
                let theirs = newer.keys.get(key).cloned();
                let before = expected.keys.remove(key);
                expected.keys.extend(theirs.clone().map(|entry| (key.clone(), entry)));
                before != theirs
            };
            if !changed {
                same.push(key.as_str());
            }
        }
        same
    }
}

/// A place in a dump.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) scenario: &'a str,
    pub(super) release: &'a str,
    pub(super) label: &'a str,
}

impl Differences {
    /// Makes the golden state ours where it is listed that we differ; returns the keys where nothing changed by that.
    /// `newer` is the same place in the dump of v6, when this one is of v5.
    pub(super) fn apply(&self, at: Place<'_>, newer: Option<&Checkpoint>, expected: &mut Keyspace) -> Vec<&str> {
        let here = |scenario: &str, checkpoints: &[String]| {
            scenario == at.scenario && checkpoints.iter().any(|label| label == at.label)
        };
        let mut same = Vec::new();
        for difference in self.as_v6.iter().filter(|difference| here(&difference.scenario, &difference.checkpoints)) {
            same.extend(newer.map(|newer| difference.apply(newer, expected)).unwrap_or_default());
        }
        for difference in self.differs.iter().filter(|difference| here(&difference.scenario, &difference.checkpoints)) {
            let meant = difference.release.as_deref().is_none_or(|only| only == at.release);
            if meant && difference.apply(expected) == Applied::Nothing {
                same.push(&difference.key);
            }
        }
        same
    }

    pub(super) fn skips(&self, scenario: &str, label: &str) -> bool {
        self.skipped.iter().any(|skipped| {
            skipped.scenarios.iter().any(|name| name == scenario)
                && skipped.checkpoints.as_ref().is_none_or(|labels| labels.iter().any(|at| at == label))
        })
    }

    /// A place that is in no dump is a slip of the pen.
    pub(super) fn check_places(&self, places: &BTreeSet<(String, String)>, failures: &mut String) {
        let differs = self.differs.iter().map(|difference| (vec![&difference.scenario], Some(&difference.checkpoints)));
        let skipped =
            self.skipped.iter().map(|skipped| (skipped.scenarios.iter().collect(), skipped.checkpoints.as_ref()));
        for difference in &self.differs {
            if let Some(release) = &difference.release
                && !matches!(release.as_str(), "v5" | "v6")
            {
                writeln!(failures, "differences.toml: {} has release {release:?}", difference.scenario).unwrap();
            }
        }
        let as_v6 = self.as_v6.iter().map(|difference| (vec![&difference.scenario], Some(&difference.checkpoints)));
        for (scenarios, labels) in differs.chain(as_v6).chain(skipped) {
            for scenario in scenarios {
                let known = |label: &String| places.contains(&(scenario.clone(), label.clone()));
                let found = match labels {
                    Some(labels) => labels.iter().all(known),
                    None => places.iter().any(|(name, _)| name == scenario),
                };
                if !found {
                    writeln!(failures, "differences.toml: {scenario} {labels:?} is in no dump").unwrap();
                }
            }
        }
    }

    pub(super) fn describe(&self, report: &mut String) {
        for difference in &self.differs {
            let Difference { scenario, checkpoints, release, key, field, why, .. } = difference;
            let field = field.as_deref().unwrap_or_default();
            let from = release.as_deref().map_or_else(String::new, |release| format!(" from {release}"));
            writeln!(report, "differs{from} {scenario} {checkpoints:?} {key} {field}: {why}").unwrap();
        }
        for AsV6 { scenario, checkpoints, keys, why } in &self.as_v6 {
            writeln!(report, "differs from v5, as v6 {scenario} {checkpoints:?} {keys:?}: {why}").unwrap();
        }
        for skipped in &self.skipped {
            let at = skipped.checkpoints.as_deref().unwrap_or_default();
            writeln!(report, "skipped {:?} {at:?}: {}", skipped.scenarios, skipped.why).unwrap();
        }
    }
}
