use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::bulk::on_a_terminal;
use crate::harness::{Oxherd, Redis};

fn read(oxherd: &Oxherd, name: &str) -> String {
    fs::read_to_string(oxherd.directory.path().join(name)).unwrap()
}

#[test]
fn what_it_writes_passes_the_check_whatever_was_asked_for() {
    let oxherd = Oxherd::new();
    let written = oxherd.run(&["init"]).exits(0).stdout;
    assert_eq!(written, "oxherd.toml: 1 queue; edit it, then: oxherd check, oxherd run\n");
    assert_eq!(oxherd.run(&["check"]).exits(0).stdout, "oxherd.toml: ok, 1 queue, 1 handler\n");

    oxherd.file("worker.sh", "#!/bin/sh\n");
    let file = oxherd.directory.path().join("worker.sh");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(oxherd.directory.path().join("dir")).unwrap();
    for (words, handler, value) in [
        (&["--http", "https://api.example.org/jobs/{queue}"][..], "http", "https://api.example.org/jobs/{queue}"),
        (&["--command", "sh -c ${X} {data.id}"], "command", "[\"sh\", \"-c\", \"$${X}\", \"{data.id}\"]"),
        (&["--process", "./worker.sh"], "process", "[\"./worker.sh\"]"),
        (
            &["--process", "src/job.mjs"],
            "process",
            "[\"node\", \"/usr/share/oxherd/helpers/oxherd.mjs\", \"src/job.mjs\"]",
        ),
        (&["--process", "job.php"], "process", "[\"php\", \"/usr/share/oxherd/helpers/oxherd.php\", \"job.php\"]"),
        (
            &["--process", "tasks:run"],
            "process",
            "[\"python3\", \"/usr/share/oxherd/helpers/oxherd.py\", \"tasks:run\"]",
        ),
    ] {
        let queues = ["--queue", "b", "--queue", "a.b \"c\"", "--queue", "b"];
        let words = [&["init", "dir", "--yes"], words, &queues].concat();
        let json = oxherd.run(&[&words[..], &["--json"]].concat()).exits(0).json();
        assert_eq!(json["queues"], serde_json::json!(["a.b \"c\"", "b"]));
        let text = read(&oxherd, "dir/oxherd.toml");
        assert!(text.contains(value) && text.contains(&format!("[handlers.app.{handler}]")), "{text}");
        let json = oxherd.run(&["check", "-c", "dir", "--json"]).exits(0).json();
        assert_eq!((&json["queues"], &json["errors"]), (&2.into(), &0.into()), "{json}");
    }
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_that_is_wanted() {
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", "mine");
    let ended = oxherd.run(&["init"]).exits(1);
    assert!(ended.stderr.contains("oxherd.toml is there already; say --yes"), "{}", ended.stderr);
    let printed = oxherd.run(&["init", "--stdout"]).exits(0).stdout;
    for (answer, code) in [("\n", 1), ("no\n", 1)] {
        let (ended, asked) = on_a_terminal(&oxherd, &["init"], answer);
        ended.exits(code);
        assert!(asked.contains("replace oxherd.toml? [y/N]"), "{asked}");
        assert_eq!(read(&oxherd, "oxherd.toml"), "mine");
    }
    on_a_terminal(&oxherd, &["init"], "y\n").0.exits(0);
    assert_eq!(read(&oxherd, "oxherd.toml"), printed);
    oxherd.run(&["init", "--yes", "--queue", "x"]).exits(0);
    assert!(read(&oxherd, "oxherd.toml").contains("[queues.x]"));
    // nothing else is left behind
    assert_eq!(fs::read_dir(oxherd.directory.path()).unwrap().count(), 1);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let oxherd = Oxherd::new();
    for (words, said) in [
        (&["--http", "nonsense"][..], "\"nonsense\" is not a URL; write http://"),
        (&["--redis", "mysql://x"], "unknown scheme \"mysql\""),
        (&["--command", " "], "argv must not be empty"),
        (&["--queue", "a:b"], "a:b"),
        (&["--http", "http://x", "--process", "y"], "cannot be used with"),
    ] {
        let ended = oxherd.run(&[&["init"], words].concat()).exits(2);
        assert!(ended.stderr.contains(said), "{words:?}: {}", ended.stderr);
    }
    let ended = oxherd.run(&["init", "nowhere/oxherd.toml"]);
    assert!(ended.code == 70 && ended.stderr.contains("nowhere/oxherd.toml: No such file"), "{}", ended.stderr);
    assert_eq!(fs::read_dir(oxherd.directory.path()).unwrap().count(), 0);
}

#[test]
fn a_password_is_for_nobody_else_to_read() {
    let oxherd = Oxherd::new();
    let mode = |words: &[&str]| {
        oxherd.run(&[&["init", "--yes"], words].concat()).exits(0);
        fs::metadata(oxherd.directory.path().join("oxherd.toml")).unwrap().permissions().mode() & 0o077
    };
    assert_eq!(mode(&["--redis", "redis://me:open-sesame@cache:7000/2"]), 0);
    assert_ne!(mode(&["--redis", "redis://cache:7000/2"]), 0);
    let shown = oxherd.run(&["config", "show", "--json"]).exits(0).json();
    assert_eq!(shown["redis"]["url"], "redis://cache:7000/2");
}

#[test]
fn the_queues_of_a_fleet_are_found() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let ended = oxherd.run(&["init", "--discover"]).exits(1);
    assert!(ended.stderr.contains("no queue is in Redis under the prefix \"bull\""), "{}", ended.stderr);
    for queue in ["mail", "my.reports"] {
        oxherd.run(&["job", "add", queue, "n"]).exits(0);
    }
    oxherd.run(&["job", "add", "other", "n", "--set", "redis.prefix=mine"]).exits(0);
    let found = |words: &[&str]| {
        oxherd.run(&[&["init", "--discover", "--yes"], words].concat()).exits(0);
        let shown = oxherd.run(&["config", "show", "--json"]).exits(0).json();
        let queues: Vec<String> = shown["queues"].as_object().unwrap().keys().cloned().collect();
        (queues.join(" "), shown["redis"]["prefix"].as_str().unwrap().to_owned())
    };
    assert_eq!(found(&[]), ("mail my.reports".into(), "bull".into()));
    assert_eq!(found(&["--queue", "new"]), ("mail my.reports new".into(), "bull".into()));
    assert_eq!(found(&["--set", "redis.prefix=mine"]), ("other".into(), "mine".into()));
}
