//! What a busy daemon's metrics say, and that the page about them, the dashboard and the alert rules speak of the same ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::harness::{Ended, Redis, eventually, text};
use super::support::daemon::Daemon;
use super::support::viewer::{ask, free_port};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Feeds promtool and answers what it says.
fn promtool(arguments: &[&str], directory: &Path, input: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(directory);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}; run make setup"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn is_content(arguments: &[&str], directory: &Path, input: &str) {
    let Output { status, stdout, stderr } = promtool(arguments, directory, input);
    let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(status.success(), "promtool {arguments:?}: {said}");
    if arguments[1] == "metrics" {
        assert_eq!(said, "", "promtool has something to say");
    }
}

fn scrape(port: u16) -> String {
    let mut answer = ask(port, "GET", "/metrics", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let mut page = String::new();
    answer.body.read_to_string(&mut page).unwrap();
    page
}

/// One family on a page or in the manual.
#[derive(Debug, PartialEq)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// The families of a scrape, with the labels that were seen.
fn families(page: &str) -> BTreeMap<String, Family> {
    let mut found: BTreeMap<String, Family> = BTreeMap::new();
    let mut name = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (family, help) = rest.split_once(' ').unwrap();
            family.clone_into(&mut name);
            let family = Family { kind: String::new(), help: help.to_owned(), labels: BTreeSet::new() };
            assert!(found.insert(name.clone(), family).is_none(), "{name} stands on the page twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            rest.rsplit_once(' ').unwrap().1.clone_into(&mut found.get_mut(&name).unwrap().kind);
        } else if let Some((_, labels)) = line.split_once('{') {
            let names = labels.split('"').step_by(2).filter_map(|part| part.trim_matches(',').strip_suffix('='));
            let names = names.filter(|name| *name != "le").map(str::to_owned);
            found.get_mut(&name).unwrap().labels.extend(names);
        }
    }
    found
}

/// The names of metrics in a text, without what histograms add to them.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let words = words.filter(|word| word.starts_with("oxherd_") || word.starts_with("process_"));
    let bare = |word: &str| {
        let of_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end));
        of_histogram.unwrap_or(word).to_owned()
    };
    words.map(bare).collect()
}

/// The table of docs/monitoring.md: name, type, labels, meaning.
fn manual() -> BTreeMap<String, Family> {
    let mut found = BTreeMap::new();
    for line in read("docs/monitoring.md").lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, labels, help] = cells.as_slice() else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        if !(name.starts_with("oxherd_") || name.starts_with("process_")) {
            continue;
        }
        let labels = labels.split([' ', ',']).map(|label| label.trim_matches('`')).filter(|label| !label.is_empty());
        let labels = labels.map(str::to_owned).collect();
        let family = Family { kind: (*kind).to_owned(), help: (*help).to_owned(), labels };
        found.insert(name.to_owned(), family);
    }
    found
}

/// Jobs that succeed, fail and are retried; a handler with a gate that shuts; a schedule; and somebody who watches.
fn busy(redis: &Redis, port: u16) -> Daemon {
    let toml = format!(
        "[queues.mail]\nhandler = \"log\"\n[queues.odd]\nhandler = \"no\"\nattempts = 2\nbackoff = {{ type = \"fixed\", delay = \"10ms\" }}\n\
         [queues.app]\nhandler = \"app\"\nattempts = 1\n\
         [handlers.log.log]\n[handlers.no.command]\nargv = [\"false\"]\n\
         [handlers.app.http]\nurl = \"http://127.0.0.1:1/\"\n\
         [schedules.tick]\nqueue = \"mail\"\nevery = \"1s\"\nname = \"tick\"\n\
         [admin]\nlisten = \"127.0.0.1:{port}\"\n"
    );
    Daemon::start(redis, &toml)
}

