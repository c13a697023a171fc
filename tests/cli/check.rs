use crate::harness::Oxherd;

const FIVE_MISTAKES: &str = r#"
[redis]
url = "http://localhost"

[queues.email]
concurrency = 0
handler = "app"
attemps = 3

[queues.export]
handler = "nobody"
timeout = "soon"

[handlers.app.http]
url = "http://localhost:3000/jobs"
"#;

const GOOD: &str = r#"
[queues.email]
handler = "app"

[queues.export]
handler = "app"

[handlers.app.http]
url = "http://localhost:3000/jobs"
"#;

#[test]
fn five_mistakes_are_named_with_five_places() {
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", FIVE_MISTAKES);
    let ended = oxherd.run(&["check"]).exits(78);
    for place in ["oxherd.toml:3:", "oxherd.toml:6:", "oxherd.toml:8:", "oxherd.toml:11:", "oxherd.toml:12:"] {
        assert!(ended.stdout.contains(place), "{place} is missing in\n{}", ended.stdout);
    }
    assert!(ended.stdout.contains("attempts"), "the nearest name is missing in\n{}", ended.stdout);
    assert_eq!(ended.stdout.lines().last(), Some("5 errors"), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}'), "colours without a terminal");

    let json = oxherd.run(&["check", "--json"]).exits(78).json();
    assert_eq!((&json["ok"], &json["errors"]), (&false.into(), &5.into()));
    // whatever else reads the file refuses it the same way
    for verb in [&["run"][..], &["config", "show"], &["queue", "ls"]] {
        let ended = oxherd.run(verb).exits(78);
        assert!(ended.stderr.contains("oxherd.toml:6:"), "{verb:?}: {}", ended.stderr);
    }
}

#[test]
fn a_good_file_is_told_in_one_line_and_needs_no_network() {
    let oxherd = Oxherd::new();
    oxherd.file("config/oxherd.toml", GOOD);
    assert_eq!(oxherd.run(&["check"]).exits(0).stdout, "config/oxherd.toml: ok, 2 queues, 1 handler\n");
    let json = oxherd.run(&["check", "--json", "--redis", "redis://nowhere.invalid"]).exits(0).json();
    assert_eq!((&json["ok"], &json["queues"], &json["handlers"]), (&true.into(), &2.into(), &1.into()));
}

#[test]
fn no_file_at_all_is_refused_with_the_places_looked_at() {
    let oxherd = Oxherd::new();
    let ended = oxherd.run(&["run"]).exits(78);
    assert!(ended.stderr.contains("oxherd.toml"), "{}", ended.stderr);
}

#[test]
fn the_effective_configuration_shows_flags_and_no_secrets() {
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", GOOD);
    let flags = ["--set", "queues.email.concurrency=17", "--redis", "redis://:s3cret@h:1/2"];
    let ended = oxherd.run(&[&["config", "show", "--json"][..], &flags].concat()).exits(0);
    assert_eq!(ended.json()["queues"]["email"]["concurrency"], 17);
    assert!(!ended.stdout.contains("s3cret"), "{}", ended.stdout);
    let text = oxherd.run(&["config", "show"]).exits(0).stdout;
    assert!(text.contains("[queues.email]"), "{text}");
}

#[test]
fn a_daemon_without_a_queue_is_refused_like_a_mistake() {
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", include_str!("../../deploy/package/oxherd.toml"));
    let checked = oxherd.run(&["check"]).exits(0).stdout;
    assert!(
        checked.contains("no queue is configured") && checked.ends_with("0 queues, 0 handlers, 1 warning\n"),
        "{checked}"
    );
    // a service manager tries again what may mend by itself
    let ended = oxherd.run(&["run"]).exits(78);
    assert!(ended.stderr.contains("there is no queue to work; add a [queues.NAME] section"), "{}", ended.stderr);
}
