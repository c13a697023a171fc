use std::os::unix::net::UnixDatagram;

use super::*;
use crate::config::{Position, Problem};
use crate::engine::{Engine, Finding, RedisHealth, Snapshot, Weight};
use crate::job::{Outcome, QueueName};

/// Stands in for systemd.
struct Listener {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Listener {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, directory }
    }

    /// A teller for an engine that wants to be fed every 10 s.
    fn teller(&self, inbox: mpsc::UnboundedReceiver<News>) -> Teller {
        let socket = Socket::to(self.directory.path().join("notify").as_os_str()).unwrap();
        Teller::new(socket, Some(Duration::from_secs(10)), config::Shutdown::default(), inbox)
    }

    /// What was told up to now.
    fn heard(&self) -> Vec<String> {
        let mut heard = Vec::new();
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            heard.extend(std::str::from_utf8(&message[..length]).unwrap().lines().map(str::to_owned));
        }
        heard
    }
}

fn engine() -> Engine {
    let mut config = Config::default();
    let mut queue = config::Queue::new(QueueName::new("q").unwrap());
    queue.handler = Some("h".into());
    config.queues.insert("q".into(), queue);
    Engine::builder(config).handler("h", |_, _| async { Outcome::done() }).build().unwrap()
}

fn has(heard: &[String], line: &str) -> bool {
    heard.iter().any(|heard| heard == line)
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_starves_its_watchdog_and_the_status_says_so() {
    let listener = Listener::new();
    // built and never run: it takes orders and answers none
    let engine = engine();
    let (_news, inbox) = mpsc::unbounded_channel();
    let task = tokio::spawn(listener.teller(inbox).run(engine.handle()));
    tokio::time::sleep(Duration::from_secs(600)).await;
    let heard = listener.heard();
    assert_eq!(heard, ["STATUS=the engine does not answer", "READY=1"]);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn an_end_is_given_its_bounds_and_no_more() {
    let listener = Listener::new();
    let engine = engine();
    let (_news, inbox) = mpsc::unbounded_channel();
    let task = tokio::spawn(listener.teller(inbox).run(engine.handle()));
    drop(engine);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let heard = listener.heard();
    assert!(has(&heard, "STATUS=stopped") && has(&heard, "STOPPING=1"), "{heard:?}");
    assert!(has(&heard, "EXTEND_TIMEOUT_USEC=15000000"), "{heard:?}");
    // 25 s to drain, 5 s to cancel, 20 s for the rest
    tokio::time::sleep(Duration::from_secs(35)).await;
    assert!(has(&listener.heard(), "EXTEND_TIMEOUT_USEC=15000000"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    listener.heard();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let heard = listener.heard();
    assert!(!has(&heard, "EXTEND_TIMEOUT_USEC=15000000") && !has(&heard, "READY=1"), "{heard:?}");
    task.abort();
}

#[test]
fn only_an_engine_that_does_nothing_starves_its_watchdog() {
    let health = |phase, redis, findings| Some(Health::new(phase, redis, findings));
    let up = RedisHealth::Connected;
    let away = RedisHealth::Away { since: Some(Duration::from_secs(600)), why: "refused".into() };
    assert_eq!(why_not(health(Phase::Running, up.clone(), Vec::new())), None);
    assert_eq!(why_not(health(Phase::Running, away, Vec::new())), None);
    assert_eq!(why_not(health(Phase::Draining, up.clone(), Vec::new())), None);
    let full = Finding::new("redis_oom", Weight::Unready, "full".into());
    assert_eq!(why_not(health(Phase::Running, up.clone(), vec![full.clone()])), None);
    let wedged = Finding::new("not_taking", Weight::Dead, "not taking".into());
    assert_eq!(why_not(health(Phase::Running, up, vec![full, wedged])), Some("not taking".into()));
    assert_eq!(why_not(Some(Health::stopped())), None);
    assert_eq!(why_not(None), Some("the engine does not answer".into()));
}

fn line(health: &Health, snapshot: Option<&Snapshot>, refused: Option<&str>) -> String {
    let drain_left = (health.phase == Phase::Draining).then_some(Duration::from_millis(17_900));
    status::line(&status::View { health, snapshot, drain_left, refused })
}

#[test]
fn the_status_is_one_line_about_what_matters() {
    let queue = |name: &str, slots| crate::engine::QueueSnapshot {
        name: QueueName::new(name).unwrap(),
        slots,
        running: Vec::new(),
        gates: Vec::new(),
    };
    let snapshot = Snapshot { queues: vec![queue("a", 20), queue("b", 10)], ..Snapshot::default() };
    let well = Health::new(Phase::Running, RedisHealth::Connected, Vec::new());
    assert_eq!(line(&well, Some(&snapshot), None), "working 2 queues, 0 of 30 slots busy");
    assert_eq!(line(&well, Some(&Snapshot::default()), None), "firing schedules");
    assert_eq!(line(&well, None, None), "starting");
    let away = |since| RedisHealth::Away { since, why: "connection refused".into() };
    let health = Health::new(Phase::Running, away(None), Vec::new());
    assert_eq!(line(&health, None, None), "waiting for Redis: connection refused");
    let health = Health::new(Phase::Running, away(Some(Duration::from_secs(12))), Vec::new());
    assert_eq!(line(&health, Some(&snapshot), None), "Redis away for 12 s: connection refused; 0 of 30 slots busy");
    for (phase, expected) in [
        (Phase::Quiet, "quiet: 0 jobs"),
        (Phase::Draining, "draining: 0 jobs, 17 s left"),
        (Phase::HandingBack, "handing back: 0 jobs"),
        (Phase::Closed, "stopped"),
    ] {
        assert_eq!(line(&Health::new(phase, RedisHealth::Connected, Vec::new()), Some(&snapshot), None), expected);
    }
    let mut findings = vec![Finding::new("redis_oom", Weight::Unready, "redis is full".into())];
    findings.push(Finding::new("gate_shut", Weight::Note, "shut".into()));
    findings.push(Finding {
        queue: Some(QueueName::new("a").unwrap()),
        ..Finding::new("not_taking", Weight::Dead, "not taking".into())
    });
    let health = Health::new(Phase::Running, RedisHealth::Connected, findings);
    assert_eq!(
        line(&health, Some(&snapshot), Some("a.toml:3: no")),
        "working 2 queues, 0 of 30 slots busy; a: not taking (and 1 more); configuration refused: a.toml:3: no"
    );
}

#[test]
fn nothing_in_the_status_gives_the_manager_another_order() {
    let well = Health::new(Phase::Running, RedisHealth::Connected, Vec::new());
    let hostile = format!("\nMAINPID=1\r\n\u{1b}[2J{}", "é".repeat(1000));
    let line = line(&well, None, Some(&hostile));
    assert!(!line.contains(['\n', '\r', '\u{1b}']) && line.contains("\\nMAINPID=1"), "{line}");
    assert!(line.len() < 500 && line.ends_with('…'), "{line}");
}

#[test]
fn a_refusal_names_the_first_mistake_and_its_place() {
    let position = Position { line: 14, column: 1, line_text: String::new() };
    let place = crate::config::Place { source: "oxherd.toml".into(), position: Some(position) };
    let first = Problem::error("concurrency must be at least 1").with_place(place);
    let problems = [first, Problem::error("another"), Problem::error("a third")];
    assert_eq!(status::refusal(&problems), "oxherd.toml:14: concurrency must be at least 1 (and 2 more)");
    assert_eq!(status::refusal(&problems[1..2]), "another");
}