#[test]
fn the_metrics_of_a_busy_daemon_are_clean_documented_and_what_dashboard_and_alerts_ask_for() {
    let redis = Redis::start();
    let port = free_port();
    let _daemon = busy(&redis, port);
    for queue in ["mail", "odd", "app"] {
        for _ in 0..20 {
            super::support::daemon::oxherd(&redis, &["job", "add", queue, "n", "{}"]);
        }
    }
    let mut page = String::new();
    eventually("everything has happened", || {
        page = scrape(port);
        [
            "oxherd_job_outcomes_total{queue=\"odd\",outcome=\"failed\"} 20",
            "oxherd_job_outcomes_total{queue=\"odd\",outcome=\"retrying\"} 20",
            "oxherd_handler_gate{handler=\"app\",state=\"shut\"} 1",
            "oxherd_queue_jobs{queue=\"odd\",state=\"failed\"} 20",
            "oxherd_live 1",
        ]
        .iter()
        .all(|line| page.lines().any(|known| known == *line))
            && !page.contains("oxherd_schedule_fired_total{schedule=\"tick\",queue=\"mail\"} 0")
    });
    is_content(&["check", "metrics"], root(), &page);
    let scraped = families(&page);
    for family in ["oxherd_redis_call_duration_seconds", "oxherd_job_wait_seconds", "process_resident_memory_bytes"] {
        assert!(scraped.contains_key(family), "{family}");
    }

    let manual = manual();
    for (name, family) in &scraped {
        let Some(known) = manual.get(name) else { panic!("{name} is not in docs/monitoring.md: {family:?}") };
        assert_eq!((&known.kind, &known.help), (&family.kind, &family.help), "{name}");
        assert!(family.labels.is_subset(&known.labels), "{name}: {:?}", family.labels);
    }
    let gone: Vec<_> = manual.keys().filter(|name| !scraped.contains_key(*name)).collect();
    assert!(gone.is_empty(), "in docs/monitoring.md and nowhere else: {gone:?}");

    for path in ["deploy/grafana/oxherd.json", "deploy/prometheus/alerts.yml", "docs/monitoring.md"] {
        let asked = names(&read(path));
        assert!(asked.len() > 5, "{path} names only {asked:?}");
        let unknown: Vec<_> = asked.iter().filter(|name| !scraped.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "{path} asks for what nobody answers: {unknown:?}");
    }
}

#[test]
fn the_alert_rules_fire_when_they_should_and_not_before() {
    let rules = root().join("deploy/prometheus");
    is_content(&["check", "rules", "alerts.yml"], &rules, "");
    is_content(&["test", "rules", "alerts_test.yml"], &rules, "");
}

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana/oxherd.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "queue", "instance"]);
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let sources = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut queries = 0;
    for target in sources {
        queries += 1;
        assert_eq!(target["datasource"]["uid"], "${datasource}");
        let query = target["expr"].as_str().unwrap().replace("$queue", "x").replace("$instance", "x");
        let tests = tempfile::tempdir().unwrap();
        let rule = serde_json::json!({ "groups": [{ "name": "g", "rules": [{ "record": "r", "expr": query }] }] });
        let path: PathBuf = tests.path().join("rule.yml");
        std::fs::write(&path, rule.to_string()).unwrap();
        is_content(&["check", "rules", text(&path)], tests.path(), "");
    }
    assert!(queries > 30, "{queries}");
}

/// `oxherd healthcheck` beside the daemon.
fn healthcheck(daemon: &Daemon, arguments: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_oxherd"))
        .arg("healthcheck")
        .args(arguments)
        .args(["-c", "oxherd.toml"])
        .current_dir(daemon.directory())
        .output()
        .unwrap();
    Ended::new(&output)
}

#[test]
fn healthcheck_asks_the_running_daemon() {
    let mut redis = Redis::start();
    let port = free_port();
    let toml = format!(
        "[queues.mail]\nhandler = \"log\"\n[handlers.log.log]\n\
         [admin]\nlisten = \"0.0.0.0:{port}\"\ntoken = \"the-token-of-the-admin\"\n"
    );
    let mut daemon = Daemon::start(&redis, &toml);
    eventually("ready", || healthcheck(&daemon, &["--ready"]).code == 0);
    assert_eq!(healthcheck(&daemon, &[]).exits(0).stdout, "ok: live\n");
    let answer = healthcheck(&daemon, &["--json"]).exits(0).json();
    assert_eq!((&answer["ok"], &answer["health"]["phase"]), (&true.into(), &"running".into()));
    redis.stop();
    eventually("not ready", || healthcheck(&daemon, &["--ready"]).code == 1);
    let ended = healthcheck(&daemon, &["--ready"]).exits(1);
    assert!(ended.stderr.starts_with("error: not healthy: redis is away: "), "{}", ended.stderr);
    assert_eq!(healthcheck(&daemon, &["--ready", "--json"]).exits(1).json()["ok"], false);
    let live = healthcheck(&daemon, &[]).exits(0);
    assert!(live.stdout.starts_with("ok: live; redis is away: "), "{}", live.stdout);
    daemon.kill();
    let ended = healthcheck(&daemon, &[]).exits(1);
    assert!(ended.stderr.contains("nobody listens there; does the daemon run?"), "{}", ended.stderr);
}

#[test]
fn healthcheck_without_an_admin_server_looks_at_redis_and_the_state_directory() {
    let redis = Redis::start();
    let toml = "[queues.mail]\nhandler = \"log\"\n[handlers.log.log]\n[daemon]\nstate_dir = \"state\"\n";
    let mut daemon = Daemon::start(&redis, toml);
    eventually("it runs", || healthcheck(&daemon, &[]).code == 0);
    daemon.kill();
    let ended = healthcheck(&daemon, &[]).exits(1);
    assert!(
        ended.stderr.starts_with("error: not healthy: no daemon runs with the state directory"),
        "{}",
        ended.stderr
    );
}
