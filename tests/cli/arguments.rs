use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Oxherd, Redis};

const VERBS: [&[&str]; 26] = [
    &[],
    &["run"],
    &["check"],
    &["queue"],
    &["queue", "ls"],
    &["queue", "show"],
    &["queue", "pause"],
    &["queue", "resume"],
    &["queue", "limit"],
    &["queue", "drain"],
    &["queue", "clean"],
    &["queue", "obliterate"],
    &["job"],
    &["job", "add"],
    &["job", "ls"],
    &["job", "show"],
    &["job", "logs"],
    &["job", "retry"],
    &["job", "promote"],
    &["job", "update"],
    &["job", "remove"],
    &["job", "export"],
    &["job", "import"],
    &["watch"],
    &["bench"],
    &["config", "show"],
];

#[test]
fn help_is_there_for_every_verb_and_goes_to_standard_output() {
    let oxherd = Oxherd::new();
    for verb in VERBS {
        let ended = oxherd.run(&[verb, &["--help"]].concat()).exits(0);
        assert!(ended.stdout.contains("Usage: oxherd") && ended.stderr.is_empty(), "{verb:?}: {}", ended.stdout);
    }
}

#[test]
fn version_is_the_packages() {
    let oxherd = Oxherd::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(oxherd.run(&["version"]).exits(0).stdout, format!("oxherd {version}\n"));
    assert_eq!(oxherd.run(&["--version"]).exits(0).stdout, format!("oxherd {version}\n"));
    assert_eq!(oxherd.run(&["version", "--json"]).exits(0).json()["version"], version);
}

#[test]
fn wrong_arguments_exit_2_and_say_so_on_standard_error() {
    let oxherd = Oxherd::new();
    for arguments in [
        &[][..],
        &["fly"],
        &["job"],
        &["job", "add", "q"],
        &["job", "add", "a:b", "n"],
        &["job", "add", "q", "n", "--job-id", "12"],
        &["job", "add", "q", "n", "--job-id", "a:b"],
        &["job", "add", "q", "n", "--delay", "soon"],
        &["job", "add", "q", "n", "--attempts", "0"],
        &["job", "add", "q", "n", "--priority", "2097152"],
        &["job", "add", "q", "n", "--backoff", "linear:2s"],
        &["job", "add", "q", "n", "{}", "--from", "x"],
        &["job", "add", "q", "n", "--job-id", "meta"],
        &["job", "add", "q", "n", "--flow", "x"],
        &["job", "add", "--flow", "x", "--priority", "1"],
        &["job", "add", "--from", "x"],
        &["job", "add", "q", "n", "--parent", "1"],
        &["job", "add", "q", "n", "--deduplicate", ""],
        &["job", "add", "q", "n", "--deduplicate", "d", "--parent", "q:1"],
        &["job", "ls", "q", "--state", "lost"],
        &["job", "update", "q", "1", "--priority", "2097152"],
        &["job", "update", "q", "1", "--lifo", "--delay", "1s"],
        &["queue", "pause"],
        &["queue", "limit", "q"],
        &["queue", "limit", "q", "--global-concurrency", "0"],
        &["queue", "limit", "q", "--rate-limit", "100"],
        &["queue", "clean", "q", "--yes"],
        &["queue", "clean", "q", "--state", "failed", "--limit", "0", "--yes"],
        &["check", "--set", "nonsense"],
        &["run", "--max-jobs", "0"],
    ] {
        let ended = oxherd.run(arguments).exits(2);
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{arguments:?}: {}", ended.stdout);
    }
}

#[test]
fn redis_that_is_not_there_is_69_within_seconds() {
    let oxherd = Oxherd::new();
    let socket = format!("redis+unix://{}/none.sock", oxherd.directory.path().display());
    for verb in [
        &["queue", "ls"][..],
        &["queue", "show", "q"],
        &["job", "ls", "q"],
        &["job", "show", "q", "1"],
        &["job", "logs", "q", "1"],
        &["job", "retry", "q", "1"],
        &["job", "export", "q"],
        &["job", "import", "q", "-"],
        &["job", "remove", "q", "--state", "failed", "--yes"],
        &["queue", "pause", "q"],
        &["queue", "obliterate", "q", "--yes"],
        &["job", "add", "q", "n"],
        &["watch"],
        &["bench", "--jobs", "1"],
    ] {
        let begin = Instant::now();
        let ended = oxherd.run(&[verb, &["--redis", &socket]].concat()).exits(69);
        assert!(
            ended.stderr.starts_with("error: ") && ended.stderr.contains("none.sock"),
            "{verb:?}: {}",
            ended.stderr
        );
        assert!(begin.elapsed() < Duration::from_secs(10), "{verb:?}");
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let oxherd = Oxherd::new();
    // takes connections, as a stopped server does, and never answers
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let ended = oxherd.run(&["queue", "ls", "--redis", &url]).exits(69);
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("127.0.0.1"), "{}", ended.stderr);
}

#[test]
fn healthcheck_is_yes_or_no_and_one_line() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    assert_eq!(oxherd.run(&["healthcheck"]).exits(0).stdout.lines().count(), 1);
    assert_eq!(oxherd.run(&["healthcheck", "--json"]).exits(0).json()["ok"], true);
    drop(redis);
    let ended = oxherd.run(&["healthcheck"]).exits(1);
    assert!(ended.stderr.starts_with("error: not healthy: ") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    assert_eq!(oxherd.run(&["healthcheck", "--json"]).exits(1).json()["ok"], false);
}

#[test]
fn a_reader_that_has_gone_away_is_not_an_error() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.run(&["job", "add", "q", "n"]).exits(0);
    let mut command = oxherd.command(&["job", "ls", "q"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
