//! What the documentation shows must load, and it must speak of every key there is.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::schema::{ROOT, Shape};
use crate::job::Keep;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn with_extension(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn every_toml_block_in_the_documentation_loads() {
    let mut pages = [with_extension("docs", "md"), with_extension("docs/handlers", "md")].concat();
    pages.push(root().join("README.md"));
    let mut blocks = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let mut line = 1;
        for (n, part) in text.split("```").enumerate() {
            if let Some(block) = part.strip_prefix("toml\n").filter(|_| n % 2 == 1) {
                blocks += 1;
                let directory = tempfile::tempdir().unwrap();
                let file = directory.path().join("oxherd.toml");
                fs::write(&file, block).unwrap();
                // what the blocks say is there
                fs::create_dir(directory.path().join("mail")).unwrap();
                fs::write(directory.path().join("redis-password"), "secret").unwrap();
                let env = [
                    ("MAIL_PASSWORD", "secret"),
                    ("EVENTS_SECRET", "of at least thirty-two bytes, as all are"),
                    ("ADMIN_TOKEN", "of-at-least-sixteen-characters"),
                    ("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap()),
                ];
                let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                let options = LoadOptions { files: vec![file], env, ..LoadOptions::default() };
                if let Err(e) = load(&options) {
                    panic!("the block at {}:{line}\n{e}", page.display());
                }
            }
            line += part.matches('\n').count();
        }
    }
    assert!(blocks >= 10, "only {blocks} blocks found");
}

#[test]
fn every_file_we_ship_loads_without_a_warning() {
    let files = with_extension("config", "toml");
    assert!(files.iter().any(|file| file.ends_with("oxherd.example.toml")));
    for file in files {
        let options = LoadOptions { files: vec![file.clone()], ..LoadOptions::default() };
        match load(&options) {
            Ok((_, warnings)) => assert_eq!(warnings, [], "{}", file.display()),
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn the_example_shows_the_defaults() {
    let options = LoadOptions { files: vec![root().join("config/oxherd.example.toml")], ..LoadOptions::default() };
    let config = load(&options).unwrap().0;
    assert_eq!(config.redis, crate::config::Redis::default());
    assert_eq!((config.shutdown, config.log), Default::default());
    // what a queue there does not set itself comes from its [defaults]
    let queue = &config.queues["reports"];
    let plain = Queue::new(queue.name.clone());
    assert_eq!(
        (queue.lock, queue.stalled_interval, queue.max_stalled),
        (plain.lock, plain.stalled_interval, plain.max_stalled)
    );
    assert_eq!(queue.policy.backoff, plain.policy.backoff);
    assert_eq!(queue.policy.keep_failed, plain.policy.keep_failed);
    assert_eq!((queue.policy.backoff_max, queue.policy.jitter), (plain.policy.backoff_max, plain.policy.jitter));
    assert_eq!(
        (queue.max_payload, queue.metrics, queue.unmatched, queue.placement),
        (plain.max_payload, plain.metrics, plain.unmatched, plain.placement)
    );
}

#[test]
fn the_settings_for_those_who_come_from_bullmq_decide_as_it_does() {
    let page = fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("oxherd.toml");
    fs::write(&file, format!("{block}\n[queues.q]\nhandler = \"mine\"\n")).unwrap();
    let options = LoadOptions { files: vec![file], handlers: vec!["mine".into()], ..LoadOptions::default() };
    let config = load(&options).unwrap().0;
    let policy = &config.queues["q"].policy;
    // a job without options has one try; one that has more is tried again at once, and all are kept
    assert_eq!((policy.attempts, policy.backoff_max, policy.jitter), (1, None, 0.0));
    for failures in [1, 9] {
        assert!(policy.backoff.wait(failures, policy.jitter, policy.backoff_max, 0.5).is_zero());
    }
    assert_eq!((policy.keep_completed, policy.keep_failed), (Keep::All, Keep::All));
}

#[test]
fn the_manual_speaks_of_every_key() {
    let manual = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let example = fs::read_to_string(root().join("config/oxherd.example.toml")).unwrap();
    let mut keys = Vec::new();
    leaves(&ROOT, &mut keys);
    assert!(keys.len() > 50, "{keys:?}");
    let is_written = |text: &str, key: &str| {
        [format!("{key} = "), format!("[{key}"), format!(".{key}]")].iter().any(|shown| text.contains(shown))
    };
    for key in keys {
        let explained = manual.contains(&format!("`{key}`")) || manual.contains(&format!(".{key}`"));
        assert!(explained || is_written(&manual, key), "the manual says nothing of {key}");
        assert!(is_written(&example, key), "the example does not show {key}");
    }
}

fn leaves(shape: &'static Shape, keys: &mut Vec<&'static str>) {
    match shape {
        Shape::Named(_, below) | Shape::List(below) => leaves(below, keys),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| leaves(shape, keys)),
        _ => {
            for key in shape.keys().unwrap_or_default() {
                keys.push(key.name);
                leaves(&key.shape, keys);
            }
        }
    }
}
